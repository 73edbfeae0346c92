"""Approximate retrieval: an index of item vectors, tuned to a recall, reranked exactly."""
