"""Accuracy of all configurations on five logs."""
