"""Runs the benchmark: `python -m benchmarks.serving`."""

from benchmarks.serving.command import main

raise SystemExit(main())
