"""What several benchmarks share: cells on disk, reports, tuning, the environment."""
