"""The explanations of lists as columns, one entry for each listed item, and as records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Final, final

import numpy as np

from recsys.data.queries import Queries
from recsys.data.titles import year_of
from recsys.explanations.deeds import is_rating
from recsys.explanations.records import (
    LOW_CERTAINTY,
    Evidence,
    EvidenceKind,
    Explanation,
    ItemId,
    PersonaShare,
    ReasonKind,
    certainty_word,
)
from recsys.models.base import FittedOn
from recsys.types import Doubles, Floats, Ints, Items, Mask

_FIELDS: Final = tuple(field.name for field in fields(Explanation))


@final
@dataclass(frozen=True, eq=False)
class Events:
    """Events of the histories that belong to listed items, of one item after the other.

    Attributes:
        place: "entries", the listed item, ascending.
        event: "entries", position in the histories.
    """

    place: Ints
    event: Ints

    @classmethod
    def of(cls, table: Ints, there: Mask) -> Events:
        """Return the entries of a table "places most" that are there."""
        place, column = np.nonzero(there)
        return cls(place, table[place, column])


@final
@dataclass(frozen=True, eq=False)
class ExplanationColumns:
    """What `Explanation` says of each listed item, "places": list after list, best first. NaN is null.

    Attributes:
        queries: the users, one for each list.
        fitted: what the model was fitted on.
        row: the list of each item.
        items, scores: of the items.
        shown: the events of `Explanation.evidence`.
        added, share: "entries" of `shown`, `Evidence.contribution` and `Evidence.share`.
        kinds, reasons: `Explanation.reason_kind` and `Explanation.reason`.
        without: the events without which items would leave, as `Explanation.without`; None: of none.
        certainty, recent, owner_share: as in `Explanation`; None: null for all.
        owners: number and name of the owner of each item, None for nobody; empty where nothing is owned.
        personas, seats: as in `Explanation`; empty where there are none.
        fresh: "events", which are younger than the half-life; None where nothing fades.
        evidence_kind: of the items with evidence.
    """

    queries: Queries
    fitted: FittedOn
    row: Ints
    items: Items
    scores: Floats
    shown: Events
    added: Doubles
    share: Doubles
    kinds: list[ReasonKind]
    reasons: list[str]
    without: Events | None = None
    certainty: Doubles | None = None
    recent: Doubles | None = None
    owner_share: Doubles | None = None
    owners: Sequence[tuple[int, str] | None] = ()
    personas: Sequence[tuple[PersonaShare, ...]] = ()
    seats: Sequence[str | None] = ()
    fresh: Mask | None = None
    evidence_kind: EvidenceKind = "contribution"

    def __len__(self) -> int:
        return len(self.items)

    def evidence(self, ids: Sequence[ItemId]) -> dict[str, list[Any]]:
        """Return the fields of `Evidence`, entries of `shown` each.

        Args:
            ids: "items", the external id of each item.
        """
        event, queries = self.shown.event, self.queries
        items = queries.history.items[event].tolist()
        ages = queries.now[self.row[self.shown.place]] - queries.times[event]
        ratings = zip(queries.values[event].tolist(), is_rating(queries)[event].tolist(), strict=True)
        titles, none = self.fitted.metadata.titles, [None] * len(items)
        return {
            "item_id": [ids[item] for item in items],
            "title": [titles[item] for item in items],
            "contribution": self.added.tolist(),
            "share": self.share.tolist(),
            "rating": [value if rated else None for value, rated in ratings],
            "age": none if self.fitted.clock == "none" else ages.tolist(),
            "recent": none if self.fresh is None else self.fresh[event].tolist(),
        }

    def fields(self, ids: Sequence[ItemId]) -> dict[str, Sequence[Any]]:
        """Return the fields of `Explanation`, "places" each, but for `evidence` and `without`.

        Args:
            ids: "items", the external id of each item.
        """
        items, titles, none = self.items.tolist(), self.fitted.metadata.titles, [None] * len(self)
        certainty, recent, owner_share = map(self._nullable, (self.certainty, self.recent, self.owner_share))
        named = [titles[item] for item in items]
        owners = self.owners or none
        because = zip(self.kinds, certainty, strict=True)
        return {
            "item_id": [ids[item] for item in items],
            "title": named,
            "score": self.scores.tolist(),
            "personas": self.personas or [()] * len(self),
            "evidence_kind": np.where(self.counts(self.shown) > 0, self.evidence_kind, "none").tolist(),
            "certainty": certainty,
            "reason": self.reasons,
            "recent": recent,
            "low_certainty": [one is not None and one < LOW_CERTAINTY for one in certainty],
            "reason_kind": self.kinds,
            "owner": [one and one[0] for one in owners],
            "owner_name": [one and one[1] for one in owners],
            "owner_share": owner_share,
            "certainty_word": [certainty_word(one) if kind == "because" else None for kind, one in because],
            "year": [year_of(title) for title in named],
            "genres": [self.fitted.metadata.genres[item] for item in items],
            "seat": self.seats or none,
        }

    def _nullable(self, column: Doubles | None) -> list[float | None]:
        values = [math.nan] * len(self) if column is None else column.tolist()
        return [None if math.isnan(value) else value for value in values]

    def counts(self, events: Events | None) -> Ints:
        """Return how many entries each item has, "places"."""
        return np.bincount(np.zeros(0, np.int64) if events is None else events.place, minlength=len(self))

    def gone(self, ids: Sequence[ItemId]) -> list[ItemId]:
        """Return the items of `without`, one listed item after the other."""
        events = np.zeros(0, np.int64) if self.without is None else self.without.event
        return [ids[item] for item in self.queries.history.items[events].tolist()]

    def records(self, ids: Sequence[ItemId]) -> list[list[Explanation]]:
        """Return the explanations of each list; `ids`, "items", are the external ids."""
        evidence = iter([Evidence(*values) for values in zip(*self.evidence(ids).values(), strict=True)])
        gone = iter(self.gone(ids))
        nested = {
            "evidence": [tuple(islice(evidence, count)) for count in self.counts(self.shown).tolist()],
            "without": [tuple(islice(gone, count)) for count in self.counts(self.without).tolist()],
        }
        columns = self.fields(ids) | nested
        explained: list[list[Explanation]] = [[] for _ in range(len(self.queries))]
        rows: Iterable[Any] = zip(
            self.row.tolist(), *(columns[name] for name in _FIELDS if name in columns), strict=True
        )
        for row, *values in rows:
            explained[row].append(Explanation(*values))
        return explained
