"""`python -m benchmarks.serving_fuzz`: see `benchmarks.serving.fuzz`."""

from benchmarks.serving.fuzz import main

if __name__ == "__main__":
    raise SystemExit(main())
