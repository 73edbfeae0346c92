"""Shared by several benchmarks: commands, results on disk, reports, tuning, the environment."""
