"""The contract of everything that forgets: weights for the events of a visible history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from recsys.data.queries import Queries
from recsys.types import Floats


class Forgetting(ABC):
    """A rule for how much each past event still counts at the moment of a question.

    It decides the read-out alone: the weights go into `Queries.weights`, and a fold-in model turns them into the user's
    state. What the items mean was learned from undecayed data (Koren, KDD 2009: decaying the training instances was
    best with no decay at all).
    """

    @abstractmethod
    def weights(self, queries: Queries) -> Floats:
        """Return the weight of every event of the histories, "events" in [0, 1], non-increasing in age."""


class OnlineForgetting(Forgetting):
    """A rule with a state per user (or one for all) that learns from every event as it happens, without retraining.

    Before an event is learned, it is asked under which `hypotheses` the event would have been predicted well; the
    answers, the rank_utilities, are all it sees of a model. So it stays independent of the model, and every model can ask.
    """

    @abstractmethod
    def hypotheses(self, queries: Queries) -> Floats:
        """Return the alternatives to be judged, "hypotheses events": event weights, each row as `weights` returns."""

    @abstractmethod
    def observe(self, queries: Queries, utility: Floats) -> None:
        """Learn from the event that followed each query; queries come in the order of time, users may repeat.

        Args:
            queries: what was visible just before each event; unknown users (-1) are skipped.
            utility: "queries hypotheses" in [0, 1], how well each hypothesis predicted the event; 1 is perfect.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget what was observed, of all users: back to what fitting left."""

    @abstractmethod
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all that `observe` changes, as plain arrays by name (no objects), for checkpoints."""

    @abstractmethod
    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `state` returned, on a rule with the same arguments that was fitted on the same events."""

    @abstractmethod
    def state_bytes(self) -> float:
        """Return the bytes of state per user."""
