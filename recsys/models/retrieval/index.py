"""Recommendations from an index of item vectors: candidates of every persona, then exact scores of all of them."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch

from recsys.checks import positive
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.models.base import Recommendations, Recommender
from recsys.models.retrieval.points import persona_points, require_retrievable
from recsys.models.retrieval.vector_index import VectorIndex
from recsys.models.top_n import top_n

_BATCH = 256
"""Questions whose candidates are scored at a time."""


@final
@dataclass(frozen=True)
class Search:
    """How thoroughly an index is searched.

    Attributes:
        probes: cells that are looked into for each persona.
        depth: items that are taken from each persona.
        n: length of the lists for which both are meant; both grow in proportion for longer ones.
    """

    probes: int
    depth: int
    n: int

    def __post_init__(self) -> None:
        for name in ("probes", "depth", "n"):
            positive(name, getattr(self, name))

    def lengthened(self, n: int) -> Search:
        """Return the search for lists of another length.

        >>> Search(8, 50, 10).lengthened(25), Search(8, 50, 10).lengthened(5)
        (Search(probes=20, depth=125, n=25), Search(probes=8, depth=50, n=5))
        """
        factor = max(1.0, n / self.n)
        return Search(math.ceil(self.probes * factor), math.ceil(self.depth * factor), n)


@final
class PersonaIndex:
    """A fitted model that answers from an index of its items instead of scoring them all.

    Each persona of a query finds the items it likes best among the cells nearest to it. Together they are the
    candidates, scored by the model itself: attention, prior and biases are exact, ties are broken as ever, and the only
    thing that can go wrong is that an item of the true list is no candidate. How rarely that happens is measured
    (`recsys.models.retrieval.tuning`).

    What must not be recommended is passed over while searching, and must not cost recall: for every excluded item a
    persona gives one candidate more, and for every cellful of them one more cell is looked into. Where a persona does
    not find as many items, the search is widened, and where it would come to all cells, the model answers exactly.

    Args:
        model: a fitted model that can be indexed.
        vectors: an index of its item points.
        search: how thoroughly it is searched.

    Raises:
        CapabilityError: the model cannot be indexed.
        ConfigError: the index is of other items.
    """

    def __init__(self, model: Recommender, vectors: VectorIndex, search: Search) -> None:
        points = require_retrievable(model).item_points()
        if vectors.shape != tuple(points.shape):
            raise ConfigError(
                f"the index holds {vectors.shape[0]} vectors of {vectors.shape[1]} dimensions, and the model has "
                f"{points.shape[0]} of {points.shape[1]}: it was made of other items"
            )
        self.model = model
        self.vectors = vectors
        self.search = search
        self._order = model.fitted_on.tie_order.numpy()
        self._rank = np.empty(len(self._order), np.int32)
        self._rank[self._order] = np.arange(len(self._order), dtype=np.int32)

    @classmethod
    def build(
        cls, model: Recommender, search: Search, *, cells: int | None = None, seed: int = 0, threads: int = 1
    ) -> PersonaIndex:
        """Index the items of a fitted model.

        Args:
            model: a fitted model that can be indexed.
            search: how thoroughly it is searched.
            cells: of the index; twice the square root of the number of items when None.
            seed: of k-means, which makes the cells.
            threads: of the computation; they do not change the result.

        Raises:
            CapabilityError: the model cannot be indexed.
        """
        points = require_retrievable(model).item_points().float().cpu().numpy()
        count = min(len(points), cells or max(1, round(2 * math.sqrt(len(points)))))
        return cls(model, VectorIndex.build(points, cells=count, seed=seed, threads=threads), search)

    def searched(self, search: Search) -> PersonaIndex:
        """Return the same index, searched more or less thoroughly."""
        other = copy.copy(self)
        other.search = search
        return other

    def recommend(self, queries: Queries, n: int) -> Recommendations:
        """Return the n best items of each query among the candidates, best first, as `Recommender.recommend` does.

        Raises:
            CapabilityError: the model cannot answer these questions.
        """
        items = np.full((len(queries), n), UNKNOWN, np.int32)
        scores = np.full((len(queries), n), -np.inf, np.float32)
        for start in range(0, len(queries), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(queries)))
            found = self._recommend(queries.take(rows), n)
            items[rows], scores[rows] = found.items, found.scores
        return Recommendations(items, scores)

    @torch.inference_mode()
    def _recommend(self, queries: Queries, n: int) -> Recommendations:
        asked = persona_points(self.model, queries)
        points = asked.points.float().cpu().numpy()
        found = [self._candidates(points[row], queries.excluded.row(row), n) for row in range(len(queries))]
        rows = [row for row in found if row is not None]
        candidates = np.zeros((len(queries), max([n, *map(len, rows)])), np.int32)
        blank = np.ones(candidates.shape, np.bool_)
        for row, numbers in enumerate(found):
            if numbers is not None:
                candidates[row, : len(numbers)] = numbers
                blank[row, : len(numbers)] = False
        matrix = asked.score(candidates).float().cpu().masked_fill(torch.from_numpy(blank), -torch.inf)
        place, scores = top_n(matrix, n)
        items = np.where(place == UNKNOWN, UNKNOWN, np.take_along_axis(candidates, np.maximum(place, 0), 1))
        exactly = np.asarray([row for row, numbers in enumerate(found) if numbers is None], np.int64)
        if len(exactly):
            whole = self.model.recommend(queries.take(exactly), n)
            items[exactly], scores[exactly] = whole.items, whole.scores
        return Recommendations(items.astype(np.int32), scores)

    def _candidates(
        self, points: npt.NDArray[np.float32], excluded: npt.NDArray[np.int32], n: int
    ) -> npt.NDArray[np.int32] | None:
        """Return the candidates of one query in the order in which equal scores are listed; None: ask the model.

        Args:
            points: "personas point".
            excluded: what must not be recommended.
            n: length of the list.
        """
        excluded = excluded[excluded != UNKNOWN]
        speaking = points[points.any(1)]
        if not len(speaking):  # all scores are equal
            first = self._order[: n + len(excluded)]
            return first[~np.isin(first, excluded)].astype(np.int32)
        search, (count, _), cells = self.search.lengthened(n), self.vectors.shape, self.vectors.cells
        depth = search.depth + len(excluded)
        probes = search.probes + math.ceil(len(excluded) * cells / count)
        while probes < cells:
            found = self.vectors.search(speaking, depth, probes=probes, excluded=excluded)
            if found.min() >= 0:
                union = np.unique(found)
                return union[np.argsort(self._rank[union])].astype(np.int32)
            probes *= 2
        return None
