"""Names of tastes that hold: for every node of the dictionary's tree, the same words for everybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import final

import numpy as np
import scipy.sparse as sp

from recsys.data.clusters import unit_rows
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.data.titles import readable_title, short_title
from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.names.labels import Labels, TasteName, Uses, measured, names_that_hold, parsed
from recsys.types import Doubles, Floats, Items

_HOLDS_STILL = 0.8
"""A name stays after another training where at least this share still have one of them."""

_BELIEVED = 50
"""Events that what a name held before counts for: where few are seen, it is not dropped by chance."""

_SEEN = 5
"""Items that everybody has and that are added to those under a node: what holds for a few may be chance."""

_TITLES = 24
_USED = 0.3
"""Part of its worth that a title keeps for each name that has it already."""


@final
@dataclass(frozen=True, eq=False)
class TasteNames:
    """A name for every node of a dictionary's tree; no two are the same.

    Attributes:
        names: "nodes".
        weight: "tastes", the events of each taste in the log, by which personas find their node.
    """

    names: tuple[TasteName, ...]
    weight: Doubles

    @classmethod
    def of(
        cls,
        dictionary: TasteDictionary,
        metadata: ItemMetadata,
        queries: Queries,
        found: FoundPersonas,
        *,
        listed: Items | None = None,
        owner: Items | None = None,
        former: TasteNames | None = None,
    ) -> TasteNames:
        """Name the nodes after what the personas at them consist of, over the users of a log.

        A name is of labels that hold for the events of the personas at the node, and, apart, for the items that are
        recommended for them (`names_that_hold`): the best that no larger node has. Where none holds, it is the two
        titles of the largest worth:

            worth(i)    = n_i ln(lift_i) max(cos(x_i, c), 0)
            worth(i, j) = (worth(i) worth(j))^(1/2) max(cos(x_i, x_j), 0)

        with n_i the events under the node, lift_i their share over that of all events, and c their mean vector: titles
        that are known there, less so elsewhere, central, and like each other.

        Args:
            dictionary: the tastes.
            metadata: of its items.
            queries: users of the log; some thousands suffice.
            found: the personas of these users.
            listed: "users n", items recommended to them; None where a name need not hold for these.
            owner: "users n", the persona that owns each.
            former: names of the dictionary from which this one inherited its tree: they stay while they hold.
        """
        counts = np.bincount(queries.history.items[queries.counted], minlength=len(metadata)).astype(np.float64)
        weight: Doubles = np.bincount(dictionary.taste, counts, len(dictionary)).astype(np.float64, copy=False)
        if former is not None:  # who found a node finds it again
            weight = former.weight
        labels = Labels.of(metadata, counts)
        under = _under(dictionary, queries, found)
        shown = under if listed is None or owner is None else _shown(found.numbers, listed, owner, under.shape)
        chosen: dict[int, TasteName] = {}
        taken: set[str] = set()
        used: Counter[str] = Counter()
        below = dictionary.members * weight
        for node in np.argsort(-below.sum(1), kind="stable").tolist():
            own = np.asarray(under[node].toarray()).ravel()
            if not own.any():  # no persona is there: what everybody has of its tastes
                own = counts * dictionary.members[node][dictionary.taste]
            recommended = np.asarray(shown[node].toarray()).ravel()
            parts = [_uses(labels, each) for each in (own, recommended if recommended.any() else own)]
            still = None if former is None else _still(former.names[node], metadata, labels, parts)
            candidates = chain(
                [] if still is None else [still], (name for _, name in names_that_hold(labels, parts[0], parts[1]))
            )
            free = (name for name in candidates if name.text not in taken)
            chosen[node] = next(free, None) or _by_titles(metadata, dictionary.vectors, own, counts, taken, used)
            taken.add(chosen[node].text)
            used.update(chosen[node].labels)
        return cls(tuple(chosen[node] for node in range(len(below))), weight)

    def of_personas(self, found: FoundPersonas) -> list[list[TasteName | None]]:
        """Return the name of each persona of each user; None where there is none. No two of a user are the same."""
        return [[None if node == UNKNOWN else self.names[node] for node in row] for row in found.numbers.tolist()]


def _under(dictionary: TasteDictionary, queries: Queries, found: FoundPersonas) -> sp.csr_matrix:
    """Return "nodes items": events of each item by personas at each node."""
    of_event = found.personas.of_events(dictionary, queries)
    events = np.flatnonzero((of_event != UNKNOWN) & queries.counted)
    at = found.numbers[queries.history.rows[events], of_event[events]]
    shape = (len(dictionary.members), len(dictionary.taste))
    return sp.csr_matrix((np.ones(len(events)), (at, queries.history.items[events])), shape=shape)


def _shown(nodes: Items, listed: Items, owner: Items, shape: tuple[int, int]) -> sp.csr_matrix:
    """Return "nodes items": how often each item is recommended for a persona at each node."""
    rows, places = np.nonzero((listed != UNKNOWN) & (owner != UNKNOWN))
    at = nodes[rows, owner[rows, places]]
    known = at != UNKNOWN
    entries = np.ones(int(known.sum())), (at[known], listed[rows, places][known])
    return sp.csr_matrix(entries, shape=shape)


def _uses(labels: Labels, events: Doubles) -> Uses:
    items = np.flatnonzero(events)
    return Uses.of(labels, items, events[items], _SEEN)


def _still(before: TasteName, metadata: ItemMetadata, labels: Labels, parts: Sequence[Uses]) -> TasteName | None:
    """Return the former name of a node, measured anew, if it holds still; None otherwise."""
    if before.kind == "titles":
        return before if set(before.labels) <= {short_title(title) for title in metadata.titles} else None
    said = parsed(before, labels)
    if said is None:
        return None
    name = replace(measured(labels, *said, parts), text=before.text, labels=before.labels)
    seen = parts[0].total
    holds = (seen * name.holds + _BELIEVED * before.holds) / (seen + _BELIEVED)
    return name if holds >= _HOLDS_STILL and name.lift > 1.0 else None


def _by_titles(
    metadata: ItemMetadata, vectors: Floats, own: Doubles, counts: Doubles, taken: set[str], used: Mapping[str, int]
) -> TasteName:
    """Return a name of two worthy titles that few names have; of the only one where there is but one item.

    The titles are short (`short_title`), and two of one series are one.
    """
    lift = (own / max(own.sum(), 1.0)) / (np.maximum(counts, 1.0) / max(counts.sum(), 1.0))
    central = np.maximum(vectors @ unit_rows((own @ vectors)[None])[0], 0.0)
    worth = own * np.log(np.maximum(lift, 1.0)) * central
    best = np.lexsort((-own, -worth))[:_TITLES].tolist()
    item = {short_title(metadata.titles[one]): one for one in reversed(best)}
    titles = list(item)[::-1]
    numbers = [item[title] for title in titles]
    value = worth[numbers] * np.power(_USED, [used.get(title, 0) for title in titles])
    alike = np.maximum(vectors[numbers] @ vectors[numbers].T, 0.0)
    both = np.sqrt(value[:, None] * value) * alike
    pairs = sorted(combinations(range(len(titles)), 2), key=lambda pair: (-both[pair], pair))
    names: list[tuple[str, tuple[str, ...]]]
    names = [(f"like {titles[one]} and {titles[other]}", (titles[one], titles[other])) for one, other in pairs]
    names += [(f"like {title}", (title,)) for title in titles]
    others = ((f"like {title}", (title,)) for title in map(readable_title, metadata.titles))
    text, chosen = next(name for name in chain(names, others) if name[0] not in taken)
    return TasteName(text, "titles", chosen)
