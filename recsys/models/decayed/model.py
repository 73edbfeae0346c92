"""Temporal decay around any fold-in model: the past is read with weights, the items stay as they were learned."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from jaxtyping import Float
from torch import Tensor

from recsys.checks import fraction, positive
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.ages import AgeClock
from recsys.decay.base import Forgetting, OnlineForgetting
from recsys.decay.fixed import GlobalHalfLife
from recsys.decay.temporal import HalfLives, TemporalDecay
from recsys.errors import CapabilityError, ConfigError
from recsys.models.base import ReadOut, Recommender, Validate
from recsys.models.calibration_set import calibration_events, newest_part, query_batches
from recsys.models.capabilities import FoldIn, PersonaRecommender, RoutesItems, as_fold_in
from recsys.models.decayed.cached_weights import CachedWeights
from recsys.models.decayed.persona_activity import PersonaPrior, PersonaWeighting, by_personas
from recsys.models.rank_utility import rank_utilities
from recsys.models.top_n import SparseScores
from recsys.training.session import Session
from recsys.types import DAY, HOUR, Floats, Mask

_LOG = logging.getLogger(__name__)
_PURPOSE = "decay of the user's past"
_ROUTED = "use LinearAMPCF or AMPCF"
_MODEL, _RULE = "model.", "decay."
"""Prefixes of the arrays of the wrapped model and of the rule."""


@final
@dataclass(frozen=True)
class PerUserDecay:
    """Settings of the half-lives that users have of their own; see `recsys.decay.temporal.TemporalDecay`.

    Attributes:
        calibration: share of the newest training events on which the population's prior and the users' beliefs are
            learned, in [0, 1); 0 learns nothing before `observe`.
        calibration_events: at most this many of them are judged, everybody's newest first.
        events: half-lives that a user can have, in the user's own events since.
        days: half-lives in days; only logs with times in seconds have them.
        learning_rate: how much one event tells.
        shrinkage: how many events the population's prior is worth.
        fading: what each event takes from the evidence of the earlier ones, from 0 to 1.
        sharpness: power of the utility; the larger, the more only the top of the list counts.
        changepoints: whether changes of taste are looked for, so that the past before them counts less.
        caution: by how much the evidence for forgetting has to exceed that for none.

    Raises:
        ConfigError: a value is out of range.
    """

    calibration: float = 0.1
    calibration_events: int = 50_000
    events: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
    days: tuple[float, ...] = (1.0, 4.0, 16.0, 64.0, 256.0)
    learning_rate: float = 10.0
    shrinkage: float = 100.0
    fading: float = 0.02
    sharpness: float = 6.0
    changepoints: bool = True
    caution: float = 6.0

    def __post_init__(self) -> None:
        fraction("per_user.calibration", self.calibration)
        positive("per_user.calibration_events", self.calibration_events)
        self.rule(0, "seconds")

    def rule(self, n_users: int, clock: str) -> TemporalDecay:
        """Return a rule that has learned nothing, for a log with this clock."""
        # A period has no known length and an order is no time: there only the clock of events can be read.
        time = tuple(days * DAY for days in self.days) if clock == "seconds" else ()
        half_lives = HalfLives(events=tuple(self.events), time=time)
        hour = HOUR if clock == "seconds" else 1.0
        learning = (self.learning_rate, self.shrinkage, self.fading, self.sharpness)
        return TemporalDecay(n_users, half_lives, *learning, hour, self.changepoints, self.caution)


@final
class Decayed(PersonaRecommender, FoldIn, SparseScores):
    """Any fold-in model, read with a past that fades: with one half-life for all, or with each user's own.

        s_u(t) = model(history of u, weights w_j(t))
        one half-life:  w_j(t) = floor + (1 - floor) 2^(-age_j(t) / half_life)
        each their own: w_j(t) = sum_h p_uh(t) 2^(-age_jh(t) / h) / Z_uh(t), as in `TemporalDecay`

    Only the read-out changes: the items are learned from undecayed data (Koren, *Collaborative Filtering with Temporal
    Dynamics*, KDD 2009, found decayed training instances worse). Weights that a query has already are multiplied by w.

    The beliefs p_uh are learned from the newest events of the training log, judged by a copy of the model that was
    fitted on the earlier ones alone: to items that were fitted on the very events, the far past looks predictive, and
    nobody would forget. After that `observe` goes on learning, event by event, without retraining. A user without
    events has the population's prior.

    Where the model routes items to personas (LinearAMPCF, AMPCF), these can have a say in the weights: through a prior
    that follows which of them are active, and through clocks of their own (see
    `recsys.models.decayed.persona_activity`).

    Args:
        model: the model to wrap. It stays as it is: `fit` fits copies.
        half_life: the same for everybody; None: each user's own, as `per_user` says.
        clock: what `half_life` is counted in: "events", the user's events since, or "time", in the unit of the log's.
        floor: with `half_life`, the weight that is never lost, from 0 to 1.
        per_user: without `half_life`, how each user's own is learned.
        per_persona: only later events of the same persona make an event older, so that a persona that sleeps does not
            fade.
        persona_prior: how much each persona counts now, whatever has faded.

    Raises:
        CapabilityError: the model cannot fold in, is itself decayed, or has no personas to follow.
        ConfigError: a value is out of range or would not be used; `clock` "time" and a log without (when fitting).
    """

    def __init__(
        self,
        model: Recommender,
        half_life: float | None = None,
        clock: AgeClock = "events",
        floor: float = 0.0,
        per_user: PerUserDecay = PerUserDecay(),
        per_persona: bool = False,
        persona_prior: PersonaPrior = PersonaPrior(),
    ) -> None:
        as_fold_in(model, _PURPOSE)
        if isinstance(model, Decayed):
            raise CapabilityError("Decayed cannot wrap Decayed: the past would fade twice; wrap the model in it")
        if half_life is None and (clock, floor) != ("events", 0.0):
            raise ConfigError("clock and floor belong to half_life, which is not given; give it, or leave them out")
        if half_life is not None and per_user != PerUserDecay():
            raise ConfigError(f"half_life is {half_life}, for everybody; leave it out, or leave per_user out")
        if half_life is not None and not np.isfinite(half_life):
            raise ConfigError(f"half_life is {half_life}: nothing would fade; use the model without decay")
        if (per_persona or persona_prior.acts) and not isinstance(model, RoutesItems):
            asked = "per_persona" if per_persona else "persona_prior"
            raise CapabilityError(f"{type(model).__name__} routes no items to personas, which {asked} needs; {_ROUTED}")
        if per_persona and clock == "time":
            raise ConfigError("per_persona counts events, and clock is 'time'; use clock 'events', or leave it out")
        self.model = model
        self.half_life = half_life
        self.clock: AgeClock = clock
        self.floor = floor
        self.per_user = per_user
        self.per_persona = per_persona
        self.persona_prior = persona_prior
        self._inner = model.unfitted()
        self._rule = self._new_rule(0, "seconds")
        self._forgetting: Forgetting = self._rule

    @property
    def folds_in(self) -> bool:
        return True

    @property
    def has_personas(self) -> bool:
        return isinstance(self._inner, PersonaRecommender) and self._inner.has_personas

    @property
    def scoring_model(self) -> Recommender:
        _ = self.fitted_on
        return self._inner

    @property
    def forgetting(self) -> Forgetting:
        """What gives the weights: the `rule`, as the personas read it where they have a say."""
        _ = self.fitted_on
        return self._forgetting

    @property
    def rule(self) -> GlobalHalfLife | TemporalDecay:
        """The fitted rule; a `TemporalDecay`, which can be asked for a user's `posterior`, unless all have one."""
        _ = self.fitted_on
        return self._rule

    def cached_weights(self, queries: Queries) -> CachedWeights | None:
        """Return a cache that reads one user's history as `read` does, at any moment until the user's next event.

        None where there is nothing to cache: several queries, a rule other than `TemporalDecay`, personas that take
        part in the weights, or a log without an order.
        """
        rule = self.rule
        if len(queries) != 1 or not isinstance(rule, TemporalDecay) or self.forgetting is not rule:
            return None
        return None if self.fitted_on.clock == "none" else CachedWeights.of(self._inner, rule, queries)

    def recent(self, queries: Queries) -> Mask:
        """Return which events are younger than their user's half-life, "events"; the others are long-term.

            recent_j  =  sum_{h < never} p_uh [age_jh <= h]  >=  1/2 sum_{h < never} p_uh

        With one half-life for everybody it is age_j <= half_life. Of a user's own, which is a belief over half-lives on
        two clocks, the event must be younger than it with at least even odds, given that the user forgets at all, and
        changes of taste must have left it at least half of its weight.
        """
        rule, reading = self.rule, self._reading(self._inner)
        if isinstance(rule, GlobalHalfLife):
            return reading.younger(queries, rule)
        belief = rule.belief_at(queries)[:, :-1].astype(np.float64)
        younger = reading.by_half_life(queries, rule, from_newest=False)[:-1] >= 0.5  # what 2^(-age / h) is at age h
        odds = (belief[queries.history.rows].T * younger).sum(0)
        present = rule.faded(queries, np.ones((1, len(odds)), np.float32))[0] >= 0.5
        return np.asarray(present & (odds >= 0.5 * belief.sum(1)[queries.history.rows]))

    def observe(self, queries: Queries, items: npt.NDArray[np.int32]) -> None:
        """Learn from the event that followed each query: the user's belief is updated, nothing is retrained.

        With one half-life for everybody there is nothing to learn. Unknown users and items teach nothing.

        Args:
            queries: what was visible just before each event, in the order of time; users may repeat.
            items: "queries", number of the item of the event.
        """
        rule = self.forgetting
        telling = np.flatnonzero((items != UNKNOWN) & (queries.users != UNKNOWN))
        if isinstance(rule, OnlineForgetting) and len(telling):
            asked = queries.take(telling)
            rule.observe(asked, rank_utilities(self._inner, asked, items[telling], rule.hypotheses(asked)))

    def extend(self, n_users: int) -> None:
        """Make room for users who were not in training: `observe` then learns from them too, as from all others.

        Args:
            n_users: user numbers below it can be asked and observed from now on.
        """
        if isinstance(self.rule, TemporalDecay):
            self.rule.extend(n_users)

    def contributions(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "events n"]:
        return as_fold_in(self._inner, _PURPOSE).contributions(self._weighted(queries), items)

    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        return self._with_personas().personas(self._weighted(queries))

    def item_vectors(self) -> Float[Tensor, "items dim"]:
        return self._with_personas().item_vectors()

    def attention(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "queries personas n"]:
        return self._with_personas().attention(self._weighted(queries), items)

    def _weighted(self, queries: Queries) -> Queries:
        """Return the queries with the weights that the wrapped model sees."""
        weights = self.forgetting.weights(queries)
        return queries.with_weights(weights if queries.weights is None else queries.weights * weights)

    def _read(self, queries: Queries) -> ReadOut:
        # Without an order no event is older than another.
        ordered = self.fitted_on.clock != "none"
        return ReadOut(self._inner, self._weighted(queries), self.recent(queries) if ordered else None)

    def _with_personas(self) -> PersonaRecommender:
        _ = self.fitted_on
        if isinstance(self._inner, PersonaRecommender) and self._inner.has_personas:
            return self._inner
        raise CapabilityError(f"{type(self._inner).__name__}, which Decayed wraps, has no personas; wrap AMPCF or MF")

    def _new_rule(self, n_users: int, clock: str) -> GlobalHalfLife | TemporalDecay:
        if self.half_life is None:
            return self.per_user.rule(n_users, clock)
        return GlobalHalfLife(self.half_life, self.clock, self.floor)

    def _by_personas(self, rule: GlobalHalfLife | TemporalDecay, model: Recommender) -> Forgetting:
        """Return the rule as the personas of a fitted model read it, where they have a say."""
        reading = self._reading(model)
        return by_personas(rule, reading) if reading.own_clock or reading.prior.acts else rule

    def _reading(self, model: Recommender) -> PersonaWeighting:
        said = self.per_persona or self.persona_prior.acts
        routing = (
            model.routing() if said and isinstance(model, RoutesItems) else np.ones((model.n_items, 1), np.float32)
        )
        return PersonaWeighting(routing, self.persona_prior, self.per_persona)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        if self.clock == "time" and not train.has_time:
            raise ConfigError(
                f"clock is 'time', and {train.name} has clock {train.clock!r}, on which no time passes; use clock "
                "'events'"
            )
        rule = self._new_rule(train.n_users, train.clock)
        calibrating = self._calibrate(rule, train, validate, session) if isinstance(rule, TemporalDecay) else 0
        self._inner = self.model.unfitted()
        effort = self._inner.fit(train, validate, session).effort
        assert effort is not None
        self._rule, self._forgetting = rule, self._by_personas(rule, self._inner)
        return effort.epochs, calibrating + effort.examples

    def _calibrate(self, rule: TemporalDecay, train: Interactions, validate: Validate | None, session: Session) -> int:
        """Learn prior and beliefs from the newest events, and return the examples presented to the judging model."""
        late = newest_part(train, self.per_user.calibration)
        # Without an order nothing is older than anything; and a judge needs something to learn from.
        if train.clock == "none" or not late.any() or late.all():
            _LOG.info("no events of %s to learn half-lives from: every user has the uniform prior", train.name)
            return 0
        folder = None if session.directory is None else session.directory / "calibration"
        # Validation decides at most when the judge's training stops; the lessons stay unseen by its items.
        judge = self.model.unfitted().fit(train.select(~late), validate, replace(session, directory=folder))
        events = calibration_events(judge, train, late, self.per_user.calibration_events)
        if len(events):
            _LOG.info("learning the half-lives of users from %d events of %s", len(events), train.name)
            self._teach(rule, judge, train, events)
        assert judge.effort is not None
        return judge.effort.examples

    def _teach(
        self, rule: TemporalDecay, judge: Recommender, train: Interactions, events: npt.NDArray[np.int64]
    ) -> None:
        """Learn from events of a log, in the order of its users' histories: first when tastes changed, then half-lives.

        What is believed of changes at each event does not depend on half-lives, so both are judged in large batches.
        """
        users, items, changes = train.user_num[events], train.item_num[events], rule.changepoints
        reading = self._reading(judge)
        believed: Floats | None = None
        if changes is not None:
            parts, visible = [], []
            for part, queries in query_batches(train, events):
                windows = reading.with_prior(queries, changes.windows(queries))
                parts.append(rank_utilities(judge, queries, items[part], windows))
                visible.append(queries.history.lengths)
            told, seen = np.concatenate(parts), np.concatenate(visible)
            changes.fit(users, seen, told, int((judge.fitted_on.item_counts > 0).sum()))
            believed = changes.learn(users, seen, told)
        parts, situation = [], []
        for part, queries in query_batches(train, events):
            faded = reading.by_half_life(queries, rule)
            if changes is not None and believed is not None:
                faded = faded * changes.kept(queries, believed[part])
            parts.append(rank_utilities(judge, queries, items[part], reading.with_prior(queries, faded)))
            situation.append(rule.situation(queries))
        judged, situations = np.concatenate(parts), np.concatenate(situation)
        rule.fit_prior(situations, judged)
        rule.learn(users, situations, judged)
        rule.settle()

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return self._inner.score(self._weighted(queries))

    def is_sparse(self, queries: Queries) -> bool:
        return isinstance(self._inner, SparseScores) and self._inner.is_sparse(queries)

    def sparse_scores(self, queries: Queries) -> sp.csr_matrix:
        assert isinstance(self._inner, SparseScores)
        return self._inner.sparse_scores(self._weighted(queries))

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = {_MODEL + name: value for name, value in self._inner.arrays().items()}
        if isinstance(self._rule, TemporalDecay):
            arrays |= {_RULE + name: value for name, value in self._rule.state().items()}
        return arrays

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        fitted = self.fitted_on
        inner, state = (
            {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
            for prefix in (_MODEL, _RULE)
        )
        self._inner = self.model.unfitted().restore(fitted, inner)
        rule = self._new_rule(len(fitted.users), fitted.clock)
        if isinstance(rule, TemporalDecay):
            rule.restore(state)
            rule.settle()
        self._rule, self._forgetting = rule, self._by_personas(rule, self._inner)
