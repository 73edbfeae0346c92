"""Splits of a log into a training log and queries with held-out answers."""
