"""The service under load, kills and bad input."""
