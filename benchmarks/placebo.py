"""`python -m benchmarks.placebo`: see `benchmarks.accuracy.placebo`."""

from benchmarks.accuracy.placebo import main

if __name__ == "__main__":
    raise SystemExit(main())
