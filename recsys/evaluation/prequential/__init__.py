"""Prequential replay: every event is predicted before it is learned from."""
