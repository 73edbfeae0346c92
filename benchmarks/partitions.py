"""`python -m benchmarks.partitions`: see `benchmarks.speed.partitions`."""

from benchmarks.speed.partitions import main

if __name__ == "__main__":
    raise SystemExit(main())
