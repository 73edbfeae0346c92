"""Descriptions of personas found in a history: what shows them, what is listed for them, which events are theirs."""

from __future__ import annotations

import numpy as np

from recsys.data.items import NO_GENRE
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations.deeds import may_be_reasons
from recsys.explanations.naming import distinctive, genre_lift
from recsys.explanations.padded import BATCH
from recsys.explanations.records import GenreShare, PersonaDescription, PersonaItem, often
from recsys.explanations.text import WHOLE
from recsys.models.base import Recommendations
from recsys.models.personas.described import representatives
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.growth import until_checkpoint
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.names.labels import TasteName
from recsys.models.personas.names.own_names import own_names
from recsys.types import Doubles, Items

_CANDIDATES = 40
"""Of each persona, the events nearest to its mean, from which those that the user liked are shown."""


def describe_found(
    model: WithPersonas,
    queries: Queries,
    found: FoundPersonas | None = None,
    *,
    top: int = 5,
    listed: Recommendations | None = None,
    names: list[list[TasteName | None]] | None = None,
) -> list[list[PersonaDescription]]:
    """Describe the personas of each user, largest first, under their public numbers.

    The share is that of the whole history, whatever its events weigh now. The items are the persona's events nearest to
    its mean vector, with their cosine, the medoid first; such that the user rated below the own mean or disliked come
    only after all others. The lift of a genre is that over everybody's events.

    Args:
        model: a model with personas of this kind.
        queries: the users.
        found: their personas; found anew when None.
        top: the most items, genres and recommendations of a persona.
        listed: lists of the users, of which each persona's items are its recommendations; none when None.
        names: of the personas, "queries K"; found anew when None.
    """
    found = model.found(queries) if found is None else found
    shares, width = found.personas.shares, found.numbers.shape[1]
    shown = _shown(model, queries, found, top)
    genres = _genres(model, queries, found)
    names = names_of_found(model, queries, found) if names is None else names
    described = []
    for row in range(len(queries)):
        personas = []
        for place in np.argsort(-shares[row], kind="stable").tolist():
            number = int(found.numbers[row, place])
            if number == UNKNOWN:
                continue
            name = names[row][place]
            assert name is not None
            items = tuple(_item(model, *pair) for pair in shown[row * width + place])
            own = () if listed is None else _listed(model, listed, row, place, top)
            part = float(shares[row, place])
            personas.append(
                PersonaDescription(number, name.text, name.kind, part, items, genres[row][place][:top], own)
            )
        described.append(personas)
    return described


def names_of_found(model: WithPersonas, queries: Queries, found: FoundPersonas) -> list[list[TasteName | None]]:
    """Return the name of each persona of each user, "queries K"; None where there is none.

    The only persona is the history as a whole; several have names that are true of the user's own events (`own_names`).
    These are made at the checkpoints of a history (`recsys.models.personas.growth`) and stay until the next one, for a
    persona that has events of before.

    Args:
        model: a model with personas of this kind.
        queries: the users, with all of their events that are visible; weights do not count.
        found: their personas.
    """
    whole = TasteName(WHOLE, "labels", (WHOLE,), 1.0)
    names = [[None if number == UNKNOWN else whole for number in numbers] for numbers in found.numbers.tolist()]
    several = np.flatnonzero(found.personas.counts != 1)
    for start in range(0, len(several), BATCH):
        rows = several[start : start + BATCH]
        users, own = queries.take(rows).with_weights(None), found.take(rows)
        before = until_checkpoint(users)
        of_event = own.personas.of_events(model.dictionary, users)
        known = np.zeros(own.numbers.shape, np.bool_)
        old = before & (of_event != UNKNOWN)
        known[users.history.rows[old], of_event[old]] = True
        fresh = ((own.numbers != UNKNOWN) & ~known).any(1)  # a persona that began after the checkpoint
        users = users.keep(before | fresh[users.history.rows])
        for row, of_user in zip(rows.tolist(), own_names(model, users, own, may_be_reasons(users)), strict=True):
            names[row] = of_user
    return names


def memberships_of_found(model: WithPersonas, queries: Queries, found: FoundPersonas) -> Doubles:
    """Return "events K", 1 where an event is of a persona; K are the personas of the largest user, largest first."""
    of_event = found.personas.of_events(model.dictionary, queries)
    order = np.argsort(-found.personas.shares, axis=1, kind="stable")
    count = max(1, int(found.personas.counts.max(initial=0)))
    owned = order[queries.history.rows][:, :count] == of_event[:, None]
    return np.asarray(owned & (of_event != UNKNOWN)[:, None], np.float64)


def often_of_found(
    model: WithPersonas, queries: Queries, found: FoundPersonas, names: list[list[TasteName | None]]
) -> list[list[tuple[str, ...]]]:
    """Return what the events of each persona of each user often are, "queries K"; nothing where there is no persona.

    Args:
        model: a model with personas of this kind.
        queries: the users.
        found: their personas.
        names: of these, "queries K".
    """
    return [
        [() if name is None else often(genres, name.text) for name, genres in zip(of_user, own, strict=True)]
        for of_user, own in zip(names, _genres(model, queries, found), strict=True)
    ]


def _shown(model: WithPersonas, queries: Queries, found: FoundPersonas, top: int) -> list[list[tuple[int, float]]]:
    """Return the items that show each persona and their cosines, one list for each user and place."""
    dictionary, personas = model.dictionary, found.personas
    nearest = representatives(dictionary, queries, personas, _CANDIDATES)
    liked = {
        (row, item)
        for row, item, good in zip(
            queries.history.rows.tolist(), queries.history.items.tolist(), may_be_reasons(queries).tolist(), strict=True
        )
        if good
    }
    shown = []
    for row in range(len(queries)):
        for place in range(nearest.shape[1]):
            items = [item for item in nearest[row, place].tolist() if item != UNKNOWN]
            items = sorted(items, key=lambda item: (row, item) not in liked)[:top]
            cosine = dictionary.vectors[items] @ personas.centres[row, place]
            shown.append(list(zip(items, cosine.tolist(), strict=True)))
    return shown


def _genres(model: WithPersonas, queries: Queries, found: FoundPersonas) -> list[list[tuple[GenreShare, ...]]]:
    """Return the genres of each persona of each user, most distinctive first; of a place without persona none."""
    fitted = model.fitted_on
    names, has = fitted.metadata.genre_matrix
    of_event = found.personas.of_events(model.dictionary, queries)
    events = np.flatnonzero((of_event != UNKNOWN) & queries.counted)
    width = found.numbers.shape[1]
    place = queries.history.rows[events] * width + of_event[events]
    total = np.bincount(place, minlength=len(queries) * width)
    mass = np.zeros((len(total), len(names)))
    order, some = np.argsort(place, kind="stable"), np.flatnonzero(total)
    if len(some):
        starts = np.cumsum(total[some]) - total[some]
        mass[some] = np.add.reduceat(has[queries.history.items[events[order]]], starts, dtype=np.float64)
    share, lift = genre_lift(mass, total.astype(np.float64), np.broadcast_to(fitted.genre_shares, mass.shape))
    lift[:, [name in NO_GENRE for name in names]] = 1.0
    best = distinctive(share, lift).tolist()
    shares, lifts = share.tolist(), lift.tolist()
    genres = [
        tuple(
            GenreShare(names[one], shares[row][one], lifts[row][one])
            for one in order
            if shares[row][one] > 0 and lifts[row][one] > 1
        )
        for row, order in enumerate(best)
    ]
    return [genres[start : start + width] for start in range(0, len(genres), width)]


def _listed(model: WithPersonas, listed: Recommendations, row: int, place: int, top: int) -> tuple[PersonaItem, ...]:
    if listed.owners is None:
        return ()
    mine: Items = listed.items[row][listed.owners[row] == place]
    return tuple(_item(model, item, 1.0) for item in mine[mine != UNKNOWN][:top].tolist())


def _item(model: WithPersonas, number: int, weight: float) -> PersonaItem:
    fitted = model.fitted_on
    return PersonaItem(fitted.items.id_of(number), fitted.metadata.titles[number], weight)
