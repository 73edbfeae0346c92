"""Data sets by name: cards, places, downloads, loading."""
