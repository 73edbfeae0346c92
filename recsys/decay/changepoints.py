"""Bayesian online changepoint detection: a belief about how many events a user's present taste has lasted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.checks import fraction, positive
from recsys.data.queries import Queries
from recsys.decay.user_arrays import Arrays, UserArrays
from recsys.errors import ConfigError
from recsys.types import Doubles, Floats, Ints, Mask

LENGTHS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128, 160)
"""Events that the present taste may have lasted; beyond them, and where nothing has changed, it is the whole past."""

_BINS = 24
"""Of a utility, that is, of the logarithm of a rank."""

_STEPS = (0, 1, 2, 3, 4, 5, 7, 9, 12, 16, 22, 30, 45, 65, 90, 130, 200, 400)
"""Lower bounds of the bins of history lengths; each bin has likelihoods of its own."""

_PSEUDO_EVENTS = 30.0
"""Events of all lengths that are added to those of each, so that rare lengths are predicted like common ones."""

_ROUNDS = 3
_HAZARDS = (1 / 320, 1 / 160, 1 / 80, 1 / 40, 1 / 20)
_STRENGTHS = (20.0, 80.0)
_RETURNS = (0.1, 0.3, 0.6)
_MOST_HAZARD = 0.5
_MOST_CHANGES = 60_000.0  # what float16 holds
_LARGEST_STEP = 10  # powers of two: 1,023 events at once; more of them leave the same belief
_TINY = 1e-30


@final
class Changepoints:
    """Bayesian online detection of the changes of each user's taste, with a rate of change of each user's own.

        l(t)                       how many of the newest events are of the present taste; from "none" to "all"
        P(next is a change | u)    = (a + N_u) / (a + b + n_u)                     N_u: changes so far, expected
        at a change                l := all with probability kappa (the old taste is back), else l := 0
        otherwise                  l := l + 1 with each event
        a visit of m events        is one lesson: a change among them leaves l = 0 ... m - 1, all equally likely
        P(l | event)               proportional to q_l(rank of the event in the list that the l newest events give) P(l)

    Adams and MacKay, *Bayesian online changepoint detection*, 2007; the rate of change as in Wilson, Nassar and Gold,
    *Bayesian online learning of the hazard rate in change-point problems*, Neural Computation 2010 (each run length
    carries the expected number of changes); the return to the whole past, for guests and alternating tastes, is new.
    Run lengths are read on a grid that grows about geometrically: from one to the next a run moves with the
    probability that keeps its mean pace.

    Scores of lists that rest on few and on many events have no common scale, but ranks have: q_l is the distribution of
    the event's rank over the catalogue, learned from the events of a calibration for every length l (EM: an event
    counts for a length with its belief). So q_l(rank) is a probability of the item, lists from few events count as far
    as they predict, and nothing is tuned on a metric: a, b and kappa maximise the likelihood of the calibration.

    Args:
        n_users: users of the log; their numbers index the state.
        hazard: a / (a + b), changes per event of an unknown user, until `fit` estimates it.
        strength: a + b, how many events that prior is worth.
        returns: kappa, share of the changes that bring the whole past back.
        caution: c, by how much the evidence for any change has to exceed that for none; .7 is two to one.
        decisiveness: d, the power of the odds that an event is of the present taste. A list that rests on two tastes at
            once serves neither, so probable events get more than their probability.
    """

    def __init__(
        self,
        n_users: int,
        hazard: float = 1 / 80,
        strength: float = 40.0,
        returns: float = 0.3,
        caution: float = 0.7,
        decisiveness: float = 2.0,
    ) -> None:
        positive("n_users", n_users, zero=True)
        positive("strength", strength)
        positive("caution", caution, zero=True)
        positive("decisiveness", decisiveness)
        fraction("hazard", hazard)
        fraction("returns", returns)
        self.caution = caution
        self.decisiveness = decisiveness
        self.lengths = np.asarray(LENGTHS, np.int64)
        self._parameters = np.asarray([hazard, strength, returns], np.float64)
        self._likelihood = np.zeros((len(_STEPS), _BINS), np.float32)
        self._longest = LENGTHS[-1]
        self._steps = (np.searchsorted(_STEPS, (*LENGTHS, _STEPS[-1]), side="right") - 1).astype(np.int8)
        self._powers = _powers(self.lengths)
        self._since_change = _since_change(self.lengths)
        width = len(self.lengths) + 1
        initial: Arrays = {
            "belief": np.zeros(width, np.float32),
            "changes": np.zeros(width, np.float16),
            "until": np.full((), -1, np.int32),
        }
        self._users = UserArrays(initial, n_users)
        self._cached_for = (b"", b"")
        self._cached = (np.zeros((0, width)), np.zeros((0, width)))

    def __len__(self) -> int:
        return len(self.lengths) + 1

    @property
    def hazard(self) -> float:
        """Changes per event of an unknown user."""
        return float(self._parameters[0])

    @property
    def returns(self) -> float:
        """The share of the changes that bring the whole past back."""
        return float(self._parameters[2])

    def windows(self, queries: Queries) -> Floats:
        """Return the events of each run length, "lengths events", 1 or 0: none, the newest, the newest two ... all."""
        weights = np.ones((len(self), len(queries.history.items)), np.float32)
        weights[:-1] = queries.later < self.lengths[:, None]
        return weights

    def belief(self, users: npt.NDArray[np.integer], visible: Ints) -> Floats:
        """Return P(l) just before the next event, "users lengths": the last is that all of the past counts.

        Args:
            users: numbers of users, `UNKNOWN` for one without state.
            visible: "users", length of the visible history.
        """
        belief, _ = self._before(users, visible)
        return belief.astype(np.float32)

    def present_share(self, queries: Queries, belief: Floats) -> Floats:
        """Return the factor of each event's weight, "events", in [0, 1], non-increasing in age.

            s = o^d / (1 + o^d),    o = [P(l > age) + (e^c - 1) P(l is all)] / P(l <= age)

        See the class for the caution c and the decisiveness d; with c = 0 and d = 1 it is P(l > age).

        Args:
            queries: the histories.
            belief: "queries lengths".
        """
        longer = np.cumsum(belief[:, ::-1], axis=1)[:, ::-1]  # P(l > age), for ages from each length to the next
        present = longer + np.float32(np.expm1(self.caution)) * belief[:, -1:]
        former = np.maximum(np.float32(1.0) - longer, np.float32(0.0))
        present **= np.float32(self.decisiveness)
        former **= np.float32(self.decisiveness)
        share = present / (present + former)
        place = np.searchsorted(self.lengths, queries.later, side="right")
        return np.asarray(share[0][place] if len(queries) == 1 else share[queries.history.rows, place])

    def rate(self, users: npt.NDArray[np.integer]) -> Doubles:
        """Return how often each user's taste changes, per event: the mean of the belief, "users"."""
        hazard, strength, _ = self._parameters
        belief = self._users["belief"][users].astype(np.float64)
        changes = (belief * self._users["changes"][users]).sum(1)
        events = np.maximum(self._users["until"][users], 0)
        return np.asarray((hazard * strength + changes) / (strength + events))

    def learn(self, users: npt.NDArray[np.integer], visible: Ints, utility: Floats) -> Floats:
        """Learn events in their order, users may repeat, and return the belief just before each.

        Args:
            users: "events", known user numbers.
            visible: "events", length of the history that was visible before each.
            utility: "events lengths", how well each of `windows` predicted it (`recsys.models.rank_utility`).

        Returns:
            "events lengths"; events of a user with the same visible history have one moment.
        """
        before = np.empty((len(users), len(self)), np.float32)
        evidence = self._likelihood[self._steps_of(visible), _binned(utility)]
        evidence[~is_informative(utility)] = 0.0
        for rows in occurrences(users):
            before[rows], _ = self._learn(users[rows], visible[rows], evidence[rows])
        if len(users) == 1:
            return before
        _, first, moment = np.unique(
            np.stack([users.astype(np.int64), visible]), axis=1, return_index=True, return_inverse=True
        )
        return before[first[moment]]

    def fit(self, users: npt.NDArray[np.integer], visible: Ints, utility: Floats, n_items: int) -> None:
        """Learn the population's parameters, and forget what was learned of users.

        The utilities must come from a model that was not fitted on the events.

        Args:
            users, visible, utility: as for `learn`.
            n_items: items in the catalogue that the ranks are of.

        Raises:
            ConfigError: all lengths predict every event equally well.
        """
        informative = is_informative(utility)
        if not informative.any():
            raise ConfigError("there are no events to fit the changes on; give a longer calibration part")
        parts = list(occurrences(users))
        width = np.arange(_BINS) / _BINS * np.log1p(n_items)
        evidence = _Evidence(users, visible, _binned(utility), self._steps_of(visible), informative, parts, width)
        self._likelihood = evidence.distributions(self._possible(visible))
        for _ in range(_ROUNDS):
            _, self._likelihood = self._expect(evidence)
        best, _ = self._expect(evidence)
        for place, candidates in enumerate((_HAZARDS, _STRENGTHS, _RETURNS)):
            for candidate in candidates:
                former = self._parameters.copy()
                self._parameters[place] = candidate
                log_likelihood, _ = self._expect(evidence)
                if log_likelihood > best:
                    best = log_likelihood
                else:
                    self._parameters = former
        _, self._likelihood = self._expect(evidence)
        self.forget()

    def extend(self, n_users: int) -> None:
        """Make room for users who were not in the log; never shrinks."""
        self._users.extend(n_users)
        self._clear_cache()

    def forget(self) -> None:
        """Forget what was learned of users, and make that what `reset` returns to."""
        self._clear()
        self.commit()

    def commit(self) -> None:
        """Make what was learned so far what `reset` returns to."""
        self._users.commit()

    def reset(self) -> None:
        """Return to the last `commit`."""
        self._users.reset()
        self._clear_cache()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all that is learned, as arrays by name."""
        return self._users.copy() | {"parameters": self._parameters.copy(), "likelihood": self._likelihood.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `state` returned."""
        self._users.restore(state)
        self.restore_population(state)

    def restore_population(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `state` returned, except for what was learned of users."""
        self._parameters, self._likelihood = state["parameters"].copy(), state["likelihood"].copy()
        self._clear_cache()

    def user_state(self, user: int) -> bytes:
        """Return what was learned of a user; see `recsys.decay.base.IndependentUsers`."""
        return self._users.row(user)

    def restore_user(self, user: int, state: bytes) -> None:
        """Take back what `user_state` returned."""
        self._users.put_row(user, state)
        self._clear_cache()

    def reset_user(self, user: int) -> None:
        """Return a user to the last `commit`."""
        self._users.reset_row(user)
        self._clear_cache()

    def state_bytes(self) -> float:
        """Return the bytes of state per user."""
        return float(self._users.bytes_per_user)

    def _clear(self) -> None:
        self._users.clear()
        self._clear_cache()

    def _clear_cache(self) -> None:
        self._cached_for = (b"", b"")

    def _expect(self, evidence: _Evidence) -> tuple[float, Floats]:
        """Return the log-likelihood of all events, and the likelihood that the beliefs after them give."""
        self._clear()
        log_likelihood = self._likelihood[evidence.steps, evidence.bins]
        log_likelihood[~evidence.informative] = 0.0
        total = 0.0
        responsibility = np.zeros((len(evidence.users), len(self)), np.float32)
        for rows in evidence.occurrences:
            users = evidence.users[rows]
            _, part = self._learn(users, evidence.visible[rows], log_likelihood[rows])
            total += part
            responsibility[rows] = self._users["belief"][users]
        return total, evidence.distributions(responsibility)

    def _possible(self, visible: Ints) -> Floats:
        """Return which run lengths a history is long enough for, "events lengths", 1 or 0."""
        within = self.lengths < visible[:, None]
        return np.concatenate([within, np.ones((len(visible), 1))], axis=1).astype(np.float32)

    def _steps_of(self, visible: Ints) -> npt.NDArray[np.int8]:
        """Return which of `_STEPS` the events of each run length are, "events lengths"."""
        read = np.searchsorted(_STEPS, visible, side="right").astype(np.int8) - np.int8(1)
        return np.asarray(np.minimum(self._steps, read[:, None]))  # a run is no longer than the history

    def _before(self, users: npt.NDArray[np.integer], visible: Ints) -> tuple[Doubles, Doubles]:
        """Return P(l) and P(l) N_l just before the next event, "users lengths", which may begin another taste."""
        key = (users.tobytes(), visible.tobytes())
        if key != self._cached_for:  # weights, hypotheses and learning of one query need the same
            self._cached_for, self._cached = key, self._predicted(users, visible)
        return self._cached

    def _predicted(self, users: npt.NDArray[np.integer], visible: Ints) -> tuple[Doubles, Doubles]:
        hazard, strength, returns = self._parameters.tolist()
        mass = np.empty((2, len(users), len(self)))
        belief, changes = mass
        belief[:] = self._users["belief"][users]
        np.multiply(belief, self._users["changes"][users], out=changes)
        until = self._users["until"][users]
        since = np.where(until < 0, 0, visible - until)
        if (until < 0).any():
            new = until < 0
            belief[new] = self._without_state(visible[new])
            changes[new] = belief[new] * (hazard * visible[new])[:, None]
        if (since > 0).any():
            mass = self._grown(mass, since)
            belief, changes = mass
        # A run that is as long as the history is all of it.
        if len(visible) and int(visible.min()) <= self._longest:
            whole = self.lengths >= np.maximum(visible, 1)[:, None]
            mass[..., -1] += (mass[..., :-1] * whole).sum(-1)
            mass[..., :-1] *= ~whole
        expected = changes / np.maximum(belief, _TINY)
        expected += hazard * strength
        expected /= (strength + visible)[:, None]
        np.minimum(expected, _MOST_HAZARD, out=expected)
        lesson = np.clip(since, 1, LENGTHS[-1])
        if (lesson > 1).any():
            expected = 1.0 - (1.0 - expected) ** lesson[:, None]
        ended = mass * expected
        mass -= ended
        moved = ended.sum(-1)
        moved[1] += moved[0]  # the change itself is counted too
        mass[..., -1] += returns * moved
        mass += (1 - returns) * moved[..., None] * self._since_change[lesson - 1]
        return belief, changes

    def _learn(self, users: npt.NDArray[np.integer], visible: Ints, evidence: Floats) -> tuple[Doubles, float]:
        """Learn an event of each user from log q, "users lengths"; return the belief before and the log-likelihood."""
        before, changes = self._before(users, visible)
        most = evidence.max(1, keepdims=True)
        factor = np.exp((evidence - most).astype(np.float64))
        after = before * factor
        total = np.maximum(after.sum(1, keepdims=True), _TINY)
        after /= total
        expected = changes * factor / total / np.maximum(after, _TINY)
        self._clear_cache()
        self._users["changes"][users] = np.minimum(expected, _MOST_CHANGES)
        self._users["belief"][users] = after
        self._users["until"][users] = np.maximum(visible, self._users["until"][users])
        return before, float((np.log(total) + most).sum())

    def _without_state(self, visible: Ints) -> Doubles:
        """Return P(l) of users of whom nothing is learned, given the length of the history, "users lengths"."""
        stays = 1.0 - self.hazard * (1.0 - self.returns)
        until = stays ** self.lengths.astype(np.float64)
        mass = np.zeros((len(visible), len(self)))
        mass[:, 1:-1] = np.where(self.lengths[1:] < visible[:, None], until[:-1] - until[1:], 0.0)
        mass[:, -1] = 1.0 - mass.sum(1)
        return mass

    def _grown(self, mass: Doubles, events: Ints) -> Doubles:
        """Return where masses, "... users lengths", are after some events without a change, "users"."""
        steps = np.clip(events, 0, 2**_LARGEST_STEP - 1)
        for power in range(int(steps.max()).bit_length()):
            moved = (steps >> power & 1).astype(np.bool_)
            if moved.all():
                mass = mass @ self._powers[power]
            elif moved.any():
                mass[..., moved, :] = mass[..., moved, :] @ self._powers[power]
        return mass


@final
@dataclass(frozen=True, eq=False)
class _Evidence:
    """The events of a calibration.

    Attributes:
        users, visible, informative: "events".
        bins: "events lengths", of the ranks.
        steps: "events lengths", the place in `_STEPS`.
        occurrences: the first events of all users, the second ...
        log_width: "bins", logarithm of the number of ranks in each, up to a constant.
    """

    users: npt.NDArray[np.integer]
    visible: Ints
    bins: npt.NDArray[np.int8]
    steps: npt.NDArray[np.int8]
    informative: Mask
    occurrences: list[Ints]
    log_width: Doubles

    def distributions(self, responsibility: Floats) -> Floats:
        """Return log q, "steps bins", given the weight of each event for each length, "events lengths"."""
        places = self.steps[self.informative].astype(np.int64) * _BINS + self.bins[self.informative]
        mass = responsibility[self.informative].astype(np.float64)
        count = np.bincount(places.ravel(), mass.ravel(), len(_STEPS) * _BINS).reshape(len(_STEPS), _BINS)
        common = (count.sum(0) + 1) / (count.sum() + _BINS)
        share = (count + _PSEUDO_EVENTS * common) / (count.sum(1, keepdims=True) + _PSEUDO_EVENTS)
        return np.asarray(np.log(share) - self.log_width, np.float32)


def occurrences(users: npt.NDArray[np.integer]) -> Iterator[Ints]:
    """Yield the positions of the first event of each user, then those of the second ..."""
    if len(users) == 1:  # as events come while serving
        yield np.zeros(1, np.int64)
        return
    order = np.argsort(users, kind="stable")
    ordered = users[order]
    turn = np.empty(len(users), np.int64)
    turn[order] = np.arange(len(users)) - np.searchsorted(ordered, ordered)
    first = 0
    in_turns = np.argsort(turn, kind="stable")
    for count in np.bincount(turn).tolist():
        yield in_turns[first : first + count]
        first += count


def _powers(lengths: Ints) -> list[Doubles]:
    """Return what 1, 2, 4 ... events without a change do to a belief: "lengths lengths", rows sum to 1."""
    step = np.eye(len(lengths) + 1)
    # The longest run of the grid stays there: beyond it a window hardly differs from the next.
    for place, width in enumerate(np.diff(lengths).tolist()):
        step[place, place], step[place, place + 1] = 1 - 1 / width, 1 / width
    powers = [step]
    for _ in range(_LARGEST_STEP - 1):
        powers.append(powers[-1] @ powers[-1])
    return powers


def _since_change(lengths: Ints) -> Doubles:
    """Return P(l) after a change among the last 1, 2 ... events: "events lengths+1", the last is never reached."""
    place = np.searchsorted(lengths, np.arange(lengths[-1]), side="right") - 1
    reached = np.zeros((len(place), len(lengths) + 1))
    reached[np.arange(len(place)), place] = 1.0
    return np.asarray(np.cumsum(reached, axis=0) / np.arange(1, len(place) + 1)[:, None])


def _binned(utility: Floats) -> npt.NDArray[np.int8]:
    """Return the bin of each utility: the best ranks in bin 0; ranks of a bin differ by a constant factor."""
    return np.asarray(np.minimum((1.0 - utility) * _BINS, _BINS - 1), np.int8)


def is_informative(utility: Floats) -> Mask:
    """Return "events": whether hypotheses, "events hypotheses", differ in how well they predict."""
    return np.asarray((utility != utility[:, :1]).any(1))
