"""Popularity baselines: the same ranking for every user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import positive
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import ConfigError
from recsys.models.base import Recommender, Validate
from recsys.training.session import Session
from recsys.types import DAY


@final
class Popularity(Recommender):
    """Rank items by the number of distinct users who used them.

        s_ui = |{v : v used i}|

    The ranking is the same for every user, also for unknown ones.

    >>> log = Interactions.from_columns([1, 2, 2, 2], ["a", "a", "b", "b"])
    >>> Popularity().fit(log).score(Queries.from_history([[]])).tolist()
    [[2.0, 1.0]]
    """

    def __init__(self) -> None:
        self._count: Tensor

    @property
    def needs_known_users(self) -> bool:
        return False

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        self._count = torch.from_numpy(np.asarray(train.matrix().sum(0), dtype=np.float32).ravel())

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return self._count.repeat(len(queries), 1)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"count": self._count.numpy()}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._count = torch.from_numpy(arrays["count"].copy())


@final
class RecentPopularity(Recommender):
    """Rank items by the number of users who used them recently.

        s_ui = sum over users v of i of w(age of v's latest use of i)

    with a window, w = 1 for the newest `fraction` of all events and 0 for the others, or with decay, w = 2^(-age / h).
    Ages are relative to the end of the training log; because decay is exponential, a later `now` would divide all
    scores by one number and not change the ranking.

    The unit of the age depends on the log's clock. Seconds: days before the log's newest event. Period: periods before
    the newest. Order: times of different users cannot be compared, so age is the number of later events of the same
    user, and the window is the newest fraction of each user's events. None: all events have the same age, and the model
    is `Popularity`.

    Args:
        fraction: share of the log's events in the window, in (0, 1]; give this or `half_life`. Events at the time of
            the oldest event in the window are in it too.
        half_life: h, in days, periods or events, depending on the log's clock.

    Raises:
        ConfigError: none or both are given, or out of range.
    """

    def __init__(self, fraction: float | None = 0.1, half_life: float | None = None) -> None:
        if (fraction is None) == (half_life is None):
            raise ConfigError("give exactly one of fraction and half_life (set the other to null)")
        if fraction is not None and not 0 < fraction <= 1:
            raise ConfigError(f"fraction is {fraction}; it must be above 0 and at most 1")
        if half_life is not None:
            positive("half_life", half_life)
        self.fraction = fraction
        self.half_life = half_life
        self._weight: Tensor

    @property
    def needs_known_users(self) -> bool:
        return False

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        train = train.uses
        age, share = _age(train), 1.0 if self.fraction is None else self.fraction
        if self.half_life is not None:
            weight = np.exp2(-age / self.half_life)
        elif train.clock == "order":
            length = np.diff(train.indptr)[train.user_num]
            weight = (age < np.ceil(share * length)).astype(np.float64)
        else:
            inside = int(np.ceil(share * len(age)))
            newest = np.partition(age, inside - 1)[inside - 1] if inside else 0.0
            weight = (age <= newest).astype(np.float64)
        # A user counts once per item, with the latest event.
        pair = train.user_num.astype(np.int64) * train.n_items + train.item_num
        latest = len(pair) - 1 - np.unique(pair[::-1], return_index=True)[1]
        total = np.bincount(train.item_num[latest], weight[latest], minlength=train.n_items)
        self._weight = torch.from_numpy(total.astype(np.float32))

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return self._weight.repeat(len(queries), 1)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"weight": self._weight.numpy()}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._weight = torch.from_numpy(arrays["weight"].copy())


def _age(train: Interactions) -> npt.NDArray[np.float64]:
    """Return "events": the age at the end of the log, in days, periods or later events of the same user."""
    if train.clock == "none" or len(train) == 0:
        return np.zeros(len(train))
    if train.clock == "order":
        return (train.indptr[1:][train.user_num] - 1 - np.arange(len(train))).astype(np.float64)
    unit = DAY if train.clock == "seconds" else 1
    return np.asarray((train.time.max() - train.time) / unit, dtype=np.float64)
