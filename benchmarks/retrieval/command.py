"""Top ten of a million items through an index and exactly: recall, time, bytes. `python -m benchmarks.retrieval`.

Everything is measured in one process on one thread, question by question; the service around it is measured by
`python -m benchmarks.serving`. The catalogue is simulated (`benchmarks.retrieval.large_catalogue`).
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import faiss
import numpy as np
import numpy.typing as npt

from benchmarks.retrieval.large_catalogue import LargeCatalogue, Shape
from benchmarks.tools.environment import environment, peak_memory_gb
from benchmarks.tools.report import REPORT_NAME, facts, number, report_folder, table, verdict, write_text
from recsys.data.queries import Queries
from recsys.models.ampcf.model import AMPCF
from recsys.models.ampcf.settings import Readout
from recsys.models.base import Recommendations
from recsys.models.retrieval.index import PersonaIndex, Search
from recsys.models.retrieval.points import persona_points
from recsys.models.retrieval.tuning import Latency, Measured, Recall, measured, tuned
from recsys.models.retrieval.vector_index import LIBRARY

RECALL, MILLISECONDS = 0.97, 30.0
"""The bars."""

_N, _DEPTH = 10, 50
_COMPARED = 100_000
"""Items of which all kinds of index are made, at most: a graph of more takes long."""
_READOUTS: tuple[Readout, ...] = ("attentive", "log_sum_exp")
_EFFORTS = {"cells": (16, 64, 256), "ef": (50, 200, 800)}
"""How thoroughly the others are searched: cells looked into, or candidates kept while walking a graph."""


@final
@dataclass(frozen=True)
class Plan:
    """The size of the benchmark.

    Attributes:
        shape: of the catalogue.
        questions: that tune, and as many that measure.
        long: questions with long histories, and with long lists.
        others: whether other indexes are tried, which takes longer than all else.
        threads: that build.
    """

    shape: Shape
    questions: int = 300
    long: int = 100
    others: bool = True
    threads: int = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code: 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    default = Plan(Shape())
    parser.add_argument("--items", type=int, default=default.shape.items)
    parser.add_argument("--questions", type=int, default=default.questions, help="that tune, and as many that measure")
    parser.add_argument("--without-others", action="store_true", help="leave the other kinds of index out")
    parser.add_argument("--threads", type=int, default=default.threads, help="that build (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default: dated)")
    parser.add_argument("--quick", action="store_true", help="20,000 items: tries the benchmark itself")
    options = parser.parse_args(arguments)
    plan = Plan(
        Shape(items=options.items), options.questions, others=not options.without_others, threads=options.threads
    )
    if options.quick:
        plan = Plan(Shape(items=20_000), 100, 20, others=plan.others, threads=plan.threads)
    report, passed = run(plan, report_folder("retrieval", options.out, options.quick))
    print(f"report: {report}")
    return 0 if passed else 1


def run(plan: Plan, out: Path) -> tuple[Path, bool]:
    """Measure, write the report; return its path and whether the bars are met."""
    print(f"drawing {plan.shape.items} items", flush=True)
    catalogue = LargeCatalogue(plan.shape)
    tuning, others = (catalogue.questions(plan.questions, seed) for seed in (1, 2))
    rows: list[list[str]] = []
    results: list[Measured] = []
    extra: list[list[str]] = []
    index: PersonaIndex | None = None
    built = 0.0
    for readout in _READOUTS:
        model = catalogue.model(readout)
        if index is None:
            started = time.perf_counter()
            index = PersonaIndex.build(model, Search(1, _DEPTH, _N), seed=plan.shape.seed, threads=plan.threads)
            built = time.perf_counter() - started
        index, _ = tuned(PersonaIndex(model, index.vectors, Search(1, _DEPTH, _N)), tuning, RECALL)
        result = measured(index, others, _N)
        print(f"{readout}: {result}", flush=True)
        results.append(result)
        rows.append([readout, str(index.search.probes), *_cells(result)])
        for what, questions, n in _harder(catalogue, others, plan.long):
            found = measured(index, questions, n)
            extra.append([f"{readout}, {what}", *_cells(found)])
    assert index is not None
    with tempfile.TemporaryDirectory() as folder:
        index.vectors.write(Path(folder) / "index")
        size = (Path(folder) / "index").stat().st_size
    passed = [
        all(result.recall.mean >= RECALL for result in results),
        all(result.index.p99 < MILLISECONDS for result in results),
    ]
    bars = [
        [f"recall@{_N} of the exact lists", f"at least {number(RECALL, 2)}",
         number(min(result.recall.mean for result in results)), verdict(passed[0])],
        ["99% of the lists within", f"{MILLISECONDS:g} ms",
         f"{max(result.index.p99 for result in results):.2f} ms", verdict(passed[1])],
    ]  # fmt: skip
    told = environment() | {
        "index": f"{LIBRARY}; {index.vectors.cells} cells, {_DEPTH} candidates of each persona",
        "catalogue": f"simulated, {plan.shape.items:,} items, d = {plan.shape.size}, K = {plan.shape.personas}, "
        f"biases, seed {plan.shape.seed}",
        "questions": f"{plan.questions} tune, {plan.questions} others are measured; one by one, on one thread",
        "building": f"{built:.1f} s on {plan.threads} thread(s), {size / 1e6:.0f} MB",
    }
    header = ["recall", "whole lists", "index p50, ms", "p99", "processor", "exact p50, ms", "p99", "processor"]
    parts = ["# Retrieval from a large catalogue", "{facts}", table(["claim", "bar", "worst", ""], bars)]
    parts += [f"## Top {_N}", _TIMES, table(["read-out", "cells looked into", *header], rows)]
    parts += ["## Harder questions, with the same search", table(["questions", *header], extra)]
    if plan.others:
        parts += [f"## Other indexes, of {min(plan.shape.items, _COMPARED):,} items", _OTHERS, _others(plan)]
    parts[1] = facts(told | {"peak memory": f"{peak_memory_gb():.1f} GB"})
    return write_text(out / REPORT_NAME, "\n\n".join(parts) + "\n"), all(passed)


def _harder(catalogue: LargeCatalogue, questions: Queries, count: int) -> Iterator[tuple[str, Queries, int]]:
    """Yield what the search was not tuned for: longer lists, and users who have used much of what suits them."""
    few = questions.take(np.arange(min(count, len(questions))))
    yield "lists of 100", few, 100
    length = min(2_000, catalogue.shape.items // 50)
    yield f"{length} events of history", catalogue.questions(count, 3, length=length), _N


def _cells(result: Measured) -> list[str]:
    times = [
        f"{value:.2f}" for one in (result.index, result.exact) for value in (one.median, one.p99, one.processor_p99)
    ]
    return [number(result.recall.mean), number(result.recall.whole), *times]


_TIMES = """Times of a list by the clock; *processor* is the 99th percentile of the processor's time, without what other
processes of the machine took meanwhile."""

_OTHERS = """As many candidates of each persona, and as many more as must not be recommended, which are taken out
afterwards; then scored by the same model, with the log-sum-exp read-out. *Inner product* takes the points as they are;
*lengthened* gives all of them one length first, as `recsys` does, whose index is the first of the inverted files. The
effort is the number of cells looked into, or `efSearch` of a graph (at least the number of candidates)."""


def _others(plan: Plan) -> str:
    """Return a table of other kinds of index."""
    catalogue = LargeCatalogue(replace(plan.shape, items=min(plan.shape.items, _COMPARED)))
    model, questions = catalogue.model("log_sum_exp"), catalogue.questions(plan.questions, 2)
    points = model.item_points().numpy()
    exact = model.recommend(questions, _N)
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
            found, latency = _asked(model, other, questions, effort)
            recall = Recall.of(found, exact)
            times = [f"{value:.2f}" for value in (latency.median, latency.p99, latency.processor_p99)]
            made = [f"{seconds:.0f}", f"{size:.0f}"]
            rows.append([name, str(effort or "-"), number(recall.mean), *times, *made])
            print(rows[-1], flush=True)
    return table(["index", "effort", "recall", "p50, ms", "p99", "processor", "built in, s", "MB"], rows)


def _kinds(cells: int) -> Iterator[tuple[str, bool, Callable[[int, int], Any]]]:
    """Yield name, whether points are lengthened, and how the index is made."""

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


def _lengthened(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    squared = np.einsum("nd,nd->n", points, points, dtype=np.float64)
    return np.column_stack([points, np.sqrt(squared.max() - squared)]).astype(np.float32)


def _asked(
    model: AMPCF,
    other: Any,  # noqa: ANN401 (faiss is untyped)
    questions: Queries,
    effort: int,
) -> tuple[Recommendations, Latency]:
    """Return the lists through another index, and how long they take."""
    items, seconds = [], []
    for row in range(len(questions)):
        question = questions.take(np.asarray([row]))
        started = time.perf_counter(), time.thread_time()
        wanted = persona_points(model, question)
        points = wanted.points[0].numpy()
        queries = np.zeros((len(points), other.d), np.float32)
        queries[:, : points.shape[1]] = points
        # What must not be recommended is taken out afterwards.
        depth = _DEPTH + len(question.excluded.items)
        _, found = other.search(queries, depth, params=_parameters(other, effort))
        candidates = np.setdiff1d(found, [-1, *question.excluded.items.tolist()]).astype(np.int32)
        scores = wanted.score(candidates[None])[0].numpy()
        best = candidates[np.argsort(-scores, kind="stable")[:_N]]
        seconds.append((time.perf_counter() - started[0], time.thread_time() - started[1]))
        items.append(np.pad(best, (0, _N - len(best)), constant_values=-1))
    lists = np.stack(items)
    return Recommendations(lists, np.zeros(lists.shape, np.float32)), Latency.of(seconds)


def _parameters(index: Any, effort: int) -> Any:  # noqa: ANN401 (faiss is untyped)
    if "HNSW" in type(index).__name__:
        return faiss.SearchParametersHNSW(efSearch=effort)
    return faiss.SearchParametersIVF(nprobe=effort) if "IVF" in type(index).__name__ else None
