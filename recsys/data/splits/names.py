"""Names of the splits, and of when a question is asked. This module imports nothing else, for a fast command line."""

from __future__ import annotations

from typing import Literal, get_args

SplitName = Literal[
    "global_time", "last_one", "last_n", "random", "held_out_users", "cold_items", "held_out_items", "paper"
]

SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)

Ask = Literal["session", "day", "event"]
"""When a question is asked: at the first event of each session, at the first of each day (UTC), or before each event.
What lies strictly before is visible; all events of the session or day are relevant, and show each other nothing."""

ASKS: tuple[Ask, ...] = get_args(Ask)

Among = Literal["new", "all", "warm"]
"""What splits about new items ask and rank: new items among new ones, new items among all, or warm items among all."""

AMONG: tuple[Among, ...] = get_args(Among)
