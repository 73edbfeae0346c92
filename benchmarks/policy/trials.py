"""Trials of policies: made requests, enumerated optima, planted conflicts, times."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from benchmarks.policy.cases import GENRES, broken_rules, catalogue, policy_of, random_policy
from recsys.policy.binding import bind
from recsys.policy.conflicts import check
from recsys.policy.decide import decide, effects
from recsys.policy.groups import Bound, Groups
from recsys.policy.schema import Amount, Context, Layer, Policy, Predicate, Rule
from recsys.policy.solve import solve
from recsys.types import Doubles, Ints

NOW: Final = 1_800_000_000
NOBODY: Final = Context()
_REQUESTS: Final = 200
"""Of each made policy."""


@final
@dataclass(frozen=True)
class Fuzz:
    """Made requests: how many, what broke, what gave way, and the largest gap."""

    requests: int
    broken: int
    relaxed: int
    short: int
    gap: float


def fuzz(requests: int, seed: int = 0) -> Fuzz:
    """Decide made requests; an independent checker counts the lists that break a rule that did not give way."""
    rng = np.random.default_rng(seed)
    broken = relaxed = short = 0
    gap = 0.0
    for _ in range(requests // _REQUESTS):
        films, policy, n = catalogue(rng, int(rng.integers(12, 41))), random_policy(rng), int(rng.integers(1, 11))
        bound = bind(policy, films, NOBODY, NOW, n, "clip")
        layers = {rule.id: layer for layer, rule in policy.rules}
        quota = {rule.id for _, rule in policy.rules if rule.at_least is not None}
        for _ in range(_REQUESTS):
            scores = np.where(rng.random(len(films)) < 0.1, -np.inf, rng.normal(size=len(films)))
            decision = decide(bound, scores, np.arange(len(films)), n)
            wrong = broken_rules(films, policy, decision.items, n) - set(decision.relaxed) - set(bound.clipped)
            if len(decision.items) < n:  # law may leave too few; what forbids is kept all the same
                wrong -= quota
                short += 1
            law = any(layers[rule] == "law" for rule in decision.relaxed)
            broken += bool(wrong) or law or len(set(decision.items)) < len(decision.items)
            relaxed += bool(decision.relaxed)
            gap = max(gap, decision.gap)
    return Fuzz(requests // _REQUESTS * _REQUESTS, broken, relaxed, short, gap)


def enumerated(cases: int, seed: int = 0) -> tuple[int, int]:
    """Return how many small cases were compared with all their lists, and in how many the result is another."""
    rng = np.random.default_rng(seed)
    other = 0
    for _ in range(cases):
        items, n = int(rng.integers(4, 9)), int(rng.integers(2, 5))
        scores = rng.normal(size=items)
        bounds = []
        for _ in range(int(rng.integers(1, 5))):
            low = int(rng.integers(0, 3))
            bounds.append(Bound(rng.random(items) < 0.5, low, low + int(rng.integers(0, 3)), n))
        lists = (np.asarray(each) for each in itertools.combinations(range(items), n))
        worth = [float(scores[each].sum()) for each in lists if _keeps(each, bounds)]
        found = solve(scores, np.arange(items), Groups.of(bounds, items), n)
        if (found is None) != (not worth) or (found is not None and abs(found.value - max(worth)) > 1e-9):
            other += 1
    return cases, other


def _keeps(items: Ints, bounds: Sequence[Bound]) -> bool:
    return all(bound.low <= int(bound.members[items].sum()) <= bound.high for bound in bounds)


def planted(cases: int, seed: int = 0) -> tuple[int, int, int]:
    """Plant contradictions between layers, and check the same policies without them.

    Returns:
        how many were found, how many of these as the very two rules that were planted, and how many harmless policies
        were refused.
    """
    rng = np.random.default_rng(seed)
    films = catalogue(rng, 60)
    found = minimal = refused = 0
    for _ in range(cases):
        n = int(rng.integers(4, 13))
        year = int(rng.integers(1975, 1995))
        least = int(rng.integers(1, n))
        rest = n - least + 1
        old = Rule("old", "quota", Predicate(before=year), at_least=Amount(least))
        new = Rule("new", "quota", Predicate(after=year), at_least=Amount(rest))
        harmless = [Rule(f"few {name}", "quota", Predicate(genres=(name,)), at_most=Amount(n)) for name in GENRES]
        layers = Layer("law", tuple(harmless)), Layer("organisation", (old,)), Layer("individual", (new,))
        report = check(Policy("planted", "0", layers, shortest=n, longest=n), films, NOW)
        found += bool(report.conflicts)
        minimal += [set(each.rules) for each in report.conflicts] == [{"old", "new"}]
        refused += bool(check(Policy("good", "0", layers[:2], shortest=n, longest=n), films, NOW).conflicts)
    return found, minimal, refused


def explained(cases: int, seed: int = 0) -> tuple[int, int]:
    """Return how many explained changes were checked, and of how many the rules are not what made them.

    Without its rules the change must be gone, and without any smaller part of them it must not.
    """
    rng = np.random.default_rng(seed)
    checked = wrong = 0
    for _ in range(cases):
        films, policy, n = catalogue(rng, 40), random_policy(rng), 8
        scores, order = np.where(rng.random(40) < 0.1, -np.inf, rng.normal(size=40)), np.arange(40)
        bound = bind(policy, films, NOBODY, NOW, n, "clip")
        plain = set(np.argsort(-scores, kind="stable")[:n].tolist())
        listed = set(decide(bound, scores, order, n).items)
        told = {effect.item: effect for effect in effects(bound, scores, order, n)}
        wrong += len((plain ^ listed) ^ set(told))
        for item, effect in told.items():
            sets = [set(effect.rules), *(set(effect.rules) - {rule} for rule in effect.rules)]
            there = [item in decide(bound.without(frozenset(each)), scores, order, n).items for each in sets]
            gone = [each == (effect.change == "removed") for each in there]
            wrong += gone != [True] + [False] * len(effect.rules)
            checked += 1
    return checked, wrong


@final
@dataclass(frozen=True)
class Times:
    """Milliseconds of decisions: median and 99th percentile, the largest gap, and of a program over all items."""

    groups: str
    median: float
    high: float
    gap: float
    program: float
    naive_missed: int
    naive_loss: float
    requests: int


def times(items: int, requests: int, seed: int = 0) -> list[Times]:
    """Time lists of ten under eight groups, of three families, beside a program without reduction and a naive greedy.

    The naive greedy takes the best item that breaks no upper bound while lower bounds can be reached one by one.
    """
    rng = np.random.default_rng(seed)
    part, other = rng.integers(0, 8, items), rng.integers(0, 4, items)
    families = {
        "8 disjoint": [Bound(part == group, int(group < 4), 2, 10) for group in range(8)],
        "two partitions of 4": [
            *(Bound(part // 2 == group, 1, 3, 10) for group in range(4)),
            *(Bound(other == group, 2, 3, 10) for group in range(4)),
        ],
        "8 at random, 10% of the items each": [Bound(rng.random(items) < 0.1, 1, 3, 10) for _ in range(8)],
    }
    return [_timed(name, Groups.of(bounds, items), rng, requests) for name, bounds in families.items()]


def _timed(name: str, groups: Groups, rng: np.random.Generator, requests: int) -> Times:
    items, seconds, whole, gap, missed, loss = len(groups.signature), [], [], 0.0, 0, [0.0]
    for request in range(requests):
        scores, order = rng.normal(size=items), np.arange(items)
        start = time.perf_counter()
        found = solve(scores, order, groups, 10)
        seconds.append(1_000 * (time.perf_counter() - start))
        assert found is not None
        gap = max(gap, found.gap)
        greedy = _naive(scores, groups, 10)
        if greedy is None:
            missed += 1
        else:
            loss.append(1 - greedy / found.value)
        if request < max(3, requests // 50):  # seconds each
            start = time.perf_counter()
            _whole_program(scores, groups, 10)
            whole.append(1_000 * (time.perf_counter() - start))
    half, high = np.percentile(seconds, [50, 99]).tolist()
    return Times(name, half, high, gap, float(np.median(whole)), missed, max(loss), requests)


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


def _whole_program(scores: Doubles, groups: Groups, n: int) -> float:
    """Return the optimum of the integer program over all items."""
    has = groups.has[groups.signature].T.astype(np.float64)
    low = [n, *(bound.low for bound in groups.bounds)]
    high = [n, *(bound.high for bound in groups.bounds)]
    rows = np.vstack([np.ones(len(scores)), has])
    kinds = np.ones(len(scores), np.int64)
    found = milp(-scores, integrality=kinds, bounds=Bounds(0, 1), constraints=LinearConstraint(rows, low, high))
    return -float(found.fun or 0.0)


def example() -> Policy:
    """Return the policy whose price in NDCG is measured on films."""
    return policy_of(
        ("organisation", [Rule("old", "quota", Predicate(before=1980), at_least=Amount(1))]),
        ("role", [Rule("one-genre", "quota", Predicate(each="genre"), at_most=Amount(5))]),
        ("individual", [Rule("no-horror", "deny", Predicate(genres=("Horror",)))]),
    )
