"""`python -m benchmarks.serving_policy`: see `benchmarks.serving.under_policy`."""

from benchmarks.serving.under_policy import main

if __name__ == "__main__":
    raise SystemExit(main())
