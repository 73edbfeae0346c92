"""Runs the benchmark: `python -m benchmarks.audit`."""

from benchmarks.audit.command import main

raise SystemExit(main())
