"""The contracts of forgetting: weights for the events of a history, and rules that are trained, saved and served."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, final

import numpy as np
import numpy.typing as npt

from recsys.checks import arguments_of
from recsys.data.queries import Queries
from recsys.decay.ages import AgeClock, check_clock
from recsys.types import Doubles, Floats, Ints, Mask


class Forgetting(ABC):
    """How much each past event still counts at the moment of a query.

    Forgetting changes `Queries.weights` alone, from which a fold-in model makes the user's state. The items are learned
    from undecayed data (Koren, KDD 2009: decayed training instances were worse).
    """

    @abstractmethod
    def weights(self, queries: Queries) -> Floats:
        """Return the weight of every event of the histories, "events" in [0, 1].

        It does not grow with age, except where a rule treats visits apart (`TemporalDecay`).
        """


class OnlineForgetting(Forgetting):
    """Forgetting with a state per user (or one for all) that learns from every event as it happens.

    It is independent of the model, of which it sees only how well the event would have been ranked under each of its
    `hypotheses`: their rank utilities.
    """

    @property
    def observes(self) -> bool:
        """Whether `observe` has an effect."""
        return True

    @abstractmethod
    def hypotheses(self, queries: Queries) -> Floats:
        """Return alternative event weights, "hypotheses events", each row as `weights` returns."""

    @abstractmethod
    def observe(self, queries: Queries, utility: Floats) -> None:
        """Learn from the event that followed each query; queries come in the order of time, users may repeat.

        Args:
            queries: what was visible just before each event; unknown users (-1) are skipped.
            utility: "queries hypotheses" in [0, 1], how well each hypothesis predicted the event; 1 is perfect.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget what was observed of all users, and return to the state after calibration."""

    @abstractmethod
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all that `observe` changes, as plain arrays by name, for checkpoints."""

    @abstractmethod
    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `state` returned, on a rule with the same arguments for the same log."""

    @abstractmethod
    def state_bytes(self) -> float:
        """Return the bytes of state per user."""


def learning(forgetting: Forgetting | None) -> OnlineForgetting | None:
    """Return the forgetting if it learns from every event as it happens, else None."""
    return forgetting if isinstance(forgetting, OnlineForgetting) and forgetting.observes else None


class Calibration(ABC):
    """Events that a rule learns from before the first query, evaluated by a model that was not fitted on them.

    The events of each user are in the order of time.
    """

    @property
    @abstractmethod
    def users(self) -> npt.NDArray[Any]:
        """ "events", known user numbers."""

    @property
    @abstractmethod
    def visible(self) -> Ints:
        """ "events", length of the history that was visible before each."""

    @property
    @abstractmethod
    def n_items(self) -> int:
        """Number of items that the events are ranked among."""

    @abstractmethod
    def batches(self) -> Iterator[Queries]:
        """Yield the queries just before the events, in their order."""

    @abstractmethod
    def utilities(self, hypotheses: Callable[[Queries, Ints, Doubles | None], Floats]) -> Floats:
        """Return "events hypotheses": the rank utility of each event under each hypothesis.

        Args:
            hypotheses: of the queries of some events, the numbers of these events, and their `event_age` (see
                `ForgettingRule.weights`): event weights, "hypotheses events of the histories".
        """

    @abstractmethod
    def contributions(self, most: int) -> list[tuple[Queries, Floats]]:
        """Return batches of queries with "events of the histories, candidates": what each adds to candidates' scores.

        Candidate 0 is the event that followed, the others are sampled negatives.

        Args:
            most: history events in all, at most; beyond, queries are left out evenly over time.
        """

    @abstractmethod
    def replay(self, rule: OnlineForgetting, chunk: int) -> None:
        """Let a rule observe the events in the order of time.

        Args:
            rule: observes.
            chunk: events, about, after which a state that all users share is brought up to date.
        """


@final
@dataclass(frozen=True)
class Quantiles:
    """A distribution of a length of time; infinity is "never".

    Attributes:
        median: of the distribution.
        low: the 10% quantile.
        high: the 90% quantile.
        probability: that the distribution applies at all; for a half-life, that of its clock.
    """

    median: float
    low: float
    high: float
    probability: float


HalfLifeKind = Literal["own", "shared", "window", "measured"]
"""Learned of the user; the same for everybody; the length of a window, the same for everybody; or, of
a rule without any of these, how many of the newest events weigh at least half of the largest weight."""


@final
@dataclass(frozen=True)
class HalfLifeBelief:
    """What a rule believes about one user's half-life at the moment of a query, as its weights use it.

    Attributes:
        kind: what the half-life is.
        clocks: the half-life by clock, given that the clock acts or nothing decays, in the unit of the clock.
        never: the floor, what an event never loses; of a belief its expectation.
        learned_from: number of the user's events it was learned from, 0 for one that is shared; None for a half-life
            without uncertainty.
        lasted: how many of the newest events the user's present taste has lasted; infinite: all. Its probability is
            that of a change. None where changes are not looked for.
    """

    kind: HalfLifeKind
    clocks: dict[AgeClock, Quantiles]
    never: float
    learned_from: int | None = None
    lasted: Quantiles | None = None


def certain_half_life(kind: HalfLifeKind, clock: AgeClock, value: float, floor: float) -> HalfLifeBelief:
    """Return a half-life without uncertainty."""
    return HalfLifeBelief(kind, {clock: Quantiles(value, value, value, 1.0)}, floor)


def weigh_half(queries: Queries, weights: Floats) -> Mask:
    """Return which events have at least half of the largest weight of their history, "events"."""
    rows, largest = queries.history.rows, np.zeros(len(queries), np.float32)
    np.maximum.at(largest, rows, weights)
    return np.asarray(weights >= 0.5 * largest[rows])


def measured_half_lives(queries: Queries, weights: Floats) -> list[HalfLifeBelief]:
    """Return how many of each user's events have at least half of the largest weight; never, for all of them.

    The half-life of a rule that has no parameter of that kind.
    """
    count = queries.history.sum(weigh_half(queries, weights))
    values = np.where(count < queries.history.lengths, count, np.inf).tolist()
    return [certain_half_life("measured", "events", value, float(np.isinf(value))) for value in values]


class ForgettingRule(Forgetting):
    """A rule of forgetting that `recsys.models.Decayed` trains, saves and serves.

    The constructor takes settings alone, and stores each in an attribute of the same name. `for_log` returns a rule for
    a log, `calibrate` fits it, `state` and `restore` save and load it. A rule that goes on learning while it is served
    derives from `OnlineRule`, one that never learns from `FixedRule`.
    """

    @abstractmethod
    def for_log(self, n_users: int, clock: str) -> Self:
        """Return a rule with these settings, which has learned nothing, for a log.

        Args:
            n_users: users of the log.
            clock: of the log, see `recsys.data.interactions.Interactions`.

        Raises:
            ConfigError: the settings need another clock.
        """

    @property
    @abstractmethod
    def learns(self) -> bool:
        """Whether `calibrate` has an effect."""

    @property
    @abstractmethod
    def counts_events(self) -> bool:
        """Whether `event_age` has an effect on the weights."""

    @abstractmethod
    def calibrate(self, calibration: Calibration | None) -> None:
        """Learn from calibration events, forgetting anything learned before; None where there are no such events.

        Raises:
            ConfigError: the rule is useless without events.
        """

    @abstractmethod
    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        """Return the weight of every event, "events" in [0, 1]; see `Forgetting.weights`.

        Args:
            queries: the histories.
            event_age: "events", takes the place of the number of later events on the clock of events.
        """

    @abstractmethod
    def recent(self, queries: Queries, event_age: Doubles | None = None) -> Mask | None:
        """Return which events are younger than their user's half-life, "events"; None where nothing decays."""

    @abstractmethod
    def describe(self, queries: Queries) -> list[HalfLifeBelief] | None:
        """Return the belief about the half-life of the user of each query; None where nothing decays."""

    @abstractmethod
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything learned, as copies of plain arrays by name."""

    @abstractmethod
    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `state` returned, on a rule with the same settings for the same log."""

    @final
    def unlearned(self) -> Self:
        """Return a new rule with the same settings."""
        return type(self)(**arguments_of(self))


class FixedRule(ForgettingRule):
    """A rule without anything to learn."""

    clock: AgeClock | None
    """What ages are counted in; None for a rule that counts none."""

    @final
    def for_log(self, n_users: int, clock: str) -> Self:
        check_clock(self.clock, clock)
        return self

    @property
    @final
    def counts_events(self) -> bool:
        return self.clock == "events"

    @property
    @final
    def learns(self) -> bool:
        return False

    @final
    def calibrate(self, calibration: Calibration | None) -> None:
        pass

    @final
    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {}

    @final
    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        pass


@final
class WeightsOnly(FixedRule):
    """Any forgetting that gives weights and learns nothing, as a rule.

    Args:
        forgetting: gives the weights.
    """

    clock: AgeClock | None = None

    def __init__(self, forgetting: Forgetting) -> None:
        self.forgetting = forgetting

    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        return self.forgetting.weights(queries)

    def recent(self, queries: Queries, event_age: Doubles | None = None) -> Mask:
        """Return which events have at least half of the largest weight of their history."""
        return weigh_half(queries, self.weights(queries))

    def describe(self, queries: Queries) -> list[HalfLifeBelief]:
        return measured_half_lives(queries, self.weights(queries))


class OnlineRule(ForgettingRule, OnlineForgetting):
    """A rule that goes on learning from every event while it is served."""

    @abstractmethod
    def hypotheses(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        """Return alternative event weights, "hypotheses events"; `event_age` as for `weights`."""

    @abstractmethod
    def commit(self) -> None:
        """Make what was learned so far what `reset` returns to."""

    @abstractmethod
    def extend(self, n_users: int) -> None:
        """Make room for users who were not in the log, up to the number `n_users` - 1; never shrinks."""


class IndependentUsers(ABC):
    """A rule that learns from each user's events alone, so that what it learned of one user can be saved by itself."""

    @abstractmethod
    def user_state(self, user: int) -> bytes:
        """Return what was learned of a user, from which `restore_user` restores it bit for bit."""

    @abstractmethod
    def restore_user(self, user: int, state: bytes) -> None:
        """Take back what `user_state` returned, of a rule that learned the same of the population.

        Raises:
            ValueError: it is of a rule with other settings.
        """

    @abstractmethod
    def reset_user(self, user: int) -> None:
        """Forget what was observed of a user, and return to the state after calibration."""
