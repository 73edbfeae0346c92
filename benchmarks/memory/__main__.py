"""Run the benchmark: `python -m benchmarks.memory`."""

from benchmarks.memory.command import main

raise SystemExit(main())
