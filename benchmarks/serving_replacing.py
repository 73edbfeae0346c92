"""`python -m benchmarks.serving_replacing`: see `benchmarks.serving.replacing.measurement`."""

from benchmarks.serving.replacing.measurement import main

if __name__ == "__main__":
    raise SystemExit(main())
