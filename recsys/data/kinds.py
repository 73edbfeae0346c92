"""The kinds of events and their codes."""

from __future__ import annotations

from typing import Final, Literal, get_args

Kind = Literal["use", "rating", "view", "click", "like", "dislike", "buy", "skip"]
"""What was done. A use says no more than that something was; a rating has a value, a like and a dislike have none.

A dislike and a skip are no interactions: they are evidence against an item, and never count as a use of it.
"""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""The kinds in the order of their codes, which logs hold as int8."""

CODES: Final[dict[Kind, int]] = {kind: code for code, kind in enumerate(KINDS)}

NEGATIVE_KINDS: Final[tuple[Kind, ...]] = ("dislike", "skip")

UNRATED_KINDS: Final[tuple[Kind, ...]] = ("like", "dislike", "skip")
"""The kinds that cannot have a value."""
