"""LinearNextItem: ridge regression of the next item on several exponentially decayed histories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from recsys.models.base import FittedOn, Validate
from recsys.models.capabilities import FoldIn, SummedFit, Sums, TrainingUsers, WholeLog
from recsys.models.feedback import FeedbackReader, Weighting, check_weighting
from recsys.models.linear.conjugate_gradients import RANK, RidgeSolver
from recsys.models.linear.decayed_states import DecayedStates
from recsys.models.linear.operations import check_memory, event_weights, pair_weights, regularized_factor, sum_of_rows
from recsys.training.progress import FitProgress
from recsys.training.session import Session
from recsys.types import Doubles, Floats, Ints, Items

HORIZON = 10.0
"""Default horizon; unused without later targets."""

_NEGLIGIBLE = 1e-3
"""Training skips pairs of events in which the weight of the older one is below this."""

_DIRECT_BLOCK = 1024
"""Columns that a factorised matrix is solved for at a time."""

_ITERATIVE_BLOCK = 64
"""Columns that conjugate gradients solve for at a time; their vectors then stay in the processor's cache."""

_ITERATIVE_WORK = 3000
"""Work of conjugate gradients per event, memory and column, in operations of a dense product, which are faster each."""


@final
class LinearNextItem(SummedFit, FoldIn):
    """Predict a user's next item linearly from memories of the history that decay at different rates.

        f_p(t) = sum_{j < t} w_j 2^(-age_j(t) / h_p) e_j           memory p; the newest event has age 0
        s(t)   = sum_p f_p(t) B^(p)
        minimise  sum over users and events t  ||y_t - s(t)||^2 + lambda sum_p ||B^(p)||^2
        y_t    = e_{x_t} + later (1 - g) sum_{k > 0} g^(k - 1) e_{x_{t + k}}     g = 2^(-1 / horizon)

    e_i is the unit vector of item i, x_t the item of event t. EASE learns which items occur together; this model learns
    which item follows which, from the same state that scores a query. Every event with predecessors is a target once
    and none is weighted by age: the state decays, not the training. No event is among its own features, so no diagonal
    constraint is needed. `later` is the total weight of the events after the next one as additional targets, half of it
    within `horizon` events.

    Where few users have many events, or the order within a day means little, the reverse of a transition is evidence,
    too: with C^(p) the moments of memory p and the targets, B^(p) is shrunk towards (backward / lambda) C^(p)T instead
    of zero.

    With one memory it is the transition model SLIT of Choi, Kim, Lee, Shim, Lee, *Session-aware Linear Item-Item Models
    for Session-based Recommendation*, WWW 2021, with targets that decay with distance. Later events as targets follow
    PinnerFormer (Pancha, Zhai, Leskovec, Rosenberg, KDD 2022); several memories and the shrinkage are ours.

    The memories belong to the model, as the matrices do. Weights of a query (`Decayed`, per-user decay) multiply: w_j
    is 1 without, and age_j is the sum of the weights of the later events of the history, so that an event of weight 0
    is as if absent. The score is additive given the ages: event j adds sum_p w_j 2^(-age_j / h_p) B^(p)_j.

    Where ratings or kinds of events count (`FeedbackReader`; there is one feature for each event), e_j is multiplied by
    the feature of event j and y_t by the target of event t, in the fit as in the state; an event that is not liked is,
    with "liked" feedback, as if absent.

    The order is that of the log, also among equal times. Of several events of a user with one item, training uses the
    first and scoring the last.

    The matrix of the regression is factorised or, on a large catalogue with few events per item, only multiplied with
    (`RidgeSolver`), whichever is less work; the weights agree to about a thousandth of a column's norm.

    Args:
        half_lives: h_p, in the user's own events, ascending; each has its own matrix.
        regularization: lambda.
        later: total weight of all later events as targets, where the next event has 1; 0: the next event alone.
        horizon: in events; half of that weight is within it.
        backward: weight of transitions that are read from the later to the earlier event.
        memory_limit_gb: refuse to fit when the estimate (10^9 bytes) exceeds this.
        feedback: how ratings and kinds of events count.

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
        backward: float = 0.0,
        memory_limit_gb: float = 8.0,
        feedback: Weighting = "events",
    ) -> None:
        if not half_lives or list(half_lives) != sorted(set(half_lives)):
            raise ConfigError(f"half_lives are {list(half_lives)}; give at least one, in ascending order")
        if not (half_lives[0] > 0 and np.isfinite(half_lives[-1])):
            raise ConfigError(f"half_lives are {list(half_lives)}; each must be positive and finite")
        positive("regularization", regularization)
        positive("later", later, zero=True)
        positive("horizon", horizon)
        positive("backward", backward, zero=True)
        if not np.all(np.isfinite([later, horizon, backward])):
            raise ConfigError(f"later is {later}, horizon {horizon}, backward {backward}; all must be finite")
        if horizon != HORIZON and later == 0:
            raise ConfigError(f"horizon is {horizon}, and later is 0: nothing but the next event counts; give later")
        positive("memory_limit_gb", memory_limit_gb)
        self.half_lives = tuple(half_lives)
        self.regularization = regularization
        self.later = later
        self.horizon = horizon
        self.backward = backward
        self.memory_limit_gb = memory_limit_gb
        check_weighting(feedback, "LinearNextItem")
        self.feedback = feedback
        self._reader = FeedbackReader(feedback)
        self._weights: Float[Tensor, "memories items items"]

    @property
    def folds_in(self) -> bool:
        return True

    @staticmethod
    def memory_gb(n_items: int, memories: int, *, iterative: bool = False) -> float:
        """Return the peak memory of a fit in 10^9 bytes, by conjugate gradients or by factorisation.

        >>> round(LinearNextItem.memory_gb(12_000, 2), 1), round(LinearNextItem.memory_gb(12_000, 2, iterative=True), 1)
        (5.8, 1.3)
        """
        if iterative:
            vectors = 8 * _ITERATIVE_BLOCK + 6 * RANK
            return 4 * memories * n_items * (n_items + vectors) / 1e9
        factoring, solving = 2 * memories**2 + memories, memories**2 + 3 * memories
        return 4 * max(factoring, solving) * n_items**2 / 1e9

    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        """Return sum_p w_j 2^(-age_j / h_p) B^(p)_ji: the contribution of each event, given its age."""
        _ = self.fitted_on
        total = np.zeros((len(queries.history.items), items.shape[1]), np.float32)
        for memory, weights in zip(self._memories(queries), self._weights, strict=True):
            total += memory[:, None] * pair_weights(weights, queries, items)
        return torch.from_numpy(total)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        self._check_order(self.fitted_on)
        self._reader = FeedbackReader.of(self.feedback, train, "LinearNextItem")
        events, n_items = len(train), train.n_items
        direct, iterative = self._work(n_items), _ITERATIVE_WORK * events * len(self.half_lives) * n_items
        if iterative < direct or self.memory_gb(n_items, len(self.half_lives)) > self.memory_limit_gb:
            self._fit_iteratively(train, session)
        else:
            self._learn(WholeLog(train), session)

    def _prepare(self, train: FittedOn) -> None:
        self._check_order(train)
        self._reader = FeedbackReader.of_each(self.feedback, train.clock, "LinearNextItem")

    def _learn(self, users: TrainingUsers, session: Session) -> None:
        memories, n_items = len(self.half_lives), self.n_items
        progress = self._begin(n_items, session)
        sums = users.total(Moments(self.unfitted(), self._reader))
        gram, cross = (torch.from_numpy(sums.pop(name)) for name in ("gram", "cross"))
        gram.diagonal().add_(self.regularization)
        factor = regularized_factor(gram, self.regularization)
        del gram
        width = memories * n_items
        progress.advance(width**3 / 3)
        for start in range(0, n_items, _DIRECT_BLOCK):
            block = cross[:, start : start + _DIRECT_BLOCK]
            block.copy_(torch.cholesky_solve(block, factor))
            progress.advance(2 * width**2 * block.shape[1])
        self._weights = cross.view(memories, n_items, n_items)

    def _fit_iteratively(self, train: Interactions, session: Session) -> None:
        """Fit by conjugate gradients, which multiply with the events instead of summing them."""
        memories, n_items = len(self.half_lives), train.n_items
        progress = self._begin(n_items, session, events=len(train))
        events = _first_events(train, *self._reader.log_features(train))
        width = memories * n_items
        cross = torch.zeros(width, n_items)
        _add_moments(events, self, cross.numpy())
        states = DecayedStates(events.item, events.position, n_items, self.half_lives, events.feature)
        solver = RidgeSolver(states.gram, width, self.regularization)
        for start in range(0, n_items, _ITERATIVE_BLOCK):
            block = cross[:, start : start + _ITERATIVE_BLOCK]
            block.copy_(solver.solve(block.contiguous()))
            progress.advance(_ITERATIVE_WORK * len(train) * memories * block.shape[1])
        self._weights = cross.view(memories, n_items, n_items)

    def _begin(self, n_items: int, session: Session, events: int | None = None) -> FitProgress:
        """Check the memory and begin the progress of a fit, by conjugate gradients if `events` is given."""
        memories = len(self.half_lives)
        needed = self.memory_gb(n_items, memories, iterative=events is not None)
        fit = f"LinearNextItem on {n_items} items with {memories} half-lives"
        check_memory(fit, needed, self.memory_limit_gb, "give fewer half_lives, use ItemKNN, IALS or AMPCF")
        work = self._work(n_items) if events is None else _ITERATIVE_WORK * events * memories * n_items
        return FitProgress(fit, work, session, needed)

    def _work(self, n_items: int) -> float:
        """Return the operations of a fit by factorisation."""
        width = len(self.half_lives) * n_items
        return width**3 / 3 + 2 * width**2 * n_items

    def _check_order(self, train: FittedOn) -> None:
        if train.clock == "none":
            raise ConfigError(f"{train.dataset} has no order (clock 'none'): nothing comes next in it; use EASE")

    def _memories(self, queries: Queries) -> list[Floats]:
        """Return f_j 2^(-age_j / h_p), "events", for each memory p; 0 for events that are not counted.

        f_j is the feature of event j, w_j where all count alike.
        """
        (feature,) = self._reader.features(queries)
        weight = (
            np.where(feature > 0, event_weights(queries), 0.0)
            if self._reader.feedback != "events"
            else event_weights(queries)
        )
        cumulative = np.cumsum(weight, dtype=np.float64)
        total = np.concatenate([[0.0], cumulative])[queries.history.indptr[1:]]
        age = np.repeat(total, queries.history.lengths) - cumulative
        return [(feature * np.exp2(-age / half_life)).astype(np.float32) for half_life in self.half_lives]

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        scores = torch.zeros(len(queries), self.n_items)
        for memory, weights in zip(self._memories(queries), self._weights, strict=True):
            scores += sum_of_rows(weights, queries.history.items, queries.history.indptr, memory)
        return scores

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"weights": self._weights.numpy()} | self._reader.arrays()

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._weights = torch.from_numpy(arrays["weights"].copy())
        self._reader = FeedbackReader.restored(arrays)


@final
@dataclass(frozen=True, eq=False)
class _Events:
    """The first event of each user and item."""

    item: Ints  # "events", of all users, one user after the other, in order of time
    position: Ints  # "events", in the user's history
    after: Ints  # "events", the number of later events of the user
    feature: Floats  # "events", what the event's item is multiplied by in a state
    target: Floats  # "events", and as a target


@final
@dataclass(frozen=True)
class Moments:
    """The sums of a log: F^T F, "memories * items, memories * items", and the right side, "memories * items, items".

    Attributes:
        model: whose half-lives and targets count.
        reader: how events are read.
    """

    model: LinearNextItem
    reader: FeedbackReader

    def __call__(self, log: Interactions) -> Sums:
        width = len(self.model.half_lives) * log.n_items
        gram, cross = np.zeros((width, width), np.float32), np.zeros((width, log.n_items), np.float32)
        _add_moments(_first_events(log, *self.reader.log_features(log)), self.model, cross, gram)
        return {"gram": gram, "cross": cross}


def _add_moments(events: _Events, model: LinearNextItem, cross: Floats, gram: Floats | None = None) -> None:
    """Add the right side, F^T Y and what is read backward, to `cross`, and F^T F to `gram`, if any.

    A row of F is the state before an event, that of Y the target. F is not materialised: it has one dense row per
    event. Two events a <= b of a user are both in every state after b, where their product decays geometrically. With
    d_p = 2^(-1 / h_p) and r_b states after b (the number of events after it), the pair adds

        to F_p^T F_q   d_p^(b - a) (1 + d_p d_q + ... + (d_p d_q)^(r_b - 1))     at (x_a, x_b), and transposed
        to F_p^T Y     c_p(b - a)                                                at (x_a, x_b), a < b
                   and backward times that                                   at (x_b, x_a)
        c_p(n)       = d_p^(n - 1) + later (1 - g) sum_{0 < k < n} g^(k - 1) d_p^(n - 1 - k)

    times the features of both events, or the feature of the one that is read first and the target of the other. So each
    pair costs one addition, whatever the number of states. Pairs are processed lag by lag.

    Args:
        events: of the log.
        model: whose half-lives and targets count.
        cross: "memories * items, items".
        gram: "memories * items, memories * items".
    """
    item, position, feature = events.item, events.position, events.feature
    n_items, log_decay = cross.shape[1], -np.log(2) / np.asarray(model.half_lives)
    state_sums = [[_geometric_sum(p + q, events.after) for q in log_decay] for p in log_decay]
    decay, ahead = np.exp(log_decay), 2 ** (-1 / model.horizon)
    # At n = lag: d^(n - 1), the sum over k, g^(n - 1).
    next_weight, later_weight, horizon_weight = np.ones_like(decay), np.zeros_like(decay), 1.0
    for lag in range(1, int(position.max(initial=0)) + 1):
        newer = np.flatnonzero(position >= lag)
        older, target = item[newer - lag], item[newer]
        wanted = feature[newer - lag] * events.target[newer]
        reverse = model.backward * feature[newer] * events.target[newer - lag]
        target_weight = next_weight + model.later * (1 - ahead) * later_weight
        for p in np.flatnonzero(np.maximum(next_weight, target_weight) > _NEGLIGIBLE):
            source, weight = p * n_items + older, np.float32(target_weight[p])
            np.add.at(cross.reshape(-1), source * n_items + target, weight * wanted)
            if model.backward:
                back = (p * n_items + target) * n_items + older
                np.add.at(cross.reshape(-1), back, weight * reverse.astype(np.float32))
            if gram is not None and next_weight[p] > _NEGLIGIBLE:
                product = feature[newer - lag] * feature[newer]
                for q in range(len(decay)):
                    pair = source * len(gram) + q * n_items + target
                    value = next_weight[p] * decay[p] * state_sums[p][q][newer]
                    np.add.at(gram.reshape(-1), pair, (product * value).astype(np.float32))
        later_weight = decay * later_weight + horizon_weight
        next_weight, horizon_weight = decay * next_weight, ahead * horizon_weight
    if gram is None:
        return
    gram += gram.T
    own = np.arange(n_items)
    for row, sums in enumerate(state_sums):
        for column, each in enumerate(sums):
            gram[row * n_items + own, column * n_items + own] += np.bincount(item, feature**2 * each, n_items)


def _first_events(train: Interactions, feature: Floats, target: Floats) -> _Events:
    """Return the first event of each user and item, of those with a feature."""
    used = np.flatnonzero(feature != 0)
    pair = train.user_num[used].astype(np.int64) * train.n_items + train.item_num[used]
    first = used[np.sort(np.unique(pair, return_index=True)[1])]
    user = train.user_num[first]
    count = np.bincount(user, minlength=train.n_users)
    position = np.arange(len(first)) - (np.cumsum(count) - count)[user]
    item = train.item_num[first].astype(np.int64)
    return _Events(item, position, count[user] - 1 - position, feature[first], target[first])


def _geometric_sum(log_ratio: float, terms: Ints) -> Doubles:
    """Return 1 + r + ... + r^(terms - 1), for log r < 0."""
    return np.asarray(np.expm1(log_ratio * terms) / np.expm1(log_ratio))
