"""Where a persona stands in the shared dictionary, and the items of the user's own history that show what it is."""

from __future__ import annotations

import numpy as np

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.clusters import Personas, taste_mass
from recsys.models.personas.dictionary import TasteDictionary
from recsys.types import Doubles, Items, Mask


def node_overlap(dictionary: TasteDictionary, mass: Doubles, of_taste: Items, width: int, weight: Doubles) -> Doubles:
    """Return how much each persona is like each node of the dictionary's tree, "users K nodes", in [0, 1].

        overlap = sum_t min( m_kt, w_t [t below the node] / sum_{t below the node} w_t )

    m_kt is the part of persona k's events that have taste t, w_t the events of taste t in the log: one less half of the
    total variation between the persona and everybody's events below the node.

    Args:
        dictionary: the tastes.
        mass: "users tastes", the users' events of each taste.
        of_taste: "users tastes", the persona of each taste.
        width: K.
        weight: "tastes", w_t.
    """
    below: Doubles = dictionary.members * weight
    profile = (below / np.maximum(below.sum(1, keepdims=True), 1e-12)).T
    user, taste = np.nonzero(mass > 0)
    persona = user * width + of_taste[user, taste]
    order = np.argsort(persona, kind="stable")
    own, taste, persona = mass[user, taste][order], taste[order], persona[order]
    overlap = np.zeros((len(mass) * width, profile.shape[1]))
    if len(own):
        starts = np.flatnonzero(np.diff(persona, prepend=-1))
        total = np.add.reduceat(own, starts)
        part = own / np.repeat(total, np.diff(starts, append=len(own)))
        overlap[persona[starts]] = np.add.reduceat(np.minimum(part[:, None], profile[taste]), starts)
    return overlap.reshape(len(mass), width, len(dictionary.members))


def filled(numbers: Items, overlap: Doubles, exists: Mask) -> Items:
    """Return the node of each persona, "users K": of those without one, larger before smaller, the best that is left.

    Args:
        numbers: "users K", the nodes that personas have already, distinct within a user; `UNKNOWN` for none.
        overlap: of `node_overlap`; -1 for a node that is somebody's and only taken where no other is left.
        exists: "users K", whether there is a persona.
    """
    places = np.arange(numbers.shape[1])
    before = places[:, None] > places
    while (missing := exists & (numbers == UNKNOWN)).any():
        taken = np.zeros((len(numbers), overlap.shape[2] + 1), np.bool_)
        np.put_along_axis(taken, numbers, True, 1)  # the last column takes `UNKNOWN`
        best = np.where(taken[:, None, :-1], -2.0, overlap).argmax(2)
        rival = (best[:, :, None] == best[:, None, :]) & missing[:, None, :] & before
        numbers = np.where(missing & ~rival.any(2), best, numbers).astype(np.int32)
    return numbers


def persona_nodes(dictionary: TasteDictionary, queries: Queries, personas: Personas, weight: Doubles) -> Items:
    """Return a node that each persona is like, "users K", different ones within a user; `UNKNOWN` without persona."""
    width = personas.mass.shape[1]
    overlap = node_overlap(dictionary, taste_mass(dictionary, queries), personas.of_taste, width, weight)
    return filled(np.full(personas.mass.shape, UNKNOWN, np.int32), overlap, personas.mass > 0)


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
