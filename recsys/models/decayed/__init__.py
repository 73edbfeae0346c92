"""Temporal decay around any fold-in model: the history is read with weights."""
