"""Serving: answers of a run from a log and an event store, the service around them, and its HTTP interface."""
