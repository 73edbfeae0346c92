"""Measures an index on a large catalogue beside exact lists, and writes the report. Needs `recsys[index]`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.retrieval.large_catalogue import LargeCatalogue, Plan
from benchmarks.retrieval.other_indexes import DEPTH, MOST_ITEMS, N, other_indexes
from benchmarks.tools.environment import environment, peak_memory_gb
from benchmarks.tools.report import Placebo, bar, bars_table, facts, number, table, write_report
from recsys.data.queries import Queries
from recsys.models.ampcf.settings import Readout
from recsys.models.base import Recommender
from recsys.models.retrieval.index import PersonaIndex, Search
from recsys.models.retrieval.tuning import Measured, measured, tuned
from recsys.models.retrieval.vector_index import LIBRARY

RECALL, MILLISECONDS = 0.97, 30.0
"""The bars."""

_READOUTS: tuple[Readout, ...] = ("attentive", "log_sum_exp")


def run(plan: Plan, out: Path) -> tuple[Path, bool]:
    """Measure, write the report; return its path and whether the bars are met."""
    print(f"drawing {plan.shape.items} items", flush=True)
    catalogue = LargeCatalogue(plan.shape)
    tuning, holdout = (catalogue.queries(plan.queries, seed) for seed in (1, 2))
    rows: list[list[str]] = []
    results: list[Measured] = []
    extra: list[list[str]] = []
    index: PersonaIndex | None = None
    built = 0.0
    for readout in _READOUTS:
        model = catalogue.model(readout)
        if index is None:
            started = time.perf_counter()
            index = PersonaIndex.build(model, Search(1, DEPTH, N), seed=plan.shape.seed, threads=plan.threads)
            built = time.perf_counter() - started
        index, _ = tuned(PersonaIndex(model, index.vectors, Search(1, DEPTH, N)), tuning, RECALL)
        result = measured(index, holdout, N)
        print(f"{readout}: {result}", flush=True)
        results.append(result)
        rows.append([readout, str(index.search.probes), *_columns(result)])
        for name, queries, n in _harder(catalogue, holdout, plan.long):
            extra.append([f"{readout}, {name}", *_columns(measured(index, queries, n))])
    assert index is not None
    with tempfile.TemporaryDirectory() as folder:
        index.vectors.write(Path(folder) / "index")
        size = (Path(folder) / "index").stat().st_size
    recall, p99 = min(result.recall.mean for result in results), max(result.index.p99 for result in results)
    other = _recall_of_other_lists(index.model, holdout)
    placebo = Placebo(f"exact list of another user {number(other)}", other >= RECALL)
    bars = [
        bar(
            f"recall@{N} of the exact lists", f"at least {number(RECALL, 2)}", number(recall), recall >= RECALL, placebo
        ),
        bar("99% of the lists within", f"{MILLISECONDS:g} ms", f"{p99:.2f} ms", p99 < MILLISECONDS),
    ]
    made = environment() | {
        "index": f"{LIBRARY}; {index.vectors.cells} cells, {DEPTH} candidates of each persona",
        "catalogue": f"simulated, {plan.shape.items:,} items, d = {plan.shape.size}, K = {plan.shape.personas}, "
        f"biases, seed {plan.shape.seed}",
        "questions": f"{plan.queries} tune, {plan.queries} others are measured; one by one, on one thread",
        "building": f"{built:.1f} s on {plan.threads} thread(s), {size / 1e6:.0f} MB",
    }
    header = ["recall", "whole lists", "index p50, ms", "p99", "processor", "exact p50, ms", "p99", "processor"]
    parts = ["# Retrieval from a large catalogue", "", bars_table(bars, "worst")]
    parts += [f"## Top {N}", _TIMES, table(["read-out", "cells looked into", *header], rows)]
    parts += ["## Harder questions, with the same search", table(["questions", *header], extra)]
    if plan.others:
        parts += [f"## Other indexes, of {min(plan.shape.items, MOST_ITEMS):,} items", _OTHERS, other_indexes(plan)]
    parts[1] = facts(made | {"peak memory": f"{peak_memory_gb():.1f} GB"})
    return write_report(out, parts), recall >= RECALL and p99 < MILLISECONDS


def _harder(catalogue: LargeCatalogue, queries: Queries, count: int) -> Iterator[tuple[str, Queries, int]]:
    """Yield queries for which the search was not tuned: longer lists, and users with long histories."""
    few = queries.take(np.arange(min(count, len(queries))))
    yield "lists of 100", few, 100
    length = min(2_000, catalogue.shape.items // 50)
    yield f"{length} events of history", catalogue.queries(count, 3, length=length), N


def _recall_of_other_lists(model: Recommender, queries: Queries, count: int = 50) -> float:
    """Return the recall of the exact list of the next user in the exact list of each: what a list of anybody has."""
    lists = model.recommend(queries.take(np.arange(min(count, len(queries)))), N).items
    following = np.roll(lists, 1, axis=0)
    return float(np.mean([np.isin(own, other).mean() for own, other in zip(lists, following, strict=True)]))


def _columns(result: Measured) -> list[str]:
    times = [
        f"{value:.2f}" for one in (result.index, result.exact) for value in (one.median, one.p99, one.processor_p99)
    ]
    return [number(result.recall.mean), number(result.recall.whole), *times]


_TIMES = """Times of a list by the clock; *processor* is the 99th percentile of the processor's time, without that of
other processes of the machine."""

_OTHERS = """As many candidates of each persona, and as many more as must not be recommended, which are removed
afterwards; then scored by the same model, with the log-sum-exp read-out. *Inner product* takes the points as they are;
*lengthened* gives all of them one length first, as `recsys` does, whose index is the first of the inverted files. The
effort is the number of searched cells, or `efSearch` of a graph (at least the number of candidates)."""
