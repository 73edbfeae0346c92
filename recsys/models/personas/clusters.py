"""The personas of users: clusters of the tastes in each user's own history, as many as the user has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.checks import share, whole
from recsys.data.clusters import unit_rows
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.one_taste import coherence
from recsys.models.personas.ward import ward
from recsys.types import Doubles, Floats, Ints, Items, Mask

_BATCH = 512
"""Users clustered at a time: keeps "users tastes tastes" arrays at about 10 MB."""

_SECOND = 0.25
_ALIKE = 0.2
"""Beside a cluster of the same taste, one with more than this share of the events is another taste where two events of
different clusters are less alike than this part of two of the same."""


@final
@dataclass(frozen=True)
class PersonaSettings:
    """How many personas a user may have.

    Attributes:
        most: maximal number of personas.
        similarity: personas whose mean vectors have a larger cosine are one.
        least_share: smaller personas join the nearest.
        least_ratio: so do those below this part of the largest: beside one large taste a few stray events are noise.
        least_events: so do those of fewer events.
        stray: share of the events of a user of one taste that may lie anywhere.
        strays: and their number, at most: in a long history they would be a taste.

    Raises:
        ConfigError: an argument is out of range.
    """

    most: int = 6
    similarity: float = 0.5
    least_share: float = 0.08
    least_ratio: float = 0.25
    least_events: int = 3
    stray: float = 0.25
    strays: int = 10

    def __post_init__(self) -> None:
        whole("most", self.most)
        share("least_share", self.least_share)
        share("least_ratio", self.least_ratio)
        whole("least_events", self.least_events)
        share("similarity", self.similarity)
        share("stray", self.stray)
        whole("strays", self.strays, least=0)


@final
@dataclass(frozen=True, eq=False)
class Personas:
    """The personas of a batch of users, largest first when they are found. K is the largest number that is allowed.

    Attributes:
        of_taste: "users tastes", int32: the persona that each taste of the dictionary belongs to, also where the user
            has no event of it yet; `UNKNOWN` for a user without any known event.
        mass: "users K": summed event weights; 0 where there is no persona.
        centres: "users K dim": unit mean vectors of the events.
    """

    of_taste: Items
    mass: Doubles
    centres: Floats

    def __len__(self) -> int:
        return len(self.of_taste)

    @property
    def counts(self) -> Ints:
        """ "users", int64: number of personas; 0 without known events."""
        return np.asarray((self.mass > 0).sum(1), np.int64)

    @property
    def shares(self) -> Doubles:
        """ "users K": share of each persona; rows sum to 1, or to 0 without personas."""
        total = self.mass.sum(1, keepdims=True)
        return np.asarray(self.mass / np.where(total > 0, total, 1.0))

    def of_items(self, dictionary: TasteDictionary, rows: Ints, items: Items) -> Items:
        """Return the persona to which each item belongs for its user; `UNKNOWN` for unknown items.

        Args:
            dictionary: the tastes.
            rows: the user of each item, of the shape of `items` or broadcastable to it.
            items: item numbers.
        """
        persona = self.of_taste[rows, dictionary.taste[items]]
        return np.where(items == UNKNOWN, UNKNOWN, persona).astype(np.int32)

    def of_events(self, dictionary: TasteDictionary, queries: Queries) -> Items:
        """Return "events", int32: the persona of each event of the users' histories."""
        return self.of_items(dictionary, queries.history.rows, queries.history.items)

    def take(self, rows: Ints) -> Personas:
        """Return the personas of some users."""
        return Personas(**{name: array[rows] for name, array in vars(self).items()})


def find_personas(dictionary: TasteDictionary, queries: Queries, settings: PersonaSettings | None = None) -> Personas:
    """Cluster each user's events. Deterministic; a user's personas do not depend on the other users of the batch.

        cost(a, b) = m_a m_b / (m_a + m_b) |c_a - c_b|^2         c: mean item vector, m: summed event weights

    The events of one taste are together from the start (micro-clusters, as in BIRCH: Zhang, Ramakrishnan, Livny, SIGMOD
    1996). Then the two clusters of the least cost merge (Ward 1963; per user: PinnerSage, Pal et al., KDD 2020) until
    `settings.most` are left, and the nearest two while their cosine exceeds `settings.similarity`; those that are too
    small join the nearest other. So the user's own events decide how many personas there are.

    Args:
        dictionary: the tastes.
        queries: the users; their event weights count.
        settings: limits.
    """
    chosen = settings or PersonaSettings()
    if len(queries) <= _BATCH:
        return _find(dictionary, queries, chosen)
    order = np.argsort(queries.history.lengths, kind="stable")  # a batch is as wide as its widest user
    parts = [_find(dictionary, batch, chosen) for batch in queries.take(order).batches(_BATCH)]
    together = Personas(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})
    return together.take(np.argsort(order, kind="stable"))


def taste_mass(dictionary: TasteDictionary, queries: Queries, power: int = 1) -> Doubles:
    """Return the summed event weights of each taste, "users tastes"; unknown and repeated items do not count.

    Args:
        dictionary: the tastes.
        queries: the users.
        power: of the weights that are summed.
    """
    counted = queries.counted
    weights = np.ones(len(counted)) if queries.weights is None else queries.weights
    place = queries.history.rows * len(dictionary) + dictionary.taste[np.maximum(queries.history.items, 0)]
    size = len(queries) * len(dictionary)
    mass = np.bincount(place, weights**power * counted, size)
    return mass.astype(np.float64, copy=False).reshape(len(queries), len(dictionary))


def taste_sums(dictionary: TasteDictionary, queries: Queries, vectors: Floats | None = None) -> tuple[Doubles, Doubles]:
    """Return the summed weights, "users tastes", and the weighted sums of item vectors, "users tastes dim".

    Args:
        dictionary: the tastes.
        queries: the users.
        vectors: "items dim"; None: those of the dictionary.
    """
    vectors = dictionary.vectors if vectors is None else vectors
    mass = taste_mass(dictionary, queries)
    count, size = len(dictionary), mass.size
    weights = queries.counted * (1.0 if queries.weights is None else queries.weights.astype(np.float64))
    counted = np.flatnonzero(weights > 0)
    items = queries.history.items[counted]
    place = queries.history.rows[counted] * count + dictionary.taste[items]
    sums = np.zeros((size, vectors.shape[1]))
    if len(counted):
        order = np.argsort(place, kind="stable")
        starts = np.flatnonzero(np.diff(place[order], prepend=-1))
        weighted = weights[counted[order], None] * vectors[items[order]]
        sums[place[order[starts]]] = np.add.reduceat(weighted, starts)
    return mass, sums.reshape(len(queries), count, sums.shape[1])


def personas_of(dictionary: TasteDictionary, mass: Doubles, sums: Doubles, of_taste: Items, width: int) -> Personas:
    """Return personas made of tastes; tastes without events join the persona with the nearest centre.

    Args:
        dictionary: the tastes.
        mass, sums: of `taste_sums`.
        of_taste: "users tastes", the persona of each taste that has events.
        width: K.
    """
    users = len(mass)
    member = ((of_taste[:, None, :] == np.arange(width)[:, None]) * mass[:, None, :]) > 0
    total = (member @ mass[:, :, None])[:, :, 0]
    centres = member.astype(np.float64) @ sums
    centres = unit_rows(centres.reshape(users * width, sums.shape[2])).reshape(centres.shape)
    cosine = np.where((total > 0)[:, :, None], centres @ dictionary.centres.T, -np.inf)
    everything = np.where(mass > 0, of_taste, cosine.argmax(1))
    everything[~(total > 0).any(1)] = UNKNOWN
    return Personas(everything.astype(np.int32), total, centres.astype(np.float32))


def _find(dictionary: TasteDictionary, queries: Queries, settings: PersonaSettings) -> Personas:
    mass, sums = taste_sums(dictionary, queries)
    label = _clusters(mass, sums, settings)
    size = _sizes(label, mass)
    total = np.maximum(mass.sum(1), 1e-12)
    # Strays are like nothing, so that they lower the mean cosine of two events by the square of the rest.
    alike = dictionary.one_taste * (1.0 - np.minimum(settings.stray, settings.strays / total)) ** 2
    single = np.flatnonzero(coherence(dictionary.themes, queries) >= alike)
    single = single[~_apart(dictionary, queries.take(single), label[single], size[single])]
    label[single] = size[single].argmax(1)[:, None]
    size[single] = _sizes(label[single], mass[single])
    rank = np.argsort(np.argsort(-size, axis=1, kind="stable"), axis=1)  # the largest persona first
    of_taste = np.take_along_axis(rank, label, 1).astype(np.int32)
    return personas_of(dictionary, mass, sums, of_taste, min(settings.most, len(dictionary)))


def _sizes(label: Ints, mass: Doubles) -> Doubles:
    """Return the weight of each cluster, "users tastes", by the number of the cluster."""
    size = np.zeros(mass.shape)
    np.add.at(size, (np.arange(len(mass))[:, None], label), mass)
    return size


def _apart(dictionary: TasteDictionary, queries: Queries, label: Ints, size: Doubles) -> Mask:
    """Return "users": whether the second cluster is no stray part of the first but a taste of its own.

    It has a quarter of the events, and two events of different clusters are less than a fifth as alike as two of the
    same: two narrow tastes are together as coherent as a wide one.
    """
    users = np.arange(len(size))
    if len(size) == 0 or size.shape[1] < 2:
        return np.zeros(len(size), np.bool_)
    mass, sums = taste_sums(dictionary, queries, dictionary.themes)
    two = np.argsort(-size, axis=1, kind="stable")[:, :2]
    member = (label[:, None, :] == two[:, :, None]) * (mass > 0)[:, None, :]
    total = member @ sums
    weight = np.take_along_axis(size, two, 1)
    products = total @ total.transpose(0, 2, 1)
    itself = np.einsum("ukt,ut->uk", member, taste_mass(dictionary, queries, 2))
    pairs = weight**2 - itself
    within = np.einsum("ukk->uk", products) - itself
    within = np.divide(within, pairs, out=np.zeros_like(within), where=pairs > 1e-9 * weight**2)
    between = products[users, 0, 1] / np.maximum(weight.prod(1), 1e-12)
    alike = np.sqrt(np.maximum(within, 0.0).prod(1))
    return np.asarray((weight[:, 1] > _SECOND * size.sum(1)) & (between < _ALIKE * alike))


def _clusters(mass: Doubles, sums: Doubles, settings: PersonaSettings) -> Ints:
    """Return the cluster of each taste, "users tastes": the number of one of its tastes."""
    users, count = mass.shape
    present = mass > 0
    # A user's own tastes first, the others cut off.
    own = np.argsort(~present, axis=1, kind="stable")[:, : int(present.sum(1).max(initial=1))]
    m, S = np.take_along_axis(mass, own, 1), np.take_along_axis(sums, own[:, :, None], 1)
    label = ward(m, S @ S.transpose(0, 2, 1), settings.most)
    clusters, label = _numbered(label, m > 0)
    member = (label[:, None, :] == np.arange(clusters)[:, None]) & (m > 0)[:, None, :]
    joined = _joined(np.einsum("ukt,ut->uk", member, m), member @ S, settings)
    label = np.take_along_axis(joined, label, 1)
    whole = np.tile(np.arange(count), (users, 1))
    first = np.take_along_axis(own, (label[:, None, :] == np.arange(clusters)[:, None]).argmax(2), 1)
    np.put_along_axis(whole, own, np.take_along_axis(first, label, 1), 1)
    return whole


def _numbered(label: Ints, present: Mask) -> tuple[int, Ints]:
    """Return the largest number of clusters of a user, and the clusters numbered 0, 1, ... within each."""
    used = np.zeros(label.shape, np.bool_)
    rows, points = np.nonzero(present)
    used[rows, label[rows, points]] = True
    number = np.cumsum(used, axis=1) - 1
    return max(1, int(used.sum(1).max(initial=0))), np.maximum(np.take_along_axis(number, label, 1), 0)


def _joined(mass: Doubles, sums: Doubles, settings: PersonaSettings) -> Ints:
    """Return into which cluster each goes, "users clusters": similar ones merge, then small ones join large ones."""
    users, count = mass.shape
    products = sums @ sums.transpose(0, 2, 1)
    own = np.arange(count)
    label = np.tile(own, (users, 1))
    rows = np.flatnonzero((mass > 0).sum(1) > 1)
    while len(rows):
        alive = mass[rows] > 0
        cosine = _cosines(products[rows])
        cosine[~(alive[:, :, None] & alive[:, None, :]) | np.eye(count, dtype=np.bool_)] = -np.inf
        flat = cosine.reshape(len(rows), -1)
        one, other = np.divmod(flat.argmax(1), count)
        near = flat.max(1) > settings.similarity
        rows, one, other = rows[near], one[near], other[near]
        products[rows, one] += products[rows, other]
        products[rows, :, one] += products[rows, :, other]
        mass[rows, one] += mass[rows, other]
        mass[rows, other] = 0.0
        label[rows] = np.where(label[rows] == other[:, None], one[:, None], label[rows])
        rows = rows[(mass[rows] > 0).sum(1) > 1]
    most = mass.max(1, initial=0.0)
    least = np.maximum(settings.least_share * mass.sum(1), settings.least_ratio * most)
    large = mass >= np.minimum(np.maximum(least, settings.least_events), most)[:, None]
    cosine = np.where((large & (mass > 0))[:, None, :], _cosines(products), -np.inf)
    return np.asarray(np.take_along_axis(np.where(large, own, cosine.argmax(2)), label, 1))


def _cosines(products: Doubles) -> Doubles:
    """Return the cosines of vector sums with the given inner products, "users clusters clusters"."""
    length = np.sqrt(np.maximum(np.einsum("uii->ui", products), 1e-12))
    return np.asarray(products / (length[:, :, None] * length[:, None, :]))
