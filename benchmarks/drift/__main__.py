"""Runs the benchmark: `python -m benchmarks.drift`."""

from benchmarks.drift.command import main

raise SystemExit(main())
