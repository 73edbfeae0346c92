"""The found personas of a user in what shows them: own items, genres, shares over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.data.items import NO_GENRE
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations.activity import activity_of
from recsys.explanations.naming import distinctive, genre_lift
from recsys.explanations.records import GenreShare, PersonaItem
from recsys.models.personas.described import representatives
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.model import WithPersonas
from recsys.types import Ints

_TOP = 5


@final
@dataclass(frozen=True)
class DescribedPersona:
    """One persona: see `recsys.serving.records.Persona`."""

    share_now: float
    share_long_term: float
    items: tuple[PersonaItem, ...]
    genres: tuple[GenreShare, ...]
    activity: tuple[float, ...]


@final
@dataclass(frozen=True)
class DescribedPersonas:
    """The personas of a user, and the moments of their activity."""

    times: Ints
    personas: tuple[DescribedPersona, ...]


def describe_found(model: WithPersonas, queries: Queries, found: FoundPersonas) -> DescribedPersonas:
    """Describe the personas of one user."""
    fitted, dictionary = model.fitted_on, model.dictionary
    count, metadata = int(found.personas.counts[0]), fitted.metadata
    if count == 0:
        return DescribedPersonas(np.asarray(queries.now, np.int64), ())
    of_event = found.personas.of_events(dictionary, queries)
    counted = queries.counted & (of_event != UNKNOWN)
    member = (of_event[:, None] == np.arange(count)) & counted[:, None]
    activity = activity_of(model, queries, member.astype(np.float64))
    nearest = representatives(dictionary, queries, found.personas, _TOP)[0]
    names, has = metadata.genre_matrix
    base = fitted.item_counts @ has / max(1, int(fitted.item_counts.sum()))
    own = member.T.astype(np.float64) @ has[np.maximum(queries.history.items, 0)]
    share, lift = genre_lift(own, member.sum(0), np.broadcast_to(base, own.shape))
    lift[:, [name in NO_GENRE for name in names]] = 1.0
    order = distinctive(share, lift) if len(names) else np.zeros((count, 0), np.int64)
    personas = []
    for place in range(count):
        items = [item for item in nearest[place].tolist() if item != UNKNOWN]
        near = dictionary.vectors[items] @ found.personas.centres[0, place]
        best = [g for g in order[place].tolist()[:_TOP] if share[place, g] > 0 and lift[place, g] > 1]
        personas.append(
            DescribedPersona(
                float(activity.now[place]),
                float(activity.long_term[place]),
                tuple(
                    PersonaItem(fitted.items.id_of(item), metadata.titles[item], weight)
                    for item, weight in zip(items, near.tolist(), strict=True)
                ),
                tuple(GenreShare(names[g], float(share[place, g]), float(lift[place, g])) for g in best),
                tuple(activity.values[:, place].tolist()),
            )
        )
    return DescribedPersonas(activity.times, tuple(personas))
