"""Which of a user's personas are active: their shares of a weighted history, as a prior and as clocks of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from recsys.checks import positive, share
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.ages import ages, event_ages
from recsys.decay.base import Forgetting, OnlineForgetting
from recsys.decay.fixed import GlobalHalfLife, half_life_weights
from recsys.decay.temporal import TemporalDecay, mixture
from recsys.errors import ConfigError
from recsys.types import Floats

_SLOW = 0.5


@final
@dataclass(frozen=True)
class PersonaPrior:
    """The prior over a user's personas, slow plus fast: personas stay, their activity drifts.

        slow_uk  = mean over the history of r_jk               the share of persona k in all that the user did
        fast_uk  = sum_j w_j r_jk / sum_j w_j                  its share in what has not faded
        pi_uk(t) = slow slow_uk + (1 - slow) fast_uk
        w'_j     = min(1, w_j sum_k r_jk (pi_uk(t) / fast_uk)^strength)

    Weights that fade make fast_uk the prior: a persona that sleeps is soon not heard any more. Strength 1 puts pi_uk(t)
    in its place; which of a persona's own events count stays as it was. It acts through the weights alone, so that
    scores and contributions agree as ever: where evidence adds up (LinearAMPCF), persona k's evidence is multiplied.
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


def memberships(routing: npt.NDArray[np.float32], queries: Queries) -> npt.NDArray[np.float64]:
    """Return how much of each event belongs to each persona, "events personas"; nothing of an unknown item."""
    items = queries.history.items
    known = (items != UNKNOWN)[:, None]
    return np.where(known, routing[np.maximum(items, 0)], 0.0).astype(np.float64)


def persona_shares(
    membership: npt.NDArray[np.float64], queries: Queries, weights: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Return the share of each persona in a weighted history, "queries personas"; equal parts where nothing counts.

    Args:
        membership: "events personas".
        queries: the histories.
        weights: "events".
    """
    rows, personas = queries.history.rows, membership.shape[1]
    mass = np.stack([np.bincount(rows, weights * part, len(queries)) for part in membership.T], axis=1)
    total = mass.sum(1, keepdims=True)
    equal = np.full(mass.shape, 1.0 / personas)
    np.divide(mass, total, out=equal, where=total > 0)
    return equal


def own_ages(membership: npt.NDArray[np.float64], queries: Queries) -> npt.NDArray[np.float64]:
    """Return how many later events are of an event's own persona, "events" >= 0.

        age_j = sum_{l strictly later than j} sum_k r_jk r_lk

    Where every item belongs to one persona it is a count; otherwise the expected one, each event taken to be of one of
    its personas. Events of one time and one routing have the same age. Unknown items make nobody older.

    Args:
        membership: "events personas".
        queries: the histories.
    """
    until = np.concatenate([np.zeros((1, membership.shape[1])), np.cumsum(membership, axis=0)])
    ends = np.repeat(queries.history.indptr[1:], queries.history.lengths)
    later = until[ends] - until[ends - event_ages(queries).astype(np.int64)]
    return np.asarray(np.maximum(np.einsum("ek,ek->e", membership, later), 0.0))


@final
@dataclass(frozen=True, eq=False)
class PersonaWeighting:
    """How a rule is read where personas have a say.

    Attributes:
        routing: "items personas", of the wrapped model.
        prior: over personas.
        own_clock: whether the clock of events counts those of an event's own persona alone (`own_ages`), so that a
            persona that sleeps does not fade. Half-lives, beliefs and the clock of time stay those of the rule.
    """

    routing: npt.NDArray[np.float32]
    prior: PersonaPrior
    own_clock: bool

    def weights(self, queries: Queries, rule: GlobalHalfLife | TemporalDecay) -> Floats:
        """Return the weight of every event, "events" in [0, 1]."""
        if not self.own_clock:
            faded = rule.weights(queries)
        elif isinstance(rule, GlobalHalfLife):
            faded = half_life_weights(self._ages(queries), rule.half_life, rule.floor)
        else:
            faded = mixture(queries, rule.faded(queries, self.by_half_life(queries, rule)), rule.belief_at(queries))
        return np.asarray(self.with_prior(queries, faded[None])[0])

    def hypotheses(self, queries: Queries, rule: TemporalDecay) -> Floats:
        """Return what the rule has judged, "hypotheses events"."""
        return self.with_prior(queries, rule.hypotheses_from(queries, self.by_half_life(queries, rule)))

    def by_half_life(self, queries: Queries, rule: TemporalDecay, *, from_newest: bool = True) -> Floats:
        """Return 2^(-age / half-life), "half-lives events", whatever the prior; see `HalfLives.weights`."""
        weights = rule.half_lives.weights(queries, from_newest=from_newest)
        if not self.own_clock:
            return weights
        half_lives = np.asarray(rule.half_lives.events)[:, None]
        own = np.exp2(-self._ages(queries) / half_lives).astype(np.float32)
        return np.concatenate([own, weights[len(half_lives) :]])

    def younger(self, queries: Queries, rule: GlobalHalfLife) -> npt.NDArray[np.bool_]:
        """Return which events are no older than the half-life, "events"."""
        age = self._ages(queries) if self.own_clock else ages(queries, rule.clock)
        return np.asarray(age <= rule.half_life)

    def _ages(self, queries: Queries) -> npt.NDArray[np.float64]:
        return own_ages(memberships(self.routing, queries), queries)

    def with_prior(self, queries: Queries, weights: Floats) -> Floats:
        """Return weights, "rows events", in the light of the prior."""
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


def by_personas(rule: GlobalHalfLife | TemporalDecay, reading: PersonaWeighting) -> Forgetting:
    """Return the rule as personas read it; a rule that learns goes on learning."""
    if isinstance(rule, TemporalDecay):
        return OnlinePersonaForgetting(rule, reading)
    return PersonaForgetting(rule, reading)


@final
class PersonaForgetting(Forgetting):
    """One half-life for all, read by personas. Weights never grow with age among events of one routing.

    Args:
        rule: gives the half-life.
        reading: what the personas make of it. Its items are those of the queries.
    """

    def __init__(self, rule: GlobalHalfLife, reading: PersonaWeighting) -> None:
        self.rule = rule
        self.reading = reading

    def weights(self, queries: Queries) -> Floats:
        return self.reading.weights(queries, self.rule)


@final
class OnlinePersonaForgetting(OnlineForgetting):
    """Each user's own half-life, read by personas: its hypotheses are judged as they are read.

    Args:
        rule: keeps the beliefs.
        reading: what the personas make of them. Its items are those of the queries.
    """

    def __init__(self, rule: TemporalDecay, reading: PersonaWeighting) -> None:
        self.rule = rule
        self.reading = reading

    def weights(self, queries: Queries) -> Floats:
        return self.reading.weights(queries, self.rule)

    def hypotheses(self, queries: Queries) -> Floats:
        return self.reading.hypotheses(queries, self.rule)

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
