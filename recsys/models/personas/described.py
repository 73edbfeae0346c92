"""Where a persona stands in the shared dictionary, and the items of the user's own history that show what it is."""

from __future__ import annotations

import numpy as np

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.clusters import Personas, taste_mass
from recsys.models.personas.dictionary import TasteDictionary
from recsys.types import Doubles, Ints, Items


def persona_nodes(
    dictionary: TasteDictionary, queries: Queries, personas: Personas, weight: Doubles, kept: Items | None = None
) -> Items:
    """Return the node of the dictionary's tree that is most like each persona, "users K", `UNKNOWN` without one.

        overlap = sum_t min( m_kt, w_t [t below the node] / sum_{t below the node} w_t )

    m_kt is the part of persona k's events that have taste t, w_t the events of taste t in the log: one less half of the
    total variation between the persona and everybody's events below the node. The personas of a user, largest first,
    get different nodes, so that no two have one name.

    Args:
        dictionary: the tastes.
        queries: the users.
        personas: of the same users.
        weight: "tastes", w_t.
        kept: "users K", nodes that personas have already and keep, distinct within a user; `UNKNOWN` for none.
    """
    nodes = np.full(personas.identity.shape, UNKNOWN, np.int32)
    taken = np.zeros((len(personas), len(dictionary.members)), np.bool_)
    if kept is not None:
        user, own = np.nonzero((kept != UNKNOWN) & (personas.identity != UNKNOWN))
        nodes[user, own] = kept[user, own]
        taken[user, kept[user, own]] = True
    if ((nodes != UNKNOWN) == (personas.identity != UNKNOWN)).all():
        return nodes
    mass = taste_mass(dictionary, queries)
    below: Doubles = dictionary.members * weight
    profile = below / np.maximum(below.sum(1, keepdims=True), 1e-12)
    order = np.argsort(-personas.mass, axis=1, kind="stable")
    for position in range(order.shape[1]):
        persona: Ints = np.asarray(order[:, position])
        users = np.arange(len(order))
        exists = (personas.identity[users, persona] != UNKNOWN) & (nodes[users, persona] == UNKNOWN)
        rows = np.flatnonzero(exists)
        if len(rows) == 0:
            continue
        own = mass[rows] * (personas.of_taste[rows] == persona[rows, None])
        own /= np.maximum(own.sum(1, keepdims=True), 1e-12)
        if len(own) < len(profile):
            overlap = np.stack([np.minimum(each, profile).sum(1) for each in own])
        else:
            overlap = np.stack([np.minimum(own, each).sum(1) for each in profile], 1)
        best = np.where(taken[rows], -1.0, overlap).argmax(1)
        nodes[rows, persona[rows]] = best
        taken[rows, best] = True
    return nodes


def representatives(dictionary: TasteDictionary, queries: Queries, personas: Personas, top: int = 5) -> Items:
    """Return the own items nearest to each persona's mean vector, "users K top", the medoid first.

    Places beyond a persona's number of events are `UNKNOWN`.
    """
    width = personas.mass.shape[1]
    of_event = personas.of_events(dictionary, queries)
    events = np.flatnonzero((of_event != UNKNOWN) & queries.counted)
    items, rows, persona = queries.history.items[events], queries.history.rows[events], of_event[events]
    cosine = np.einsum("ed,ed->e", dictionary.vectors[items], personas.centres[rows, persona])
    group = rows * width + persona
    order = np.lexsort((items, -cosine, group))
    group = group[order]
    count = np.bincount(group, minlength=len(queries) * width)
    place = np.arange(len(group)) - (np.cumsum(count) - count)[group]
    result = np.full((len(queries) * width, top), UNKNOWN, np.int32)
    first = place < top
    result[group[first], place[first]] = items[order][first]
    return result.reshape(len(queries), width, top)
