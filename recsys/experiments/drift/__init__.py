"""Benchmarks that the command line offers: how rules of forgetting handle drift, on any log with times."""
