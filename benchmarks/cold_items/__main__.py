"""Runs the benchmark: `python -m benchmarks.cold_items`."""

from benchmarks.cold_items.command import main

raise SystemExit(main())
