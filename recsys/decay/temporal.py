"""Per-user temporal decay: a belief about how each user forgets, updated session by session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, final

import numpy as np
import numpy.typing as npt

from recsys.checks import arguments_of, choice, positive, share
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.ages import AgeClock
from recsys.decay.base import Calibration, HalfLifeBelief, HalfLifeKind, IndependentUsers, OnlineRule, Quantiles
from recsys.decay.changepoints import Changepoints, is_informative, occurrences
from recsys.decay.former_prior import FormerPrior
from recsys.decay.half_lives import HalfLives, Posterior
from recsys.decay.own_gain import SHARPNESS, OwnGain
from recsys.decay.user_arrays import UserArrays
from recsys.decay.visits import VisitWeights, before_visit, going_on
from recsys.errors import ConfigError
from recsys.types import DAY, Doubles, Floats, Ints, Mask

Own = Literal["always", "earned"]
_LEVELS = (0.5, 0.1, 0.9)
_TINY = 1e-12


@final
@dataclass(frozen=True, eq=False)
class CalibrationUtilities:
    """Calibration events as `TemporalDecay` learns from them.

    Attributes:
        half_lives: "events hypotheses", utility of each hypothesis, given the belief about changes at the time.
        windows: "events lengths", utility of each run length; None without changepoints.
        changes: "events lengths", the belief about changes just before each; None without changepoints.
    """

    half_lives: Floats
    windows: Floats | None
    changes: Floats | None


@final
class TemporalDecay(OnlineRule, IndependentUsers):
    """A mixture of hypotheses about how each user forgets, learned from how well each predicts the user's next visit.

        w_jh(t)  = floor_h + (1 - floor_h) 2^-(later_j / events_h + (t - t_j) / time_h)       see `HalfLives`
        w_j(t)   = s_j(t) sum_h p_uh w_jh(t) / sum_j s_j(t) w_jh(t)                            scaled to max_j w_j = 1
        p_uh     proportional to exp(eta [tau m_h + s_uh] + c [h is "never"])
        after a lesson:   s_uh = (1 - alpha) s_uh + g_uh - m_h
        g_uh     = utility_uh ^ sharpness

    A lesson is what followed a query: all items of a session, which are learned together when it is over, or one event
    of a log without times. s_j(t), with `changepoints`, is the share of event j that probable changes of taste leave
    (`Changepoints.present_share`): a half-life discounts everything old, a change only the events before it. Each
    hypothesis is scaled to the same sum: otherwise the slow ones, which add up more events, would dominate.

    **Everybody's** is m_h, the mean gain of each hypothesis over the users of the calibration: it decides alone for
    users of whom nothing is known. **A person's own** is s_uh, by how much their visits went beyond it, and their
    changes of taste. p is the Gibbs posterior of a Bayesian mixture. Evidence decays by alpha with every lesson, so
    that the belief follows a change of pace (the aim of the fixed share of Herbster and Warmuth, *Tracking the best
    expert*, 1998, which measured worse here). A prior that depends on the situation, the time since the last event and
    the length of the history, measured no better once questions were asked as people come back.

    Before `for_log` a rule has a log of seconds without users.

    Args:
        events: half-lives in the user's own events since.
        days: half-lives in days, for logs with times in seconds.
        periods: half-lives in periods, for logs with clock "period", whose length is not known.
        floors: weights that are never lost; old taste is discounted, but not erased.
        paired: whether both clocks act together; see `HalfLives`.
        learning_rate: eta, weight of the evidence of one lesson.
        shrinkage: tau, how many lessons the population's prior is worth.
        fading: alpha, in [0, 1], the share of the evidence that is lost with every lesson.
        sharpness: power of the utility; the larger, the more only the top of the list counts.
        changepoints: whether changes of taste are detected too, so that events before them count less.
        caution: c, by how much the evidence for forgetting has to exceed that for "never": the prior belief in "never"
            is e^c times that in every other hypothesis.
        visits: how the weights depend on visits, where the log's times are seconds.
        own: "earned" uses a person's own part only if the calibration shows that it finds more than everybody's part
            alone (`own_gain`); otherwise all users forget alike, and nothing is learned of them. "always" uses it, as
            does a rule that had no lessons to ask.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        events: tuple[float, ...] = (2.0, 8.0, 32.0),
        days: tuple[float, ...] = (16.0, 64.0, 256.0),
        periods: tuple[float, ...] = (1.0, 2.0, 4.0),
        floors: tuple[float, ...] = (0.0, 0.1, 0.3),
        paired: bool = True,
        learning_rate: float = 5.0,
        shrinkage: float = 200.0,
        fading: float = 0.02,
        sharpness: float = 6.0,
        changepoints: bool = True,
        caution: float = 5.0,
        visits: VisitWeights = VisitWeights(),
        own: Own = "always",
    ) -> None:
        choice("own", own, Own)
        positive("learning_rate", learning_rate, zero=True)
        positive("shrinkage", shrinkage, zero=True)
        positive("sharpness", sharpness)
        positive("caution", caution, zero=True)
        share("fading", fading)
        self.events = tuple(events)
        self.days = tuple(days)
        self.periods = tuple(periods)
        self.floors = tuple(floors)
        self.paired = paired
        self.learning_rate = learning_rate
        self.shrinkage = shrinkage
        self.fading = fading
        self.sharpness = sharpness
        self.caution = caution
        self.visits = visits
        self.own = own
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
        self._log_clock, self._room = clock, n_users
        self.visit_weights = self.visits if clock == "seconds" and self.visits.acts else None
        self.half_lives = HalfLives(self.events, time, self.floors, self.paired)
        self._changes = Changepoints(n_users) if self._changepoints else None
        self._population = np.zeros(len(self.half_lives), np.float32)
        self._former: FormerPrior | None = None
        self._own_gain: OwnGain | None = None
        self._users = self._rows(n_users)

    def _rows(self, n_users: int) -> UserArrays:
        return UserArrays({"evidence": np.zeros_like(self._population), "seen": np.zeros((), np.int32)}, n_users)

    @property
    def n_users(self) -> int:
        """Number of users that there is room for."""
        return self._users.n_users

    @property
    def changepoints(self) -> Changepoints | None:
        """The belief about changes of taste; None where the setting is off."""
        return self._changes

    @property
    def own_gain(self) -> OwnGain | None:
        """What a person's own part added on the calibration; None if it is used without being asked for that."""
        return self._own_gain

    @property
    def learns(self) -> bool:
        return True

    @property
    def observes(self) -> bool:
        return self._own_gain is None or self._own_gain.used

    @property
    def counts_events(self) -> bool:
        return bool(self.half_lives.events)

    @property
    def prior(self) -> npt.NDArray[np.float32]:
        """ "hypotheses": the belief about a user of whom nothing is known."""
        return np.asarray(self.belief(np.asarray([UNKNOWN]))[0])

    def belief(self, users: npt.NDArray[np.integer]) -> Floats:
        """Return p_uh, "users hypotheses"; the prior for `UNKNOWN` users."""
        return self._belief(users, self._population)

    def belief_at(self, queries: Queries) -> Floats:
        """Return p_uh, "queries hypotheses", by which each history is weighed: that of its user.

        Only in a rule that was fitted until version 0.2 it depends on the moment, too.
        """
        if self._former is None:
            return self.belief(queries.users)
        return self._belief(queries.users, self._former.expected(queries))

    def _belief(self, users: npt.NDArray[np.integer], gain: Floats) -> Floats:
        """Return p_uh, given m_h, "hypotheses" or "users hypotheses"."""
        if not self.observes:
            users = np.full(len(users), UNKNOWN)
        exponent = self.shrinkage * gain + self._users["evidence"][users]
        if self._former is not None:  # its evidence is what lessons had beyond m_h, without the m_h of its lessons
            exponent += self._users["count"][users][:, None] * gain
        exponent *= self.learning_rate
        exponent[:, -1] += self.caution
        exponent -= exponent.max(1, keepdims=True)
        np.exp(exponent, out=exponent)
        exponent /= exponent.sum(1, keepdims=True)
        return np.asarray(exponent, np.float32)

    def posterior(self, user: int) -> Posterior:
        """Return the belief about one user."""
        return self._posterior(user, self.belief(np.asarray([user]))[0])

    def _posterior(self, user: int, belief: Floats) -> Posterior:
        probability = belief.astype(np.float64)
        seen = int(self._users["seen"][user]) if self.observes else 0
        return Posterior(self.half_lives, probability / probability.sum(), seen)

    def pace(self, users: npt.NDArray[np.integer]) -> Doubles:
        """Return the effective half-life of each user in the user's own events, "users"; infinite: no decay.

            1 / pace_u = -log2(1 - changes_u)                                         with `changepoints`
            1 / pace_u = sum_h p_uh (1 - floor_h) / events_h / P(h counts events, or is "never")    without

        Where changes are looked for, they are what tells people apart: half-lives are mostly everybody's.
        """
        if self._changes is not None:
            rate = -np.log2(1 - self._changes.rate(users))
        else:
            events, _, floor = self.half_lives.grid.T
            belief = self.belief(users).astype(np.float64)
            on_clock = belief[:, np.isfinite(events)].sum(1) + belief[:, -1]
            rate = belief @ ((1 - floor) / events) / np.maximum(on_clock, _TINY)
        return np.asarray(np.divide(1.0, rate, out=np.full(len(users), np.inf), where=rate > 0))

    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        def weigh(past: Queries, age: Doubles | None) -> Floats:
            since = self.half_lives.since_newest(past, age)
            return self.half_lives.mixture(past, self.since_changes(past, since), self.belief_at(past))

        return self.by_visits(queries, weigh, event_age)

    def by_visits(
        self, queries: Queries, weigh: Callable[[Queries, Doubles | None], Floats], event_age: Doubles | None = None
    ) -> Floats:
        """Return the weights of histories, "events", given how a past is weighed at the beginning of a visit.

        Args:
            queries: the histories.
            weigh: the weights of a past, without a visit that is going on, and its `event_age`.
            event_age: as for `weights`.
        """
        if self.visit_weights is None:
            return weigh(queries, event_age)
        visit = self.in_visit(queries)
        past = before_visit(queries, visit)
        weights = weigh(past, None if event_age is None else event_age[~visit])
        return self.visit_weights.with_visit(queries.history, visit, self.visit_weights.of_past(past, weights))

    def in_visit(self, queries: Queries) -> Mask:
        """Return which events are of a visit that is going on and has a share of its own, "events"."""
        if self.visit_weights is None or self.visit_weights.share == 0:
            return np.zeros(len(queries.times), np.bool_)
        return going_on(queries)

    def recent(self, queries: Queries, event_age: Doubles | None = None) -> Mask:
        """Return which events are recent, "events".

        An event is recent if it is of the visit that is going on, or younger than the user's half-life
        (`HalfLives.recent`) and of the present taste: changes of taste leave at least half of its weight.
        """
        visit = self.in_visit(queries)
        past = before_visit(queries, visit)
        since = self.half_lives.since_newest(past, None if event_age is None else event_age[~visit])
        present = self.since_changes(past, since[-1:])[0] >= 0.5
        recent = visit.copy()
        recent[~visit] = present & self.half_lives.recent(past, since, self.belief_at(past))
        return recent

    def hypotheses(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        """Return "hypotheses events": the grid, as `since_changes`, then the `windows` of the changepoints."""
        weights = self.since_changes(queries, self.half_lives.weights(queries, event_age))
        return weights if self._changes is None else np.concatenate([weights, self._changes.windows(queries)])

    def since_changes(self, queries: Queries, weights: Floats) -> Floats:
        """Return weights, "rows events", reduced where an event probably belongs to a former taste."""
        if self._changes is None:
            return weights
        belief = self._changes.belief(queries.users, queries.history.lengths)
        return weights * self._changes.present_share(queries, belief)

    def describe(self, queries: Queries) -> list[HalfLifeBelief]:
        """Return the belief that weighs each history."""
        result = []
        for user, belief, lasted in zip(
            queries.users.tolist(), self.belief_at(queries), self._lasted(queries), strict=True
        ):
            posterior = self._posterior(user, belief)
            clocks: dict[AgeClock, Quantiles] = {}
            names: tuple[AgeClock, ...] = ("events", "time")
            for clock in names:
                if self.half_lives.of(clock):
                    median, low, high = (posterior.quantile(clock, level) for level in _LEVELS)
                    clocks[clock] = Quantiles(median, low, high, posterior.on(clock))
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
        self._prepare(self._room, self._log_clock)
        if calibration is None or len(calibration.users) == 0:
            return
        utilities = self.evaluate(calibration)
        self.fit_prior(utilities.half_lives, calibration.users)
        before = self._learn_in_turn(calibration.users, utilities.half_lives)
        if self.own == "earned":
            everybody = self._everybody()
            # Without changes of taste the utilities are already those of everybody's rule.
            shared = utilities if self._changes is None else everybody.evaluate(calibration)
            everybody.fit_prior(shared.half_lives, calibration.users)
            gain = self._measure_own(calibration, before, utilities.changes, everybody)
            self._own_gain = gain
            if not gain.used:
                self._population = everybody._population
                self._forget_users()
        self.commit()

    def _learn_in_turn(self, users: npt.NDArray[np.integer], utility: Floats) -> Floats:
        """Learn lessons as `learn` does, and return the belief just before each, "lessons hypotheses"."""
        before = np.empty(utility.shape, np.float32)
        for rows in occurrences(users):
            before[rows] = self.belief(users[rows])
            self.learn(users[rows], utility[rows])
        return before

    def _everybody(self) -> Self:
        """Return a rule with these settings that learns of everybody alone."""
        alone = {"changepoints": False, "own": "always"}
        return type(self)(**(arguments_of(self) | alone)).for_log(0, self._log_clock)

    def _measure_own(
        self, calibration: Calibration, before: Floats, changes: Floats | None, everybody: TemporalDecay
    ) -> OwnGain:
        """Return what the users' own part, as it was just before each lesson, adds to the rule of everybody."""

        def weights(queries: Queries, events: Ints, event_age: Doubles | None) -> Floats:
            def own(past: Queries, age: Doubles | None) -> Floats:
                since = self.half_lives.since_newest(past, age)
                if self._changes is not None and changes is not None:
                    since = since * self._changes.present_share(past, changes[events])
                return self.half_lives.mixture(past, since, before[events])

            shared = everybody.weights(strangers(queries), event_age)
            return np.stack([self.by_visits(queries, own, event_age), shared])

        own, shared = (calibration.utilities(weights) ** np.float32(SHARPNESS)).T
        return OwnGain.of(calibration.users, own - shared)

    def _forget_users(self) -> None:
        self._changes, self._users = None, self._rows(0)

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
            by_half_life = self.half_lives.weights(queries, event_age)
            if changes is None or belief is None:
                return by_half_life
            return by_half_life * changes.present_share(queries, belief[events])

        half_lives = calibration.utilities(weights)
        return CalibrationUtilities(half_lives, windows, belief)

    def observe(self, queries: Queries, utility: Floats) -> None:
        if not self.observes:
            return
        if (queries.users == UNKNOWN).any():
            known = np.flatnonzero(queries.users != UNKNOWN)
            queries, utility = queries.take(known), utility[known]
        expected = None if self._former is None else self._former.expected(queries)
        self.learn(queries.users, utility[:, : len(self.half_lives)], expected)
        if self._changes is not None:
            self._changes.learn(queries.users, queries.history.lengths, utility[:, len(self.half_lives) :])

    def learn(self, users: npt.NDArray[np.integer], utility: Floats, expected: Floats | None = None) -> None:
        """Learn lessons in their order; users may repeat.

        A lesson that all hypotheses predict equally well is skipped.

        Args:
            users: "lessons", known user numbers.
            utility: "lessons hypotheses", how well each predicted what followed.
            expected: "lessons hypotheses", the gain to be expected; None: that of everybody.
        """
        informative = np.flatnonzero(is_informative(utility))
        surprise = self._gain(utility[informative]) - (self._population if expected is None else expected[informative])
        evidence, seen = self._users["evidence"], self._users["seen"]
        for rows in occurrences(users[informative]):
            now = users[informative[rows]]
            evidence[now] = (1 - self.fading) * evidence[now] + surprise[rows]
            seen[now] += 1
            if self._former is not None:
                count = self._users["count"]
                count[now] = (1 - self.fading) * count[now] + 1

    def fit_prior(self, utility: Floats, users: npt.NDArray[np.integer]) -> None:
        """Learn the mean gains of everybody, and forget what was learned of users.

            m_h = mean over users of the mean of their g_h

        Everybody weighs the same, as in the mean over users that rules are judged by. The mean is shrunk, as by
        `shrinkage` lessons in which all hypotheses were alike. The utilities must come from a
        model that was not fitted on the events: otherwise the far past looks predictive, because the items were fitted
        on it, and the prior ends at "never".

        Args:
            utility: "lessons hypotheses", as for `learn`.
            users: "lessons".

        Raises:
            ConfigError: there are no lessons.
        """
        informative = is_informative(utility)
        if not informative.any():
            raise ConfigError("there are no events to fit the prior on; give a longer calibration part")
        _, user, count = np.unique(users[informative], return_inverse=True, return_counts=True)
        weight = 1.0 / count[user]
        mean = weight @ self._gain(utility[informative]).astype(np.float64) / len(count)
        lessons = len(count) ** 2 / float(weight @ weight)  # as many of equal weight would be as certain
        self._population = (mean.mean() + (mean - mean.mean()) * lessons / (lessons + self.shrinkage)).astype(
            np.float32
        )
        self._clear()

    def _clear(self) -> None:
        """Forget what was learned of users' half-lives."""
        self._users.clear()
        self.commit()

    def without_users(self) -> Self:
        """Return a rule that has learned what this one did of the population, and no user."""
        rule = self.for_log(0, self._log_clock)
        rule._take_population(self._population_state())
        if rule._changes is not None and self._changes is not None:
            rule._changes.restore_population(self._changes.state())
        return rule

    def extend(self, n_users: int) -> None:
        """Make room for users who were not in the log: they start with the prior, and learn like all others."""
        self._room = max(self._room, n_users)
        if not self.observes:
            return
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
        changes = {} if self._changes is None else self._changes.state()
        return (
            self._users.copy()
            | self._population_state()
            | {f"changes.{name}": value for name, value in changes.items()}
        )

    def _population_state(self) -> dict[str, npt.NDArray[Any]]:
        gain = {} if self._own_gain is None else {"own_gain": self._own_gain.state()}
        return gain | ({"population": self._population.copy()} if self._former is None else self._former.state())

    def _take_population(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        if "own_gain" in state:
            self._own_gain = OwnGain.restored(state["own_gain"])
            if not self._own_gain.used:
                self._forget_users()
        self._former = FormerPrior.of(state, self._log_clock)
        if self._former is None:
            self._population = state["population"].copy()
            return
        self._population = self._former.intercept
        rows = {"evidence": np.zeros_like(self._population), "count": np.zeros((), np.float32)}
        self._users = UserArrays(rows | {"seen": np.zeros((), np.int32)}, self.n_users)

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._prepare(self._room, self._log_clock)
        self._take_population(state)
        self._users.restore(state)
        if self._changes is not None:
            self._changes.restore(_part(state, "changes."))

    def user_state(self, user: int) -> bytes:
        if not self.observes:
            return b""
        changes = b"" if self._changes is None else self._changes.user_state(user)
        return self._users.row(user) + changes

    def restore_user(self, user: int, state: bytes) -> None:
        if not self.observes:
            if state:
                raise ValueError(f"the state of a user has {len(state)} bytes, and this rule learns of no user")
            return
        own = len(state) if self._changes is None else self._users.bytes_per_user
        self._users.put_row(user, state[:own])
        if self._changes is not None:
            self._changes.restore_user(user, state[own:])

    def reset_user(self, user: int) -> None:
        if not self.observes:
            return
        self._users.reset_row(user)
        if self._changes is not None:
            self._changes.reset_user(user)

    def state_bytes(self) -> float:
        if not self.observes:
            return 0.0
        changes = 0.0 if self._changes is None else self._changes.state_bytes()
        return self._users.bytes_per_user + changes

    def _gain(self, utility: Floats) -> Floats:
        return np.asarray(utility, np.float32) ** np.float32(self.sharpness)


def strangers(queries: Queries) -> Queries:
    """Return queries as of users of whom nothing is known."""
    return replace(queries, users=np.full(len(queries), UNKNOWN, np.int32))


def _part(state: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
