"""Runs the benchmark: `python -m benchmarks.ratings`."""

from benchmarks.ratings.command import main

raise SystemExit(main())
