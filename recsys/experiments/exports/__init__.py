"""Exports of a run for programs without this library: vectors, personas, lists, and the network that scores."""
