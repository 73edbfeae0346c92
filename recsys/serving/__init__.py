"""A fitted bundle as a service: events as they happen, recommendations with their reasons."""
