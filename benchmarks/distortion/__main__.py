"""Runs the benchmark: `python -m benchmarks.distortion`."""

from benchmarks.distortion.command import main

raise SystemExit(main())
