"""Runs the benchmark: `python -m benchmarks.speed`."""

from benchmarks.speed.command import main

raise SystemExit(main())
