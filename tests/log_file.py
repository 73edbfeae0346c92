"""A log as a file that a command reads."""

from __future__ import annotations

from pathlib import Path

from recsys.data.interactions import Interactions


def write_log(log: Interactions, folder: Path) -> Path:
    """Write users, items and times of a log as CSV into a folder; return the file."""
    path = folder / "log.csv"
    rows = zip(log.users.ids[log.user_num], log.items.ids[log.item_num], log.time, strict=True)
    path.write_text("user,item,time\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows))
    return path
