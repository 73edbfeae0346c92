"""Approximate retrieval: an index of item vectors, tuned to a recall, with exact scores of the candidates."""
