"""Ten questions to somebody of whom nothing is known."""
