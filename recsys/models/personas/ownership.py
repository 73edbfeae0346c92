"""Which persona of a user owns which item: the one whose events carry its score, by exact contributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.linear.operations import event_weights
from recsys.models.personas.clusters import Personas
from recsys.models.personas.content import content_parts, contents_of
from recsys.models.personas.dictionary import TasteDictionary
from recsys.slates.base import Owners, Seating
from recsys.types import Doubles, Floats, Ints, Items, Mask

_ENTRIES = 2_000_000
"""Contributions computed at a time, about 8 MB: larger arrays are fresh pages each time, slower to get than to fill."""


RESEMBLANCE: Final = 2.0
"""How much resemblance counts beside what a persona adds to a score."""

FEW = 10.0
"""With so many events, shares of personas and labels are trusted by half: of few events they are mostly chance."""


@final
@dataclass(frozen=True, eq=False)
class Ownership:
    """What each persona of a batch of users adds to some items.

    Attributes:
        owner: "queries n", int32; `UNKNOWN` where no persona speaks for the item.
        scores: "queries K n": s_uik, the sum of the contributions of the persona's events.
        evidence: "queries n", the owner's share of the positive contributions; 0 without owner, NaN if not asked for.
        shares: "queries K", the share of each persona in the event weights that the model reads.
    """

    owner: Items
    scores: Doubles
    evidence: Doubles
    shares: Doubles


def ownership(
    model: Recommender,
    queries: Queries,
    items: Items,
    dictionary: TasteDictionary,
    personas: Personas,
    contributions: Tensor | None = None,
    *,
    evidence: bool = True,
) -> Ownership:
    """Return which persona owns each item.

        s_uik = sum over the events j of persona k of the contribution of j to the score of i
        owner = argmax_k max(s_uik, 0) / share_uk^(1/2) exp( 2 cos(x_i, c_uk) )

    The square root lets small personas speak: a persona of twice the events is heard as one voice and a half, not two.
    The cosine of the item's vector with the persona's mean decides between personas that add nearly as much: what is
    popular is used together with everything of its era, like it or not.
    With decay both contributions and shares are those of the weights that the model reads, and the personas are those
    of the whole history.

    Args:
        model: a fold-in model.
        queries: the users.
        items: "queries n", item numbers; `UNKNOWN` is owned by nobody.
        dictionary: the tastes.
        personas: of the same users.
        contributions: "events n", of the events to these items, where the caller has them.
        evidence: whether the owner's share of the positive contributions is needed.

    Raises:
        CapabilityError: the model cannot fold in.
    """
    fold_in = as_fold_in(model, "ownership by personas")
    if contributions is not None:
        return _owned(model, queries, items, contributions, dictionary, personas, evidence)
    parts, first = [], 0
    events = np.maximum(queries.history.lengths, 1) * max(1, items.shape[1])
    while first < len(queries):
        within = int(np.searchsorted(np.cumsum(events[first:]), _ENTRIES, side="right"))
        rows = np.arange(first, min(len(queries), first + max(1, within)))
        batch, chosen = queries.take(rows), items[rows]
        added = fold_in.contributions(batch, np.maximum(chosen, 0))
        parts.append(_owned(model, batch, chosen, added, dictionary, personas.take(rows), evidence))
        first = int(rows[-1]) + 1
    if not parts:
        added = fold_in.contributions(queries, np.maximum(items, 0))
        parts = [_owned(model, queries, items, added, dictionary, personas, evidence)]
    names = ("owner", "scores", "evidence", "shares")
    return Ownership(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@torch.inference_mode()
def _owned(
    model: Recommender,
    queries: Queries,
    items: Items,
    added: Tensor,
    dictionary: TasteDictionary,
    personas: Personas,
    evidence: bool,
) -> Ownership:
    users, width = personas.mass.shape
    of_event = personas.of_events(dictionary, queries)
    known = np.flatnonzero(of_event != UNKNOWN)
    place = queries.history.rows[known] * width + of_event[known]
    order = np.argsort(place, kind="stable")
    place = place[order]
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    contributions = added.cpu().numpy()[known[order]]
    shape = (users, width, items.shape[1])
    scores = _sums(contributions, place[starts], starts, shape)
    shares = persona_shares(model, queries, of_event, width)
    voice = voices(scores, shares, resemblance(dictionary, personas, items))
    owner = np.where((voice.max(1, initial=0.0) > 0) & (items != UNKNOWN), voice.argmax(1), UNKNOWN)
    share = np.full(owner.shape, np.nan)
    if evidence:
        support = _sums(np.maximum(contributions, 0.0), place[starts], starts, shape)
        total = support.sum(1)
        own = np.take_along_axis(support, np.maximum(owner, 0)[:, None], 1)[:, 0] * (owner != UNKNOWN)
        share = np.divide(own, total, out=np.zeros_like(total), where=total > 0)
    return Ownership(owner.astype(np.int32), scores, share, shares)


def _sums(contributions: Floats, places: Ints, starts: Ints, shape: tuple[int, int, int]) -> Doubles:
    """Return the sums of runs of rows, at their places among "users K n", in double precision."""
    sums = np.zeros((shape[0] * shape[1], shape[2]))
    if len(starts):
        sums[places] = np.add.reduceat(contributions.astype(np.float64), starts)
    return sums.reshape(shape)


def voices(scores: Doubles, shares: Doubles, alike: Doubles) -> Doubles:
    """Return how loudly each persona speaks for some items, "users K n": the loudest is the owner, see `ownership`.

    Args:
        scores: "users K n", what the persona's events add to the scores.
        shares: "users K", of the personas.
        alike: "users K n", of `resemblance`.
    """
    return np.maximum(scores, 0.0) / np.sqrt(np.maximum(shares, 1e-12))[:, :, None] * np.exp(RESEMBLANCE * alike)


def resemblance(dictionary: TasteDictionary, personas: Personas, items: Items) -> Doubles:
    """Return the cosine of items, "users n", with the mean vector of each persona, "users K n"."""
    vectors = dictionary.vectors[np.maximum(items, 0)].astype(np.float64)
    return np.asarray(personas.centres.astype(np.float64) @ vectors.transpose(0, 2, 1))


def persona_shares(model: Recommender, queries: Queries, of_event: Items, width: int) -> Doubles:
    """Return the share of each persona in the event weights that the model reads, "queries K"; zeros without weights.

    Args:
        model: the model.
        queries: the users.
        of_event: "events", the persona of each event.
        width: K.
    """
    weights = event_weights(model.read(queries).queries) * (of_event != UNKNOWN)
    place = queries.history.rows * width + np.maximum(of_event, 0)
    mass = np.bincount(place, weights, len(queries) * width).reshape(len(queries), width)
    total = mass.sum(1, keepdims=True)
    return np.asarray(mass / np.where(total > 0, total, 1.0))


@final
class PersonaOwners(Owners):
    """The personas of users as owners of the seats of their lists.

    Args:
        model: a fold-in model.
        queries: the users, with all of their evidence, that of muted personas included.
        dictionary: the tastes.
        personas: of these users.
        boosted: "queries K", personas that are due twice their seats; None for none.
        muted: "queries K", personas whose items must not be listed; None for none. Rank with `without_evidence`, so
            that their events do not count either.

    Raises:
        CapabilityError: the model cannot fold in.
    """

    def __init__(
        self,
        model: Recommender,
        queries: Queries,
        dictionary: TasteDictionary,
        personas: Personas,
        *,
        boosted: Mask | None = None,
        muted: Mask | None = None,
    ) -> None:
        as_fold_in(model, "ownership by personas")
        self._model, self._queries, self._dictionary, self._personas = model, queries, dictionary, personas
        self._boosted, self._muted = boosted, muted

    def seating(self, rows: Ints, items: Items) -> Seating:
        return self.seating_given(rows, items, None)

    def seating_given(self, rows: Ints, items: Items, contributions: Tensor | None) -> Seating:
        """Return what `seating` does; `contributions`, "events pool", of the events to the candidates, save work."""
        queries, personas = self._taken(rows), self._personas.take(rows)
        owned = ownership(self._model, queries, items, self._dictionary, personas, contributions, evidence=False)
        boosted, muted = (None if control is None else control[rows] for control in (self._boosted, self._muted))
        events = self._personas.mass[rows].sum(1)
        trust = events / (events + FEW)
        fitted, read = self._model.fitted_on, self._model.read(queries).queries
        tables = content_parts(fitted.metadata, self._dictionary), fitted.popularity_parts
        content, popularity = contents_of(tables, read, items)
        return Seating(owned.owner, owned.shares, boosted, muted, content, trust, popularity)

    def _taken(self, rows: Ints) -> Queries:
        """Return some queries; of a single one the very same, with what it has cached."""
        return self._queries if len(self._queries) == len(rows) == 1 else self._queries.take(rows)


def without_evidence(queries: Queries, dictionary: TasteDictionary, personas: Personas, muted: Mask) -> Queries:
    """Return the queries with weight 0 for the events of muted personas, "queries K"."""
    of_event = personas.of_events(dictionary, queries)
    silent = muted[queries.history.rows, np.maximum(of_event, 0)] & (of_event != UNKNOWN)
    weights = np.ones(len(silent), np.float32) if queries.weights is None else queries.weights
    return queries.with_weights(np.where(silent, 0.0, weights).astype(np.float32))
