"""A linear model of what comes next: ridge regression of the next item on a fast and a slow memory of the past."""

from __future__ import annotations

import logging
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
from recsys.errors import CapabilityError, ConfigError
from recsys.models.base import FoldIn, Recommender, Validate
from recsys.models.linear.operations import event_weights, pair_weights, regularized_factor
from recsys.training.session import Session
from recsys.types import Doubles, Floats

_LOG = logging.getLogger(__name__)
HORIZON = 10.0
"""The default, which is not used without later targets."""

_NEGLIGIBLE = 1e-3
"""Pairs of events are left out of the sums of training where the weight of the older one has fallen below this."""


@final
class LinearNextItem(Recommender, FoldIn):
    """Predict the next item of a user, linearly, from memories of the past that fade at different speeds.

        f_p(t) = sum_{j < t} w_j 2^(-age_j(t) / h_p) e_j           memory p; the newest event has age 0
        s(t)   = sum_p f_p(t) B^(p)
        minimise  sum over users and events t  ||y_t - s(t)||^2 + lambda sum_p ||B^(p)||^2
        y_t    = e_{x_t} + later (1 - g) sum_{k > 0} g^(k - 1) e_{x_{t + k}}     g = 2^(-1 / horizon)

    e_i is the unit vector of item i, x_t the item of event t. EASE and its like learn what occurs together; this learns
    what follows what, from exactly the state that is read at a question. Every event with a past is once what comes
    next, and none counts less for its age: the state fades, not the training. No event is in its own features, so that
    nothing has to be kept from predicting itself. What came after the next item might have come next as well: `later`
    is what all of it together counts beside the next item, half of it within `horizon` events.

    With one memory it is the transition model SLIT of Choi, Kim, Lee, Shim, Lee, *Session-aware Linear Item-Item Models
    for Session-based Recommendation*, WWW 2021, with targets that fade with the distance. Later events as targets are
    known from PinnerFormer (Pancha, Zhai, Leskovec, Rosenberg, KDD 2022); several memories are ours.

    The memories belong to the model, as the matrices do. Weights that a query has (`Decayed`, per-user decay) multiply:
    w_j is 1 without, and age_j is the sum of the weights of the later events of the history, so that an event of weight
    0 is no event. The score is additive given the ages: event j adds sum_p w_j 2^(-age_j / h_p) B^(p)_j.

    The order is that of the log, also among equal times. Of several events of a user with one item, the first is
    trained on, and the last is read.

    Args:
        half_lives: h_p, in the user's own events, ascending; one matrix is learned for each.
        regularization: lambda.
        later: what all later events of the user count as targets, beside the 1 of the next; 0: the next event alone.
        horizon: in events, within which half of that falls.
        memory_limit_gb: refuse to fit when the estimate (10^9 bytes) exceeds this.

    Raises:
        ConfigError: an argument is out of range; or lambda is too small for single precision, or the log has no order
            (when fitting).
        CapabilityError: the catalogue needs more memory than `memory_limit_gb` (when fitting).
    """

    def __init__(
        self,
        half_lives: tuple[float, ...] = (1.0, 10.0),
        regularization: float = 400.0,
        later: float = 0.0,
        horizon: float = HORIZON,
        memory_limit_gb: float = 8.0,
    ) -> None:
        if not half_lives or list(half_lives) != sorted(set(half_lives)):
            raise ConfigError(f"half_lives are {list(half_lives)}; give at least one, in ascending order")
        if not (half_lives[0] > 0 and np.isfinite(half_lives[-1])):
            raise ConfigError(f"half_lives are {list(half_lives)}; each must be positive and finite")
        positive("regularization", regularization)
        positive("later", later, zero=True)
        positive("horizon", horizon)
        if not (np.isfinite(later) and np.isfinite(horizon)):
            raise ConfigError(f"later is {later} and horizon {horizon}; both must be finite")
        if horizon != HORIZON and later == 0:
            raise ConfigError(f"horizon is {horizon}, and later is 0: nothing but the next event counts; give later")
        positive("memory_limit_gb", memory_limit_gb)
        self.half_lives = tuple(half_lives)
        self.regularization = regularization
        self.later = later
        self.horizon = horizon
        self.memory_limit_gb = memory_limit_gb
        self._weights: Float[Tensor, "memories items items"]

    @property
    def folds_in(self) -> bool:
        return True

    @staticmethod
    def memory_gb(n_items: int, memories: int) -> float:
        """Return the peak memory of a fit in 10^9 bytes.

        >>> round(LinearNextItem.memory_gb(12_000, 2), 1)
        5.8
        """
        factoring, solving = 2 * memories**2 + memories, memories**2 + 3 * memories
        return 4 * max(factoring, solving) * n_items**2 / 1e9

    def contributions(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "events n"]:
        """Return sum_p w_j 2^(-age_j / h_p) B^(p)_ji: what each event adds to each score, its age held fixed."""
        _ = self.fitted_on
        total = np.zeros((len(queries.history.items), items.shape[1]), np.float32)
        for memory, weights in zip(self._memories(queries), self._weights, strict=True):
            total += memory[:, None] * pair_weights(weights, queries, items)
        return torch.from_numpy(total)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        if train.clock == "none":
            raise ConfigError(f"{train.name} has no order (clock 'none'): nothing comes next in it; use EASE")
        memories = len(self.half_lives)
        needed = self.memory_gb(train.n_items, memories)
        _LOG.info("LinearNextItem on %d items needs about %.2f GB of memory", train.n_items, needed)
        if needed > self.memory_limit_gb:
            raise CapabilityError(
                f"LinearNextItem on {train.n_items} items with {memories} half-lives needs about {needed:.1f} GB, more "
                f"than memory_limit_gb={self.memory_limit_gb:g}; give fewer half_lives, use ItemKNN, IALS or AMPCF, "
                "keep fewer items with the filter of minimum events per item, or raise memory_limit_gb"
            )
        gram, cross = (
            torch.from_numpy(moment) for moment in _moments(train, self.half_lives, self.later, self.horizon)
        )
        gram.diagonal().add_(self.regularization)
        factor = regularized_factor(gram, self.regularization)
        del gram
        # LAPACK's result is column by column; scoring reads rows.
        solution = torch.cholesky_solve(cross, factor).contiguous()
        self._weights = solution.view(memories, train.n_items, train.n_items)

    def _memories(self, queries: Queries) -> list[Floats]:
        """Return w_j 2^(-age_j / h_p), "events", for each memory p; 0 for events that do not count."""
        weight = event_weights(queries)
        until = np.cumsum(weight, dtype=np.float64)
        total = np.concatenate([[0.0], until])[queries.history.indptr[1:]]
        age = np.repeat(total, queries.history.lengths) - until
        return [(weight * np.exp2(-age / half_life)).astype(np.float32) for half_life in self.half_lives]

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        source = torch.from_numpy(np.maximum(queries.history.items, 0).astype(np.int64))
        offsets = torch.from_numpy(queries.history.indptr)
        scores = torch.zeros(len(queries), self.n_items)
        for memory, weights in zip(self._memories(queries), self._weights, strict=True):
            # A weighted sum of rows: on a CPU embedding_bag is faster than any of the sparse products.
            scores += torch.nn.functional.embedding_bag(
                source,
                weights,
                offsets,
                mode="sum",
                per_sample_weights=torch.from_numpy(memory),
                include_last_offset=True,
            )
        return scores

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"weights": self._weights.numpy()}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._weights = torch.from_numpy(arrays["weights"].copy())


def _moments(train: Interactions, half_lives: tuple[float, ...], later: float, horizon: float) -> tuple[Floats, Floats]:
    """Return F^T F and F^T Y, where a row of F is the state before an event and that of Y the target.

    The states are never made: there are as many as events, each with the whole past in it. Two events a <= b of a user
    meet in every state from b on, where their product fades geometrically. With d_p = 2^(-1 / h_p) and r_b states from
    b on (as many as events after it), the pair adds

        to F_p^T F_q   d_p^(b - a) (1 + d_p d_q + ... + (d_p d_q)^(r_b - 1))     at (x_a, x_b), and transposed
        to F_p^T Y     c_p(b - a)                                                at (x_a, x_b), a < b
        c_p(n)       = d_p^(n - 1) + later (1 - g) sum_{0 < k < n} g^(k - 1) d_p^(n - 1 - k)

    so that the work is one addition for each pair, whatever the number of states, and goes lag by lag.

    Returns:
        "memories*items memories*items" and "memories*items items".
    """
    item, place, after = _in_order(train)
    n_items, log_decay = train.n_items, -np.log(2) / np.asarray(half_lives)
    width = len(half_lives) * n_items
    gram, cross = np.zeros((width, width), np.float32), np.zeros((width, n_items), np.float32)
    met = [[_geometric_sum(p + q, after) for q in log_decay] for p in log_decay]
    decay, ahead = np.exp(log_decay), 2 ** (-1 / horizon)
    # At n = lag: d^(n - 1), the sum over k, g^(n - 1).
    read, told, beyond = np.ones_like(decay), np.zeros_like(decay), 1.0
    for lag in range(1, int(place.max(initial=0)) + 1):
        newer = np.flatnonzero(place >= lag)
        target = item[newer]
        counts = read + later * (1 - ahead) * told
        for p in np.flatnonzero(np.maximum(read, counts) > _NEGLIGIBLE):
            source = p * n_items + item[newer - lag]
            np.add.at(cross.reshape(-1), source * n_items + target, np.float32(counts[p]))
            if read[p] > _NEGLIGIBLE:
                for q in range(len(half_lives)):
                    pair = source * width + q * n_items + target
                    np.add.at(gram.reshape(-1), pair, (read[p] * decay[p] * met[p][q][newer]).astype(np.float32))
        read, told, beyond = decay * read, decay * told + beyond, ahead * beyond
    gram += gram.T
    own = np.arange(n_items)
    for row, sums in enumerate(met):
        for column, each in enumerate(sums):
            gram[row * n_items + own, column * n_items + own] += np.bincount(item, each, minlength=n_items)
    return gram, cross


def _in_order(train: Interactions) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return item, place in its user's history, and number of later ones, of the first event of each user and item."""
    pair = train.user_num.astype(np.int64) * train.n_items + train.item_num
    first = np.sort(np.unique(pair, return_index=True)[1])
    user = train.user_num[first]
    count = np.bincount(user, minlength=train.n_users)
    place = np.arange(len(first)) - (np.cumsum(count) - count)[user]
    return train.item_num[first].astype(np.int64), place, count[user] - 1 - place


def _geometric_sum(log_ratio: float, terms: npt.NDArray[np.int64]) -> Doubles:
    """Return 1 + r + ... + r^(terms - 1), for log r < 0."""
    total: Doubles = np.expm1(log_ratio * terms) / np.expm1(log_ratio)
    return total
