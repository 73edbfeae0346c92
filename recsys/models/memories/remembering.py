"""A model that reads what a memory keeps of the history, and nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from recsys.checks import arguments_of
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError, ConfigError
from recsys.models.base import ReadOut, Recommender, Validate
from recsys.models.capabilities import FoldIn, as_fold_in, refuse_own_slate
from recsys.models.memories.contract import EventMemory, Memory, StateMemory, linear_rows
from recsys.models.memories.exemplars import Exemplars
from recsys.models.memories.stored import Stored
from recsys.models.wrapping import fitted, part_of, prefixed
from recsys.training.session import Session
from recsys.types import Items

_PURPOSE = "a memory"
_MODEL, _MEMORY = "model.", "memory."
_EIGHT = Exemplars()


@final
class Remembering(Recommender, FoldIn):
    """Any fold-in model that reads a memory in place of the history.

        s_u = model(memory's state of u)

    Only scores are made from the memory. The mask of what the user has seen is the history's: it is no preference, and
    it takes more bytes than any memory (`recsys.evaluation.memory` counts it). Around a memory of events the model
    folds in, and its reasons are the events that are kept; around a state it has no reasons.

    Args:
        model: a fold-in model, or `Decayed` around one: the memory then keeps events with the weights that it gives.
        memory: what is kept.

    Raises:
        CapabilityError: the model cannot fold in, reads ratings, which no memory keeps, or has itself a memory or
            personas.
        ConfigError: it is no memory.
    """

    def __init__(self, model: Recommender, memory: Memory = _EIGHT) -> None:
        as_fold_in(model, _PURPOSE)
        if not isinstance(memory, Memory):
            raise ConfigError(f"memory is {memory!r}; it must be a memory, as Exemplars(8)")
        if isinstance(model, Remembering):
            raise CapabilityError("Remembering cannot wrap Remembering; one memory is read")
        refuse_own_slate(model, "Remembering")
        _check_feedback(model)
        self.model = model
        self.memory = memory
        self._inner = model.unfitted()
        self._memory = memory

    @property
    def folds_in(self) -> bool:
        return isinstance(self.memory, EventMemory)

    @property
    def needs_known_users(self) -> bool:
        return False

    @property
    def learned(self) -> Memory:
        """The memory with what was learned."""
        _ = self.fitted_on
        return self._memory

    @property
    def base(self) -> Recommender:
        """The fitted model within."""
        _ = self.fitted_on
        return self._inner

    @property
    def scoring_model(self) -> Recommender:
        return self.base.scoring_model if self.folds_in else self

    def stored(self, queries: Queries) -> Stored:
        """Return what is kept of each user."""
        read = self.base.read(queries)
        return self._memory.encode(read.model, read.queries)

    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        read = self._read(queries)
        return as_fold_in(read.model, _PURPOSE).contributions(read.queries, items)

    def _read(self, queries: Queries) -> ReadOut:
        memory = self._memory
        if not isinstance(memory, EventMemory):
            return ReadOut(self, queries, None)
        read = self.base.read(queries)
        return ReadOut(read.model, read.queries.with_weights(memory.weights(read.model, read.queries)), read.recent)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        read = self._inner.read(queries)
        return self._memory.scores(read.model, self._memory.encode(read.model, read.queries))

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        self._inner, effort = fitted(self.model.unfitted(), train, validate, session)
        self._memory = self.memory
        reading = self._inner.scoring_model
        if isinstance(self.memory, StateMemory):
            linear_rows(reading, self.memory)

        def judge(memory: Memory) -> float:
            assert validate is not None
            self._memory = memory
            return validate(self)

        self._memory = self.memory.learned(reading, train, None if validate is None else judge)
        return effort

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return prefixed(_MODEL, self._inner.arrays()) | prefixed(_MEMORY, self._memory.arrays())

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._inner = self.model.unfitted().restore(self.fitted_on, part_of(arrays, _MODEL))
        self._memory = self.memory.restored(part_of(arrays, _MEMORY))


def _check_feedback(model: Recommender) -> None:
    """Raise where a model, or one within it, reads ratings or kinds of events."""
    given = arguments_of(model)
    if given.get("feedback", "events") != "events":
        raise CapabilityError(
            f"{type(model).__name__} reads ratings (feedback={given['feedback']!r}), which no memory keeps; use "
            "feedback='events'"
        )
    for value in given.values():
        if isinstance(value, Recommender):
            _check_feedback(value)
