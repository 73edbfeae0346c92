"""Processes that benchmarks and tests start: the service, a PostgreSQL server, a browser."""
