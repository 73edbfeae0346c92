"""Caches the parts of one user's decay weights that do not depend on the moment, or on a visit that is going on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self, final

import numpy as np

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.half_lives import mass_of
from recsys.decay.population import PopulationDecay
from recsys.decay.temporal import TemporalDecay
from recsys.decay.visits import past_events
from recsys.models.base import ReadOut, Recommender
from recsys.types import Doubles, Floats, Mask


@final
@dataclass(eq=False)
class _Past:
    """The history until a visit.

    Attributes:
        queries: the history, as a single query.
        learned: what the rule had learned of the user.
        since: "decays+1 events", `HalfLives.since_newest`.
        reduced: the same, reduced where a changepoint is likely.
        mass: "1 decays+1", the sums of those; None for an empty history.
        present: "events", to which changepoints have left at least half of their weight.
        read: the moment that was read last, and the weights and the recent events of that moment.
    """

    queries: Queries
    learned: bytes
    since: Floats
    reduced: Floats
    mass: Doubles | None
    present: Mask
    read: tuple[int, Doubles, Mask] | None = None

    @classmethod
    def of(cls, rule: TemporalDecay | PopulationDecay, queries: Queries) -> Self:
        """Weigh the history of a single query."""
        since = rule.half_lives.since_newest(queries)
        reduced = rule.since_changes(queries, since)
        mass = mass_of(queries, reduced) if len(queries.times) else None
        return cls(queries, _learned(rule, queries), since, reduced, mass, reduced[-1] >= 0.5)

    @property
    def nbytes(self) -> int:
        """Size of the arrays in bytes, without those of the history."""
        read = 0 if self.read is None else self.read[1].nbytes + self.read[2].nbytes
        return self.since.nbytes + self.reduced.nbytes + self.present.nbytes + read

    def at(self, rule: TemporalDecay | PopulationDecay, now: int) -> tuple[Doubles, Mask]:
        """Return the weights at a moment, as `VisitWeights.of_past` where weights depend on visits, and what is recent.

        The moment does not change while a visit goes on.
        """
        if self.read is None or self.read[0] != now:
            queries = self.queries.at(np.asarray([now], np.int64))
            belief = rule.belief_at(queries)
            mixture = rule.half_lives.mixture(queries, self.reduced, belief, self.mass)
            visits = rule.visit_weights
            weights = mixture.astype(np.float64) if visits is None else visits.of_past(queries, mixture)
            self.read = now, weights, self.present & rule.half_lives.recent(queries, self.since, belief)
        return self.read[1:]

    def is_of(self, rule: TemporalDecay | PopulationDecay, queries: Queries, count: int) -> bool:
        """Whether the first events of a single query are this history, and nothing was learned of the user since."""
        own = self.queries
        return (
            len(own.times) == count
            and own.users[0] == queries.users[0]
            and bool((own.times == queries.times[:count]).all())
            and self.learned == _learned(rule, queries)
        )


@final
@dataclass(frozen=True, eq=False)
class CachedWeights:
    """The parts of one user's decay weights that stay the same until the user's next event.

    Between two events only the time since the newest one changes, and while a visit goes on the past does not change at
    all, whatever happens: its weights are taken over from the cache before the event. `read` returns what
    `Decayed.read` does, to the last bit, and within a visit costs a tenth.

    Attributes:
        model: the wrapped model, which scores.
        rule: the fitted rule.
        queries: the history, as a single query.
        pasts: the history, and the part of it before a visit, by number of events.
    """

    model: Recommender
    rule: TemporalDecay | PopulationDecay
    queries: Queries
    pasts: dict[int, _Past] = field(default_factory=dict)
    _counts: dict[int, int] = field(default_factory=dict)  # `past_events` at the moment of the last answer

    @classmethod
    def of(
        cls,
        model: Recommender,
        rule: TemporalDecay | PopulationDecay,
        queries: Queries,
        former: CachedWeights | None = None,
    ) -> Self:
        """Weigh the history of a single query; valid until the rule learns from this user's next events.

        Args:
            model: the wrapped model.
            rule: the fitted rule.
            queries: the history.
            former: of the user's history before the newest events.
        """
        pasts: dict[int, _Past] = {}
        if former is not None and former.rule is rule:
            kept = (past for count, past in former.pasts.items() if past.is_of(rule, queries, count))
            pasts = {len(past.queries.times): past for past in kept}
        made = cls(model, rule, queries, pasts)
        made._past(made._count(queries))  # what will be read: its size counts when the cache is stored
        return made

    @property
    def nbytes(self) -> int:
        """Size of the arrays in bytes."""
        return sum(past.nbytes for past in self.pasts.values())

    def read(self, queries: Queries) -> ReadOut:
        """Return what `Decayed.read` does, for the query given to `of`, at any moment and with any weights."""
        count, whole, rule = self._count(queries), len(queries.times), self.rule
        past = self._past(count)
        began = int(queries.now[0]) if count == whole else int(queries.times[count])
        of_past, recent = past.at(rule, began)
        if rule.visit_weights is None:
            weights = of_past.astype(np.float32)
        else:
            weights = rule.visit_weights.with_one_visit(of_past, whole - count)
        if count < whole:
            recent = np.append(recent, np.ones(whole - count, np.bool_))
        weighted = queries.with_weights(weights if queries.weights is None else queries.weights * weights)
        return ReadOut(self.model, weighted, recent)

    def _count(self, queries: Queries) -> int:
        """Return how many events are older than the visit that is going on and has a share of its own."""
        visits, now = self.rule.visit_weights, int(queries.now[0])
        if visits is None or visits.share == 0:
            return len(queries.times)
        if now not in self._counts:
            self._counts.clear()
            self._counts[now] = past_events(queries)
        return self._counts[now]

    def _past(self, count: int) -> _Past:
        if count not in self.pasts:
            visible = np.arange(len(self.queries.times)) < count
            past = self.queries if visible.all() else self.queries.keep(visible)
            self.pasts[count] = _Past.of(self.rule, past)
        return self.pasts[count]


def _learned(rule: TemporalDecay | PopulationDecay, queries: Queries) -> bytes:
    user = int(queries.users[0])
    return b"" if user == UNKNOWN or isinstance(rule, PopulationDecay) else rule.user_state(user)
