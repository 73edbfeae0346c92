"""Lists of real size: equal to the integer program over all items, and how long they take beside simpler ways."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from recsys.policy.groups import Bound, Groups
from recsys.policy.solve import solve
from recsys.types import Doubles

_COMPARED = 100


def real_size(cases: int, seed: int = 0) -> tuple[int, int, float]:
    """Compare lists of ten from 2,000 items with the integer program over all of them.

    Returns:
        how many were compared, how many are another optimum, and the largest gap that was told.
    """
    rng = np.random.default_rng(seed)
    other, gap = 0, 0.0
    for case in range(cases):
        scores = rng.normal(size=2_000)
        groups = Groups.of(_families(rng, 2_000)[case % 3][1], 2_000)
        found, best = solve(scores, np.arange(2_000), groups, 10), _whole_program(scores, groups, 10)
        gap = gap if found is None else max(gap, found.gap)
        other += (found is None) != (best is None) or (
            found is not None and best is not None and abs(found.value - best) > 1e-6
        )
    return cases, other, gap


def _families(rng: np.random.Generator, items: int) -> list[tuple[str, list[Bound]]]:
    part, other = rng.integers(0, 8, items), rng.integers(0, 4, items)
    return [
        ("8 disjoint", [Bound(part == group, int(group < 4), 2, 10) for group in range(8)]),
        (
            "two partitions of 4",
            [
                *(Bound(part // 2 == group, 1, 3, 10) for group in range(4)),
                *(Bound(other == group, 2, 3, 10) for group in range(4)),
            ],
        ),
        ("8 at random, 10% of the items each", [Bound(rng.random(items) < 0.1, 1, 3, 10) for _ in range(8)]),
    ]


@final
@dataclass(frozen=True)
class Times:
    """Decisions of one family of groups.

    Attributes:
        groups: the family.
        median, high: milliseconds that pass, half and 99% of the decisions.
        processor_median, processor_high: milliseconds of the processor alike, which other programs do not lengthen.
        gap: the largest.
        program: median milliseconds of the integer program over all items.
        filtered: lists of the best scores that break a rule, or are short, once what is too much is left out.
        naive_missed: lists that a greedy does not find.
        naive_loss: the largest relative loss of score of those that it finds.
        requests: decisions.
        compared: of these with the simpler ways, which take longer.
    """

    groups: str
    median: float
    high: float
    processor_median: float
    processor_high: float
    gap: float
    program: float
    filtered: int
    naive_missed: int
    naive_loss: float
    requests: int
    compared: int


def times(items: int, requests: int, seed: int = 0) -> list[Times]:
    """Time lists of ten under eight groups, of three families, beside three baselines.

    A filter afterwards leaves out of the best ten what breaks an upper bound. The naive greedy takes the best item that
    breaks no upper bound while lower bounds can be reached one by one. The program is over all items, unreduced.
    """
    rng = np.random.default_rng(seed)
    return [_timed(name, Groups.of(bounds, items), rng, requests) for name, bounds in _families(rng, items)]


def _timed(name: str, groups: Groups, rng: np.random.Generator, requests: int) -> Times:
    items, seconds, processor, whole = len(groups.signature), [], [], []
    gap, filtered, missed, loss, compared = 0.0, 0, 0, [0.0], min(requests, _COMPARED)
    for request in range(requests):
        scores, order = rng.normal(size=items), np.arange(items)
        start, used = time.perf_counter(), time.process_time()
        found = solve(scores, order, groups, 10)
        processor.append(1_000 * (time.process_time() - used))
        seconds.append(1_000 * (time.perf_counter() - start))
        assert found is not None
        gap = max(gap, found.gap)
        if request < compared:
            filtered += _filtered_breaks(scores, groups, 10)
            greedy = _naive(scores, groups, 10)
            missed += greedy is None
            loss += [] if greedy is None else [1 - greedy / found.value]
        if request < max(3, requests // 50):  # seconds each
            start = time.perf_counter()
            _whole_program(scores, groups, 10)
            whole.append(1_000 * (time.perf_counter() - start))
    half, high, used_half, used_high = (
        float(np.percentile(each, at)) for each in (seconds, processor) for at in (50, 99)
    )
    program = float(np.median(whole))
    return Times(name, half, high, used_half, used_high, gap, program, filtered, missed, max(loss), requests, compared)


def _filtered_breaks(scores: Doubles, groups: Groups, n: int) -> bool:
    """Return whether the best n, without what is too much, are fewer or break a lower bound."""
    counts, high = np.zeros(len(groups), np.int64), np.asarray([bound.high for bound in groups.bounds])
    chosen = []
    for item in np.argsort(-scores, kind="stable")[:n].tolist():
        after = counts + groups.has[groups.signature[item]]
        if (after <= high).all():
            chosen.append(item)
            counts = after
    return len(chosen) < n or bool(groups.broken(np.asarray(chosen, np.int64)))


def _naive(scores: Doubles, groups: Groups, n: int) -> float | None:
    """Return the sum of scores of a greedy that looks one item ahead; None where its list breaks a bound."""
    counts = np.zeros(len(groups), np.int64)
    low, high = (np.asarray([getattr(bound, end) for bound in groups.bounds]) for end in ("low", "high"))
    chosen: list[int] = []
    for item in np.argsort(-scores, kind="stable").tolist():
        has = groups.has[groups.signature[item]]
        after = counts + has
        if (after <= high).all() and np.maximum(low - after, 0).max(initial=0) <= n - len(chosen) - 1:
            chosen.append(item)
            counts = after
            if len(chosen) == n:
                break
    return None if groups.broken(np.asarray(chosen)) or len(chosen) < n else float(scores[chosen].sum())


def _whole_program(scores: Doubles, groups: Groups, n: int) -> float | None:
    """Return the optimum of the integer program over all items, counted from the list; None where there is none."""
    has = groups.has[groups.signature].T.astype(np.float64)
    low = [n, *(bound.low for bound in groups.bounds)]
    high = [n, *(bound.high for bound in groups.bounds)]
    rows = np.vstack([np.ones(len(scores)), has])
    kinds = np.ones(len(scores), np.int64)
    limits = LinearConstraint(rows, low, high)
    found = milp(-scores, integrality=kinds, bounds=Bounds(0, 1), constraints=limits, options={"mip_rel_gap": 0.0})
    return None if found.x is None else float(scores[np.round(found.x) > 0].sum())
