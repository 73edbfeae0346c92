"""Personas that are found in histories: are they distinct, meaningful, stable, owners of their seats, and free."""
