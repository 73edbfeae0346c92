"""How much of the exact lists an index finds, how long it takes, and how thoroughly it must be searched for that."""

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
"""Scores of the exact lists that are held at a time; a model with personas holds several times as many numbers."""


@final
@dataclass(frozen=True)
class Recall:
    """How much of exact lists was found, over questions.

    Attributes:
        mean: of the questions' shares.
        low: a mean that the true one exceeds with 95%, by the normal approximation.
        whole: share of the questions whose list was found whole.
        questions: how many there were.
    """

    mean: float
    low: float
    whole: float
    questions: int

    @classmethod
    def of(cls, found: Recommendations, exact: Recommendations) -> Recall:
        """Compare lists with the exact lists of the same questions; those without any item to recommend are left out.

        Raises:
            ConfigError: there is no question.
        """
        return cls.of_shares(shares_found(found, exact))

    @classmethod
    def of_shares(cls, shares: npt.NDArray[np.float64]) -> Recall:
        """Summarise the shares of questions."""
        if not len(shares):
            raise ConfigError("there is no question to measure an index with")
        error = shares.std() / math.sqrt(len(shares))
        mean = float(shares.mean())
        return cls(mean, max(0.0, float(mean - _ONE_SIDED_95 * error)), float((shares == 1).mean()), len(shares))


@final
@dataclass(frozen=True)
class Latency:
    """Milliseconds of questions that are asked one by one, on one thread.

    Attributes:
        median: by the clock.
        p99: by the clock, of the 99th percentile; on a busy machine mostly what other processes take.
        processor_p99: the same of the time that the processor spends on them.
    """

    median: float
    p99: float
    processor_p99: float

    @classmethod
    def of(cls, seconds: Sequence[tuple[float, float]]) -> Latency:
        """Summarise times, each by the clock and of the processor."""
        clock, processor = np.asarray(seconds).T * 1e3
        return cls(float(np.median(clock)), *(float(np.percentile(times, 99)) for times in (clock, processor)))


@final
@dataclass(frozen=True)
class Measured:
    """What an index finds, and how long it and the model itself take for the same questions."""

    recall: Recall
    index: Latency
    exact: Latency


def shares_found(found: Recommendations, exact: Recommendations) -> npt.NDArray[np.float64]:
    """Return which share of each exact list is in the list found; lists without items are left out."""
    wanted = exact.items != UNKNOWN
    indptr = np.concatenate([[0], np.cumsum(wanted.sum(1))]).astype(np.int64)
    common = membership(found.items, Ragged(indptr, exact.items[wanted])).sum(1)
    some = wanted.any(1)
    return np.asarray(common[some] / wanted.sum(1)[some], np.float64)


def tuned(index: PersonaIndex, queries: Queries, recall: float) -> tuple[PersonaIndex, Recall]:
    """Return the index with about the fewest probes that find as much of the exact lists as is asked.

    The lower bound of the mean decides, not the mean, lest other questions fare worse.

    Args:
        index: its search says the depth, and for lists of which length.
        queries: questions like those that will come.
        recall: share of the exact lists, in (0, 1).

    Returns:
        The index and its recall on these questions.

    Raises:
        ConfigError: looking into half of the cells does not find as much.
    """
    n, cells = index.search.n, index.vectors.cells
    exact = index.model.recommend(queries, n, batch_size=max(1, _SCORES // index.model.n_items))

    def attempt(probes: int) -> tuple[PersonaIndex, Recall]:
        candidate = index.searched(Search(probes, index.search.depth, n))
        return candidate, Recall.of(candidate.recommend(queries, n), exact)

    fails, probes = 0, 1
    best, found = attempt(probes)
    while found.low < recall:
        if 2 * probes > cells // 2:
            raise ConfigError(
                f"recall@{n} is {found.mean:.4f} (at least {found.low:.4f}) where {probes} of {cells} cells are looked "
                f"into; {recall:g} is out of reach: ask for less recall, take more candidates (--depth), or stay "
                "with the exact lists"
            )
        fails, probes = probes, 2 * probes
        best, found = attempt(probes)
    while probes - fails > max(1, fails // 16):
        middle = (fails + probes) // 2
        candidate, recalled = attempt(middle)
        if recalled.low < recall:
            fails = middle
        else:
            probes, best, found = middle, candidate, recalled
    return best, found


def measured(index: PersonaIndex, queries: Queries, n: int) -> Measured:
    """Return what an index finds and how long it takes, beside the model itself, question by question on one thread.

    Args:
        index: the index.
        queries: questions on which it was not tuned.
        n: length of the lists.
    """
    with _one_thread():
        found, index_seconds = _one_by_one(index.recommend, queries, n)
        exact, exact_seconds = _one_by_one(index.model.recommend, queries, n)
    return Measured(Recall.of(found, exact), Latency.of(index_seconds), Latency.of(exact_seconds))


def _one_by_one(
    recommend: Callable[[Queries, int], Recommendations], queries: Queries, n: int
) -> tuple[Recommendations, list[tuple[float, float]]]:
    asked = [queries.take(np.asarray([row])) for row in range(len(queries))]
    recommend(asked[0], n)  # what is made once and kept is not a question's cost
    answers, seconds = [], []
    for query in asked:
        started = time.perf_counter(), time.thread_time()
        answers.append(recommend(query, n))
        seconds.append((time.perf_counter() - started[0], time.thread_time() - started[1]))
    items, scores = (np.concatenate([getattr(a, name) for a in answers]) for name in ("items", "scores"))
    return Recommendations(items, scores), seconds


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
