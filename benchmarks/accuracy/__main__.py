"""Runs the benchmark: `python -m benchmarks.accuracy`."""

from benchmarks.accuracy.command import main

raise SystemExit(main())
