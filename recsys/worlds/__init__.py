"""Simulated logs with known truth: personas, drift, spliced users."""
