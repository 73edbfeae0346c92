"""The sitting: how much an answer leans towards the answers just before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.data.feedback import is_rated
from recsys.data.interactions import Interactions
from recsys.data.sessions import sessions
from recsys.reliability.factors import Factors
from recsys.reliability.responses import Responses
from recsys.types import Doubles, Ints, Mask

DECAY: Final = 0.7
"""Of the weight of a residual with every later answer."""
LAGS: Final = (1, 10, 100)
_SHRINKAGES: Final = (3.0, 10.0, 30.0, 100.0, 300.0)


@final
@dataclass(frozen=True, eq=False)
class SittingEffect:
    """How far the answers just before an answer tell it, beyond the user's and the item's own part.

    Attributes:
        users: "answers", int64, whose answer it is.
        residual: "answers", answer less what was predicted before it.
        leaning: "answers", what the sitting adds to the prediction.
        coefficient: of the users together.
        lags: correlation of residuals so many answers apart, of one user.
    """

    users: Ints
    residual: Doubles
    leaning: Doubles
    coefficient: float
    lags: dict[int, float]

    @property
    def rmse(self) -> tuple[float, float]:
        """Without and with the sitting."""
        both = self.residual, self.residual - self.leaning
        without, with_it = (float(np.sqrt((each**2).mean())) for each in both)
        return without, with_it

    @property
    def gain(self) -> float:
        """By what share the error falls."""
        without, with_it = self.rmse
        return 1 - with_it / without


def sitting_effect(log: Interactions, *, size: int = 6, shuffled: bool = False, seed: int = 0) -> SittingEffect:
    """Measure how much answers lean towards those just before them, predicting each before it is seen.

        e_t    = r_t - (mu + b_i + a_u(t) + p_u(t) . q_i)          of what u answered before t
        h_t    = sum_k d^k e_{t-k} / sum_k d^k,    d = .7, within the sitting
        c_u(t) = (sum_{s<t} h_s e_s + lambda c) / (sum_{s<t} h_s^2 + lambda)
        r_t is predicted as before, plus c_u(t) h_t

    Items are fitted on the other half of the users, from whom c and lambda come, too. So nothing of a user's later
    answers is used. What the sitting is (an anchor, a mood, a page of similar items) cannot be told without an
    experiment.

    Args:
        log: with ratings, in an order.
        size: of the factorisation.
        shuffled: whether each user's answers are put in a random order: the placebo.
        seed: of the halves, and of the order.

    Raises:
        DataError: the log has one value only.
    """
    answers = Responses.of(log)
    rated = is_rated(log.every.value, log.every.kinds)
    visit = sessions(log.every)[rated] if log.has_time else np.zeros(len(answers), np.int64)
    rng = np.random.default_rng(seed)
    if shuffled:
        order = np.lexsort((rng.random(len(answers)), answers.user))
        answers = answers.take(order)
    half = rng.random(answers.n_users) < 0.5
    user, item = answers.user.astype(np.int64), answers.item.astype(np.int64)
    shape = answers.n_users, answers.n_items
    residual = np.zeros(len(user))
    for part in (half[user], ~half[user]):
        columns = user[~part], item[~part], answers.value[~part], np.ones(int((~part).sum()))
        factors = Factors.of(*columns, shape, size)
        residual[part] = _before(factors, user[part], item[part], answers.value[part])
    state = _state(residual, user, visit)
    leaning = np.zeros(len(user))
    overall = []
    for part in (half[user], ~half[user]):
        others = state[~part], residual[~part], user[~part]
        common = float((others[0] * others[1]).sum() / max((others[0] ** 2).sum(), 1e-9))
        errors = [((others[1] - _leaning(*others, common, shrinkage)) ** 2).sum() for shrinkage in _SHRINKAGES]
        shrinkage = _SHRINKAGES[int(np.argmin(errors))]
        leaning[part] = _leaning(state[part], residual[part], user[part], common, shrinkage)
        overall.append(common)
    return SittingEffect(user, residual, leaning, float(np.mean(overall)), _lags(residual, user))


def _steps(user: Ints) -> Iterator[Ints]:
    """Yield the positions of everybody's first answers, then of the second ones, and so on."""
    begins = np.r_[True, np.diff(user) != 0]
    start = np.flatnonzero(begins)
    length = np.diff(np.r_[start, len(user)])
    order = np.argsort(-length, kind="stable")
    start, length = start[order], length[order]
    for step in range(int(length.max(initial=0))):
        yield start[: int(np.searchsorted(-length, -step, side="left"))] + step


def _before(factors: Factors, user: Ints, item: Ints, value: Doubles) -> Doubles:
    """Return "answers", each less what the user's answers before it predict, with the items as they are."""
    size = factors.items.mean.shape[1]
    longest = np.unique(user, return_inverse=True)[1]
    mean = np.zeros((longest.max(initial=-1) + 1, size))
    spread = np.tile(np.diag(factors.users.prior), (len(mean), 1, 1))
    residual = np.zeros(len(user))
    for place in _steps(user):
        rows = longest[place]
        design = factors.items.mean[item[place]].copy()
        offset = factors.middle + design[:, 0]
        design[:, 0] = 1.0
        residual[place] = error = value[place] - offset - (design * mean[rows]).sum(1)
        covered = np.einsum("rij,rj->ri", spread[rows], design)
        gain = covered / (factors.noise + (covered * design).sum(1))[:, None]
        mean[rows] += gain * error[:, None]
        spread[rows] -= gain[:, :, None] * covered[:, None]
    return residual


def _state(residual: Doubles, user: Ints, visit: Ints) -> Doubles:
    """Return h, "answers": the decayed mean of the residuals before each in its sitting; 0 for the first."""
    rows = np.unique(user, return_inverse=True)[1]
    total, weight = np.zeros(rows.max(initial=-1) + 1), np.zeros(rows.max(initial=-1) + 1)
    last = np.full(len(total), -1)
    state = np.zeros(len(user))
    for place in _steps(user):
        row = rows[place]
        new = visit[place] != last[row]
        total[row[new]] = weight[row[new]] = 0.0
        state[place] = total[row] / np.maximum(weight[row], 1e-9)
        total[row], weight[row] = DECAY * total[row] + residual[place], DECAY * weight[row] + 1.0
        last[row] = visit[place]
    return state


def _leaning(state: Doubles, residual: Doubles, user: Ints, common: float, shrinkage: float) -> Doubles:
    """Return c_u(t) h_t, "answers"."""
    first = np.r_[True, np.diff(user) != 0]
    start = np.maximum.accumulate(np.where(first, np.arange(len(user)), 0))

    def earlier(products: Doubles) -> Doubles:
        sums = np.r_[0.0, np.cumsum(products)]
        return np.asarray(sums[:-1] - sums[start])

    own = (earlier(state * residual) + shrinkage * common) / (earlier(state**2) + shrinkage)
    return np.asarray(own * state)


def _lags(residual: Doubles, user: Ints) -> dict[int, float]:
    """Return the correlation of residuals some answers apart, each less its user's mean."""
    count = np.bincount(user)
    centred = residual - (np.bincount(user, residual) / np.maximum(count, 1))[user]
    found = {}
    for lag in LAGS:
        same: Mask = user[lag:] == user[:-lag]
        one, other = centred[lag:][same], centred[:-lag][same]
        found[lag] = float((one * other).sum() / max(np.sqrt((one**2).sum() * (other**2).sum()), 1e-9))
    return found
