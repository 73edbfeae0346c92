"""Recommendations from an index of item vectors: candidates of every persona, then their exact scores."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from recsys.checks import positive
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.models.base import Recommendations, Recommender
from recsys.models.retrieval.points import persona_points, require_retrievable
from recsys.models.retrieval.vector_index import VectorIndex
from recsys.models.top_n import top_n
from recsys.types import Floats, Items

_BATCH = 256
"""Queries whose candidates are scored at a time."""


@final
@dataclass(frozen=True)
class Search:
    """Parameters of a search.

    Attributes:
        probes: cells searched for each persona.
        depth: candidates of each persona.
        n: list length for which both are tuned; both grow in proportion for longer lists.
    """

    probes: int
    depth: int
    n: int

    def __post_init__(self) -> None:
        for name in ("probes", "depth", "n"):
            positive(name, getattr(self, name))

    def lengthened(self, n: int) -> Search:
        """Return the search parameters for another list length.

        >>> Search(8, 50, 10).lengthened(25), Search(8, 50, 10).lengthened(5)
        (Search(probes=20, depth=125, n=25), Search(probes=8, depth=50, n=5))
        """
        factor = max(1.0, n / self.n)
        return Search(math.ceil(self.probes * factor), math.ceil(self.depth * factor), n)


@final
class PersonaIndex:
    """A fitted model that recommends from an index of its items instead of scoring them all.

    Each persona of a query retrieves the items with the largest inner products from its nearest cells. Their union are
    the candidates, scored by the model itself: attention, prior and biases are exact, and ties are broken as in
    `Recommender.recommend`. Lists differ only where an item of the exact list is no candidate; the recall is measured
    (`recsys.models.retrieval.tuning`).

    Excluded items are skipped while searching without loss of recall: for every excluded item a persona retrieves one
    more candidate, and for every cell's worth of them one more cell is searched. Where a persona finds too few items,
    the search is widened, and where it would cover all cells, the model recommends exactly.

    Args:
        model: a fitted model that can be indexed.
        vectors: an index of its item points.
        search: parameters of the search.

    Raises:
        CapabilityError: the model cannot be indexed.
        ConfigError: the index has another shape than the item points.
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
        self._rank = model.fitted_on.tie_rank.numpy()

    @classmethod
    def build(
        cls, model: Recommender, search: Search, *, cells: int | None = None, seed: int = 0, threads: int = 1
    ) -> PersonaIndex:
        """Index the items of a fitted model.

        Args:
            model: a fitted model that can be indexed.
            search: parameters of the search.
            cells: number of cells; twice the square root of the number of items when None.
            seed: of the k-means clustering into cells.
            threads: number of threads; does not change the result.

        Raises:
            CapabilityError: the model cannot be indexed.
        """
        points = require_retrievable(model).item_points().float().cpu().numpy()
        count = min(len(points), cells or max(1, round(2 * math.sqrt(len(points)))))
        return cls(model, VectorIndex.build(points, cells=count, seed=seed, threads=threads), search)

    def searched(self, search: Search) -> PersonaIndex:
        """Return the same index with other search parameters."""
        other = copy.copy(self)
        other.search = search
        return other

    def recommend(self, queries: Queries, n: int) -> Recommendations:
        """Return the n best candidates of each query, best first; see `Recommender.recommend`.

        Raises:
            CapabilityError: the model cannot answer these queries.
        """
        items = np.full((len(queries), n), UNKNOWN, np.int32)
        scores = np.full((len(queries), n), -np.inf, np.float32)
        for start in range(0, len(queries), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(queries)))
            lists = self._recommend(queries.take(rows), n)
            items[rows], scores[rows] = lists.items, lists.scores
        return Recommendations(items, scores)

    @torch.inference_mode()
    def _recommend(self, queries: Queries, n: int) -> Recommendations:
        search_vectors = persona_points(self.model, queries)
        points = search_vectors.points.float().cpu().numpy()
        by_query = [self._candidates(points[row], queries.excluded.row(row), n) for row in range(len(queries))]
        width = max([n, *(len(items) for items in by_query if items is not None)])
        candidates = np.zeros((len(queries), width), np.int32)
        padding = np.ones(candidates.shape, np.bool_)
        for row, numbers in enumerate(by_query):
            if numbers is not None:
                candidates[row, : len(numbers)] = numbers
                padding[row, : len(numbers)] = False
        matrix = search_vectors.score(candidates).float().cpu().masked_fill(torch.from_numpy(padding), -torch.inf)
        position, scores = top_n(matrix, n)
        items = np.where(position == UNKNOWN, UNKNOWN, np.take_along_axis(candidates, np.maximum(position, 0), 1))
        exact = np.asarray([row for row, numbers in enumerate(by_query) if numbers is None], np.int64)
        if len(exact):
            lists = self.model.recommend(queries.take(exact), n)
            items[exact], scores[exact] = lists.items, lists.scores
        return Recommendations(items.astype(np.int32), scores)

    def _candidates(self, points: Floats, excluded: Items, n: int) -> Items | None:
        """Return the candidates of one query ("personas point") in tie order; None where only all would suffice."""
        excluded = excluded[excluded != UNKNOWN]
        nonzero = points[points.any(1)]
        if not len(nonzero):  # all scores are equal
            first = self._order[: n + len(excluded)]
            return first[~np.isin(first, excluded)].astype(np.int32)
        search, (count, _), cells = self.search.lengthened(n), self.vectors.shape, self.vectors.cells
        depth = search.depth + len(excluded)
        probes = search.probes + math.ceil(len(excluded) * cells / count)
        while probes < cells:
            matches = self.vectors.search(nonzero, depth, probes=probes, excluded=excluded)
            if matches.min() >= 0:
                union = np.unique(matches)
                return union[np.argsort(self._rank[union])].astype(np.int32)
            probes *= 2
        return None
