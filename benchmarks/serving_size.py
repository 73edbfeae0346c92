"""`python -m benchmarks.serving_size`: see `benchmarks.serving.size`."""

from benchmarks.serving.size import main

if __name__ == "__main__":
    raise SystemExit(main())
