"""Simulated logs whose truth is known: personas, drift, spliced users."""
