"""Names of the splits. This module imports nothing else, so that a command line can list them at once."""

from __future__ import annotations

from typing import Literal, get_args

SplitName = Literal["global_time", "last_one", "last_n", "random", "held_out_users", "paper"]

SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)
