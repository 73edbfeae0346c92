"""One trial: held-out users, two halves of the items, answers that are the users' own ratings, and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.elicitation import Answer, Crowd
from recsys.types import Doubles, Ints, Mask

N = 10
_BAND, _STAR = 0.25, 1.0
_DISCOUNT = 1 / np.log2(np.arange(2, N + 2))
_NOISE = 1.1


@final
@dataclass(frozen=True, eq=False)
class Halves:
    """The users and items of a trial.

    Attributes:
        log: all of it.
        held: "users", who is interviewed; the others are the crowd.
        asked: "items", which items may be asked about; the others judge.
        seed: of noise in answers.
    """

    log: Interactions
    held: Mask
    asked: Mask
    seed: int = 0

    @classmethod
    def of(cls, log: Interactions, held: int, seed: int) -> Halves:
        """Draw the users, and one item of each two neighbours in popularity."""
        source = np.random.default_rng(seed)
        users = np.unique(log.user_num)
        chosen = np.zeros(log.n_users, np.bool_)
        chosen[source.permutation(users)[:held]] = True
        count = np.bincount(log.item_num[~chosen[log.user_num]], minlength=log.n_items)
        order = np.argsort(-count, kind="stable")
        asked = np.zeros(log.n_items, np.bool_)
        pairs = np.arange(0, log.n_items - 1, 2)
        asked[order[pairs + source.integers(2, size=len(pairs))]] = True
        return cls(log, chosen, asked, seed)

    @cached_property
    def crowd_log(self) -> Interactions:
        """The log of the crowd."""
        return self.log.select(~self.held[self.log.user_num])

    @cached_property
    def crowd(self) -> Crowd:
        """What the crowd would have answered."""
        return Crowd.of(self.crowd_log)

    @cached_property
    def users(self) -> Ints:
        """Who is interviewed."""
        return np.flatnonzero(self.held).astype(np.int64)

    @cached_property
    def judged(self) -> Ints:
        """The items that judge."""
        return np.flatnonzero(~self.asked).astype(np.int64)

    @cached_property
    def candidates(self) -> Ints:
        """The items that may be asked about."""
        return np.flatnonzero(self.asked).astype(np.int64)

    def ratings(self, user: int) -> dict[int, float]:
        """Return what a user rated; an event without a rating is known and disliked, which is rare."""
        mine = self.log.history_slice(user)
        return dict(zip(self.log.item_num[mine].tolist(), self.log.value[mine].astype(float).tolist(), strict=True))


def mean_ratings(crowd: Crowd) -> Doubles:
    """ "items", the crowd's mean rating of each, with five ratings at the overall mean."""
    sums, counts = np.asarray(crowd.ratings.sum(0)).ravel(), np.diff(crowd.ratings.tocsc().indptr)
    return np.asarray((sums + 5 * crowd.ratings.data.mean()) / (counts + 5))


@final
class Person:
    """One interviewed user: answers, and what lists and orders are worth to the user.

    Args:
        halves: of the trial.
        user: number of the user.
        means: "items", mean ratings.
        noise: share of the known answers that are replaced by a rating at random around the user's mean.
    """

    def __init__(self, halves: Halves, user: int, means: Doubles, noise: float = 0.0) -> None:
        self._said = {item: value for item, value in halves.ratings(user).items() if np.isfinite(value)}
        judged = halves.judged
        self._value = np.array([self._said.get(item, np.nan) for item in judged.tolist()])
        self.liked = np.nan_to_num(self._value) >= (halves.crowd.liked_at or 0.0)
        self.rated = np.flatnonzero(np.isfinite(self._value))
        value, mean = self._value[self.rated], means[judged[self.rated]]
        first, second = np.nonzero((value[:, None] - value >= _STAR) & (np.abs(mean[:, None] - mean) < _BAND))
        self._better, self._worse = self.rated[first], self.rated[second]
        self._ideal = float(_DISCOUNT[: int(min(N, self.liked.sum()))].sum())
        if noise:
            self._add_noise(halves, user, noise)

    def _add_noise(self, halves: Halves, user: int, noise: float) -> None:
        source = np.random.default_rng([halves.seed, user])
        values = np.array(list(self._said.values()))
        wrong = np.rint(source.normal(values.mean(), _NOISE, len(values)))
        low, high = halves.crowd.scale or (1.0, 5.0)
        replaced = source.random(len(values)) < noise
        values = np.where(replaced, np.clip(wrong, low, high), values)
        self._said = dict(zip(self._said, values.tolist(), strict=True))

    def answer(self, item: int) -> Answer:
        """Return the user's rating; what is not rated is not known."""
        value = self._said.get(item)
        return Answer(item, "dont_know") if value is None else Answer(item, "rating", value)

    def choose(self, first: int, second: int) -> Answer:
        """Return which of two items the user prefers; "don't know" where one is not rated."""
        one, other = self._said.get(first), self._said.get(second)
        if one is None or other is None:
            return Answer(first, "dont_know", other=second)
        if one == other:
            return Answer(first, "same", other=second)
        return Answer(first, "prefer", other=second) if one > other else Answer(second, "prefer", other=first)

    def ndcg(self, scores: Doubles) -> float:
        """Return NDCG@10 of a list of all judged items; NaN for a user who likes none."""
        if not self._ideal:
            return float("nan")
        top = np.argpartition(-scores, N)[:N]
        top = top[np.argsort(-scores[top], kind="stable")]
        return float((self.liked[top] * _DISCOUNT).sum()) / self._ideal

    def ndcg_rated(self, scores: Doubles) -> float:
        """Return NDCG@10 of a list of the judged items that the user rated."""
        if not self._ideal:
            return float("nan")
        top = self.rated[np.argsort(-scores[self.rated], kind="stable")][:N]
        return float((self.liked[top] * _DISCOUNT[: len(top)]).sum()) / self._ideal

    def contested(self, scores: Doubles) -> float:
        """Return the share of contested pairs in the right order, ties a half; NaN without such a pair."""
        if not len(self._better):
            return float("nan")
        gap = scores[self._better] - scores[self._worse]
        return float(((gap > 0) + 0.5 * (gap == 0)).mean())

    def covered(self, expected: Doubles, sd: Doubles) -> float:
        """Return the share of the judged ratings within their 80% interval."""
        if not len(self.rated):
            return float("nan")
        return float((np.abs(self._value - expected)[self.rated] <= 1.2816 * sd[self.rated]).mean())
