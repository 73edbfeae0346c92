"""Reads logs of shopping baskets: a user and any number of items in a line, in the order of time."""

from __future__ import annotations

from pathlib import Path

from recsys.data.interactions import Interactions
from recsys.data.readers.columns import Columns


def read_baskets(path: Path, columns: Columns) -> Interactions:
    """Return one event for each item of each line; a line's number is its time, in days."""
    lines = path.read_text(encoding=columns.encoding).splitlines()
    events = [(user, item, day) for day, line in enumerate(lines) for user, *items in [line.split()] for item in items]
    users, items, days = zip(*events, strict=True)
    return Interactions.from_columns(users, items, times=[day * 86_400 for day in days], name=path.stem)
