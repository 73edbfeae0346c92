"""Random queries with ties, gaps, unknown users and empty histories, and rules, for tests of forgetting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.half_lives import HalfLives
from recsys.decay.temporal import TemporalDecay
from recsys.decay.visits import VisitWeights

N_USERS = 5
_GRID = HalfLives()
NO_VISITS = VisitWeights(share=0.0, last=1.0, absence_days=0.0)


def temporal(
    n_users: int,
    half_lives: HalfLives = _GRID,
    *,
    changepoints: bool = False,
    caution: float = 0.0,
    **learning: Any,
) -> TemporalDecay:
    """Return a rule with a grid of half-lives in the unit of the log, by default of half-lives and floors alone."""
    grid: dict[str, Any] = {"floors": half_lives.floors, "paired": half_lives.paired, "visits": NO_VISITS}
    settings: dict[str, Any] = {"events": half_lives.events, "periods": half_lives.time, "days": ()} | grid | learning
    rule = TemporalDecay(changepoints=changepoints, caution=caution, **settings)
    return rule.for_log(n_users, "period" if half_lives.time else "seconds")


@st.composite
def random_queries(draw: st.DrawFn) -> Queries:
    """Draw up to 6 questions with up to 8 events each; many times are equal, and items are all different."""
    rows = draw(st.lists(st.lists(st.integers(0, 12), max_size=8).map(sorted), max_size=6))
    users = [draw(st.integers(UNKNOWN, N_USERS - 1)) for _ in rows]
    now = [max(row, default=0) + draw(st.integers(1, 5)) for row in rows]
    first = np.cumsum([0, *map(len, rows)])
    items = [np.arange(len(row)) + start for row, start in zip(rows, first, strict=False)]
    return Queries.from_history(items, users=users, times=rows, now=np.asarray(now, dtype=np.int64))


def shifted(queries: Queries, by: int) -> Queries:
    """Return the same questions at another moment."""
    return replace(queries, times=queries.times + by, now=queries.now + by)


def with_ties_shuffled(queries: Queries, seed: int) -> tuple[Queries, npt.NDArray[np.int64]]:
    """Return the questions with the events of equal times in another order, and that order."""
    chance = np.random.default_rng(seed).random(len(queries.times))
    order = np.lexsort((chance, queries.times, queries.history.rows))
    history = replace(queries.history, items=queries.history.items[order])
    return replace(queries, history=history, values=queries.values[order]), order
