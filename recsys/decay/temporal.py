"""Per-user temporal decay: a posterior over half-lives for every user, updated event by event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.checks import positive, share
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.ages import AgeClock, event_ages, time_ages
from recsys.decay.base import Floats, OnlineForgetting
from recsys.errors import ConfigError

_DAY = 86_400.0
_TINY = 1e-12


@final
@dataclass(frozen=True)
class HalfLives:
    """The grid of half-lives that a user can have. No decay at all always belongs to it, as the last.

    Attributes:
        events: half-lives in the user's own events since.
        time: half-lives in the unit of the log's times.
    """

    events: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
    time: tuple[float, ...] = tuple(days * _DAY for days in (1.0, 4.0, 16.0, 64.0, 256.0))

    def __post_init__(self) -> None:
        for name in ("events", "time"):
            values = getattr(self, name)
            for value in values:
                positive(f"half_lives.{name}", value)
                if not np.isfinite(value):
                    raise ConfigError(f"half_lives.{name} has {value}; no decay is always there, leave it out")
            if list(values) != sorted(set(values)):
                raise ConfigError(f"half_lives.{name} is {values}; the values must rise")

    def __len__(self) -> int:
        return len(self.events) + len(self.time) + 1

    @property
    def names(self) -> tuple[str, ...]:
        """Return each half-life as a person would read it, in the order of the grid."""
        of_time = tuple(f"{value / _DAY:g} days" if value >= _DAY else f"{value:g}" for value in self.time)
        return (*(f"{value:g} events" for value in self.events), *of_time, "never")

    def weights(self, queries: Queries) -> Floats:
        """Return 2^(-age / half-life), "half-lives events"."""
        parts = [np.exp2(-event_ages(queries) / np.asarray(self.events)[:, None])] if self.events else []
        parts += [np.exp2(-time_ages(queries) / np.asarray(self.time)[:, None])] if self.time else []
        parts.append(np.ones((1, len(queries.history.items))))
        return np.concatenate(parts).astype(np.float32)


@final
@dataclass(frozen=True)
class Posterior:
    """What is believed about one user's half-life.

    Attributes:
        names: "half-lives".
        probability: "half-lives", float64, sums to 1.
        events: number of events it was learned from.
    """

    names: tuple[str, ...]
    probability: npt.NDArray[np.float64]
    events: int

    @property
    def never(self) -> float:
        """The probability that nothing is forgotten: what becomes the floor of the weights."""
        return float(self.probability[-1])

    def quantile(self, clock: AgeClock, half_lives: HalfLives, level: float) -> float:
        """Return the half-life below which a share `level` of the belief in this clock and in "never" lies."""
        values = half_lives.events if clock == "events" else half_lives.time
        first = 0 if clock == "events" else len(half_lives.events)
        mass = np.append(self.probability[first : first + len(values)], self.never)
        until = np.cumsum(mass) / max(float(mass.sum()), _TINY)
        position = int(np.searchsorted(until, level))
        return values[position] if position < len(values) else float("inf")


@final
class TemporalDecay(OnlineForgetting):
    """Each user has a mixture of half-lives, inferred online by what would have predicted the user's own events.

        w_j(t)  = sum_h p_uh 2^(-age_jh(t) / h) / Z_uh(t),   Z_uh(t) = sum_j 2^(-age_jh(t) / h);   max_j w_j becomes 1
        p_uh    proportional to p_uh exp(eta g_uh),   then   p_uh = (1 - alpha) p_uh + alpha prior_h
        g_uh    = utility_uh ^ sharpness

    h runs over a log-spaced grid on two clocks, events and time, and ends with "never". A mixture of exponentials
    forgets fast at first and slowly later; the share of "never" is the long-term floor rho_u. Z makes the states
    comparable: otherwise the slow half-lives, which add up more events, would speak loudest. The update is that of a
    Bayesian mixture with a Gibbs likelihood, and a small probability alpha of switching, so that a change of pace is
    followed (Herbster and Warmuth, *Tracking the best expert*, 1998). Users without events have the prior, to which few
    events leave everybody close: that is the shrinkage. The prior is the population's, by EM (`fit_prior`).

    Args:
        n_users: users of the log; their numbers index the state.
        half_lives: the grid.
        learning_rate: eta, how much one event tells.
        switching: alpha, in [0, 1].
        sharpness: power of the utility; the larger, the more only the top of the list counts.
    """

    def __init__(
        self,
        n_users: int,
        half_lives: HalfLives = HalfLives(),
        learning_rate: float = 1.0,
        switching: float = 0.01,
        sharpness: float = 4.0,
    ) -> None:
        positive("n_users", n_users, zero=True)
        positive("learning_rate", learning_rate, zero=True)
        positive("sharpness", sharpness)
        share("switching", switching)
        self.n_users = n_users
        self.half_lives = half_lives
        self.learning_rate = learning_rate
        self.switching = switching
        self.sharpness = sharpness
        self._prior = np.full(len(half_lives), 1.0 / len(half_lives), np.float32)
        self._belief = np.tile(self._prior, (n_users, 1))
        self._seen = np.zeros(n_users, np.int32)
        self._settled = (self._belief.copy(), self._seen.copy())

    @property
    def prior(self) -> npt.NDArray[np.float32]:
        """ "half-lives": what is believed of somebody without events."""
        return self._prior.copy()

    def belief(self, users: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Return p_uh, "users half-lives"; the prior for `UNKNOWN` users."""
        known = np.where(users == UNKNOWN, 0, users)
        own = self._belief[known] if self.n_users else np.tile(self._prior, (len(users), 1))
        return np.where((users == UNKNOWN)[:, None], self._prior, own)

    def posterior(self, user: int) -> Posterior:
        """Return what is believed about one user, to be shown to a person."""
        probability = self.belief(np.asarray([user]))[0].astype(np.float64)
        events = 0 if user == UNKNOWN else int(self._seen[user])
        return Posterior(self.half_lives.names, probability / probability.sum(), events)

    def weights(self, queries: Queries) -> Floats:
        rows = queries.history.rows
        by_half_life = self.half_lives.weights(queries)
        belief = self.belief(queries.users)
        total = np.zeros(len(rows))
        for column, weight in enumerate(by_half_life):
            mass = np.bincount(rows, weight, minlength=len(queries))
            total += (belief[:, column] / np.maximum(mass, _TINY))[rows] * weight
        largest = np.zeros(len(queries))
        np.maximum.at(largest, rows, total)
        return np.minimum(total / np.maximum(largest, _TINY)[rows], 1.0).astype(np.float32)

    def hypotheses(self, queries: Queries) -> Floats:
        return self.half_lives.weights(queries)

    def observe(self, queries: Queries, utility: Floats) -> None:
        known = queries.users != UNKNOWN
        self._learn(queries.users[known], utility[known])

    def fit_prior(self, users: npt.NDArray[np.integer], utility: Floats, iterations: int = 8) -> None:
        """Learn the population's prior from judged events by EM, and leave every user's belief at it.

        Each iteration filters all events with the current prior (E) and takes the mean belief of the users who have
        any as the next (M). Use events that the judging model was not fitted on: on others the far past looks
        predictive, because the items remember it, and the prior ends at "never".

        Args:
            users: "events", known user numbers, in the order of time within each user.
            utility: "events half-lives", as for `observe`.
            iterations: of EM.

        Raises:
            ConfigError: there are no events.
        """
        if len(users) == 0:
            raise ConfigError("there are no events to fit the prior on; give a longer calibration part")
        asked = np.unique(users)
        for _ in range(iterations):
            self._belief[:], self._seen[:] = self._prior, 0
            self._learn(users, utility)
            mean = self._belief[asked].mean(0, dtype=np.float64)
            self._prior = (mean / mean.sum()).astype(np.float32)
        self._belief[:], self._seen[:] = self._prior, 0
        self.settle()

    def _learn(self, users: npt.NDArray[np.integer], utility: Floats) -> None:
        """Learn events in their order: the first of each user together, then the second ..."""
        gain = self.learning_rate * utility.astype(np.float64) ** self.sharpness
        order = np.argsort(users, kind="stable")
        turn = np.empty(len(users), np.int64)
        turn[order] = np.arange(len(users)) - np.searchsorted(users[order], users[order])
        for rows in np.split(np.argsort(turn, kind="stable"), np.cumsum(np.bincount(turn))[:-1]) if len(users) else ():
            now = users[rows]
            posterior = self._belief[now] * np.exp(gain[rows] - gain[rows].max(1, keepdims=True))
            posterior /= posterior.sum(1, keepdims=True)
            self._belief[now] = (1 - self.switching) * posterior + self.switching * self._prior
            self._seen[now] += 1

    def settle(self) -> None:
        """Make what was learned so far what `reset` returns to."""
        self._settled = (self._belief.copy(), self._seen.copy())

    def reset(self) -> None:
        self._belief, self._seen = self._settled[0].copy(), self._settled[1].copy()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {"prior": self._prior.copy(), "belief": self._belief.copy(), "seen": self._seen.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._prior, self._belief = state["prior"].copy(), state["belief"].copy()
        self._seen = state["seen"].copy()

    def state_bytes(self) -> float:
        return float(self._belief.itemsize * len(self.half_lives) + self._seen.itemsize)
