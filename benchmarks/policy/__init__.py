"""Norms that bind lists: whether they hold, whether lists are the best, and what they cost."""
