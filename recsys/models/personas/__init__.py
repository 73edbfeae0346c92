"""Personas found in each user's own history: item vectors, a shared dictionary of tastes, clusters, ownership."""
