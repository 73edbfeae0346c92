"""Runs the benchmark: `python -m benchmarks.sequential`."""

from benchmarks.sequential.command import main

raise SystemExit(main())
