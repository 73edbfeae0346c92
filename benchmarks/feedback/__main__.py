"""Runs the benchmark: `python -m benchmarks.feedback`."""

from benchmarks.feedback.command import main

raise SystemExit(main())
