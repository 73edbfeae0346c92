"""A memory that a person can read and edit: a text of a fixed grammar, written and read by tables."""
