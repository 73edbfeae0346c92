"""`python -m benchmarks.serving_load`: see `benchmarks.serving.load`."""

from benchmarks.serving.load import main

if __name__ == "__main__":
    raise SystemExit(main())
