"""Sequential models in one table."""
