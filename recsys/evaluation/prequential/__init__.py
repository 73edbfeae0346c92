"""Prequential replay: every event is asked before it is learned from."""
