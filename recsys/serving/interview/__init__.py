"""Interviews of somebody new: a few questions, and after each screen a list and what is known."""
