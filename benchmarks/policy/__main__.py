"""Runs the benchmark: `python -m benchmarks.policy`."""

from benchmarks.policy.command import main

raise SystemExit(main())
