"""Draws a log: events per user and item, over time, spans, ratings or kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsys import pictures
from recsys.data.inspection import inspect, user_spans
from recsys.data.interactions import Interactions
from recsys.types import DAY


def draw_log(log: Interactions, path: Path) -> Path:
    """Write histograms of a log and return `path`: events per user and item, over time, spans, ratings or kinds.

    The two panels on time are empty for logs without times that can be compared between users.

    Raises:
        DataError: the log has no events.
    """
    summary = inspect(log)
    unit = DAY if log.clock == "seconds" else 1
    return pictures.draw_events(
        path,
        f"{summary.name}: {summary.events:,} events, {summary.users:,} users, {summary.items:,} items",
        per_user=np.bincount(log.user_num),
        per_item=np.bincount(log.item_num),
        counted=("rating", summary.values) if summary.values else ("kind", summary.kinds),
        times=log.time if log.has_time else None,
        spans=user_spans(log) / unit,
        clock=log.clock,
    )
