"""Data sets by name: their cards, where they lie, downloads."""
