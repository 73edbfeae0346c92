"""Temporal decay around any fold-in model: the history is read with weights, the items stay as they were learned."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.checks import fraction, positive
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.sessions import default_ask, occasions
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.base import Forgetting, ForgettingRule, OnlineForgetting, OnlineRule, WeightsOnly, learning
from recsys.decay.fixed import GlobalHalfLife
from recsys.decay.population import PopulationDecay
from recsys.decay.temporal import TemporalDecay
from recsys.errors import CapabilityError, ConfigError
from recsys.models.base import ReadOut, Recommender, Validate
from recsys.models.calibration_set import CalibrationSet, calibration_events, newest_part
from recsys.models.capabilities import RoutesItems, as_fold_in, refuse_own_slate
from recsys.models.decayed.cached_weights import CachedWeights
from recsys.models.decayed.persona_activity import PersonaPrior, PersonaWeighting, by_personas
from recsys.models.memories.remembering import Remembering
from recsys.models.rank_utility import rank_utilities
from recsys.models.wrapping import Wrapper, fitted, part_of, prefixed
from recsys.training.session import Session
from recsys.types import Items

_LOG = logging.getLogger(__name__)
_PURPOSE = "decay of the user's past"
_ROUTED = "use PersonaEASE or AMPCF"
_DEFAULT = TemporalDecay(own="earned")
_MODEL, _RULE = "model.", "decay."
"""Prefixes of the arrays of the wrapped model and of the rule."""


@final
class Decayed(Wrapper):
    """Any fold-in model, read with a history whose weights a rule of forgetting gives.

        s_u(t) = model(history of u, weights w_j(t))        w_j(t): see the rule, `recsys.decay`

    Only the read-out changes: the items are learned from undecayed data (Koren, *Collaborative Filtering with Temporal
    Dynamics*, KDD 2009, found decayed training instances worse). Weights that a query has already are multiplied by w.

    A rule that learns does so from the newest sessions of the training log, evaluated by a copy of the model that was
    fitted on the earlier ones alone: to items that were fitted on the very events, the far past looks predictive, and
    nothing would decay. A rule that learns online goes on with `observe`, session by session, without retraining.

    Where the model routes items to personas (PersonaEASE, AMPCF), these can take part in the weights: through a prior
    that follows which of them are active, and through clocks of their own (see
    `recsys.models.decayed.persona_activity`).

    Args:
        model: the model to wrap. It stays as it is: `fit` fits copies.
        rule: the rule of forgetting, or anything else that gives weights and learns nothing. It stays as it is, too. By
            default half-lives of everybody, and of each user's own where those find more.
        calibration: share of the newest training events that the rule learns from, in [0, 1); 0: none before `observe`.
        calibration_events: at most this many of them, each user's newest first.
        per_persona: only later events of the same persona make an event older, so that an inactive persona does not
            decay.
        persona_prior: how much each persona counts now, whatever has decayed.

    Raises:
        CapabilityError: the model cannot fold in, is itself decayed, or has no personas to follow.
        ConfigError: a value is out of range or would not be used; the rule does not fit the log (when fitting).
    """

    def __init__(
        self,
        model: Recommender,
        rule: Forgetting = _DEFAULT,
        calibration: float = 0.1,
        calibration_events: int = 50_000,
        per_persona: bool = False,
        persona_prior: PersonaPrior = PersonaPrior(),
    ) -> None:
        as_fold_in(model, _PURPOSE)
        if not isinstance(rule, Forgetting):
            raise ConfigError(f"rule is {rule!r}; it must be a rule of forgetting, as GlobalHalfLife(5)")
        fraction("calibration", calibration)
        positive("calibration_events", calibration_events)
        if isinstance(model, Decayed):
            raise CapabilityError("Decayed cannot wrap Decayed: the past would decay twice; wrap the model in it")
        refuse_own_slate(model, "Decayed")
        if isinstance(model, Remembering):
            raise CapabilityError(
                "Decayed cannot wrap Remembering: a memory keeps no times; put it within: Remembering(Decayed(model, "
                "rule), memory)"
            )
        if isinstance(rule, GlobalHalfLife) and not np.isfinite(rule.half_life):
            raise ConfigError(f"half_life is {rule.half_life}: nothing would decay; use the model without decay")
        if (per_persona or persona_prior.acts) and not isinstance(model, RoutesItems):
            setting = "per_persona" if per_persona else "persona_prior"
            raise CapabilityError(
                f"{type(model).__name__} routes no items to personas, which {setting} needs; {_ROUTED}"
            )
        if isinstance(rule, OnlineForgetting) and not isinstance(rule, OnlineRule):
            raise CapabilityError(f"{type(rule).__name__} learns online; derive it from OnlineRule")
        fitting = rule if isinstance(rule, ForgettingRule) else WeightsOnly(rule)
        if per_persona and not fitting.counts_events:
            raise ConfigError(
                f"per_persona counts events, and {type(rule).__name__} does not; use a rule with clock 'events', or "
                "leave it out"
            )
        self.model = model
        self._rule = rule
        self.calibration = calibration
        self.calibration_events = calibration_events
        self.per_persona = per_persona
        self.persona_prior = persona_prior
        self._inner = model.unfitted()
        self._unfitted_rule = self._fitted_rule = fitting
        self._forgetting: Forgetting = fitting

    @property
    def scoring_model(self) -> Recommender:
        return self.base

    @property
    def forgetting(self) -> Forgetting:
        """What gives the weights: the `rule`, with personas in its weights where they take part."""
        _ = self.fitted_on
        return self._forgetting

    @property
    def rule(self) -> ForgettingRule:
        """The fitted rule."""
        _ = self.fitted_on
        return self._fitted_rule

    def cached_weights(self, queries: Queries, former: CachedWeights | None = None) -> CachedWeights | None:
        """Return a cache that reads one user's history as `read` does, at any moment until the user's next event.

        `former` is that of the history before the user's newest events, of which the parts that hold are taken over.
        None where there is nothing to cache: several queries, a rule other than `TemporalDecay` and `PopulationDecay`,
        personas that take part in the weights, or a log without an order.
        """
        rule = self.rule
        if len(queries) != 1 or not isinstance(rule, TemporalDecay | PopulationDecay) or self.forgetting is not rule:
            return None
        return None if self.fitted_on.clock == "none" else CachedWeights.of(self._inner, rule, queries, former)

    def observe(self, queries: Queries, items: Items | Ragged) -> None:
        """Learn from what followed each query, without retraining, if the rule learns online.

        Args:
            queries: what was visible just before, in the order of time; unknown users are skipped.
            items: "queries", number of the item that followed, or the items of the session that did, which is learned
                once; unknown ones are skipped.
        """
        rule = learning(self.forgetting)
        if rule is None:
            return
        followed = items if isinstance(items, Ragged) else Ragged.from_lengths(np.ones(len(items), np.int64), items)
        followed = followed.select(followed.items != UNKNOWN)
        known = np.flatnonzero((followed.lengths > 0) & (queries.users != UNKNOWN))
        if len(known):
            queries, followed = queries.take(known), followed.take(known)
            rule.observe(queries, rank_utilities(self._inner, queries, followed, rule.hypotheses(queries)))

    def extend(self, n_users: int) -> None:
        """Make room for users who were not in training: `observe` then learns from all numbers below `n_users`."""
        if isinstance(self.rule, OnlineRule):
            self.rule.extend(n_users)

    def _seen(self, queries: Queries) -> Queries:
        weights = self.forgetting.weights(queries)
        return queries.with_weights(weights if queries.weights is None else queries.weights * weights)

    def _read(self, queries: Queries) -> ReadOut:
        recent = None
        if self.fitted_on.clock != "none":  # without an order no event is older than another
            personas = self._personas(self._inner)
            recent = self.rule.recent(queries, None if personas is None else personas.event_age(queries))
        return ReadOut(self._inner, self._seen(queries), recent)

    def _personas(self, model: Recommender) -> PersonaWeighting | None:
        """Return how the personas of a fitted model take part in the weights; None where they do not."""
        if not (self.per_persona or self.persona_prior.acts) or not isinstance(model, RoutesItems):
            return None
        return PersonaWeighting(model.routing(), self.persona_prior, self.per_persona)

    def _read_by(self, rule: ForgettingRule) -> None:
        personas = self._personas(self._inner)
        self._fitted_rule, self._forgetting = rule, rule if personas is None else by_personas(rule, personas)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        rule = self._unfitted_rule.for_log(train.n_users, train.clock)
        calibrating = self._calibrate(rule, train, validate, session) if rule.learns else 0
        self._inner, (epochs, examples) = fitted(self.model.unfitted(), train, validate, session)
        self._read_by(rule)
        return epochs, calibrating + examples

    def _calibrate(self, rule: ForgettingRule, train: Interactions, validate: Validate | None, session: Session) -> int:
        """Let the rule learn from the newest events, and return the examples presented to the evaluating model."""
        late = newest_part(train, self.calibration)
        # Without an order nothing is older than anything; and the evaluating model needs events to learn from.
        if train.clock == "none" or not late.any() or late.all():
            _LOG.info("no events of %s to learn half-lives from: every user has the uniform prior", train.name)
            rule.calibrate(None)
            return 0
        folder = None if session.directory is None else session.directory / "calibration"
        # Validation decides at most when training stops; the items stay unfitted on the calibration events.
        model = self.model.unfitted().fit(train.select(~late), validate, replace(session, directory=folder))
        # A visit is one lesson: what is learned is how to begin the next one.
        occasion = occasions(train, default_ask(train))
        events = calibration_events(model, train, late, self.calibration_events, occasion)
        _LOG.info("learning the half-lives of users from %d events of %s", len(events), train.name)
        calibration = CalibrationSet.of_events(model, train, events, self._personas(model), occasion)
        rule.calibrate(calibration if len(events) else None)
        assert model.effort is not None
        return model.effort.examples

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return prefixed(_MODEL, self._inner.arrays()) | prefixed(_RULE, self.rule.state())

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        fitted_on = self.fitted_on
        self._inner = self.model.unfitted().restore(fitted_on, part_of(arrays, _MODEL))
        rule = self._unfitted_rule.for_log(len(fitted_on.users), fitted_on.clock)
        rule.restore(part_of(arrays, _RULE))
        if isinstance(rule, OnlineRule):
            rule.commit()
        self._read_by(rule)
