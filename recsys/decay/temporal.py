"""Per-user temporal decay: a belief about each user's half-life, updated event by event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from recsys.checks import positive, share
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.ages import AgeClock
from recsys.decay.base import Calibration, HalfLifeBelief, HalfLifeKind, IndependentUsers, OnlineRule, Quantiles
from recsys.decay.changepoints import Changepoints, is_informative, occurrences
from recsys.decay.half_lives import HalfLives, Posterior, mixture
from recsys.decay.situation import SituationPrior, situations
from recsys.decay.user_arrays import UserArrays
from recsys.errors import ConfigError
from recsys.types import DAY, HOUR, Doubles, Floats, Ints, Mask

_LEVELS = (0.5, 0.1, 0.9)
_TINY = 1e-12


@final
@dataclass(frozen=True, eq=False)
class CalibrationUtilities:
    """Calibration events as `TemporalDecay` learns from them.

    Attributes:
        situations: "events features".
        half_lives: "events half-lives", utility of each half-life, given the belief about changes at the time.
        windows: "events lengths", utility of each run length; None without changepoints.
    """

    situations: Floats
    half_lives: Floats
    windows: Floats | None


@final
class TemporalDecay(OnlineRule, IndependentUsers):
    """A mixture of half-lives for each user, inferred online from how well each predicts the user's own events.

        w_j(t)   = s_j(t) sum_h p_uh(t) 2^(-age_jh(t) / h) / Z_uh(t),   Z_uh(t) = sum_j s_j(t) 2^(-age_jh(t) / h)
        p_uh(t)  proportional to exp(eta [(tau + n_u) m_h(x_u(t)) + s_uh] + c [h is "never"])
        after an event:   s_uh = (1 - alpha) s_uh + g_uh - m_h(x_u(t)),   n_u = (1 - alpha) n_u + 1
        g_uh     = utility_uh ^ sharpness

    The weights are scaled to max_j w_j = 1. s_j(t), with `changepoints`, is the share of event j that probable changes
    of taste leave (`Changepoints.present_share`): a half-life discounts everything old, a change only the events before
    it. h runs over a log-spaced grid on two clocks, events and time, and ends with "never". A mixture of exponentials
    forgets fast at first and slowly later; the share of "never" is the long-term floor rho_u. Z makes the states
    comparable: otherwise the slow half-lives, which add up more events, would dominate.

    p is the Gibbs posterior of a Bayesian mixture. The population's prior, worth tau events, is the gain that each
    half-life is expected to have in a situation x like this one: the time since the user's last event, and the length
    of the history (`recsys.decay.situation`). The user's own evidence s is the gain beyond that. Users with few
    events stay close to the population, and unknown users have its prior; a user who returns to old items after a long
    absence, as all users do, is not taken for one who forgets slowly. Evidence decays by alpha with every event, so
    that the belief follows a change of pace (the aim of the fixed share of Herbster and Warmuth, *Tracking the best
    expert*, 1998, which measured worse here; so did a prior without situations, by EM).

    Before `for_log` a rule has a log of seconds without users.

    Args:
        events: grid of half-lives in the user's own events since.
        days: grid of half-lives in days, for logs with times in seconds.
        periods: grid of half-lives in periods, for logs with clock "period", whose length is not known.
        learning_rate: eta, weight of the evidence of one event.
        shrinkage: tau, how many events the population's prior is worth.
        fading: alpha, in [0, 1], the share of the evidence that is lost with every event.
        sharpness: power of the utility; the larger, the more only the top of the list counts.
        changepoints: whether changes of taste are detected too, so that events before them count less.
        caution: c, by how much the evidence for forgetting has to exceed that for "never": the prior belief in "never"
            is e^c times that in every half-life. It protects users who do not drift: where half-lives predict about
            equally well, a mixture of them all would forget.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        events: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0),
        days: tuple[float, ...] = (1.0, 4.0, 16.0, 64.0, 256.0),
        periods: tuple[float, ...] = (),
        learning_rate: float = 10.0,
        shrinkage: float = 100.0,
        fading: float = 0.02,
        sharpness: float = 6.0,
        changepoints: bool = True,
        caution: float = 6.0,
    ) -> None:
        positive("learning_rate", learning_rate, zero=True)
        positive("shrinkage", shrinkage, zero=True)
        positive("sharpness", sharpness)
        positive("caution", caution, zero=True)
        share("fading", fading)
        self.events = tuple(events)
        self.days = tuple(days)
        self.periods = tuple(periods)
        self.learning_rate = learning_rate
        self.shrinkage = shrinkage
        self.fading = fading
        self.sharpness = sharpness
        self.caution = caution
        self._changepoints = changepoints
        HalfLives(time=self.periods)
        self._prepare(0, "seconds")

    def for_log(self, n_users: int, clock: str) -> Self:
        rule = self.unlearned()
        rule._prepare(n_users, clock)
        return rule

    def _prepare(self, n_users: int, clock: str) -> None:
        # A period has no known length and the position in an order is no time: there `days` means nothing.
        time = {"seconds": tuple(days * DAY for days in self.days), "period": self.periods}.get(clock, ())
        self._log_clock = clock
        self.half_lives = HalfLives(self.events, time)
        self._hour = float(HOUR) if clock == "seconds" else 1.0
        self._changes = Changepoints(n_users) if self._changepoints else None
        self._population = SituationPrior(len(self.half_lives))
        evidence = np.zeros(len(self.half_lives), np.float32)
        self._users = UserArrays(
            {"evidence": evidence, "count": np.zeros((), np.float32), "seen": np.zeros((), np.int32)}, n_users
        )

    @property
    def n_users(self) -> int:
        """Number of users that there is room for."""
        return self._users.n_users

    @property
    def changepoints(self) -> Changepoints | None:
        """The belief about changes of taste; None where the setting is off."""
        return self._changes

    @property
    def learns(self) -> bool:
        return True

    @property
    def counts_events(self) -> bool:
        return bool(self.half_lives.events)

    @property
    def prior(self) -> npt.NDArray[np.float32]:
        """ "half-lives": the belief about a user without events, in an average situation."""
        return np.asarray(self.belief(np.asarray([UNKNOWN]))[0])

    def situation(self, queries: Queries) -> Floats:
        """Return the situation of each query, "queries features"; see `recsys.decay.situation`."""
        return situations(queries, self._hour)

    def belief(self, users: npt.NDArray[np.integer]) -> Floats:
        """Return p_uh in an average situation, "users half-lives"; the prior for `UNKNOWN` users."""
        return self._posterior(users, self._population.average[None])

    def belief_at(self, queries: Queries) -> Floats:
        """Return p_uh(t), "queries half-lives": in the situation of each query."""
        return self.belief_in(self.situation(queries), queries.users)

    def belief_in(self, situation: Floats, users: npt.NDArray[np.integer]) -> Floats:
        """Return p_uh, "users half-lives", in given situations, "users features"."""
        return self._posterior(users, self._population.expected(situation))

    def posterior(self, user: int) -> Posterior:
        """Return the belief about one user in an average situation."""
        probability = self.belief(np.asarray([user]))[0].astype(np.float64)
        return Posterior(self.half_lives.names, probability / probability.sum(), int(self._users["seen"][user]))

    def pace(self, users: npt.NDArray[np.integer]) -> Doubles:
        """Return the effective half-life of each user in the user's own events, "users"; infinite: no decay.

            1 / pace_u = sum_h P(h | h counts events, or is "never") / h - log2(1 - rate of changes_u)

        The rates of decay add up: that of the half-lives, and that at which changes of taste devalue the past.
        """
        count = len(self.half_lives.events)
        belief = self.belief(users).astype(np.float64)
        on_clock = belief[:, :count].sum(1) + belief[:, -1]
        rate = belief[:, :count] @ (1 / np.asarray(self.half_lives.events)) / np.maximum(on_clock, _TINY)
        if self._changes is not None:
            rate -= np.log2(1 - self._changes.rate(users))
        return np.asarray(np.divide(1.0, rate, out=np.full(len(users), np.inf), where=rate > 0))

    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        by_half_life = self.half_lives.weights(queries, from_newest=True, event_age=event_age)
        return mixture(queries, self.since_changes(queries, by_half_life), self.belief_at(queries))

    def recent(self, queries: Queries, event_age: Doubles | None = None) -> Mask:
        """Return which events are recent, "events".

            recent_j  =  sum_{h < never} p_uh [age_jh <= h]  >=  1/2 sum_{h < never} p_uh

        An event is recent if it is younger than the user's half-life (a belief over half-lives on two clocks) with at
        least even odds, given that the user forgets at all, and changes of taste leave at least half of its weight.
        """
        belief = self.belief_at(queries)[:, :-1].astype(np.float64)
        by_half_life = self.half_lives.weights(queries, event_age=event_age)
        younger = by_half_life[:-1] >= 0.5  # what 2^(-age / h) is at age h
        odds = (belief[queries.history.rows].T * younger).sum(0)
        present = self.since_changes(queries, np.ones((1, len(odds)), np.float32))[0] >= 0.5
        return np.asarray(present & (odds >= 0.5 * belief.sum(1)[queries.history.rows]))

    def hypotheses(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        """Return "hypotheses events": the half-lives, as `since_changes`, then the `windows` of the changepoints."""
        by_half_life = self.half_lives.weights(queries, from_newest=True, event_age=event_age)
        weights = self.since_changes(queries, by_half_life)
        return weights if self._changes is None else np.concatenate([weights, self._changes.windows(queries)])

    def since_changes(self, queries: Queries, weights: Floats) -> Floats:
        """Return weights, "rows events", reduced where an event probably belongs to a former taste."""
        if self._changes is None:
            return weights
        belief = self._changes.belief(queries.users, queries.history.lengths)
        return weights * self._changes.present_share(queries, belief)

    def describe(self, queries: Queries) -> list[HalfLifeBelief]:
        """Return the belief that weighs each history: in the situation of its query, not in an average one."""
        grid, result = self.half_lives, []
        for user, belief, lasted in zip(
            queries.users.tolist(), self.belief_at(queries).astype(np.float64), self._lasted(queries), strict=True
        ):
            posterior = Posterior(grid.names, belief / belief.sum(), int(self._users["seen"][user]))
            clocks: dict[AgeClock, Quantiles] = {}
            of_events = float(posterior.probability[: len(grid.events)].sum())
            probabilities: dict[AgeClock, float] = {"events": of_events, "time": 1.0 - of_events - posterior.never}
            for clock, probability in probabilities.items():
                if grid.of(clock):
                    median, low, high = (posterior.quantile(clock, grid, level) for level in _LEVELS)
                    clocks[clock] = Quantiles(median, low, high, max(probability, 0.0))
            kind: HalfLifeKind = "own" if posterior.events else "shared"
            result.append(HalfLifeBelief(kind, clocks, posterior.never, posterior.events, lasted))
        return result

    def _lasted(self, queries: Queries) -> list[Quantiles] | list[None]:
        """Return how many events each user's present taste has lasted."""
        if self._changes is None:
            return [None] * len(queries)
        lengths = np.append(self._changes.lengths.astype(np.float64), np.inf)
        until = np.cumsum(self._changes.belief(queries.users, queries.history.lengths).astype(np.float64), axis=1)
        lasted = []
        for row in until:
            places = np.minimum([(row < level).sum() for level in _LEVELS], len(row) - 1)
            median, low, high = lengths[places].tolist()
            lasted.append(Quantiles(median, low, high, float(row[-2])))
        return lasted

    def calibrate(self, calibration: Calibration | None) -> None:
        """Learn the population's prior and the users' beliefs; without events every user has the uniform prior."""
        if calibration is None or len(calibration.users) == 0:
            self._clear()
            return
        utilities = self.evaluate(calibration)
        self.fit_prior(utilities.situations, utilities.half_lives)
        self.learn(calibration.users, utilities.situations, utilities.half_lives)
        self.commit()

    def evaluate(self, calibration: Calibration, fitted: int | None = None) -> CalibrationUtilities:
        """Return the utilities of calibration events, and learn from them when tastes changed.

        The belief about changes at each event does not depend on half-lives, so both are evaluated in large batches.

        Args:
            calibration: the events.
            fitted: the parameters of change are fitted on so many of the first events; on all when None.
        """
        changes, belief, windows = self._changes, None, None
        if changes is not None:
            windows = calibration.utilities(lambda queries, events, event_age: changes.windows(queries))
            part = slice(fitted)
            changes.fit(calibration.users[part], calibration.visible[part], windows[part], calibration.n_items)
            belief = changes.learn(calibration.users, calibration.visible, windows)

        def weights(queries: Queries, events: Ints, event_age: Doubles | None) -> Floats:
            by_half_life = self.half_lives.weights(queries, from_newest=True, event_age=event_age)
            if changes is None or belief is None:
                return by_half_life
            return by_half_life * changes.present_share(queries, belief[events])

        half_lives = calibration.utilities(weights)
        situations = np.concatenate([self.situation(queries) for queries in calibration.batches()])
        return CalibrationUtilities(situations, half_lives, windows)

    def observe(self, queries: Queries, utility: Floats) -> None:
        if (queries.users == UNKNOWN).any():
            known = np.flatnonzero(queries.users != UNKNOWN)
            queries, utility = queries.take(known), utility[known]
        self.learn(queries.users, self.situation(queries), utility[:, : len(self.half_lives)])
        if self._changes is not None:
            self._changes.learn(queries.users, queries.history.lengths, utility[:, len(self.half_lives) :])

    def learn(self, users: npt.NDArray[np.integer], situation: Floats, utility: Floats) -> None:
        """Learn events in their order, given their situations; users may repeat.

        An event that all half-lives predict equally well is skipped.

        Args:
            users: "events", known user numbers.
            situation: "events features", of `situation`.
            utility: "events half-lives", how well each predicted the event.
        """
        informative = np.flatnonzero(is_informative(utility))
        surprise = self._gain(utility[informative]) - self._population.expected(situation[informative])
        evidence, count, seen = (self._users[name] for name in ("evidence", "count", "seen"))
        for rows in occurrences(users[informative]):
            now = users[informative[rows]]
            evidence[now] = (1 - self.fading) * evidence[now] + surprise[rows]
            count[now] = (1 - self.fading) * count[now] + 1
            seen[now] += 1

    def fit_prior(self, situation: Floats, utility: Floats) -> None:
        """Learn the expected gains in each situation, and forget what was learned of users.

        The utilities must come from a model that was not fitted on the events: otherwise the far past looks predictive,
        because the items were fitted on it, and the prior ends at "never".

        Args:
            situation: "events features", of `situation`.
            utility: "events half-lives", as for `observe`.

        Raises:
            ConfigError: there are no events.
        """
        informative = is_informative(utility)
        if not informative.any():
            raise ConfigError("there are no events to fit the prior on; give a longer calibration part")
        self._population.fit(situation[informative], self._gain(utility[informative]), self.shrinkage)
        self._clear()

    def _clear(self) -> None:
        """Forget what was learned of users' half-lives."""
        self._users.clear()
        self.commit()

    def without_users(self) -> Self:
        """Return a rule that has learned what this one did of the population, and no user."""
        rule = self.for_log(0, self._log_clock)
        rule._population.restore(self._population.state())
        if rule._changes is not None and self._changes is not None:
            rule._changes.restore_population(self._changes.state())
        return rule

    def extend(self, n_users: int) -> None:
        """Make room for users who were not in the log: they start with the prior, and learn like all others."""
        self._users.extend(n_users)
        if self._changes is not None:
            self._changes.extend(n_users)

    def commit(self) -> None:
        self._users.commit()
        if self._changes is not None:
            self._changes.commit()

    def reset(self) -> None:
        self._users.reset()
        if self._changes is not None:
            self._changes.reset()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        population = {f"population.{name}": value for name, value in self._population.state().items()}
        changes = {} if self._changes is None else self._changes.state()
        return self._users.copy() | population | {f"changes.{name}": value for name, value in changes.items()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._users.restore(state)
        self._population.restore(_part(state, "population."))
        if self._changes is not None:
            self._changes.restore(_part(state, "changes."))

    def user_state(self, user: int) -> bytes:
        changes = b"" if self._changes is None else self._changes.user_state(user)
        return self._users.row(user) + changes

    def restore_user(self, user: int, state: bytes) -> None:
        own = len(state) if self._changes is None else self._users.bytes_per_user
        self._users.put_row(user, state[:own])
        if self._changes is not None:
            self._changes.restore_user(user, state[own:])

    def reset_user(self, user: int) -> None:
        self._users.reset_row(user)
        if self._changes is not None:
            self._changes.reset_user(user)

    def state_bytes(self) -> float:
        changes = 0.0 if self._changes is None else self._changes.state_bytes()
        return self._users.bytes_per_user + changes

    def _gain(self, utility: Floats) -> Floats:
        return np.asarray(utility, np.float32) ** np.float32(self.sharpness)

    def _posterior(self, users: npt.NDArray[np.integer], expected: Floats) -> Floats:
        """Return p, "users half-lives", from m_h(x), "users half-lives" or one row for all."""
        exponent = (self.shrinkage + self._users["count"][users])[:, None] * expected + self._users["evidence"][users]
        exponent *= self.learning_rate
        exponent[:, -1] += self.caution
        exponent -= exponent.max(1, keepdims=True)
        np.exp(exponent, out=exponent)
        exponent /= exponent.sum(1, keepdims=True)
        return np.asarray(exponent)


def _part(state: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
