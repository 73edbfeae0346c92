"""The contract of memories: a history becomes a state of few bytes, and the state is all that a model reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.kinds import CODES
from recsys.data.queries import Queries, Ragged
from recsys.errors import CapabilityError
from recsys.models.base import Recommender
from recsys.models.capabilities import LinearRows
from recsys.models.memories.stored import Stored, pack_events, unpack_events
from recsys.types import Floats, Ints

Arrays = Mapping[str, npt.NDArray[Any]]
Judge = Callable[["Memory"], float]
"""A validation metric of a memory, larger is better."""


class Memory(ABC):
    """What is kept of a user. Immutable; settings are constructor arguments in attributes of the same name."""

    def learned(self, model: Recommender, train: Interactions, judge: Judge | None = None) -> Memory:
        """Return the memory with what all users share, learned from a fitted model and its log.

        Args:
            model: reads the memory; with `Decayed`, the model within.
            train: the log.
            judge: a validation metric, for memories with something to choose.
        """
        _ = model, train, judge
        return self

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what is learned, as arrays by name."""
        return {}

    def restored(self, arrays: Arrays) -> Self:
        """Return the memory with the result of `arrays`."""
        _ = arrays
        return self

    @abstractmethod
    def encode(self, model: Recommender, queries: Queries) -> Stored:
        """Return what is kept of each user: nothing else of the history is read for scores.

        Args:
            model: that scores, see `Recommender.read`.
            queries: with the event weights that it sees.
        """

    @abstractmethod
    def scores(self, model: Recommender, stored: Stored) -> Float[Tensor, "queries items"]:
        """Return the scores of all items from what is kept."""


class EventMemory(Memory):
    """A memory that keeps some events, with weights, or without; any model that folds in reads it as a history."""

    @abstractmethod
    def choose(self, model: Recommender, queries: Queries) -> tuple[Ints, Floats | None]:
        """Return the events that are kept, as ascending positions in the histories, and their weights; None: all 1.

        Events that are not counted (`Queries.counted`), as what was disliked, are never kept.
        """

    @final
    def encode(self, model: Recommender, queries: Queries) -> Stored:
        positions, weights = self.choose(model, queries)
        return pack_events(_kept(queries, positions), weights, model.n_items)

    @final
    def scores(self, model: Recommender, stored: Stored) -> Float[Tensor, "queries items"]:
        return model.score(self.decode(model, stored))

    @final
    def decode(self, model: Recommender, stored: Stored) -> Queries:
        """Return what is kept as uses in their order, with weights."""
        history, weights = unpack_events(stored, model.n_items)
        place = np.arange(len(history.items), dtype=np.int64) - np.repeat(history.indptr[:-1], history.lengths)
        return Queries(
            np.full(len(history), -1, np.int32),
            history,
            np.ones(len(history.items), np.float32),
            place,
            history.lengths,
            weights,
            kinds=np.full(len(history.items), CODES["use"], np.int8),
        )

    @final
    def weights(self, model: Recommender, queries: Queries) -> Floats:
        """Return what each event of the histories counts once it was kept, "events": 0 for those forgotten."""
        positions, weights = self.choose(model, queries)
        stored = pack_events(_kept(queries, positions), weights, model.n_items)
        result = np.zeros(len(queries.history.items), np.float32)
        result[positions] = unpack_events(stored, model.n_items)[1]
        return result


class StateMemory(Memory):
    """A memory that keeps numbers, or events that no model reads as a history; it scores by itself.

    It needs a model whose scores are sums of rows of one matrix B: s = sum_j w_j B_j (`LinearRows`).
    """


def linear_rows(model: Recommender, memory: Memory) -> LinearRows:
    """Return a model as one of rows.

    Raises:
        CapabilityError: it is none; the message names the memory.
    """
    if isinstance(model, LinearRows) and model.sums_rows:
        return model
    raise CapabilityError(
        f"{type(memory).__name__} reads the rows of a linear model, which {type(model).__name__} has not; use EASE, or "
        "a memory of events such as Exemplars"
    )


def counted_weights(queries: Queries) -> Floats:
    """Return "events", float32: the weight of each event; 0 where it is not counted."""
    counted = queries.counted.astype(np.float32)
    return counted if queries.weights is None else np.asarray(counted * queries.weights, np.float32)


def _kept(queries: Queries, positions: Ints) -> Ragged:
    mask = np.zeros(len(queries.history.items), np.bool_)
    mask[positions] = True
    return queries.history.select(mask)
