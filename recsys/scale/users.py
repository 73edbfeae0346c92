"""The users of a training log in parts: sums over them, some of them, and what validation says of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.partitions.log import joined
from recsys.data.partitions.splitting import PartitionedSplit
from recsys.data.queries import Queries
from recsys.data.splits.holdout import Holdout
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.evaluation.ranking import mean_of, sampled_of, values_of
from recsys.experiments.configuration import Validation
from recsys.models.base import FittedOn, Recommender, Validate
from recsys.models.capabilities import Statistic, Sums, TrainingUsers
from recsys.models.feedback import FeedbackReader
from recsys.models.linear.ease import Cooccurrence
from recsys.models.linear.operations import CoUse
from recsys.scale.engine import Engine
from recsys.types import Doubles, Items


@final
class PartUsers(TrainingUsers):
    """The users of a partitioned split.

    Args:
        train: what is known of the training log.
        split: of the partitioned log.
        parts: how many there are.
        events: of the training log.
        engine: where parts are worked on.
        reads_kinds: whether dislikes and skips are among the events.
        validation: the metric, and how many users it asks.
    """

    def __init__(
        self,
        train: FittedOn,
        split: PartitionedSplit,
        parts: int,
        events: int,
        engine: Engine,
        *,
        reads_kinds: bool = True,
        validation: Validation | None = None,
    ) -> None:
        self._train = train
        self._split = split
        self._parts = parts
        self._events = events
        self._engine = engine
        self._reads_kinds = reads_kinds
        self._validation = validation or Validation()
        self._co_use = Cooccurrence(FeedbackReader.of_each("events", train.clock, "co-use"))
        self._uses: Sums | None = None
        """Kept from `co_use` to a model that learns from the same sums: they are most of the work of both."""

    @property
    def count(self) -> int:
        return self._parts

    def here(self) -> dict[int, Interactions]:
        return {number: _train(self._split, self._reads_kinds, number) for number in self._engine.own(self._parts)}

    @property
    def events(self) -> int:
        return self._events

    def total(self, statistic: Statistic) -> Sums:
        if self._uses is not None and statistic == self._co_use:
            uses, self._uses = self._uses, None
            return uses
        return summed(self._engine, partial(of_part, self._split, statistic, self._reads_kinds), self._parts)

    def co_use(self) -> CoUse:
        self._uses = self.total(self._co_use)
        return CoUse.of_gram(self._uses["gram"], len(self._train.users))

    def some(self, users: Items) -> Queries:
        chosen = partial(_events_of, self._split, self._reads_kinds, self._train.users.ids[users])
        log = joined(list(self._engine.map(chosen, range(self._parts), "part")))
        return self._train.queries(log)

    @cached_property
    def validate(self) -> Validate | None:
        asked = partial(_asked, self._split)
        ids = np.concatenate(list(self._engine.map(asked, range(self._parts), "validation of part")))
        if not len(ids):
            return None
        metric, most = self._validation.metric, self._validation.users
        among = Vocabulary(sampled_of(np.sort(ids), most))

        def validate(model: Recommender) -> float:
            of_each = partial(_values, self._split, among, metric, model)
            values = self._engine.map(of_each, range(self._parts), "validation of part")
            return mean_of(metric, np.concatenate(list(values)))

        return validate


def summed(engine: Engine, statistic: Callable[[int], Sums], parts: int) -> Sums:
    """Return the sum of a statistic over parts, added in their order, so that it does not depend on the engine."""
    results = engine.map(statistic, range(parts), "part")
    total = {name: array if array.flags.writeable else array.copy() for name, array in next(results).items()}
    for result in results:
        for name in total:
            total[name] += result[name]
        del result  # before the next part is worked on
    return total


def of_part(split: PartitionedSplit, statistic: Statistic, reads_kinds: bool, number: int) -> Sums:
    """Return a statistic of the training events of a part, with or without what is no use."""
    return statistic(_train(split, reads_kinds, number))


def known(holdout: Holdout, model: Recommender) -> Holdout:
    """Return questions with the numbers that the model gives their users."""
    users = model.fitted_on.users.numbers(holdout.user_ids)
    return replace(holdout, queries=replace(holdout.queries, users=users))


def _train(split: PartitionedSplit, reads_kinds: bool, number: int) -> Interactions:
    train = split.train(number)
    return train if reads_kinds else train.uses


def _events_of(split: PartitionedSplit, reads_kinds: bool, ids: np.ndarray, number: int) -> Interactions:
    """Return the training events of those users of a part that are among some ids."""
    train = _train(split, reads_kinds, number)
    among = Vocabulary(ids).numbers(train.users.ids) != UNKNOWN
    return train.select(among[train.user_num]).compact(np.arange(train.n_items))


def _asked(split: PartitionedSplit, number: int) -> np.ndarray:
    """Return the users of a part who have a validation question with a relevant item."""
    valid = split.split(number).valid
    return np.asarray(valid.user_ids[valid.relevant.lengths > 0])


def _values(split: PartitionedSplit, among: Vocabulary, metric: str, model: Recommender, number: int) -> Doubles:
    """Return a metric of the validation questions of a part."""
    valid = split.split(number).valid
    rows = np.flatnonzero((valid.relevant.lengths > 0) & (among.numbers(valid.user_ids) != UNKNOWN))
    return values_of(metric, model, known(valid.take(rows), model))
