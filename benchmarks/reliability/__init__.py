"""Which answers are preferences: see `benchmarks.reliability.command`."""
