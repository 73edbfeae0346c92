"""The network and the training task of timeSVD++, and the features of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.training.bags import Bags
from recsys.training.trainable import LossAndParts, Trainable
from recsys.types import DAY, Doubles, Ints, Items, Mask

Drift = Literal["none", "bias", "all"]
"""Parameters of a user that drift along dev_u(t): none; the bias; the bias and the vector."""

_POWER = 0.4
_INITIAL = 0.1
"""Standard deviation of the initial item vectors, over sqrt(d)."""
_DAYS = 1 << 20
"""More days than any log spans: user and day are packed into one key."""


@final
@dataclass(frozen=True, eq=False)
class Moments:
    """The features of time of some examples."""

    deviation: Float[Tensor, " examples"]  # dev_u(t), scaled
    bin: Int[Tensor, " examples"]  # of item biases
    day: Int[Tensor, " examples"]  # the (user, day) pair; the last one for a day without a training event of the user

    @classmethod
    def none(cls, count: int) -> Moments:
        """Return the moments of a model without time terms."""
        zero = torch.zeros(count, dtype=torch.int64)
        return cls(torch.zeros(count), zero, zero)

    def map(self, change: Callable[[Tensor], Tensor]) -> Moments:
        """Return the moments with each tensor changed, such as moved to a device."""
        return Moments(change(self.deviation), change(self.bin), change(self.day))


@final
@dataclass(frozen=True, eq=False)
class Calendar:
    """Statistics of the training log's times, in days since 1970.

    Attributes:
        mean: "users", t_u, the mean day of each user's events; NaN for users without any.
        first: "users", day of the first event.
        last: "users", day of the last event.
        span: "2", first and last day of the log.
        scale: "1", root mean square of dev over the training events: the unit of dev, so that one step size and one
            prior suit alpha and the other parameters.
        days: "pairs", ascending keys of the (user, whole day) pairs with an event.
    """

    mean: Doubles
    first: Doubles
    last: Doubles
    span: Doubles
    scale: Doubles
    days: Ints

    @classmethod
    def of(cls, train: Interactions) -> Calendar:
        """Describe a log with times in seconds; events are sorted by user, then time."""
        day = train.time / DAY
        count = np.bincount(train.user_num, minlength=train.n_users)
        empty = count == 0
        total = np.bincount(train.user_num, day, train.n_users)
        mean = np.where(empty, np.nan, total / np.maximum(count, 1))
        first, last = np.full(train.n_users, np.nan), np.full(train.n_users, np.nan)
        first[~empty] = day[train.indptr[:-1][~empty]]
        last[~empty] = day[train.indptr[1:][~empty] - 1]
        deviation = signed_power(day - mean[train.user_num])
        scale = float(np.sqrt(np.mean(deviation**2))) or 1.0
        keys = np.unique(_keys(train.user_num, train.time))
        return cls(mean, first, last, np.asarray([day.min(), day.max()]), np.asarray([scale]), keys)

    def moments(self, users: Items, times: Ints, bins: int, *, clip: bool) -> Moments:
        """Return the features of users at times; times outside training are clipped to its range.

        Args:
            users: "examples", user numbers, or `UNKNOWN`, whose deviation is 0.
            times: "examples", seconds.
            bins: number of equally long bins of the training log's span; later times are in the last, earlier ones in
                the first.
            clip: whether dev is clipped to its range on the user's training events.
        """
        row, day = np.maximum(users, 0), times / DAY
        own = np.clip(day, self.first[row], self.last[row]) if clip else day
        known = (users != UNKNOWN) & np.isfinite(self.mean[row])
        deviation = np.where(known, signed_power(own - self.mean[row]) / self.scale[0], 0.0)
        width = (self.span[1] - self.span[0]) / max(bins, 1) or 1.0
        number = np.clip((day - self.span[0]) // width, 0, max(bins - 1, 0)).astype(np.int64)
        keys = _keys(users, times)
        pair = np.searchsorted(self.days, keys)
        in_training = self.days[np.minimum(pair, len(self.days) - 1)] == keys
        pair = np.where(in_training & known, pair, len(self.days))
        return Moments(torch.from_numpy(deviation.astype(np.float32)), torch.from_numpy(number), torch.from_numpy(pair))


def signed_power(days: Doubles) -> Doubles:
    """Return sign(x) |x|^0.4, the drift of Koren (KDD 2009), where .4 was found by cross-validation.

    >>> signed_power(np.asarray([-32.0, 0.0, 1.0])).tolist()
    [-4.0, 0.0, 1.0]
    """
    return np.sign(days) * np.abs(days) ** _POWER


def _keys(users: Items, times: Ints) -> Ints:
    return users.astype(np.int64) * _DAYS + times // int(DAY)


@final
@dataclass(frozen=True, eq=False)
class Examples:
    """Rated events of known users and items, by number."""

    users: Int[Tensor, " examples"]
    items: Int[Tensor, " examples"]
    ratings: Float[Tensor, " examples"]
    moments: Moments

    @classmethod
    def of(cls, log: Interactions, chosen: Mask, moments: Moments) -> Examples:
        """Return the chosen events of a log; `moments` are theirs."""
        users, items = (torch.from_numpy(column[chosen].astype(np.int64)) for column in (log.user_num, log.item_num))
        return cls(users, items, torch.from_numpy(log.value[chosen]), moments)

    def __len__(self) -> int:
        return len(self.users)

    def map(self, change: Callable[[Tensor], Tensor]) -> Examples:
        """Return the examples with each tensor changed, such as moved to a device."""
        return Examples(change(self.users), change(self.items), change(self.ratings), self.moments.map(change))


@final
class TimeSVDNetwork(nn.Module):
    """The parameters and the prediction. The last row of every table belongs to unknown users or items and is 0.

    Terms that are switched off have no parameters. User vectors and y start at 0, item vectors at random, so that users
    and items without training events have no effect.
    """

    def __init__(
        self, n_users: int, n_items: int, size: int, drift: Drift, bins: int, days: int, source: torch.Generator
    ) -> None:
        """Args: `days` is the number of (user, day) pairs with a bias of their own; 0 for none."""
        super().__init__()
        item = torch.randn(n_items + 1, size, generator=source) * _INITIAL / max(size, 1) ** 0.5
        item[-1] = 0.0
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.user_bias = nn.Parameter(torch.zeros(n_users + 1))
        self.item_bias = nn.Parameter(torch.zeros(n_items + 1))
        self.user = nn.Parameter(torch.zeros(n_users + 1, size))
        self.item = nn.Parameter(item)
        self.implicit = nn.Parameter(torch.zeros(n_items, size))
        self.bias_drift = nn.Parameter(torch.zeros(n_users + 1)) if drift != "none" else None
        self.user_drift = nn.Parameter(torch.zeros(n_users + 1, size)) if drift == "all" else None
        self.item_bin = nn.Parameter(torch.zeros(n_items + 1, bins)) if bins else None
        self.day_bias = nn.Parameter(torch.zeros(days + 1)) if days else None

    def history_vectors(self, used: Bags) -> Float[Tensor, "rows dim"]:
        """Return |N(u)|^-1/2 sum_j y_j of each set of used items N(u); 0 for an empty set."""
        return used.sum(self.implicit) / used.lengths.clamp(min=1).sqrt()[:, None]

    def user_side(
        self, users: Int[Tensor, " examples"], moments: Moments
    ) -> tuple[Float[Tensor, " examples"], Float[Tensor, "examples dim"]]:
        """Return mu + b_u(t) and p_u(t); user numbers, the last for unknown ones."""
        bias, vector = self.mean + _rows(self.user_bias, users), _rows(self.user, users)
        if self.bias_drift is not None:
            bias = bias + _rows(self.bias_drift, users) * moments.deviation
        if self.day_bias is not None:
            bias = bias + _rows(self.day_bias, moments.day)
        if self.user_drift is not None:
            vector = vector + _rows(self.user_drift, users) * moments.deviation[:, None]
        return bias, vector

    def item_side(
        self, items: Int[Tensor, "*shape"], bins: Int[Tensor, "*shape"]
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape dim"]]:
        """Return b_i(t) and q_i; item numbers, the last for unknown ones."""
        bias = _rows(self.item_bias, items)
        if self.item_bin is not None:
            bias = bias + _rows(self.item_bin.flatten(), items * self.item_bin.shape[1] + bins)
        return bias, _rows(self.item, items)


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """Return `table[index]`; the gradient is several times faster than that of plain indexing."""
    return table.index_select(0, index.reshape(-1)).reshape(*index.shape, *table.shape[1:])


@final
class RatingTask(Trainable):
    """Least squares on the rated events, with a Normal prior on every parameter.

        mean_(u,i,t) (r - r^)^2 + 1/n ( lambda_b |b|^2 + lambda |q, p, y|^2 + lambda_t |time terms|^2 )

    lambda is the variance of the noise over that of the prior, so that few events mean much shrinkage. (Koren weights
    lambda by the number of a parameter's ratings, under which one event and a thousand shrink alike.)

    Args:
        network: what is trained.
        examples: the rated events.
        used: N(u) of every user.
        regularization: of biases, of vectors, of time terms.
        batch_size: events per step.
        seed: of the order of the events.
    """

    def __init__(
        self,
        network: TimeSVDNetwork,
        examples: Examples,
        used: Bags,
        regularization: tuple[float, float, float],
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(batch_size, seed)
        self.network = network
        self.regularization = regularization
        self._examples = examples
        self._used = used

    @property
    def rows_per_epoch(self) -> int:
        return len(self._examples)

    @property
    def examples_per_epoch(self) -> int:
        return len(self._examples)

    def loss(self, epoch: int, step: int) -> LossAndParts:
        device = self.network.mean.device
        if self._examples.users.device != device:
            self._examples, self._used = self._examples.map(lambda each: each.to(device)), self._used.to(device)
        rows = self.batch(epoch, step, device)
        error = self.squared_error(self._examples.map(lambda each: each[rows]))
        return error + self._penalty() / len(self._examples), {"squared_error": error}

    def squared_error(self, examples: Examples) -> Float[Tensor, ""]:
        """Return the mean squared error on examples, each user with the N(u) of training."""
        network = self.network
        # The y_j of a user are summed once for all of the user's events.
        distinct, inverse = torch.unique(examples.users, return_inverse=True)
        history = network.history_vectors(self._used.take(distinct))[inverse]
        user_bias, user_vector = network.user_side(examples.users, examples.moments)
        item_bias, item_vector = network.item_side(examples.items, examples.moments.bin)
        predicted = user_bias + item_bias + ((user_vector + history) * item_vector).sum(1)
        return torch.nn.functional.mse_loss(predicted, examples.ratings)

    def _penalty(self) -> Float[Tensor, ""]:
        net = self.network
        biases, vectors = (net.user_bias, net.item_bias), (net.item, net.user, net.implicit)
        time_terms = (net.bias_drift, net.user_drift, net.item_bin, net.day_bias)
        penalty = net.mean.new_zeros(())
        for strength, group in zip(self.regularization, (biases, vectors, time_terms), strict=True):
            for parameter in group:
                if parameter is not None:
                    penalty = penalty + strength * parameter.square().sum()
        return penalty
