"""Logs in parts, each with some of the users and all of their events, for work that holds one part at a time."""
