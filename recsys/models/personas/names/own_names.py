"""Names of one user's personas that are true of the user's own events: shared words where they hold, else own ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, combinations, pairwise
from typing import Final, final

import numpy as np

from recsys.data.clusters import unit_rows
from recsys.data.queries import Queries
from recsys.data.titles import readable_title, short_title
from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.names.labels import (
    APART,
    TasteName,
    Uses,
    holds,
    measured,
    names_that_hold,
    parsed,
    some_name_holds,
    worth_of,
)
from recsys.types import Ints, Items, Mask

_SHARED: Final = 1.5
"""How much more the dictionary's name is worth than one of the user's own: it has the same words for everybody."""

_ALONE: Final = 20
"""Items that are recommended for a persona alone, of which a name of labels must be true."""

_TITLES: Final = 24
"""Own titles, of which two are chosen."""


def own_names(model: WithPersonas, queries: Queries, found: FoundPersonas, liked: Mask) -> list[list[TasteName | None]]:
    """Return the names of personas, "queries K"; None where there is none. No two of a user are the same.

    A persona has the best name of labels that hold for its own events, and for what it would be recommended alone
    (`names_that_hold`); that of the dictionary is worth half as much again as the user's own. Where none holds, or a
    larger persona has it, it has two of its own titles, liked and known, that are together what it is:

        worth(i, j) = (ln(1 + n_i) ln(1 + n_j))^(1/2) max(cos(x_i + x_j, c), 0)^2

    with c the mean vector of the persona's events and n_i everybody's events of the item.

    Args:
        model: fitted.
        queries: the users, with the events from which names are made; weights do not count.
        found: their personas.
        liked: "events", which may stand for what the user likes.
    """
    of_event = found.personas.of_events(model.dictionary, queries)
    chosen = np.flatnonzero(queries.counted & (of_event != UNKNOWN))
    items, persona, liked = queries.history.items[chosen].astype(np.int64), of_event[chosen], liked[chosen]
    uses = Uses.of(model.labels, items, np.ones(len(items)))
    alone = _Alone(model, queries, found)
    ends = np.searchsorted(chosen, queries.history.indptr).tolist()
    spans = [slice(start, end) for start, end in pairwise(ends)]
    return [
        _Namer(model, alone, row, items[span], persona[span], liked[span], uses.take(span)).names(numbers)
        for row, (span, numbers) in enumerate(zip(spans, found.numbers.tolist(), strict=True))
    ]


@final
@dataclass(frozen=True, eq=False)
class _Alone:
    """What is recommended for each persona alone; found, for all users at once, when first asked for."""

    model: WithPersonas
    queries: Queries
    found: FoundPersonas

    @cached_property
    def items(self) -> Items:
        """ "queries K n"."""
        return self.model.recommended_alone(self.queries, self.found, _ALONE)


@final
class _Namer:
    """The events of one user, by persona."""

    def __init__(
        self, model: WithPersonas, alone: _Alone, row: int, items: Ints, persona: Items, liked: Mask, uses: Uses
    ) -> None:
        self._model, self._alone, self._row = model, alone, row
        self._titles, self._vectors = model.fitted_on.metadata.titles, model.dictionary.vectors
        self._items, self._persona, self._liked = items, persona, liked
        self._uses = [uses.take(persona == place) for place in range(alone.found.numbers.shape[1])]

    def names(self, numbers: list[int]) -> list[TasteName | None]:
        """Return the names of the personas with some numbers."""
        chosen: list[TasteName | None] = [None] * len(numbers)
        taken: set[str] = set()
        sizes = np.bincount(self._persona, minlength=len(numbers))
        for place in np.argsort(-sizes, kind="stable").tolist():
            if numbers[place] == UNKNOWN:
                continue
            mine = self._persona == place
            candidates = chain(self._by_labels(place, numbers[place]), self._by_titles(mine))
            name = next((name for name in candidates if name.text not in taken), self._model.name_of(numbers[place]))
            chosen[place] = name
            taken.add(name.text)
        return chosen

    def _by_labels(self, place: int, number: int) -> Iterator[TasteName]:
        """Yield the names of labels that hold, best first."""
        own, labels = self._uses[place], self._model.labels
        others = [uses for other, uses in enumerate(self._uses) if other != place and len(uses.years)]
        shared = self._model.name_of(number)
        said = None if shared.kind == "titles" else parsed(shared, labels)
        if said is None and not some_name_holds(labels, own, others):
            return
        items = self._alone.items[self._row, place]
        items = items[items != UNKNOWN]
        if not len(items):
            return
        parts = [own, Uses.of(labels, items, np.ones(len(items)))]
        found = list(names_that_hold(labels, own, parts[1], others))
        if said is not None:
            again = replace(measured(labels, *said, parts), text=shared.text, labels=shared.labels)
            if holds(again) and all(APART * each.share_of(*said) <= again.holds for each in others):
                found.append((_SHARED * worth_of(again), again))
        found.sort(key=lambda pair: (-pair[0], pair[1].text))
        yield from (name for _, name in found)

    def _by_titles(self, mine: Mask) -> Iterator[TasteName]:
        """Yield names of two of the persona's titles, best first, then of one."""
        items: Ints = self._items[mine]
        centre = unit_rows(self._vectors[items].sum(0, dtype=np.float64)[None])[0]
        if self._liked[mine].sum() >= 2:
            items = items[self._liked[mine]]
        vectors = self._vectors[items].astype(np.float64)
        worth = np.maximum(vectors @ centre, 0.0) * np.log1p(self._model.labels.counts[items])
        best = np.argsort(-worth, kind="stable")[:_TITLES].tolist()
        item = {short_title(self._titles[items[one]]): one for one in reversed(best)}
        titles, rows = list(item)[::-1], list(item.values())[::-1]
        central, known = vectors[rows] @ centre, np.log1p(self._model.labels.counts[items[rows]])
        length = np.sqrt(np.maximum(2.0 + 2.0 * vectors[rows] @ vectors[rows].T, 1e-12))
        together = np.maximum((central[:, None] + central) / length, 0.0)
        both = np.sqrt(known[:, None] * known) * together**2
        for one, other in sorted(combinations(range(len(titles)), 2), key=lambda pair: (-both[pair], pair)):
            first, second = (titles[place] for place in sorted((one, other), key=lambda place: rows[place]))
            yield TasteName(f"like {first} and {second}", "titles", (first, second))
        for title in (*titles, *(readable_title(self._titles[one]) for one in items)):
            yield TasteName(f"like {title}", "titles", (title,))
