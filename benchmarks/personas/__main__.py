"""Runs the benchmark: `python -m benchmarks.personas`."""

from benchmarks.personas.command import main

raise SystemExit(main())
