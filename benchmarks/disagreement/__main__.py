"""Runs the benchmark: `python -m benchmarks.disagreement`."""

from benchmarks.disagreement.command import main

raise SystemExit(main())
