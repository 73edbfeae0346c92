"""Impressions of recommended items, and what became of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final

from recsys.errors import DataError
from recsys.events.checks import check_event_time, check_id, check_time, shown

Variant = Literal["main", "beside"]
"""The model that serves most users, or the one that is tried beside it."""

ID: Final = re.compile(r"([0-9a-f]{16})-(main|beside)-([0-9A-Za-z_.]{1,64})")
"""The id of a list: a digest, the variant, the model."""

MOST_POSITIONS: Final = 10_000


@final
@dataclass(frozen=True, slots=True)
class Impression:
    """An item of a list was shown to a user.

    Attributes:
        user_id: external id.
        recommendation_id: of the list, as the answer gave it.
        item_id: external id.
        position: in what was shown, 1 for the first.
        shown: Unix seconds.
        clicked: Unix seconds of the first click; None: none came.

    Raises:
        DataError: naming field, value and cure.
    """

    user_id: str
    recommendation_id: str
    item_id: str
    position: int
    shown: int
    clicked: int | None = None

    def __post_init__(self) -> None:
        check_id("user_id", self.user_id)
        check_id("item_id", self.item_id)
        check_recommendation(self.recommendation_id)
        if not (type(self.position) is int and 1 <= self.position <= MOST_POSITIONS):
            raise DataError(f"position is {shown(self.position)}; count from 1, to {MOST_POSITIONS} at most")
        check_time("shown", self.shown)

    @property
    def model(self) -> str:
        """The model that made the list."""
        return _parts(self.recommendation_id)[2]

    @property
    def variant(self) -> str:
        """Which of two models that was."""
        return _parts(self.recommendation_id)[1]


@final
@dataclass(frozen=True, slots=True)
class UserClicks:
    """What a user was shown by one model, and how much of it was clicked.

    Attributes:
        variant: see `Variant`.
        model: that made the lists.
        lists: how many.
        impressions: items of them that were shown.
        clicks: of these.
    """

    variant: str
    model: str
    lists: int
    impressions: int
    clicks: int


@final
@dataclass(frozen=True, slots=True)
class PositionClicks:
    """Impressions and clicks of one model at one position."""

    variant: str
    model: str
    position: int
    impressions: int
    clicks: int


def check_recommendation(recommendation_id: str) -> None:
    """Raise a DataError unless this can be the id of a list."""
    if ID.fullmatch(recommendation_id) is None:
        raise DataError(
            f"recommendation_id is {shown(recommendation_id)}, which no list has; give back the one of the answer"
        )


def check_click(user_id: str, recommendation_id: str, item_id: str, time: int, now: float) -> None:
    """Raise a DataError unless this can be a click."""
    check_id("user_id", user_id)
    check_id("item_id", item_id)
    check_recommendation(recommendation_id)
    check_time("time", time)
    check_event_time("time", time, now)


def impression_row(one: Impression) -> tuple[object, ...]:
    """Return an impression as the columns of its table."""
    return one.user_id, one.recommendation_id, one.item_id, one.variant, one.model, one.position, one.shown


def impression_of(row: Sequence[Any]) -> Impression:
    """Return the impression in a row of its table."""
    return Impression(*row)


def _parts(recommendation_id: str) -> tuple[str, str, str]:
    found = ID.fullmatch(recommendation_id)
    assert found is not None
    digest, variant, model = found.groups()
    return digest, variant, model
