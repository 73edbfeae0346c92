"""Approximate retrieval from a large catalogue."""
