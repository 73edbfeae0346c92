"""Recall and latency of an index, and tuning of its search to a recall."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch

from recsys.data.queries import Queries, Ragged, membership
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.models.base import Recommendations
from recsys.models.retrieval.index import PersonaIndex, Search

_ONE_SIDED_95 = 1.645
"""Quantile of the normal distribution."""

_SCORES = 16_000_000
"""Scores of exact lists computed at a time; a model with personas needs several times as many numbers."""


@final
@dataclass(frozen=True)
class Recall:
    """Shares of the exact lists that an index retrieves, over queries.

    Attributes:
        mean: mean share.
        low: one-sided lower 95% confidence bound of the mean, by the normal approximation.
        whole: share of the queries whose list is complete.
        questions: number of queries.
    """

    mean: float
    low: float
    whole: float
    questions: int

    @classmethod
    def of(cls, approximate: Recommendations, exact: Recommendations) -> Recall:
        """Compare lists with the exact lists of the same queries; empty exact lists are left out.

        Raises:
            ConfigError: there is no query.
        """
        shares = shares_found(approximate, exact)
        if not len(shares):
            raise ConfigError("there is no question to measure an index with")
        error = shares.std() / math.sqrt(len(shares))
        mean = float(shares.mean())
        return cls(mean, max(0.0, float(mean - _ONE_SIDED_95 * error)), float((shares == 1).mean()), len(shares))


@final
@dataclass(frozen=True)
class Latency:
    """Latency of single queries on one thread, in milliseconds.

    Attributes:
        median: wall-clock time.
        p99: 99th percentile of the wall-clock time; on a busy machine dominated by other processes.
        processor_p99: 99th percentile of the processor time.
    """

    median: float
    p99: float
    processor_p99: float

    @classmethod
    def of(cls, seconds: Sequence[tuple[float, float]]) -> Latency:
        """Summarise pairs of wall-clock and processor seconds."""
        clock, processor = np.asarray(seconds).T * 1e3
        return cls(float(np.median(clock)), *(float(np.percentile(times, 99)) for times in (clock, processor)))


@final
@dataclass(frozen=True)
class Measured:
    """Recall of an index, and its latency and that of the exact model for the same queries."""

    recall: Recall
    index: Latency
    exact: Latency


def shares_found(approximate: Recommendations, exact: Recommendations) -> npt.NDArray[np.float64]:
    """Return the share of each exact list in the approximate list; empty exact lists are left out."""
    real = exact.items != UNKNOWN
    indptr = np.concatenate([[0], np.cumsum(real.sum(1))]).astype(np.int64)
    common = membership(approximate.items, Ragged(indptr, exact.items[real])).sum(1)
    nonempty = real.any(1)
    return np.asarray(common[nonempty] / real.sum(1)[nonempty], np.float64)


def tuned(index: PersonaIndex, queries: Queries, recall: float) -> tuple[PersonaIndex, Recall]:
    """Return the index with about the fewest probes that reach a recall.

    Compares the lower bound of the mean rather than the mean, so that the recall holds for other queries too.

    Args:
        index: gives the depth and the list length.
        queries: a sample of the expected queries.
        recall: required share of the exact lists, in (0, 1).

    Returns:
        The index and its recall on these queries.

    Raises:
        ConfigError: half of the cells do not suffice.
    """
    n, cells = index.search.n, index.vectors.cells
    exact = index.model.recommend(queries, n, batch_size=max(1, _SCORES // index.model.n_items))

    def attempt(probes: int) -> tuple[PersonaIndex, Recall]:
        candidate = index.searched(Search(probes, index.search.depth, n))
        return candidate, Recall.of(candidate.recommend(queries, n), exact)

    too_few, probes = 0, 1
    best, reached = attempt(probes)
    while reached.low < recall:
        if 2 * probes > cells // 2:
            raise ConfigError(
                f"recall@{n} is {reached.mean:.4f} (at least {reached.low:.4f}) where {probes} of {cells} cells are "
                f"looked into; {recall:g} is out of reach: ask for less recall, take more candidates (--depth), or "
                "stay with the exact lists"
            )
        too_few, probes = probes, 2 * probes
        best, reached = attempt(probes)
    while probes - too_few > max(1, too_few // 16):
        middle = (too_few + probes) // 2
        candidate, result = attempt(middle)
        if result.low < recall:
            too_few = middle
        else:
            probes, best, reached = middle, candidate, result
    return best, reached


def measured(index: PersonaIndex, queries: Queries, n: int) -> Measured:
    """Return the recall of an index, and its latency and the exact model's for single queries on one thread.

    Give it other `queries` than it was tuned on; `n` is the length of the lists.
    """
    with _one_thread():
        approximate, index_seconds = _one_by_one(index.recommend, queries, n)
        exact, exact_seconds = _one_by_one(index.model.recommend, queries, n)
    return Measured(Recall.of(approximate, exact), Latency.of(index_seconds), Latency.of(exact_seconds))


def _one_by_one(
    recommend: Callable[[Queries, int], Recommendations], queries: Queries, n: int
) -> tuple[Recommendations, list[tuple[float, float]]]:
    singles = [queries.take(np.asarray([row])) for row in range(len(queries))]
    recommend(singles[0], n)  # fills caches
    lists, seconds = [], []
    for query in singles:
        started = time.perf_counter(), time.thread_time()
        lists.append(recommend(query, n))
        seconds.append((time.perf_counter() - started[0], time.thread_time() - started[1]))
    items, scores = (np.concatenate([getattr(each, name) for each in lists]) for name in ("items", "scores"))
    return Recommendations(items, scores), seconds


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
