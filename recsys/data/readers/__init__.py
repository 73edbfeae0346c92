"""Reads logs of any known format: layout, parsing, checks of every row, titles and genres."""
