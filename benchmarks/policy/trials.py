"""Trials of policies: made requests, enumerated optima, planted conflicts, explanations."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from benchmarks.policy.cases import (
    GENRES,
    allowed,
    broken_rules,
    catalogue,
    holds,
    policy_of,
    random_context,
    random_policy,
    unprofiled,
)
from recsys.policy.binding import bind
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.conflicts import check
from recsys.policy.decide import decide, effects
from recsys.policy.groups import Bound, Groups
from recsys.policy.schema import Amount, Context, Layer, Policy, Predicate, Rule
from recsys.policy.solve import solve
from recsys.types import Ints

NOW: Final = 1_800_000_000
NOBODY: Final = Context()
_REQUESTS: Final = 50
"""Of each made policy."""


@final
@dataclass(frozen=True)
class Fuzz:
    """Made requests: how many, what broke, what gave way, how many lists are short, and the gaps."""

    requests: int
    broken: int
    relaxed: int
    short: int
    unproven: int
    gap: float

    @classmethod
    def of(cls, parts: Sequence[Mapping[str, float]]) -> Fuzz:
        """Return the sum of several trials."""
        requests, broken, relaxed, short, unproven = (
            sum(int(part[name]) for part in parts) for name in ("requests", "broken", "relaxed", "short", "unproven")
        )
        return cls(requests, broken, relaxed, short, unproven, max(part["gap"] for part in parts))


def fuzz(requests: int, seed: int = 0) -> Fuzz:
    """Decide made requests; an independent checker counts the lists that break a rule that did not give way.

    It also counts rules of law that gave way, items twice in a list, items that are no candidates, lists that are
    shorter than they must be, and items that were left in histories against a rule.
    """
    rng = np.random.default_rng(seed)
    broken = relaxed = short = unproven = 0
    gap = 0.0
    for _ in range(requests // _REQUESTS):
        films, policy, n = catalogue(rng, int(rng.integers(12, 41))), random_policy(rng), int(rng.integers(1, 11))
        context = random_context(rng)
        bound = bind(policy, films, context, NOW, n, "clip")
        layers = {rule.id: layer for layer, rule in policy.rules}
        least = {rule.id for _, rule in policy.rules if rule.at_least is not None}
        caps = any(layers[rule.id] == "law" and rule.at_most is not None for _, rule in policy.rules)
        may = np.asarray(allowed(films, policy, context))
        broken += set(np.flatnonzero(bound.unprofiled).tolist()) != unprofiled(films, policy, context)
        for _ in range(_REQUESTS):
            scores = np.where(rng.random(len(films)) < 0.1, -np.inf, rng.normal(size=len(films)))
            decision = decide(bound, scores, np.arange(len(films)), n)
            items = list(decision.items)
            wrong = broken_rules(films, policy, items, n, context) - set(decision.relaxed) - set(bound.clipped)
            needless = False
            if len(items) < n:  # law may leave too few; what forbids is kept all the same
                wrong -= least
                short += 1
                needless = not caps and len(items) < int((may & (scores > -np.inf)).sum())
            law = any(layers[rule] == "law" for rule in decision.relaxed)
            odd = len(set(items)) < len(items) or not (scores[items] > -np.inf).all()
            broken += bool(wrong) or law or odd or needless
            relaxed += bool(decision.relaxed)
            unproven += decision.gap > 0
            gap = max(gap, decision.gap)
    return Fuzz(requests // _REQUESTS * _REQUESTS, broken, relaxed, short, unproven, gap)


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


@final
@dataclass(frozen=True)
class Planted:
    """Planted contradictions: how many, found, found as the very rules that were planted, and good policies refused."""

    cases: int
    found: int
    minimal: int
    refused: int


def planted(cases: int, seed: int = 0) -> Planted:
    """Plant contradictions among harmless rules, and check policies that a list is known to keep.

    Three kinds, by turns: two quotas that need more places than there are, three such quotas, and a quota of items that
    a rule of a layer above removes.
    """
    rng = np.random.default_rng(seed)
    films = catalogue(rng, 60)
    found = minimal = refused = 0
    for case in range(cases):
        n = int(rng.integers(6, 13))
        harmless = [Rule(f"few {name}", "quota", Predicate(genres=(name,)), at_most=Amount(n)) for name in GENRES]
        upper, lower = _contradiction(rng, n, case % 3)
        layers = Layer("law", (*harmless, *upper)), Layer("organisation", tuple(lower))
        report = check(Policy("planted", "0", layers, shortest=n, longest=n), films, NOW)
        found += bool(report.conflicts)
        minimal += [set(each.rules) for each in report.conflicts] == [{rule.id for rule in (*upper, *lower)}]
        good = Policy("good", "0", (Layer("organisation", tuple(_kept(rng, films, n))),), shortest=n, longest=n)
        refused += bool(check(good, films, NOW).conflicts)
    return Planted(cases, found, minimal, refused)


def _contradiction(rng: np.random.Generator, n: int, kind: int) -> tuple[list[Rule], list[Rule]]:
    """Return rules of an upper and of a lower layer that no list keeps, though it keeps all but any one of them."""
    year, later = int(rng.integers(1971, 1976)), int(rng.integers(1994, 1998))
    old, new = Predicate(before=year), Predicate(after=later)
    if kind == 2:
        wanted = Rule("wanted", "quota", old, at_least=Amount(int(rng.integers(1, 4))))
        return [Rule("gone", "deny", old)], [wanted]
    size = 2 if kind == 0 else 3
    # The places that each wants: together one more than there are.
    cuts = np.sort(rng.choice(np.arange(1, n + 1), size - 1, replace=False))
    wants = np.diff([0, *cuts.tolist(), n + 1]).tolist()
    parts = (old, new) if kind == 0 else (old, Predicate(after=year - 1, before=later + 1), new)
    rules = [
        Rule(f"part{place}", "quota", of, at_least=Amount(want))
        for place, (of, want) in enumerate(zip(parts, wants, strict=True))
    ]
    return rules[:1], rules[1:]


def _kept(rng: np.random.Generator, films: PolicyCatalogue, n: int) -> list[Rule]:
    """Return quotas around the counts of one list, so that it keeps them all."""
    chosen = rng.choice(len(films), n, replace=False).tolist()
    parts = [*(Predicate(genres=(name,)) for name in GENRES), Predicate(before=1980), Predicate(after=1990)]
    rules = []
    for place, of in enumerate(parts):
        count = [holds(films, item, of) for item in chosen].count(True)
        least, most = max(0, count - int(rng.integers(0, 3))), count + int(rng.integers(0, 3))
        rules.append(Rule(f"kept{place}", "quota", of, at_least=Amount(least), at_most=Amount(most)))
    return rules


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


def example() -> Policy:
    """Return the policy whose price in NDCG is measured on films."""
    return policy_of(
        ("organisation", [Rule("old", "quota", Predicate(before=1980), at_least=Amount(1))]),
        ("role", [Rule("one-genre", "quota", Predicate(each="genre"), at_most=Amount(5))]),
        ("individual", [Rule("no-horror", "deny", Predicate(genres=("Horror",)))]),
    )
