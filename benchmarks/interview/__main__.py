"""Runs the benchmark: `python -m benchmarks.interview`."""

from benchmarks.interview.command import main

raise SystemExit(main())
