"""Half-lives per user that are learned by gradient: Koren's beta_u, and its extension by features and a floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import expit, log_softmax

from recsys.checks import choice, positive
from recsys.data.queries import Queries, Ragged
from recsys.decay.ages import FEATURES, AgeClock, ages, check_clock, history_features
from recsys.decay.base import Calibration, ForgettingRule, HalfLifeBelief, certain_half_life
from recsys.decay.fixed import half_life_weights
from recsys.errors import ConfigError, NotFittedError
from recsys.types import DAY, Doubles, Floats, Mask

FloorKind = Literal["none", "shared", "user"]
"""The floor of the weights: none, the same for everybody, or one of each user's own."""

Parameters = dict[str, Doubles]
Batch = tuple[Queries, npt.NDArray[np.floating]]
"""Past queries, and the contributions of their events to candidates; see `GradientHalfLife.fit`."""

MOST_EVENTS = 300_000
"""History events that are learned from, at most: 80 MB of contributions."""
_LN2 = float(np.log(2.0))
_START_FLOOR = -2.0  # log-odds: a floor of .12, from which the gradient reaches both ends
_MOST_STANDARD = 3.0  # features beyond are clipped to this many deviations


@final
class GradientHalfLife(ForgettingRule):
    """Half-lives per user, learned from the users' own past events by gradient descent.

        w_j        = rho_u + (1 - rho_u) 2^(-age_j / h_u)
        log h_u    = mu + b . features_u + d_u,   d_u ~ Normal(0, spread^2)
        logit rho_u = r + e_u,                    e_u ~ Normal(0, floor_spread^2)

    Maximum a posteriori of mu, b, d, r, e and a temperature T under the softmax ranking loss of the next item (0)
    against sampled negatives c, with s_c = T sum_j w_j C_jc / sum_j w_j. Dividing by the sum of the weights changes no
    ranking and keeps the scores of short and long half-lives on one scale: with one temperature for plain sums the
    loss would compare scales, not timescales. Few events: d_u stays near 0, the user near the population. An
    unseen user has d_u = e_u = 0, and their own features.

    `koren` is the special case without features and floor: w_j = exp(-beta_u age_j), beta_u = ln 2 / h_u, of Koren,
    *Collaborative Filtering with Temporal Dynamics* (KDD 2009), section 5. He learned beta_u together with the items
    and for squared error of ratings; here the items are given, and the loss is that of ranking. A Normal on log h_u is
    the same Normal on log beta_u, mirrored.

    The contributions must come from a model that was not fitted on the events in question, or the past looks more
    predictable from the far past than the future will be.

    Args:
        clock: what ages are counted in; see `recsys.decay.ages`.
        features: whether the half-life depends on statistics of the history (b above).
        floor: "none" rho = 0; "shared" one for everybody (e = 0); "user" one for each.
        spread: standard deviation of log h_u around the population; the smaller, the more shrinkage.
        floor_spread: the same of the log-odds of the floor.
        epochs: passes over the batches.
        learning_rate: of Adam (Kingma and Ba 2015); it falls to 0 along a cosine.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        clock: AgeClock = "events",
        features: bool = True,
        floor: FloorKind = "shared",
        spread: float = 1.0,
        floor_spread: float = 1.0,
        epochs: int = 100,
        learning_rate: float = 0.1,
    ) -> None:
        choice("clock", clock, AgeClock)
        choice("floor", floor, FloorKind)
        positive("spread", spread)
        positive("floor_spread", floor_spread)
        positive("epochs", epochs)
        positive("learning_rate", learning_rate)
        self.clock: AgeClock = clock
        self.features = features
        self.floor: FloorKind = floor
        self.spread = spread
        self.floor_spread = floor_spread
        self.epochs = epochs
        self.learning_rate = learning_rate
        self._day: float = DAY
        self._parameters: Parameters | None = None
        self._centre = np.zeros(len(FEATURES))
        self._scale = np.ones(len(FEATURES))
        self._losses: tuple[float, ...] = ()

    @classmethod
    def koren(
        cls, clock: AgeClock = "events", spread: float = 1.0, epochs: int = 100, learning_rate: float = 0.1
    ) -> Self:
        """Return Koren's rule: beta_u alone, no features, no floor."""
        return cls(clock, features=False, floor="none", spread=spread, epochs=epochs, learning_rate=learning_rate)

    def for_log(self, n_users: int, clock: str) -> Self:
        check_clock(self.clock, clock)
        rule = self.unlearned()
        rule._day = DAY if clock == "seconds" else 1.0
        return rule

    @property
    def learns(self) -> bool:
        return True

    @property
    def counts_events(self) -> bool:
        return self.clock == "events"

    def calibrate(self, calibration: Calibration | None) -> None:
        self.fit([] if calibration is None else calibration.contributions(MOST_EVENTS))

    def fit(self, batches: Sequence[Batch]) -> Self:
        """Learn from past queries whose next event is known, forgetting anything learned before; deterministic.

        Args:
            batches: one step of Adam each in every epoch. The queries show what was visible just before each event;
                unknown users (-1) count for the population only. The contributions, "events candidates", are what each
                history event would add to a candidate's score at weight 1: candidate 0 is the item that followed, the
                others are sampled negatives of the query.

        Raises:
            ConfigError: there is no history event to learn from.
            ValueError: contributions do not fit their queries.
        """
        for queries, contribution in batches:
            if contribution.ndim != 2 or len(contribution) != len(queries.history.items):
                raise ValueError("contributions must have one row per history event")
            if contribution.shape[1] < 2:
                raise ValueError("contributions need at least two columns: the true next item and a negative")
        if not sum(len(queries.history.items) for queries, _ in batches):
            raise ConfigError("there are no history events to learn half-lives from; give queries with a past")
        features = [history_features(queries, self._day) for queries, _ in batches]
        every = np.concatenate(features)
        self._centre, deviation = every.mean(0), every.std(0)
        self._scale = np.where(deviation > 1e-9, deviation, 1.0)
        users = np.concatenate([queries.users for queries, _ in batches])
        n_users = int(users.max(initial=-1)) + 1
        # The last place stands for unseen users.
        counts = np.bincount(_places(users, n_users), minlength=n_users + 1)
        parts = [
            self._part(batch, self._standard(raw), n_users, counts)
            for batch, raw in zip(batches, features, strict=True)
        ]
        parameters = self._start(parts, n_users)
        self._parameters = parameters
        adam = _Adam(parameters, self.learning_rate, self.epochs * len(parts))
        losses = []
        for _ in range(self.epochs):
            total = 0.0
            for part in parts:
                loss, gradient = part.loss_and_gradient(parameters)
                for name in self._frozen:
                    gradient[name][:] = 0.0
                adam.step(gradient)
                total += loss
            losses.append(total)
        self._losses = tuple(losses)
        return self

    @property
    def losses(self) -> tuple[float, ...]:
        """ "epochs", the loss with its priors, summed over the queries, each batch before its step."""
        return self._losses

    @property
    def parameters(self) -> Mapping[str, Doubles]:
        """What was learned: mu, b, d, r, e and log_temperature; d and e have one place more, for unseen users.

        Raises:
            NotFittedError: before `fit`.
        """
        if self._parameters is None:
            raise NotFittedError("GradientHalfLife is not fitted; call fit(batches) with past queries first")
        return self._parameters

    def describe(self, queries: Queries) -> list[HalfLifeBelief]:
        learned = zip(self.half_lives(queries).tolist(), self.floors(queries).tolist(), strict=True)
        return [certain_half_life("own", self.clock, half_life, floor) for half_life, floor in learned]

    def half_lives(self, queries: Queries) -> Doubles:
        """Return h_u, "queries", in the unit of the clock; Koren's beta_u is ln 2 / h_u."""
        learned = self.parameters
        logarithm = learned["mu"] + learned["d"][_places(queries.users, len(learned["d"]) - 1)]
        if self.features:
            logarithm = logarithm + self._standard(history_features(queries, self._day)) @ learned["b"]
        return np.asarray(np.exp(logarithm))

    def floors(self, queries: Queries) -> Doubles:
        """Return rho_u, "queries"."""
        learned = self.parameters
        if self.floor == "none":
            return np.zeros(len(queries))
        return np.asarray(expit(learned["r"] + learned["e"][_places(queries.users, len(learned["e"]) - 1)]))

    def weights(self, queries: Queries, event_age: Doubles | None = None) -> Floats:
        rows, age = queries.history.rows, ages(queries, self.clock, event_age)
        return half_life_weights(age, self.half_lives(queries)[rows], self.floors(queries)[rows])

    def recent(self, queries: Queries, event_age: Doubles | None = None) -> Mask:
        return np.asarray(ages(queries, self.clock, event_age) <= self.half_lives(queries)[queries.history.rows])

    def state(self) -> dict[str, npt.NDArray[Any]]:
        population = {"centre": self._centre.copy(), "scale": self._scale.copy()}
        return population | {name: value.copy() for name, value in self.parameters.items()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        learned = {name: value.copy() for name, value in state.items()}
        self._centre, self._scale = learned.pop("centre"), learned.pop("scale")
        self._parameters = learned

    def _part(self, batch: Batch, features: Doubles, n_users: int, counts: npt.NDArray[np.int64]) -> _Part:
        """Prepare a batch; `counts`, "users + 1", are the queries of each user in all batches."""
        queries, contribution = batch
        place = _places(queries.users, n_users)
        own = np.bincount(place, minlength=n_users + 1) / np.maximum(counts, 1)
        of_all = len(queries) / max(int(np.sum(counts)), 1)
        prior = {"b": 1.0, "d": self.spread, "e": self.floor_spread}
        return _Part(queries.history, ages(queries, self.clock), contribution, features, place, own, of_all, prior)

    @property
    def _frozen(self) -> tuple[str, ...]:
        """The parameters that the settings leave out."""
        floors = {"none": ("r", "e"), "shared": ("e",), "user": ()}[self.floor]
        return floors if self.features else (*floors, "b")

    def _standard(self, features: npt.NDArray[np.floating]) -> Doubles:
        return np.clip((features - self._centre) / self._scale, -_MOST_STANDARD, _MOST_STANDARD)

    def _start(self, parts: Sequence[_Part], n_users: int) -> Parameters:
        """Start at the median age, and at the temperature that gives the scores a deviation of 1."""
        seen = np.concatenate([part.ages[part.ages > 0] for part in parts])
        parameters = {
            "mu": np.full(1, np.log(np.median(seen)) if len(seen) else 0.0),
            "b": np.zeros(len(FEATURES)),
            "d": np.zeros(n_users + 1),
            "r": np.full(1, -np.inf if self.floor == "none" else _START_FLOOR),
            "e": np.zeros(n_users + 1),
            "log_temperature": np.zeros(1),
        }
        spreads = np.concatenate([part.means(parameters).var(axis=1) for part in parts])
        deviation = float(np.sqrt(spreads.mean()))
        if deviation > 0:
            parameters["log_temperature"][:] = -np.log(deviation)
        return parameters


def _places(users: npt.NDArray[np.integer], n_users: int) -> npt.NDArray[np.int64]:
    """Return the place of each user among the parameters; unseen users have the last."""
    return np.where((users < 0) | (users >= n_users), n_users, users).astype(np.int64)


@final
@dataclass(frozen=True, eq=False)
class _Part:
    """A prepared batch: its loss and gradient.

    Attributes:
        history: of its queries.
        ages: "events".
        contribution: "events candidates".
        features: "queries features", standardised.
        place: "queries", the user's place among the parameters.
        of_user: "users + 1", this batch's share of all queries of the user: its share of the prior.
        of_all: this batch's share of all queries.
        prior: standard deviation of the Normal around 0, by parameter.
    """

    history: Ragged
    ages: Doubles
    contribution: npt.NDArray[np.floating]
    features: Doubles
    place: npt.NDArray[np.int64]
    of_user: Doubles
    of_all: float
    prior: Mapping[str, float]

    def means(self, at: Parameters) -> Doubles:
        """Return sum_j w_j C_jc / sum_j w_j, "queries candidates"."""
        return self._pooled(self._weights(at)[0])[0]

    def loss_and_gradient(self, at: Parameters) -> tuple[float, Parameters]:
        """Return the negative log posterior of the batch, and its gradient by parameter."""
        rows = self.history.rows
        weights, decayed, exponent, floors = self._weights(at)
        means, inverse = self._pooled(weights)
        temperature = float(np.exp(at["log_temperature"][0]))
        log_chance = log_softmax(temperature * means, axis=1)
        by_score = np.exp(log_chance)
        by_score[:, 0] -= 1.0
        by_mean = temperature * by_score
        # d mean_c / d w_j = (C_jc - mean_c) / sum of weights
        per_weight = by_mean * inverse[:, None]
        by_weight = np.einsum("ec,ec->e", self.contribution, per_weight[rows])
        by_weight -= (per_weight * means).sum(1)[rows]
        floor = floors[rows]
        by_log_half_life = self.history.sum(by_weight * (1.0 - floor) * decayed * exponent)
        by_logit_floor = self.history.sum(by_weight * (1.0 - decayed)) * floors * (1.0 - floors)
        size = len(self.of_user)
        gradient = {
            "mu": by_log_half_life.sum(keepdims=True),
            "b": self.features.T @ by_log_half_life,
            "d": np.bincount(self.place, by_log_half_life, size),
            "r": by_logit_floor.sum(keepdims=True),
            "e": np.bincount(self.place, by_logit_floor, size),
            "log_temperature": np.sum(by_mean * means, keepdims=True).ravel(),
        }
        loss = -float(log_chance[:, 0].sum())
        for name, deviation in self.prior.items():
            portion = self.of_all if name == "b" else self.of_user
            gradient[name] += portion * at[name] / deviation**2
            loss += float(np.sum(portion * at[name] ** 2)) / (2.0 * deviation**2)
        for name in ("d", "e"):
            gradient[name][-1] = 0.0  # unseen users are the population
        return loss, gradient

    def _weights(self, at: Parameters) -> tuple[Doubles, Doubles, Doubles, Doubles]:
        """Return w, 2^(-age/h), its exponent age ln 2 / h ("events" each), and rho ("queries")."""
        half_life = np.exp(at["mu"] + self.features @ at["b"] + at["d"][self.place])
        floors = expit(at["r"] + at["e"][self.place])
        exponent = self.ages * _LN2 / half_life[self.history.rows]
        decayed = np.exp(-exponent)
        floor = floors[self.history.rows]
        return floor + (1.0 - floor) * decayed, decayed, exponent, floors

    def _pooled(self, weights: Doubles) -> tuple[Doubles, Doubles]:
        """Return the weighted means of the contributions, and 1 / the sum of the weights (0 where all weights are)."""
        total = self.history.sum(weights)
        inverse = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
        shape = (len(self.history), len(self.history.items))
        pooling = sp.csr_matrix((weights, np.arange(len(self.history.items)), self.history.indptr), shape=shape)
        return np.asarray(pooling @ self.contribution) * inverse[:, None], inverse


@final
class _Adam:
    """Adam (Kingma and Ba 2015), its rate falling to 0 along a cosine (Loshchilov and Hutter 2017)."""

    def __init__(self, parameters: Parameters, learning_rate: float, steps: int) -> None:
        self._parameters = parameters
        self._rate = learning_rate
        self._steps = steps
        self._done = 0
        self._first = {name: np.zeros_like(value) for name, value in parameters.items()}
        self._second = {name: np.zeros_like(value) for name, value in parameters.items()}

    def step(self, gradient: Parameters) -> None:
        """Move the parameters, in place."""
        rate = self._rate * 0.5 * (1.0 + np.cos(np.pi * self._done / self._steps))
        self._done += 1
        for name, value in self._parameters.items():
            first, second, slope = self._first[name], self._second[name], gradient[name]
            first += 0.1 * (slope - first)
            second += 0.001 * (slope**2 - second)
            unbiased = first / (1.0 - 0.9**self._done)
            scale = np.sqrt(second / (1.0 - 0.999**self._done)) + 1e-8
            np.subtract(value, rate * unbiased / scale, out=value)
