"""`python -m benchmarks.scale`: see `benchmarks.speed.scale`."""

from benchmarks.speed.scale import main

if __name__ == "__main__":
    raise SystemExit(main())
