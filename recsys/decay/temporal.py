"""Per-user temporal decay: what is believed of every user's half-life, updated event by event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.checks import positive, share
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.ages import AgeClock, event_ages, time_ages
from recsys.decay.base import OnlineForgetting
from recsys.decay.changepoints import Changepoints, turns, with_rows
from recsys.decay.situation import SituationPrior, situations
from recsys.errors import ConfigError
from recsys.types import DAY, Floats

_TINY = 1e-12
_TABULATED = 4096  # ages in events, beyond those of nearly all histories


@final
@dataclass(frozen=True)
class HalfLives:
    """The grid of half-lives that a user can have. No decay at all always belongs to it, as the last.

    Attributes:
        events: half-lives in the user's own events since.
        time: half-lives in the unit of the log's times.
    """

    events: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
    time: tuple[float, ...] = tuple(days * DAY for days in (1.0, 4.0, 16.0, 64.0, 256.0))

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
        of_time = tuple(f"{value / DAY:g} days" if value >= DAY else f"{value:g}" for value in self.time)
        return (*(f"{value:g} events" for value in self.events), *of_time, "never")

    def weights(self, queries: Queries, *, from_newest: bool = False) -> Floats:
        """Return 2^(-age / half-life), "half-lives events".

        Args:
            queries: the histories.
            from_newest: count time from the newest event of each history instead of from now. Within a history this
                multiplies all weights of a half-life by one number, and saves what somebody who was long away did
                from falling below the smallest float.
        """
        weights = np.ones((len(self), len(queries.history.items)), np.float32)
        by_events, by_time = weights[: len(self.events)], weights[len(self.events) : -1]
        if self.events and int(queries.later.max(initial=0)) < _TABULATED:
            np.take(self._by_events, queries.later, axis=1, out=by_events, mode="clip")
        elif self.events:
            _halved(event_ages(queries), self.events, by_events)
        if self.time:
            _halved(_since_newest(queries) if from_newest else time_ages(queries), self.time, by_time)
        return weights

    @cached_property
    def _by_events(self) -> Floats:
        """2^(-age / half-life) on the clock of events, "half-lives of events, ages"."""
        table = np.empty((len(self.events), _TABULATED), np.float32)
        _halved(np.arange(_TABULATED, dtype=np.float64), self.events, table)
        return table


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
        """The probability that nothing fades: the floor of the weights, less what changes of taste take away."""
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

        w_j(t)   = s_j(t) sum_h p_uh(t) 2^(-age_jh(t) / h) / Z_uh(t),   Z_uh(t) = sum_j s_j(t) 2^(-age_jh(t) / h)
        p_uh(t)  proportional to exp(eta [(tau + n_u) m_h(x_u(t)) + s_uh] + c [h is "never"])
        after an event:   s_uh = (1 - alpha) s_uh + g_uh - m_h(x_u(t)),   n_u = (1 - alpha) n_u + 1
        g_uh     = utility_uh ^ sharpness

    The weights are scaled to max_j w_j = 1. s_j(t), with `changepoints`, is what changes of taste have probably left of
    event j (`Changepoints.kept`): a half-life says that everything old counts less, a change that what came before it
    does. h runs over a log-spaced grid on two clocks, events and time, and ends with "never". A mixture of exponentials
    forgets fast at first and slowly later; the share of "never" is the long-term floor rho_u. Z makes the states
    comparable: otherwise the slow half-lives, which add up more events, would speak loudest.

    p is the Gibbs posterior of a Bayesian mixture. The population's prior, worth tau events, is what an event is
    expected to say for each half-life in a situation x like this one: how long ago the user was here last, and how much
    the user has done (`recsys.decay.situation`). The user's own evidence s is what the events said beyond that. So few
    events leave everybody close to the population, somebody never seen is the population; and a user who reads the far
    past after a long absence, as everybody does, is not taken for one who forgets slowly. Evidence fades by alpha with
    every event, so that a change of pace is followed (the aim of the fixed share of Herbster and Warmuth, *Tracking
    the best expert*, 1998, which measured worse here; so did a prior without situations, by EM).

    Args:
        n_users: users of the log; their numbers index the state.
        half_lives: the grid.
        learning_rate: eta, how much an event tells.
        shrinkage: tau, how many events the population's prior is worth.
        fading: alpha, in [0, 1], what each event takes from the evidence of the earlier ones.
        sharpness: power of the utility; the larger, the more only the top of the list counts.
        hour: an hour in the unit of the log's times; 1 where the unit is a period or a position.
        changepoints: whether changes of taste are looked for too, and the past before them counts less.
        caution: c, by how much the evidence for forgetting has to exceed that for "never": the belief in "never" begins
            at e^c times that in every half-life. It keeps those from harm who do not drift: where half-lives predict
            about equally well, a mixture of them all would forget.
    """

    def __init__(
        self,
        n_users: int,
        half_lives: HalfLives = HalfLives(),
        learning_rate: float = 10.0,
        shrinkage: float = 100.0,
        fading: float = 0.02,
        sharpness: float = 6.0,
        hour: float = 3600.0,
        changepoints: bool = False,
        caution: float = 0.0,
    ) -> None:
        positive("n_users", n_users, zero=True)
        positive("learning_rate", learning_rate, zero=True)
        positive("shrinkage", shrinkage, zero=True)
        positive("sharpness", sharpness)
        positive("hour", hour)
        positive("caution", caution, zero=True)
        share("fading", fading)
        self.n_users = n_users
        self.half_lives = half_lives
        self.learning_rate = learning_rate
        self.shrinkage = shrinkage
        self.fading = fading
        self.sharpness = sharpness
        self.hour = hour
        self.caution = caution
        self.changepoints = Changepoints(n_users) if changepoints else None
        self._population = SituationPrior(len(half_lives))
        # A last row that nothing is ever added to stands for whoever is unknown (-1).
        self._evidence = np.zeros((n_users + 1, len(half_lives)), np.float32)
        self._count = np.zeros(n_users + 1, np.float32)
        self._seen = np.zeros(n_users + 1, np.int32)
        self._settled = self._copies()

    @property
    def prior(self) -> npt.NDArray[np.float32]:
        """ "half-lives": what is believed of somebody without events, in an average situation."""
        return np.asarray(self.belief(np.asarray([UNKNOWN]))[0])

    def situation(self, queries: Queries) -> Floats:
        """Return the situation of each question, "queries features"; see `recsys.decay.situation`."""
        return situations(queries, self.hour)

    def belief(self, users: npt.NDArray[np.integer]) -> Floats:
        """Return p_uh in an average situation, "users half-lives"; the prior for `UNKNOWN` users."""
        return self._posterior(users, self._population.average[None])

    def belief_at(self, queries: Queries) -> Floats:
        """Return p_uh(t), "queries half-lives": in the situation of each question."""
        return self.belief_in(self.situation(queries), queries.users)

    def belief_in(self, situation: Floats, users: npt.NDArray[np.integer]) -> Floats:
        """Return p_uh, "users half-lives", in given situations, "users features"."""
        return self._posterior(users, self._population.expected(situation))

    def posterior(self, user: int) -> Posterior:
        """Return what is believed about one user in an average situation, to be shown to a person."""
        probability = self.belief(np.asarray([user]))[0].astype(np.float64)
        return Posterior(self.half_lives.names, probability / probability.sum(), int(self._seen[user]))

    def pace(self, users: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """Return the half-life of each user's evidence in the user's own events, "users"; infinite: nothing fades.

            1 / pace_u = sum_h P(h | h counts events, or is "never") / h - log2(1 - rate of changes_u)

        Rates of decay add up: what fades by half-lives, and what a change of taste may have made worthless.
        """
        count = len(self.half_lives.events)
        belief = self.belief(users).astype(np.float64)
        on_clock = belief[:, :count].sum(1) + belief[:, -1]
        rate = belief[:, :count] @ (1 / np.asarray(self.half_lives.events)) / np.maximum(on_clock, _TINY)
        if self.changepoints is not None:
            rate -= np.log2(1 - self.changepoints.rate(users))
        return np.asarray(np.divide(1.0, rate, out=np.full(len(users), np.inf), where=rate > 0))

    def weights(self, queries: Queries) -> Floats:
        faded = self.faded(queries, self.half_lives.weights(queries, from_newest=True))
        return mixture(queries, faded, self.belief_at(queries))

    def hypotheses(self, queries: Queries) -> Floats:
        """Return what is judged, "hypotheses events": the half-lives, as `faded`, then the `windows` of the changes."""
        return self.hypotheses_from(queries, self.half_lives.weights(queries, from_newest=True))

    def hypotheses_from(self, queries: Queries, by_half_life: Floats) -> Floats:
        """Return `hypotheses`, given the weights under each half-life, "half-lives events"."""
        faded = self.faded(queries, by_half_life)
        return faded if self.changepoints is None else np.concatenate([faded, self.changepoints.windows(queries)])

    def faded(self, queries: Queries, weights: Floats) -> Floats:
        """Return weights, "rows events", of which what is likely of a former taste is taken off."""
        if self.changepoints is None:
            return weights
        believed = self.changepoints.belief(queries.users, queries.history.lengths)
        return weights * self.changepoints.kept(queries, believed)

    def observe(self, queries: Queries, utility: Floats) -> None:
        if (queries.users == UNKNOWN).any():
            known = np.flatnonzero(queries.users != UNKNOWN)
            queries, utility = queries.take(known), utility[known]
        self.learn(queries.users, self.situation(queries), utility[:, : len(self.half_lives)])
        if self.changepoints is not None:
            self.changepoints.learn(queries.users, queries.history.lengths, utility[:, len(self.half_lives) :])

    def learn(self, users: npt.NDArray[np.integer], situation: Floats, utility: Floats) -> None:
        """Learn events whose situation is known already, in their order; users may repeat.

        An event that all half-lives predict equally well says nothing, and is passed over.

        Args:
            users: "events", known user numbers.
            situation: "events features", of `situation`.
            utility: "events half-lives", how well each predicted it.
        """
        telling = np.flatnonzero(_tells(utility))
        surprise = self._gain(utility[telling]) - self._population.expected(situation[telling])
        for rows in turns(users[telling]):
            now = users[telling[rows]]
            self._evidence[now] = (1 - self.fading) * self._evidence[now] + surprise[rows]
            self._count[now] = (1 - self.fading) * self._count[now] + 1
            self._seen[now] += 1

    def fit_prior(self, situation: Floats, utility: Floats) -> None:
        """Learn what to expect of the population in each situation, and forget what was learned of users.

        Use events that the judging model was not fitted on: on others the far past looks predictive, because the items
        remember it, and the prior ends at "never".

        Args:
            situation: "events features", of `situation`.
            utility: "events half-lives", as for `observe`.

        Raises:
            ConfigError: there are no events.
        """
        telling = _tells(utility)
        if not telling.any():
            raise ConfigError("there are no events to fit the prior on; give a longer calibration part")
        self._population.fit(situation[telling], self._gain(utility[telling]), self.shrinkage)
        for array in (self._evidence, self._count, self._seen):
            array[:] = 0
        self.settle()

    def extend(self, n_users: int) -> None:
        """Make room for users who were not there from the beginning: they have the prior, and learn like all others.

        Args:
            n_users: of whom numbers are used from now on; fewer than there are change nothing.
        """
        more = max(n_users - self.n_users, 0)
        self._evidence, self._count, self._seen = (with_rows(array, more, 0) for array in self._copies())
        evidence, count, seen = self._settled
        self._settled = with_rows(evidence, more, 0), with_rows(count, more, 0), with_rows(seen, more, 0)
        self.n_users += more
        if self.changepoints is not None:
            self.changepoints.extend(n_users)

    def settle(self) -> None:
        """Make what was learned so far what `reset` returns to."""
        self._settled = self._copies()
        if self.changepoints is not None:
            self.changepoints.settle()

    def reset(self) -> None:
        self._evidence, self._count, self._seen = self._settled
        self._settled = self._copies()
        if self.changepoints is not None:
            self.changepoints.reset()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        evidence, count, seen = self._copies()
        own = {"evidence": evidence, "count": count, "seen": seen}
        parts = {"population": self._population} | ({} if self.changepoints is None else {"changes": self.changepoints})
        return own | {f"{part}.{name}": value for part, it in parts.items() for name, value in it.state().items()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._evidence, self._count = state["evidence"].copy(), state["count"].copy()
        self._seen = state["seen"].copy()
        self.n_users = len(self._seen) - 1
        self._population.restore(_part(state, "population."))
        if self.changepoints is not None:
            self.changepoints.restore(_part(state, "changes."))

    def state_bytes(self) -> float:
        own = float(self._evidence.itemsize * (len(self.half_lives) + 1) + self._seen.itemsize)
        return own if self.changepoints is None else own + self.changepoints.state_bytes()

    def _copies(self) -> tuple[Floats, Floats, npt.NDArray[np.int32]]:
        return self._evidence.copy(), self._count.copy(), self._seen.copy()

    def _gain(self, utility: Floats) -> Floats:
        return np.asarray(utility, np.float32) ** np.float32(self.sharpness)

    def _posterior(self, users: npt.NDArray[np.integer], expected: Floats) -> Floats:
        """Return p, "users half-lives", from m_h(x), "users half-lives" or one row for all."""
        exponent = (self.shrinkage + self._count[users])[:, None] * expected + self._evidence[users]
        exponent *= self.learning_rate
        exponent[:, -1] += self.caution
        exponent -= exponent.max(1, keepdims=True)
        np.exp(exponent, out=exponent)
        exponent /= exponent.sum(1, keepdims=True)
        return np.asarray(exponent)


def _halved(age: npt.NDArray[np.float64], half_lives: tuple[float, ...], out: Floats) -> None:
    """Write 2^(-age / half-life), "half-lives events"."""
    np.exp2(age / -np.asarray(half_lives)[:, None], out=out, casting="same_kind")


def _tells(utility: Floats) -> npt.NDArray[np.bool_]:
    """Return "events": whether half-lives differ in how well they predict. After a single event they cannot."""
    return np.asarray((utility != utility[:, :1]).any(1))


def _part(state: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}


def mass_of(by_half_life: Floats) -> npt.NDArray[np.float64]:
    """Return what a single history weighs under each half-life, "half-lives", given "half-lives events"."""
    return np.asarray(np.add.reduceat(by_half_life, [0], axis=1, dtype=np.float64)[:, 0])


def mixture(
    queries: Queries, by_half_life: Floats, belief: Floats, mass: npt.NDArray[np.float64] | None = None
) -> Floats:
    """Return the weights, "events", of histories that are read under several half-lives at once; see `TemporalDecay`.

    Args:
        queries: the histories.
        by_half_life: "half-lives events", weights under each half-life.
        belief: "queries half-lives", how much each of them counts; rows sum to 1.
        mass: `mass_of` a single history, where it is known already.
    """
    if len(queries) == 1 and len(queries.history.items):  # as it comes while serving
        known = mass_of(by_half_life) if mass is None else mass
        one = (by_half_life * (belief[0] / np.maximum(known, _TINY))[:, None]).sum(0)
        return np.asarray(one / max(float(one.max()), _TINY), dtype=np.float32)
    some = np.flatnonzero(queries.history.lengths)
    if len(some) == 0:
        return np.zeros(0, np.float32)
    starts, lengths = queries.history.indptr[some], queries.history.lengths[some]
    masses = np.add.reduceat(by_half_life, starts, axis=1, dtype=np.float64)
    share = belief[some].T / np.maximum(masses, _TINY)
    # Not a product of matrices: equal ages must have equal weights to the last bit.
    total = (by_half_life * np.repeat(share, lengths, axis=1)).sum(0)
    largest = np.maximum(np.maximum.reduceat(total, starts), _TINY)
    return np.asarray(total / np.repeat(largest, lengths), dtype=np.float32)


def _since_newest(queries: Queries) -> npt.NDArray[np.float64]:
    """Return how much older each event is than the newest of its history, "events"; times ascend in a history."""
    times, indptr = queries.times, queries.history.indptr
    if len(queries) == 1:
        return (times[-1:] - times).astype(np.float64)
    newest = times[np.maximum(indptr[1:] - 1, 0)] if len(times) else np.zeros(len(queries), np.int64)
    return (np.repeat(newest, queries.history.lengths) - times).astype(np.float64)
