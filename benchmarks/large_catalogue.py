"""`python -m benchmarks.large_catalogue`: see `benchmarks.retrieval.large_catalogue`."""

from benchmarks.retrieval.large_catalogue import main

if __name__ == "__main__":
    raise SystemExit(main())
