"""Names: of the tastes that all users share, and of the personas of one user."""
