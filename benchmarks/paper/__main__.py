"""Runs the benchmark: `python -m benchmarks.paper`."""

from benchmarks.paper.command import main

raise SystemExit(main())
