"""The personas of a history, through its checkpoints: they last while it grows, and depend on the history alone."""

from __future__ import annotations

import numpy as np

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.clusters import (
    Personas,
    PersonaSettings,
    find_personas,
    personas_of,
    taste_mass,
    taste_sums,
)
from recsys.models.personas.described import filled, node_overlap
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.found import FoundPersonas
from recsys.types import Doubles, Ints, Items, Mask

_RESEMBLES = 0.5
"""A persona keeps its number while it is at least this part as much like that node as like the one it is most like."""

_BATCH = 256
"""Users whose checkpoints are clustered at a time: some thousand histories."""


def checkpoints(events: int) -> Ints:
    """Return the lengths, up to a number of events, at which the personas of a history are found anew.

    >>> checkpoints(100)
    array([ 1,  2,  3,  4,  6,  9, 13, 19, 28, 42, 63, 94])
    """
    lengths = [1] if events else []
    while lengths and (following := lengths[-1] + max(1, lengths[-1] // 2)) <= events:
        lengths.append(following)
    return np.asarray(lengths, np.int64)


def until_checkpoint(queries: Queries) -> Mask:
    """Return "events": those before the last checkpoint of their history."""
    lengths = queries.history.lengths
    steps = np.append(checkpoints(int(lengths.max(initial=0))), 0)  # 0 of a user without events
    last = steps[np.searchsorted(steps[:-1], lengths, side="right") - 1]
    place = np.arange(len(queries.history.items)) - np.repeat(queries.history.indptr[:-1], lengths)
    return np.asarray(place < np.repeat(last, lengths))


def at_checkpoint(
    dictionary: TasteDictionary, weight: Doubles, queries: Queries, settings: PersonaSettings | None = None
) -> FoundPersonas:
    """Return the personas of users at the last checkpoint of each history, with public numbers.

    A persona has the number of the one at the checkpoint before that it continues: that from which it has at least
    half of its events, and which has no larger heir, as long as it resembles that node (`node_overlap`) half as
    much as the best one. Any other gets the number of the node that it is most like, of those that no other one has or
    has had, the largest first.

    Args:
        dictionary: the tastes.
        weight: "tastes", events of each in the log.
        queries: the users; weights do not count.
        settings: limits.
    """
    limits, plain = settings or PersonaSettings(), queries.with_weights(None)
    if len(plain) <= _BATCH:
        return _at_checkpoint(dictionary, weight, plain, limits)
    return FoundPersonas.concatenated(
        [_at_checkpoint(dictionary, weight, batch, limits) for batch in plain.batches(_BATCH)]
    )


def with_later_events(
    dictionary: TasteDictionary, weight: Doubles, queries: Queries, before: FoundPersonas
) -> FoundPersonas:
    """Return the personas of users, from those at the last checkpoint: later events join that of their taste.

    Args:
        dictionary, weight, queries: those of `at_checkpoint`.
        before: the result of `at_checkpoint`.
    """
    mass, sums = taste_sums(dictionary, queries.with_weights(None))
    # Where no event counted before the checkpoint, those after it are one persona until the next.
    of_taste = np.maximum(before.personas.of_taste, 0)
    personas = personas_of(dictionary, mass, sums, of_taste, before.numbers.shape[1])
    numbers = np.where(personas.mass > 0, before.numbers, UNKNOWN)
    fresh = np.flatnonzero(((personas.mass > 0) & (numbers == UNKNOWN)).any(1))
    if len(fresh):
        overlap = node_overlap(dictionary, mass[fresh], personas.of_taste[fresh], numbers.shape[1], weight)
        numbers[fresh] = filled(numbers[fresh], overlap, personas.mass[fresh] > 0)
    former = before.former & (personas.mass > 0)[:, :, None] | _marked(numbers, len(dictionary.members))
    return FoundPersonas(personas, numbers, mass, former)


def _at_checkpoint(
    dictionary: TasteDictionary, weight: Doubles, queries: Queries, limits: PersonaSettings
) -> FoundPersonas:
    lengths = queries.history.lengths
    steps = np.append(checkpoints(int(lengths.max(initial=0))), 0)  # 0 of a user without events
    count = np.maximum(1, np.searchsorted(steps[:-1], lengths, side="right"))
    # One row for each checkpoint of each user; they are clustered at once, because none depends on another.
    last = np.cumsum(count) - 1
    user = np.repeat(np.arange(len(queries)), count)
    step = np.arange(len(user)) - np.repeat(last + 1 - count, count)
    rows = queries.take(user)
    place = np.arange(len(rows.times)) - np.repeat(rows.history.indptr[:-1], rows.history.lengths)
    rows = rows.keep(place < np.repeat(steps[step], rows.history.lengths))
    personas, mass = find_personas(dictionary, rows, limits), taste_mass(dictionary, rows)
    width = personas.mass.shape[1]
    overlap = node_overlap(dictionary, mass, personas.of_taste, width, weight)
    heirs, best = _continued(personas, mass), overlap.max(2, initial=0.0)
    numbers, nodes = np.full((len(rows), width), UNKNOWN, np.int32), overlap.shape[2]
    had = np.zeros(overlap.shape, np.bool_)
    for stage in range(int(count.max(initial=0))):
        now = np.flatnonzero(step == stage)
        above, heir = (now - 1)[:, None], np.maximum(heirs[now], 0)
        continues = (heirs[now] != UNKNOWN) & (stage > 0)
        former, own = numbers[above, heir], had[above, heir] & continues[:, :, None]
        like = overlap[now[:, None], np.arange(width), np.maximum(former, 0)]
        kept = np.where(continues & (like >= _RESEMBLES * best[now]), former, UNKNOWN)
        free = np.where(own.any(1)[:, None, :] & ~own, -1.0, overlap[now])
        numbers[now] = filled(kept, free, personas.mass[now] > 0)
        had[now] = own | _marked(numbers[now], nodes)
    return FoundPersonas(personas, numbers, mass, had).take(last)


def _marked(numbers: Items, nodes: int) -> Mask:
    """Return "users K nodes", True at the number of each persona."""
    return np.asarray(numbers[:, :, None] == np.arange(nodes, dtype=np.int32))


def _continued(personas: Personas, mass: Doubles) -> Items:
    """Return which persona of the row above each persona of a row continues, "rows K"; `UNKNOWN` for none."""
    numbers = np.arange(personas.mass.shape[1])
    member = personas.of_taste[:, None, :] == numbers[:, None]
    above = np.roll(member, 1, axis=0)
    shared = (member * mass[:, None, :]) @ above.transpose(0, 2, 1).astype(np.float64)
    most = shared.max(2, initial=0.0)
    from_one = (2 * most >= personas.mass) & (most > 0)
    claim = np.where(from_one[:, :, None] & (shared.argmax(2)[:, :, None] == numbers), most[:, :, None], 0.0)
    heir = (claim.argmax(1)[:, None, :] == numbers[:, None]) & (claim > 0)
    return np.where(heir.any(2), heir.argmax(2), UNKNOWN).astype(np.int32)
