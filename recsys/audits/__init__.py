"""Audits of closed loops: what a system, retrained on what it caused, does to people, against doing nothing."""
