"""The tasks: users that the model was not fitted on, what is visible of them, and what is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.decay import GlobalHalfLife
from recsys.evaluation.memory import ndcg_of_lists
from recsys.models import EASE, Decayed, Recommender
from recsys.types import Items, Mask
from recsys.worlds.simulation import simulated_log

Asked = Literal["random", "next 10", "last"]
HALF_LIVES = (1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 100.0)
_LEAST = {"random": 5, "next 10": 15, "last": 3}


@final
@dataclass(frozen=True)
class Plan:
    """A log, its model, and what is asked of it.

    Attributes:
        users: of one seed; those of several seeds are different people, unless each seed has a model of its own.
        refit: whether each seed has, as on a log of few users.
    """

    log: str
    regularization: float
    asked: tuple[Asked, ...]
    users: int = 300
    validation: int = 200
    min_item_events: int = 1
    refit: bool = False

    def load(self) -> Interactions:
        """Return the log."""
        if self.log == "simulated":
            return simulated_log(n_users=300, n_items=200)
        log = datasets.load(self.log).uses
        kept = np.bincount(log.item_num, minlength=log.n_items)[log.item_num] >= self.min_item_events
        return log if kept.all() else log.select(kept).compact()


@final
@dataclass(frozen=True, eq=False)
class Task:
    """What is asked of some users.

    Attributes:
        model: fitted on others; reads the visible history with the half-life that is best for the validation users.
        half_life: in events; infinite where nothing fades.
        train: the log of the others.
        test, valid: the users and what is relevant.
    """

    name: str
    seed: int
    model: Recommender
    half_life: float
    train: Interactions
    test: tuple[Queries, Ragged]
    valid: tuple[Queries, Ragged]


def tasks(plan: Plan, seeds: int) -> Iterator[Task]:
    """Yield the tasks of a log, seed by seed."""
    log = plan.load()
    lengths = np.diff(log.indptr)
    able = np.flatnonzero(lengths >= max(_LEAST[asked] for asked in plan.asked))
    model: EASE | None = None
    drawn = np.zeros(0, np.int64)
    for seed in range(1, seeds + 1):
        rng = np.random.default_rng(seed if plan.refit else 1)
        if plan.refit or model is None:
            most = plan.validation + plan.users * (1 if plan.refit else seeds)
            drawn = rng.permutation(able)[:most]
            inside = np.isin(log.user_num, drawn)
            train = log.select(~inside)
            model = EASE(plan.regularization).fit(train)
        begin = plan.validation + (0 if plan.refit else (seed - 1) * plan.users)
        users = np.sort(drawn[begin : begin + plan.users]).astype(np.int32)
        others = np.sort(drawn[: plan.validation]).astype(np.int32)
        for asked in plan.asked:
            hidden = _hidden(log, asked)
            test, valid = _questions(log, hidden, users), _questions(log, hidden, others)
            reading, half_life = _read(model, valid)
            yield Task(f"{plan.log}, {asked}", seed, reading, half_life, train, test, valid)


def _hidden(log: Interactions, asked: Asked) -> Mask:
    """Return which events are asked: a random fifth of each user's, the last ten, or the last."""
    count = np.diff(log.indptr)[log.user_num]
    if asked != "random":
        return log.positions >= count - (10 if asked == "next 10" else 1)
    lot = np.random.default_rng(0).random(len(log))
    order = np.lexsort((lot, log.user_num))
    place = np.empty(len(log), np.int64)
    place[order] = log.positions
    return place < np.maximum(1, np.rint(0.2 * count))


def _questions(log: Interactions, hidden: Mask, users: Items) -> tuple[Queries, Ragged]:
    asked = log.select(hidden)
    return Queries.from_interactions(log.select(~hidden), users), Ragged(asked.indptr, asked.item_num).take(users)


def _read(model: EASE, valid: tuple[Queries, Ragged]) -> tuple[Recommender, float]:
    """Return the model as it reads histories, with the half-life that is best for the validation users."""
    chosen: Recommender = model
    best, half_life = -1.0, np.inf
    for each in (np.inf, *HALF_LIVES):
        reading: Recommender = model if np.isinf(each) else decayed(model, each)
        value = float(np.nanmean(ndcg_of_lists(reading.recommend(valid[0], 10).items, valid[1])))
        if value > best:
            best, chosen, half_life = value, reading, each
    return chosen, half_life


def decayed(model: EASE, half_life: float) -> Decayed:
    """Return a fitted model with a half-life in events, without fitting it again."""
    around = Decayed(model, GlobalHalfLife(half_life), calibration=0.0)
    arrays = {f"model.{name}": value for name, value in model.arrays().items()}
    return around.restore(model.fitted_on, arrays)
