"""`python -m benchmarks.decay_cost`: see `benchmarks.drift.cost`."""

from benchmarks.drift.cost import main

if __name__ == "__main__":
    raise SystemExit(main())
