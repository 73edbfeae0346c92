"""Approximate search for the largest inner products. The only module that imports faiss."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import faiss
import numpy as np
import numpy.typing as npt

LIBRARY = f"faiss {faiss.__version__}"

_ROUNDS = 10
"""Rounds of k-means."""

_SAMPLE = 64
"""Maximal number of training vectors per cell of k-means."""


@final
class VectorIndex:
    """An inverted file: vectors in cells around centroids, of which a search visits the nearest.

    Cells by inner product would be unbalanced: vectors of popular items are long (their bias is a coordinate) and would
    attract nearly all others. A further coordinate therefore gives all vectors one length, which keeps inner products
    with a query and makes the largest inner product the smallest distance:

        x' = (x, sqrt(max_y |y|^2 - |x|^2)),   q' = (q, 0),   |q' - x'|^2 = |q|^2 + max_y |y|^2 - 2 q . x

    Source: Bachrach et al., *Speeding Up the Xbox Recommender System Using a Euclidean Transformation for Inner-Product
    Spaces*, RecSys 2014, section 3.1. Vectors are not quantised, so a search is exact within the cells.

    Attributes:
        shape: numbers of vectors and dimensions.
        cells: number of cells.
    """

    def __init__(self, index: Any) -> None:  # noqa: ANN401 (faiss is untyped)
        self._index = index
        self.shape = (int(index.ntotal), int(index.d) - 1)
        self.cells = int(index.nlist)

    @classmethod
    def build(cls, vectors: npt.NDArray[np.float32], *, cells: int, seed: int = 0, threads: int = 1) -> VectorIndex:
        """Cluster vectors into cells by k-means.

        Args:
            vectors: "vectors dim".
            cells: number of cells.
            seed: of the sample and the start of k-means.
            threads: number of threads; does not change the result.
        """
        squared = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
        lifted = _lifted(vectors, np.sqrt(squared.max() - squared))
        size = lifted.shape[1]
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(size), size, cells, faiss.METRIC_L2)
        index.cp.seed = seed
        index.cp.niter = _ROUNDS
        index.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = _SAMPLE
        faiss.omp_set_num_threads(threads)
        index.train(lifted)
        index.add(lifted)
        return cls(index)

    @classmethod
    def read(cls, path: Path) -> VectorIndex:
        """Read an index from a file.

        Raises:
            ValueError: the file holds no such index.
        """
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise ValueError(f"{path}: faiss cannot read it") from error
        if not isinstance(index, faiss.IndexIVFFlat) or index.metric_type != faiss.METRIC_L2:
            raise ValueError(f"{path}: holds a {type(index).__name__}, not an inverted file of whole vectors")
        return cls(index)

    def write(self, path: Path) -> None:
        """Write the index to a file."""
        faiss.write_index(self._index, str(path))

    def search(
        self, queries: npt.NDArray[np.float32], depth: int, *, probes: int, excluded: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.int64]:
        """Return the vectors with the largest inner products among those of the nearest cells.

        Args:
            queries: "queries dim", none of them zero.
            depth: number of vectors per query.
            probes: number of cells per query.
            excluded: numbers of vectors to skip.

        Returns:
            "queries depth", numbers of vectors, best first; -1 where the cells hold fewer.
        """
        # One thread: a user has few personas, and starting threads would take longer than the search.
        faiss.omp_set_num_threads(1)
        selector = faiss.IDSelectorNot(faiss.IDSelectorBatch(excluded.astype(np.int64))) if len(excluded) else None
        parameters = faiss.SearchParametersIVF(nprobe=probes, sel=selector)
        numbers: npt.NDArray[np.int64]
        _, numbers = self._index.search(_lifted(queries, np.zeros(len(queries))), depth, params=parameters)
        return numbers


def _lifted(vectors: npt.NDArray[np.float32], last: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Append a coordinate to vectors."""
    return np.column_stack([vectors, last.astype(np.float32)])
