"""`python -m benchmarks.serving_against`: see `benchmarks.serving.against`."""

from benchmarks.serving.against import main

if __name__ == "__main__":
    raise SystemExit(main())
