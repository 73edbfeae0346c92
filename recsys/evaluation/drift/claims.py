"""When the questions of a replay were asked, how long users stay, and whether it can say anything about taste."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.sessions import Ask, came_back, users_per_span
from recsys.evaluation.prequential.result import Replay
from recsys.types import HOUR

_MOST = 0.5
"""Of questions within an hour, and of users who stay for less than a day, in a replay that tells of taste."""


@final
@dataclass(frozen=True)
class Questions:
    """When the questions of a replay were asked, and of whom.

    Attributes:
        ask: at sessions, at days, or before events.
        pause: seconds that end a session.
        came_back: whether only users who came back are asked (`recsys.data.sessions.came_back`).
        within_hour: share of the questions that come within an hour of the last visible event, of those with one; None
            unless the clock is "seconds", or without any.
        median_gap: median seconds between the two; likewise.
        users_per_span: of the users of the log who may be asked, see `recsys.data.sessions.users_per_span`.
        short: share of those with two events or more who stay for less than a day; None unless the clock is "seconds".
    """

    ask: Ask
    pause: int
    came_back: bool
    within_hour: float | None
    median_gap: float | None
    users_per_span: Mapping[str, int]
    short: float | None

    @classmethod
    def of(cls, log: Interactions, replayed: Replay, *, restricted: bool) -> Self:
        """Measure a replay of a log, whose questions are `restricted` to users who came back, or not."""
        if restricted:
            log = log.select(came_back(log)[log.user_num])
        spans = users_per_span(log)
        gaps = replayed.table["gap"].to_numpy(np.int64)
        gaps = gaps[gaps >= 0]
        timed = log.clock == "seconds" and len(gaps) > 0
        stay = sum(spans.values()) - spans["one event"]
        return cls(
            replayed.ask,
            replayed.pause,
            restricted,
            float((gaps <= HOUR).mean()) if timed else None,
            float(np.median(gaps)) if timed else None,
            spans,
            spans["less than a day"] / stay if log.clock == "seconds" and stay else None,
        )

    @property
    def refusals(self) -> list[str]:
        """Why differences between rules say nothing about taste, each with its cure; empty where they may."""
        reasons = []
        if self.within_hour is not None and self.within_hour > _MOST:
            reasons.append(
                f"It measures the sitting, not taste: {self.within_hour:.0%} of the questions come within an hour of "
                "the last visible event. Ask at the start of each session (--ask session)."
            )
        if self.short is not None and self.short > _MOST:
            reasons.append(
                f"{self.short:.0%} of the users with two events or more stay for less than a day, so that most "
                "histories are one visit. Ask the users who came back (--came-back), or take a log with longer ones."
            )
        return reasons

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with the refusals."""
        return asdict(self) | {"refusals": self.refusals}
