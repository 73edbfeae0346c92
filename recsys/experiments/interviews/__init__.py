"""Interviews of somebody new for a run."""
