"""Splits of a log into a training log and held-out questions; each draws its timeline."""
