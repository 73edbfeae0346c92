"""Simulated worlds whose personas are known: how many are found, and how well events are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.data.queries import Queries
from recsys.models.personas.clusters import Personas
from recsys.models.personas.dictionary import TasteDictionary, TasteSettings
from recsys.models.personas.growth import at_checkpoint, with_later_events
from recsys.types import Doubles, Ints
from recsys.worlds.blocks import block_log
from recsys.worlds.simulation import World, WorldConfig, simulate

_PRIOR = 20_000
_FLOOR = 1e-3
"""Added to the probability of a genre: of a genre that is used up others are drawn."""


@final
@dataclass(frozen=True)
class Planted:
    """Means over the users of a world.

    Attributes:
        found: adjusted Rand index of the found personas of events to the true ones, users of several personas.
        genre: the same of the item's true leading genre.
        posterior: the same of the most probable persona given the genre, under the true parameters.
        within_one: share of the users whose number of personas is right within one.
        one_taste: share of the users of one block's items who have one persona.
        one_persona: share of the users of one persona who have one; 35% of their events are of other genres.
        limit: the same of the most probable number of personas given the genres of a user's events, under the true
            parameters: the best that the world allows to who does not know the order of events.
        mistaken: share of the users of two personas who have one.
        limit_mistaken: the same under the true parameters.
    """

    found: float
    genre: float
    posterior: float
    within_one: float
    one_taste: float
    one_persona: float
    limit: float
    mistaken: float
    limit_mistaken: float


def planted(seed: int, users: int = 800) -> Planted:
    """Measure the default world with a larger catalogue, in which nobody exhausts a genre."""
    world = simulate(WorldConfig(seed=seed, n_users=users, n_items=1000))
    log = world.log
    queries, dictionary = Queries.from_interactions(log), TasteDictionary.of(log)
    personas = _personas(dictionary, queries)
    genre = world.item_genre[log.item_num]
    probable = (world.mixtures[log.user_num] * world.tastes[log.user_num, :, genre]).argmax(1)
    used = np.asarray([len(set(own.tolist())) for own in np.split(world.persona, log.indptr[1:-1])])
    labels = (personas.of_events(dictionary, queries), genre, probable)
    found, by_genre, posterior = (_mean_rand(world, np.asarray(label, np.int64), used > 1) for label in labels)
    likely = _most_probable(world, seed)
    single, double = used == 1, used == 2
    return Planted(
        *(found, by_genre, posterior),
        within_one=float((np.abs(personas.counts - used) <= 1).mean()),
        one_taste=_one_taste(seed),
        one_persona=float((personas.counts[single] == 1).mean()),
        limit=float((likely[single] == 1).mean()),
        mistaken=float((personas.counts[double] == 1).mean()),
        limit_mistaken=float((likely[double] == 1).mean()),
    )


def _most_probable(world: World, seed: int) -> Ints:
    """Return the most probable number of personas of each user, given how many events have which leading genre.

    The likelihood is averaged over other users of the same world's rules, a Monte Carlo of the prior.
    """
    prior = simulate(WorldConfig(seed=1000 + seed, n_users=_PRIOR, n_items=1000, events_per_user=1))
    genres = np.einsum("uk,ukg->ug", prior.mixtures, prior.tastes)
    number = (prior.mixtures > 0).sum(1)
    counts = np.zeros((world.log.n_users, len(world.genres)))
    np.add.at(counts, (world.log.user_num, world.item_genre[world.log.item_num]), 1.0)
    likelihood = counts @ np.log(genres + _FLOOR).T
    likelihood = np.exp(likelihood - likelihood.max(1, keepdims=True))
    by_number = [likelihood[:, number == count].sum(1) for count in range(1, int(number.max()) + 1)]
    return np.asarray(np.argmax(by_number, axis=0) + 1)


def _one_taste(seed: int) -> float:
    log = block_log(blocks=8, users=40, items=30, seed=seed)
    dictionary = TasteDictionary.of(log, TasteSettings(shrinkage=10.0))
    return float((_personas(dictionary, Queries.from_interactions(log)).counts == 1).mean())


def _personas(dictionary: TasteDictionary, queries: Queries) -> Personas:
    weight = np.ones(len(dictionary))  # numbers do not matter
    return with_later_events(dictionary, weight, queries, at_checkpoint(dictionary, weight, queries)).personas


def _mean_rand(world: World, label: Ints, users: np.ndarray) -> float:
    indptr = world.log.indptr
    spans = [slice(indptr[user], indptr[user + 1]) for user in np.flatnonzero(users)]
    return float(np.mean([adjusted_rand(label[span], world.persona[span]) for span in spans]))


def adjusted_rand(one: Ints, other: Ints) -> float:
    """Return the adjusted Rand index of two partitions (Hubert and Arabie 1985); 1 where both are trivial.

    >>> adjusted_rand(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2]))
    1.0
    """
    table = np.zeros((int(one.max()) + 1, int(other.max()) + 1))
    np.add.at(table, (one, other), 1.0)
    both, rows, columns, total = (_pairs(each) for each in (table, table.sum(1), table.sum(0), table.sum()))
    expected = rows * columns / total if total else 0.0
    largest = (rows + columns) / 2
    return 1.0 if largest == expected else float((both - expected) / (largest - expected))


def _pairs(counts: Doubles) -> float:
    return float((counts * (counts - 1) / 2).sum())
