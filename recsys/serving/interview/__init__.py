"""Interviews: a few questions, and after each screen a list and what is known."""
