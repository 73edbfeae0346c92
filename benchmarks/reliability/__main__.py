"""Runs the benchmark: `python -m benchmarks.reliability`."""

from benchmarks.reliability.command import main

raise SystemExit(main())
