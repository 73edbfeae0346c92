"""Active personas of a user: their shares of a weighted history, as a prior and as clocks of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.checks import positive, share
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.ages import event_ages
from recsys.decay.base import Forgetting, ForgettingRule, OnlineForgetting, OnlineRule
from recsys.errors import ConfigError
from recsys.types import Doubles, Floats

_SLOW = 0.5


@final
@dataclass(frozen=True)
class PersonaPrior:
    """The prior over a user's personas, slow plus fast: personas stay, their activity drifts.

        slow_uk  = mean over the history of r_jk               the share of persona k in all that the user did
        fast_uk  = sum_j w_j r_jk / sum_j w_j                  its share of the weighted history
        pi_uk(t) = slow slow_uk + (1 - slow) fast_uk
        w'_j     = min(1, w_j sum_k r_jk (pi_uk(t) / fast_uk)^strength)

    Decaying weights alone make fast_uk the prior, and an inactive persona soon vanishes. Strength 1 puts pi_uk(t) in
    its place; the relative weights of a persona's events stay. It acts through the weights alone, so that scores and
    contributions agree: where evidence adds up (PersonaEASE), persona k's evidence is multiplied.
    AMPCF has the logarithm of a persona's share of the weighted history, log fast_uk, in its attention logits, to which
    strength . log(pi_uk(t) / fast_uk) is added (as far as an item belongs to one persona, and but for its smoothing).

    Attributes:
        strength: 0 is off.
        slow: gamma, in (0, 1]: how much of the prior is long-term.

    Raises:
        ConfigError: a value is out of range, or `slow` is given and the strength is 0.
    """

    strength: float = 0.0
    slow: float = _SLOW

    def __post_init__(self) -> None:
        positive("persona_prior.strength", self.strength, zero=True)
        positive("persona_prior.slow", self.slow)
        share("persona_prior.slow", self.slow)
        if self.strength == 0 and self.slow != _SLOW:
            raise ConfigError(
                "persona_prior.slow belongs to persona_prior.strength, which is 0; give it, or leave slow"
            )

    @property
    def acts(self) -> bool:
        """Whether it changes anything."""
        return self.strength > 0


def memberships(routing: Floats, queries: Queries) -> Doubles:
    """Return how much of each event belongs to each persona, "events personas"; nothing of an unknown item."""
    items = queries.history.items
    known = (items != UNKNOWN)[:, None]
    return np.where(known, routing[np.maximum(items, 0)], 0.0).astype(np.float64)


def persona_shares(membership: Doubles, queries: Queries, weights: npt.NDArray[np.floating]) -> Doubles:
    """Return the share of each persona in a weighted history, "queries personas"; equal parts where nothing counts.

    `membership` is "events personas", `weights` is "events".
    """
    rows, personas = queries.history.rows, membership.shape[1]
    mass = np.stack([np.bincount(rows, weights * part, len(queries)) for part in membership.T], axis=1)
    total = mass.sum(1, keepdims=True)
    equal = np.full(mass.shape, 1.0 / personas)
    np.divide(mass, total, out=equal, where=total > 0)
    return equal


def own_ages(membership: Doubles, queries: Queries) -> Doubles:
    """Return how many later events are of an event's own persona, "events" >= 0.

        age_j = sum_{l strictly later than j} sum_k r_jk r_lk

    Where every item belongs to one persona it is a count; otherwise the expected one, each event taken to be of one of
    its personas. Events of one time and one routing have the same age. Unknown items age no event.
    """
    until = np.concatenate([np.zeros((1, membership.shape[1])), np.cumsum(membership, axis=0)])
    ends = np.repeat(queries.history.indptr[1:], queries.history.lengths)
    later = until[ends] - until[ends - event_ages(queries).astype(np.int64)]
    return np.asarray(np.maximum(np.einsum("ek,ek->e", membership, later), 0.0))


@final
@dataclass(frozen=True, eq=False)
class PersonaWeighting:
    """How personas take part in the weights of a rule.

    Attributes:
        routing: "items personas", of the wrapped model.
        prior: over personas.
        own_clock: whether the clock of events counts those of an event's own persona alone (`own_ages`), so that an
            inactive persona does not decay. Half-lives, beliefs and the clock of time stay those of the rule.
    """

    routing: Floats
    prior: PersonaPrior
    own_clock: bool

    def event_age(self, queries: Queries) -> Doubles | None:
        """Return "events", the ages on the clock of events; None where they are the rule's own."""
        return own_ages(memberships(self.routing, queries), queries) if self.own_clock else None

    def with_prior(self, queries: Queries, weights: Floats) -> Floats:
        """Return weights, "rows events", under the prior."""
        if not self.prior.acts:
            return weights
        membership = memberships(self.routing, queries)
        slow = persona_shares(membership, queries, np.ones(len(membership)))
        result = np.empty_like(weights)
        for row, weight in enumerate(weights):
            fast = persona_shares(membership, queries, weight)
            pi = self.prior.slow * slow + (1.0 - self.prior.slow) * fast
            raised = np.divide(pi, fast, out=np.ones_like(pi), where=fast > 0) ** self.prior.strength
            result[row] = np.minimum(weight * np.einsum("ek,ek->e", membership, raised[queries.history.rows]), 1.0)
        return result

    def weights(self, rule: ForgettingRule, queries: Queries) -> Floats:
        """Return the weights that a rule gives with these personas, "events"."""
        return np.asarray(self.with_prior(queries, rule.weights(queries, self.event_age(queries))[None])[0])


def by_personas(rule: ForgettingRule, personas: PersonaWeighting) -> Forgetting:
    """Return the rule with personas in its weights; the items of queries must be those of the personas' routing.

    A rule that learns online goes on learning. Weights never grow with age among events of one routing.
    """
    if isinstance(rule, OnlineRule) and rule.observes:
        return _OnlinePersonaForgetting(rule, personas)
    return _PersonaForgetting(rule, personas)


@final
class _PersonaForgetting(Forgetting):
    """A rule that does not learn online, with personas in its weights."""

    def __init__(self, rule: ForgettingRule, personas: PersonaWeighting) -> None:
        self.rule = rule
        self.personas = personas

    def weights(self, queries: Queries) -> Floats:
        return self.personas.weights(self.rule, queries)


@final
class _OnlinePersonaForgetting(OnlineForgetting):
    """A rule that learns online, with personas in its weights and hypotheses."""

    def __init__(self, rule: OnlineRule, personas: PersonaWeighting) -> None:
        self.rule = rule
        self.personas = personas

    def weights(self, queries: Queries) -> Floats:
        return self.personas.weights(self.rule, queries)

    def hypotheses(self, queries: Queries) -> Floats:
        return self.personas.with_prior(queries, self.rule.hypotheses(queries, self.personas.event_age(queries)))

    def observe(self, queries: Queries, utility: Floats) -> None:
        self.rule.observe(queries, utility)

    def reset(self) -> None:
        self.rule.reset()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return self.rule.state()

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.rule.restore(state)

    def state_bytes(self) -> float:
        return self.rule.state_bytes()
