"""What ratings are worth to the lists: see `benchmarks.feedback.command`."""
