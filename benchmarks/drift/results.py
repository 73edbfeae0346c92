"""Measurements of the drift benchmark on real streams, and the cost of single queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import pandas as pd

from benchmarks.tools.differences import Difference, corrected

PERSONAS = "ampcf"
"""The base with personas that is compared with itself without decay."""


@final
@dataclass(frozen=True)
class Serving:
    """Cost of a single query, medians in milliseconds of processor time."""

    world: str  # of the queries
    base: str  # name of the base
    questions: int  # number of queries
    plain: float  # `recommend` without decay, after the first event of a session
    decayed: float  # inside a session: the cache of weights brought up to date, and `recommend`
    first: float  # of a user of whom nothing is cached: weights and `recommend`
    observe: float  # of what follows a session: rank utilities of its items, and the update
    bytes: float  # state per user


@final
@dataclass(frozen=True)
class Gap:
    """Possible sources of a difference between two arms: the hits of their lists."""

    visible: float  # median length of the visible history
    unknown: float  # share of the questions whose item is newer than the model, which no rule of forgetting can find
    hit: float  # share of the questions that either arm answers with a hit
    moved: float  # of these, the share in which NDCG@10 differs
    better: float  # share of the users with the higher mean NDCG@10 under ours
    worse: float  # share of the users with the higher one under the rival

    @classmethod
    def of(cls, ours: pd.DataFrame, rival: pd.DataFrame) -> Gap:
        """Compare the tables of two replays of the same questions.

        Raises:
            ValueError: the questions differ.
        """
        keys = ["user_num", "position"]
        both = ours.merge(rival[[*keys, "ndcg@10"]], on=keys, suffixes=("", "_rival"), validate="one_to_one")
        if not len(both) == len(ours) == len(rival):
            raise ValueError(f"{len(ours)} and {len(rival)} questions, of which {len(both)} are the same")
        one, other = both["ndcg@10"], both["ndcg@10_rival"]
        hit = (one > 0) | (other > 0)
        gain = (one - other).groupby(both["user_num"]).mean()
        moved = float((one != other)[hit].mean()) if hit.any() else 0.0
        visible, unknown = float(both["n_visible"].median()), 1.0 - float(both["known"].sum() / both["relevant"].sum())
        return cls(visible, unknown, float(hit.mean()), moved, float((gain > 0).mean()), float((gain < 0).mean()))


@final
@dataclass(frozen=True)
class StreamResult:
    """Measurements on a real log."""

    name: str  # of the log
    content: dict[str, Any]  # result of `run_drift`
    days: float  # length of the reported stream in days; NaN where the clock has none
    together: tuple[Difference, ...]  # comparisons of `PERSONAS`, of the family of all differences of the stream
    by_lot: tuple[Difference, ...]  # per-user decay and the best global half-life, and `together`, exchanged by lot
    gap: Gap  # per-user decay beside the best global half-life, under the first base that did not refuse

    @property
    def arms(self) -> Mapping[str, Any]:
        """The arms of the first base that did not refuse."""
        arms: Mapping[str, Any] = self.content["arms"]
        return arms

    def mean(self, arm: str) -> float:
        """Return NDCG@10 of an arm of the first base, the mean over users."""
        return float(self.arms[arm]["over_users"]["ndcg@10"])

    def seconds_beyond(self, arm: str) -> float:
        """Return the seconds that an arm takes over the stream beyond no decay."""
        seconds = self.arms[arm]["seconds"]
        return float(sum(seconds[part] for part in ("weights", "judging", "observing")))


def together(results: Sequence[StreamResult], *, by_lot: bool = False) -> list[Difference]:
    """Return the comparisons of `PERSONAS` on all streams; with `by_lot` their placebos, a family of their own."""
    if by_lot:
        return corrected([pair for one in results for pair in one.by_lot[1:]])
    return [pair for one in results for pair in one.together]
