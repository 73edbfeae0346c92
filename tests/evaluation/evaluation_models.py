"""Small models, logs and holdouts with known scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries, Ragged
from recsys.data.splits.holdout import Holdout
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.base import Forgetting, OnlineForgetting
from recsys.models.base import Recommender, Validate
from recsys.models.capabilities import FoldIn
from recsys.models.linear.operations import event_weights
from recsys.training.session import Session


@final
class FixedScores(Recommender):
    """Scores given by the test, one row per known user; it cannot serve unknown users."""

    def __init__(self, scores: npt.NDArray[np.float32]) -> None:
        self.scores = scores

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        assert self.scores.shape == (train.n_users, train.n_items)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return torch.from_numpy(self.scores[queries.users])

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"scores": self.scores}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.scores = arrays["scores"]


@final
class MostUsed(Recommender):
    """Scores by number of events, the same for all users, also unknown ones."""

    @property
    def needs_known_users(self) -> bool:
        return False

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        self.counts = np.bincount(train.item_num, minlength=train.n_items).astype(np.float32)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return torch.from_numpy(np.tile(self.counts, (len(queries), 1)))

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"counts": self.counts}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.counts = arrays["counts"]


def random_log(users: int = 40, items: int = 30, *, genres: int = 0, seed: int = 0) -> Interactions:
    """A log of random events in which every item and user occurs; with `genres`, items have one or two of them."""
    rng = np.random.default_rng(seed)
    users_of_events = np.concatenate([rng.integers(users, size=users * 6), np.arange(users), np.arange(items) % users])
    items_of_events = np.concatenate([rng.integers(items, size=users * 6), np.arange(users) % items, np.arange(items)])
    log = Interactions.from_columns(users_of_events, items_of_events, times=np.arange(len(users_of_events)))
    if not genres:
        return log
    drawn = [tuple(sorted({f"g{g}" for g in rng.integers(genres, size=2)})) for _ in range(items)]
    metadata = ItemMetadata(log.metadata.titles, tuple(drawn))
    columns = (log.user_num, log.item_num, log.value, log.time)
    return Interactions(*columns, log.users, log.items, metadata, log.clock, log.name)


def random_holdout(log: Interactions, *, cold: int = 0, seed: int = 0) -> Holdout:
    """Questions for all users and `cold` unknown ones, with 0 to 4 relevant items, some of them unknown."""
    rng = np.random.default_rng(seed)
    known = Queries.from_interactions(log)
    rows = [known.history.row(row) for row in range(len(known))] + [np.arange(3, dtype=np.int32)] * cold
    users = np.concatenate([known.users, np.full(cold, UNKNOWN)])
    relevant = []
    for row in rows:
        fresh = np.setdiff1d(np.arange(log.n_items), row)
        answers = rng.choice(fresh, min(len(fresh), int(rng.integers(4))), replace=False)
        relevant.append(np.append(answers, UNKNOWN) if rng.random() < 0.2 else answers)
    ids = np.arange(len(rows)).astype(object)
    return Holdout(Queries.from_history(rows, users=users), Ragged.of(relevant), ids)


@final
class SumOfRows(Recommender, FoldIn):
    """A linear fold-in model: history event j adds w_j A_ji to item i, with A ("items items") given by the test."""

    def __init__(self, rows: npt.NDArray[np.float32]) -> None:
        self.rows = rows

    @property
    def folds_in(self) -> bool:
        return True

    def contributions(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "events n"]:
        source = np.maximum(queries.history.items, 0)[:, None]
        return torch.from_numpy(event_weights(queries)[:, None] * self.rows[source, items[queries.history.rows]])

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        assert self.rows.shape == (train.n_items, train.n_items)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        weights = queries.matrix(self.n_items)
        return torch.from_numpy(np.asarray(weights @ self.rows, dtype=np.float32))

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"rows": self.rows}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.rows = arrays["rows"]


def events_since(queries: Queries) -> npt.NDArray[np.int64]:
    """ "events", the age of every history event in events: 0 for the latest."""
    entries = np.arange(len(queries.history.items))
    return np.repeat(queries.history.indptr[1:], queries.history.lengths) - 1 - entries


@final
class LastEvents(Forgetting):
    """Only the last so many events count."""

    def __init__(self, count: int) -> None:
        self.count = count

    def weights(self, queries: Queries) -> npt.NDArray[np.float32]:
        return np.asarray(events_since(queries) < self.count, dtype=np.float32)


@final
class FollowTheLeader(OnlineForgetting):
    """Half-lives of 1, 4 and infinitely many events; a user gets the one with the largest sum of utilities so far.

    Attributes:
        seen: the observed queries in order: user, history length and time.
    """

    def __init__(self, users: int) -> None:
        self.users = users
        self.seen: list[tuple[int, int, int]] = []
        self.reset()

    def hypotheses(self, queries: Queries) -> npt.NDArray[np.float32]:
        age = events_since(queries)
        return np.asarray([0.5**age, 0.5 ** (age / 4), np.ones(len(age))], dtype=np.float32)

    def weights(self, queries: Queries) -> npt.NDArray[np.float32]:
        leader = np.repeat(self.total[queries.users].argmax(1), queries.history.lengths)
        return np.asarray(self.hypotheses(queries)[leader, np.arange(len(leader))])

    def observe(self, queries: Queries, utility: npt.NDArray[np.float32]) -> None:
        assert utility.shape == (len(queries), 3)
        assert np.all((utility >= 0) & (utility <= 1))
        assert np.all(np.diff(queries.now) >= 0)
        np.add.at(self.total, queries.users, utility.astype(np.float64))
        self.seen += zip(queries.users.tolist(), queries.history.lengths.tolist(), queries.now.tolist(), strict=True)

    def reset(self) -> None:
        self.total = np.zeros((self.users, 3))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {"total": self.total.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.total = state["total"].copy()

    def state_bytes(self) -> float:
        return 24.0
