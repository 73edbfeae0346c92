"""Runs the benchmark: `python -m benchmarks.fidelity`."""

from benchmarks.fidelity.command import main

raise SystemExit(main())
