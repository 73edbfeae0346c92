"""Other kinds of index from faiss on the same catalogue, for comparison. Needs `recsys[index]`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import faiss
import numpy as np

from benchmarks.retrieval.large_catalogue import LargeCatalogue, Plan
from benchmarks.tools.report import number, table
from recsys.data.queries import Queries
from recsys.models.ampcf.model import AMPCF
from recsys.models.base import Recommendations
from recsys.models.retrieval.points import persona_points
from recsys.models.retrieval.tuning import Latency, Recall
from recsys.types import Floats

N, DEPTH = 10, 50
"""Length of the lists; candidates of each persona."""

MOST_ITEMS = 100_000
"""Items of the comparison, at most: a graph of more takes long to build."""

_EFFORTS = {"cells": (16, 64, 256), "ef": (50, 200, 800)}
"""Search efforts: cells of an inverted file that are searched, or candidates of a graph walk."""


def other_indexes(plan: Plan) -> str:
    """Return a table of other kinds of index."""
    catalogue = LargeCatalogue(replace(plan.shape, items=min(plan.shape.items, MOST_ITEMS)))
    model, queries = catalogue.model("log_sum_exp"), catalogue.queries(plan.queries, 2)
    points = model.item_points().numpy()
    exact = model.recommend(queries, N)
    rows = []
    for name, lengthen, kind in _kinds(round(2 * math.sqrt(len(points)))):
        print(f"{name} ...", flush=True)
        vectors = _lengthened(points) if lengthen else points
        faiss.omp_set_num_threads(plan.threads)
        started = time.perf_counter()
        other = kind(vectors.shape[1], faiss.METRIC_L2 if lengthen else faiss.METRIC_INNER_PRODUCT)
        other.train(vectors)
        other.add(vectors)
        seconds, size = time.perf_counter() - started, len(faiss.serialize_index(other)) / 1e6
        faiss.omp_set_num_threads(1)
        for effort in _EFFORTS["cells" if "inverted" in name else "ef"] if "flat" not in name else (0,):
            lists, latency = _search(model, other, queries, effort)
            recall = Recall.of(lists, exact)
            times = [f"{value:.2f}" for value in (latency.median, latency.p99, latency.processor_p99)]
            cost = [f"{seconds:.0f}", f"{size:.0f}"]
            rows.append([name, str(effort or "-"), number(recall.mean), *times, *cost])
            print(rows[-1], flush=True)
    return table(["index", "effort", "recall", "p50, ms", "p99", "processor", "built in, s", "MB"], rows)


def _kinds(cells: int) -> Iterator[tuple[str, bool, Callable[[int, int], Any]]]:
    """Yield the name of an index, whether its points are lengthened, and its constructor."""

    def inverted(storage: int | None) -> Callable[[int, int], Any]:
        def make(size: int, metric: int) -> Any:  # noqa: ANN401 (faiss is untyped)
            centres = faiss.IndexFlat(size, metric)
            if storage is None:
                index = faiss.IndexIVFFlat(centres, size, cells, metric)
            else:
                index = faiss.IndexIVFScalarQuantizer(centres, size, cells, storage, metric)
            index.cp.niter, index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = 10, 64, 1
            return index

        return make

    def graph(size: int, metric: int) -> Any:  # noqa: ANN401 (faiss is untyped)
        index = faiss.IndexHNSWFlat(size, 32, metric)
        index.hnsw.efConstruction = 100
        return index

    yield "flat, inner product", False, faiss.IndexFlat
    yield "inverted file, lengthened", True, inverted(None)
    yield "inverted file, lengthened, 16 bits a number", True, inverted(faiss.ScalarQuantizer.QT_fp16)
    yield "inverted file, lengthened, 8 bits a number", True, inverted(faiss.ScalarQuantizer.QT_8bit)
    yield "inverted file, inner product", False, inverted(None)
    yield "HNSW (M = 32), lengthened", True, graph
    yield "HNSW (M = 32), inner product", False, graph


def _lengthened(points: Floats) -> Floats:
    squared = np.einsum("nd,nd->n", points, points, dtype=np.float64)
    return np.column_stack([points, np.sqrt(squared.max() - squared)]).astype(np.float32)


def _search(model: AMPCF, other: Any, queries: Queries, effort: int) -> tuple[Recommendations, Latency]:  # noqa: ANN401
    """Return the lists of another index, and their latency."""
    items, seconds = [], []
    for row in range(len(queries)):
        query = queries.take(np.asarray([row]))
        started = time.perf_counter(), time.thread_time()
        personas = persona_points(model, query)
        points = personas.points[0].numpy()
        padded = np.zeros((len(points), other.d), np.float32)
        padded[:, : points.shape[1]] = points
        # Excluded items are removed afterwards.
        depth = DEPTH + len(query.excluded.items)
        _, nearest = other.search(padded, depth, params=_parameters(other, effort))
        candidates = np.setdiff1d(nearest, [-1, *query.excluded.items.tolist()]).astype(np.int32)
        scores = personas.score(candidates[None])[0].numpy()
        best = candidates[np.argsort(-scores, kind="stable")[:N]]
        seconds.append((time.perf_counter() - started[0], time.thread_time() - started[1]))
        items.append(np.pad(best, (0, N - len(best)), constant_values=-1))
    lists = np.stack(items)
    return Recommendations(lists, np.zeros(lists.shape, np.float32)), Latency.of(seconds)


def _parameters(index: Any, effort: int) -> Any:  # noqa: ANN401 (faiss is untyped)
    if "HNSW" in type(index).__name__:
        return faiss.SearchParametersHNSW(efSearch=effort)
    return faiss.SearchParametersIVF(nprobe=effort) if "IVF" in type(index).__name__ else None
