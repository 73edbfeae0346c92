"""Runs the benchmark: `python -m benchmarks.retrieval`."""

from benchmarks.retrieval.command import main

raise SystemExit(main())
