"""A dictionary of tastes that all users share: small groups of items, and the tree in which they merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import linkage

from recsys.checks import positive, share, whole
from recsys.data.clusters import unit_rows
from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.models.base import FittedOn
from recsys.models.linear.operations import CoUse
from recsys.models.personas.one_taste import THEME_LABELS, least_coherence
from recsys.models.personas.vectors import item_blocks, joined
from recsys.types import Doubles, Floats, Ints, Items, Mask

_ROUNDS = 20
"""Maximal rounds of k-means after the divisions."""

_MOVES = 0.5
"""An item leaves its former taste for one at less than this part of the (squared) distance."""


@final
@dataclass(frozen=True)
class TasteSettings:
    """How the dictionary is made.

    Attributes:
        tastes: number of tastes; fewer on a log of few items.
        dim, shrinkage, metadata_weight: of the item vectors, see `recsys.models.personas.vectors.item_vectors`.

    Raises:
        ConfigError: an argument is out of range.
    """

    tastes: int = 48
    dim: int = 16
    shrinkage: float = 100.0
    metadata_weight: float = 0.5

    def __post_init__(self) -> None:
        whole("tastes", self.tastes)
        whole("dim", self.dim)
        positive("shrinkage", self.shrinkage, zero=True)
        share("metadata_weight", self.metadata_weight)


@final
@dataclass(frozen=True, eq=False)
class TasteDictionary:
    """Tastes of a log: every item has one. Deterministic: the same log gives the same tastes.

    The items, weighted by their events, are divided along the principal axis of the group that loses most by staying
    together (Boley, *Principal direction divisive partitioning*, 1998), then assigned by k-means; the tree joins tastes
    by Ward's rule.

    Attributes:
        items: the items of the log.
        vectors: "items dim", float32, unit rows.
        taste: "items", int32, the taste of each item.
        merges: "tastes-1 2", int32: node `tastes + m` joins the two nodes of row m; nodes below `tastes` are tastes.
        themes: "items dim'", float32, unit rows: vectors in which labels count more than co-use.
        one_taste: coherence in the themes of a user of one taste, see `recsys.models.personas.one_taste`.
        counts: "items", the events from which each vector was made.
    """

    items: Vocabulary
    vectors: Floats
    taste: Items
    merges: Items
    themes: Floats
    one_taste: float
    counts: Doubles

    @classmethod
    def of(
        cls, train: Interactions, settings: TasteSettings | None = None, former: TasteDictionary | None = None
    ) -> TasteDictionary:
        """Find the tastes of a log in memory; see `of_sums`."""
        return cls.of_sums(FittedOn.of(train), CoUse.of(train.matrix()), settings, former)

    @classmethod
    def of_sums(
        cls,
        train: FittedOn,
        co_use: CoUse,
        settings: TasteSettings | None = None,
        former: TasteDictionary | None = None,
    ) -> TasteDictionary:
        """Find the tastes of a log, given what its users used together.

        Args:
            train: what is known of the training log.
            co_use: of its items.
            settings: how many, and of which vectors.
            former: the dictionary before this training. Its tastes and its tree stay, so that their numbers and names
                go on: the new vectors are turned into the former ones' space and move a known item as far as its events
                are new, and an item keeps its taste unless it has come far closer to another. What one taste is stays,
                too. `settings.tastes` is not used then.
        """
        chosen = settings or TasteSettings()
        blocks = item_blocks(train, co_use, chosen.dim, chosen.shrinkage)
        vectors, themes = joined(*blocks, chosen.metadata_weight), joined(*blocks, THEME_LABELS)
        weight = train.item_counts.astype(np.float64)
        if former is None:
            taste = _k_means(vectors, weight, _divide(vectors, weight, chosen.tastes))
            centres = _centres(vectors, weight, taste, int(taste.max(initial=0)) + 1)
            merges = _ward(centres, np.bincount(taste, weight, len(centres)).astype(np.float64, copy=False))
        else:
            themes = _continued(former, former.themes, train.items, themes, weight)
            vectors = _continued(former, former.vectors, train.items, vectors, weight)
            taste, merges = _inherited(former, train.items, vectors), former.merges
        arrays = vectors.astype(np.float32), taste.astype(np.int32), merges, themes.astype(np.float32)
        found = cls(train.items, *arrays, one_taste=1.0 if former is None else former.one_taste, counts=weight)
        if former is not None:
            return found
        below = found.members[:, taste]
        return replace(found, one_taste=least_coherence(themes, below, weight, train.metadata))

    def __len__(self) -> int:
        return len(self.merges) + 1

    @cached_property
    def members(self) -> Mask:
        """ "nodes tastes": the tastes below each node of the tree, the tastes themselves first."""
        count = len(self)
        below = np.zeros((2 * count - 1, count), np.bool_)
        below[:count] = np.eye(count, dtype=np.bool_)
        for number, (one, other) in enumerate(self.merges.tolist()):
            below[count + number] = below[one] | below[other]
        return below

    @cached_property
    def centres(self) -> Floats:
        """ "tastes dim", float32: the mean vector of the items of each taste; zeros for a taste without items."""
        ones = np.ones(len(self.taste))
        return _centres(self.vectors.astype(np.float64), ones, self.taste, len(self)).astype(np.float32)

    @cached_property
    def parts(self) -> Doubles:
        """ "items tastes", read-only: 1 for the taste of an item; a row of zeros for an item without vector."""
        parts = np.zeros((len(self.taste), len(self)))
        known = np.flatnonzero(self.vectors.any(1))
        parts[known, self.taste[known]] = 1.0
        parts.setflags(write=False)
        return parts

    def followed_by(self, items: Vocabulary, vectors: Floats, themes: Floats) -> TasteDictionary:
        """Return the same tastes with further items, each of which has the nearest one.

        Args:
            items: of this dictionary, then the others.
            vectors: "others dim", unit rows.
            themes: "others dim'", unit rows.
        """
        used = np.bincount(self.taste, minlength=len(self)) > 0
        distance = np.where(used, (self.centres**2).sum(1) - 2 * vectors @ self.centres.T, np.inf)
        found = replace(
            self,
            items=items,
            vectors=np.concatenate([self.vectors, vectors]),
            taste=np.concatenate([self.taste, distance.argmin(1).astype(np.int32)]),
            themes=np.concatenate([self.themes, themes]),
            counts=np.concatenate([self.counts, np.zeros(len(vectors))]),
        )
        vars(found)["centres"] = self.centres  # so that nobody's personas change
        return found

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything but the vocabulary, as arrays by name."""
        names = ("vectors", "taste", "merges", "themes")
        return {**{name: getattr(self, name) for name in names}, "one_taste": np.asarray([self.one_taste])}

    @classmethod
    def restored(
        cls, items: Vocabulary, counts: Ints | Doubles, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> TasteDictionary:
        """Restore the result of `arrays`, given the items and their events in the log."""
        vectors, taste, merges, themes = (arrays[name] for name in ("vectors", "taste", "merges", "themes"))
        return cls(items, vectors, taste, merges, themes, float(arrays["one_taste"][0]), counts.astype(np.float64))


def _centres(vectors: Doubles, weight: Doubles, taste: npt.NDArray[np.integer], count: int) -> Doubles:
    """Return the weighted mean of each taste, "tastes dim"; zeros for a taste without weight."""
    sums = np.zeros((count, vectors.shape[1]))
    np.add.at(sums, taste, weight[:, None] * vectors)
    total = np.bincount(taste, weight, count)[:, None]
    return np.asarray(np.divide(sums, total, out=np.zeros_like(sums), where=total > 0))


def _loss(vectors: Doubles, weight: Doubles) -> float:
    """Return the weighted sum of squared distances from the mean."""
    total = float(weight.sum())
    mean = weight @ vectors / total if total > 0 else vectors.mean(0)
    return float(weight @ ((vectors - mean) ** 2).sum(1))


def _divide(vectors: Doubles, weight: Doubles, count: int) -> Ints:
    """Return the taste of each item after `count - 1` divisions in two; fewer where no group can be divided."""
    groups = [np.arange(len(vectors))]
    losses = [_loss(vectors, weight)]
    while len(groups) < count and max(losses) > 1e-9:
        largest = int(np.argmax(losses))
        group = groups[largest]
        side = _halves(vectors[group], weight[group])
        groups[largest : largest + 1] = parts = [group[~side], group[side]]
        losses[largest : largest + 1] = [_loss(vectors[part], weight[part]) for part in parts]
    taste = np.zeros(len(vectors), np.int64)
    for number, group in enumerate(groups):
        taste[group] = number
    return taste


def _halves(vectors: Doubles, weight: Doubles) -> Mask:
    """Divide points by the sign of their principal component, then by two-means; neither side is empty."""
    mean = weight @ vectors / weight.sum()
    around = vectors - mean
    axis = np.linalg.eigh((weight[:, None] * around).T @ around)[1][:, -1]
    axis = axis * np.sign(axis[np.abs(axis).argmax()])  # an eigenvector has no sign of its own
    projected = around @ axis
    side = projected > 0
    if side.all() or not side.any():
        side = projected > np.median(projected)
    for _ in range(_ROUNDS):
        centre = _centres(vectors, weight + 1e-9, side.astype(np.int64), 2)
        nearer = ((vectors - centre[1]) ** 2).sum(1) < ((vectors - centre[0]) ** 2).sum(1)
        if np.array_equal(nearer, side) or nearer.all() or not nearer.any():
            break
        side = nearer
    return np.asarray(side)


def _k_means(vectors: Doubles, weight: Doubles, taste: Ints) -> Ints:
    """Move each item to the taste with the nearest centre until none moves."""
    count = int(taste.max(initial=0)) + 1
    for _ in range(_ROUNDS):
        centre = _centres(vectors, weight, taste, count)
        used = np.bincount(taste, weight, count) > 0
        distance = np.where(used, (centre**2).sum(1) - 2 * vectors @ centre.T, np.inf)
        nearest = distance.argmin(1)
        if np.array_equal(nearest, taste):
            break
        taste = nearest
    return np.asarray(taste, np.int64)


def _ward(centres: Doubles, weight: Doubles) -> Items:
    """Return the merges of a Ward tree over centres of unequal weight, "tastes-1 2"."""
    count = len(centres)
    if count == 1:
        return np.zeros((0, 2), np.int32)
    mass = np.maximum(weight, 1e-9)
    sizes = np.maximum(1, np.round(8 * mass / mass.max())).astype(np.int64)
    # SciPy's rule knows no weights: a heavy taste is several points in one place, which merge first.
    points = np.repeat(np.arange(count), sizes)
    tree = linkage(centres[points], "ward")
    node = np.full(2 * len(points) - 1, -1)
    node[: len(points)] = points
    merges: list[tuple[int, int]] = []
    for number, row in enumerate(tree[:, :2].astype(np.int64)):
        one, other = sorted(node[row].tolist())
        if one != other:
            merges.append((one, other))
            one = count + len(merges) - 1
        node[len(points) + number] = one
    return np.asarray(merges, np.int32)


def _continued(
    former: TasteDictionary, before: Floats, items: Vocabulary, vectors: Doubles, weight: Doubles
) -> Doubles:
    """Return the vectors in the space of the former ones, `before`; an item moves as far as its events are new.

        x = unit( n' x' + max(n - n', 0) x_new )        n', n: events of the item before and now

    A factorisation has no axes of its own. The rotation that brings the new ones nearest to the former, over events,
    is Schönemann's, *A generalized solution of the orthogonal Procrustes problem*, 1966.
    """
    number = former.items.numbers(items.ids)
    known = number != UNKNOWN
    dim = before.shape[1]
    old = np.where(known[:, None], before[number], 0.0).astype(np.float64)
    width = max(dim, vectors.shape[1])
    then, now = (np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in (old, vectors))
    left, _, right = np.linalg.svd(now.T @ (weight[:, None] * then))
    turned = (now @ (left @ right))[:, :dim]
    seen = np.where(known & old.any(1), former.counts[number], 0.0)
    new = np.maximum(weight - seen, seen == 0)[:, None]
    return np.where(new > 0, unit_rows(seen[:, None] * old + new * turned), old)


def _inherited(former: TasteDictionary, items: Vocabulary, vectors: Doubles) -> Ints:
    """Return the former taste of each item, but of a new item, and of one that has moved, the nearest."""
    number = former.items.numbers(items.ids)
    known = number != UNKNOWN
    taste = np.where(known, former.taste[number], 0).astype(np.int64)
    centres = _centres(vectors, known.astype(np.float64), taste, len(former))
    used = np.bincount(taste[known], minlength=len(former)) > 0
    distance = ((vectors**2).sum(1)[:, None] - 2 * vectors @ centres.T) + (centres**2).sum(1)
    distance[:, ~used] = np.inf
    nearest = distance.argmin(1)
    everyone = np.arange(len(taste))
    moved = distance[everyone, nearest] < _MOVES * distance[everyone, taste]
    return np.where(known & ~moved, taste, nearest)
