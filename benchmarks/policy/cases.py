"""Made catalogues and policies of all kinds, and a checker of lists that shares no code with the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from recsys.data.items import ItemMetadata
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.schema import Amount, Condition, Context, Layer, LayerName, Policy, Predicate, Rule

GENRES: Final = ("Comedy", "Drama", "Horror", "War")
_SIZES: Final = ("small", "large", None)
_ODD: Final = ("Film {} ", "({})", "Film {0} ({1})  ", "Film ({1}-{1})", "Film ({1}", "Film {0} (19)", "Film ({1}) II")


def catalogue(rng: np.random.Generator, items: int) -> PolicyCatalogue:
    """Return films of which much is not known, some with titles that look as if they had a year."""
    years = rng.integers(1950, 2020, items)
    titles = tuple(
        f"Film {item} ({year})" if item % 7 else _ODD[item // 7 % len(_ODD)].format(item, year)
        for item, year in enumerate(years)
    )
    genres = (GENRES, *(tuple(name for name in GENRES if rng.random() < 0.35) for _ in range(1, items)))
    tags = tuple(("adult",) if rng.random() < 0.1 or item == 0 else () for item in range(items))
    size = [_SIZES[item if item < len(_SIZES) else int(rng.integers(3))] for item in range(items)]
    licensed = ["2020-01-01/" if rng.random() < 0.9 else "2020-01-01/2021-01-01" for _ in range(items)]
    ids = tuple(f"i{item}" for item in range(items))
    return PolicyCatalogue(ids, ItemMetadata(titles, genres, tags), {"size": size, "licensed": licensed})


def policy_of(*layers: tuple[LayerName, list[Rule]]) -> Policy:
    """Return a policy of these layers."""
    return Policy("test", "0", tuple(Layer(name, tuple(rules)) for name, rules in layers), shortest=1, longest=10)


def random_policy(rng: np.random.Generator) -> Policy:
    """Return rules of all kinds, with groups that cross, some of which hold only in some circumstances."""
    selections = [
        *(Predicate(genres=(name,)) for name in GENRES),
        *(Predicate(tags=("adult",)), Predicate(before=1980), Predicate(after=1990), Predicate(window="licensed")),
        *(Predicate(columns=(("size", ("small",)),)), Predicate(genres=("Drama", "War"), before=1990)),
        *(Predicate(items=("i0", "i3")), Predicate(each="genre"), Predicate(each="size")),
    ]
    layers: dict[LayerName, list[Rule]] = {"law": [], "organisation": [], "role": [], "individual": []}
    names = list(layers)
    for place in range(int(rng.integers(1, 6))):
        of, layer = selections[int(rng.integers(len(selections)))], names[int(rng.integers(4))]
        kind = rng.choice(["deny", "require", "prefer", "no_profiling", "quota", "quota", "quota", "quota"])
        first = None if rng.random() < 0.8 else int(rng.integers(1, 8))
        when = _condition(rng) if rng.random() < 0.15 else None
        unless = _condition(rng) if rng.random() < 0.1 else None
        if kind == "quota":
            least, most = Amount(float(rng.integers(0, 3))), Amount(float(rng.integers(2, 6)))
            if rng.random() < 0.2:
                least, most = Amount(rng.integers(0, 20) / 100, True), Amount(rng.integers(20, 80) / 100, True)
            only_most = of.each is not None or rng.random() < 0.4
            rule = Rule(f"r{place}", "quota", of, None if only_most else least, most, first, 0.0, when, unless)
        elif of.each is not None:
            continue
        else:
            weight = float(rng.normal()) if kind == "prefer" else 0.0
            rule = Rule(f"r{place}", kind, of, weight=weight, when=when, unless=unless)
        layers[layer].append(rule)
    return policy_of(*layers.items())


def random_context(rng: np.random.Generator) -> Context:
    """Return somebody of whom more or less is known."""
    return Context(
        (None, 12, 17, 18, 40)[int(rng.integers(5))],
        (None, "eu", "us")[int(rng.integers(3))],
        frozenset(name for name in ("sensitive", "history") if rng.random() < 0.5),
        (None, "assistant", "children")[int(rng.integers(3))],
    )


def _condition(rng: np.random.Generator) -> Condition:
    return (
        Condition(age_below=18),
        Condition(region=("eu",)),
        Condition(consent=("sensitive",)),
        Condition(role=("children",)),
        Condition(age_below=13, region=("eu", "us")),
    )[int(rng.integers(5))]


def applies(rule: Rule, context: Context) -> bool:
    """Return whether a rule holds for a request. Written apart from the library."""
    for condition, wanted in ((rule.when, True), (rule.unless, False)):
        if condition is None:
            continue
        met = [
            condition.age_below is None or (context.age or 0) < condition.age_below,
            not condition.region or context.region in condition.region,
            not condition.consent or any(name in context.consents for name in condition.consent),
            not condition.role or context.role in condition.role,
        ]
        if (met.count(False) == 0) is not wanted:
            return False
    return True


def holds(films: PolicyCatalogue, item: int, of: Predicate) -> bool | None:
    """Return whether a predicate holds for an item; None where it cannot be said. Written apart from the library."""
    genres, year = films.metadata.genres[item], _year(films.metadata.titles[item])
    answers: list[bool | None] = []
    if of.genres:
        answers.append(any(name in genres for name in of.genres) if genres else None)
    if of.tags:
        answers.append(any(tag in films.metadata.tags[item] for tag in of.tags))
    if of.items:
        answers.append(f"i{item}" in of.items)
    if of.before is not None:
        answers.append(None if year is None else year < of.before)
    if of.after is not None:
        answers.append(None if year is None else year > of.after)
    if of.window:
        answers.append(films.columns["licensed"][item] == "2020-01-01/")
    for name, values in of.columns:
        value = films.columns[name][item]
        answers.append(None if value is None else value in values)
    return False if False in answers else None if None in answers else True


def _year(title: str) -> int | None:
    bare = title.rstrip()
    if not bare.endswith(")") or "(" not in bare:
        return None
    inside = bare[bare.rindex("(") + 1 : -1]
    first, dash, last = inside.partition("-")
    is_year = len(first) == 4 and first.isdigit() and len(last) <= 4 and (not last or last.isdigit())
    return int(first) if is_year and (dash or not last) else None


def broken_rules(
    films: PolicyCatalogue, policy: Policy, items: Sequence[int], n: int, context: Context | None = None
) -> set[str]:
    """Return the rules that a list does not keep, counted one by one."""
    broken = set()
    for _, rule in policy.rules:
        if not applies(rule, context or Context()):
            continue
        first = min(n, rule.in_first or n)
        for of in _parts(rule.of):
            answers = [holds(films, item, of) for item in items]
            count = answers[:first].count(True)
            wrong = (
                (rule.kind == "deny" and any(answer is not False for answer in answers))
                or (rule.kind == "require" and any(answer is not True for answer in answers))
                or (rule.kind == "quota" and rule.at_most is not None and count > _most(rule.at_most, first))
                or (rule.kind == "quota" and rule.at_least is not None and count < _least(rule.at_least, first))
            )
            if wrong:
                broken.add(rule.id)
    return broken


def unprofiled(films: PolicyCatalogue, policy: Policy, context: Context) -> set[int]:
    """Return the items that must not count in a history, or of which that is not known."""
    rules = [rule for _, rule in policy.rules if rule.kind == "no_profiling" and applies(rule, context)]
    return {item for item in range(len(films)) if any(holds(films, item, rule.of) is not False for rule in rules)}


def allowed(films: PolicyCatalogue, policy: Policy, context: Context) -> list[bool]:
    """Return which items no rule removes."""
    rules = [rule for _, rule in policy.rules if rule.kind in ("deny", "require") and applies(rule, context)]
    return [
        all(holds(films, item, rule.of) is (rule.kind == "require") for rule in rules) for item in range(len(films))
    ]


def _parts(of: Predicate) -> list[Predicate]:
    if of.each == "genre":
        return [Predicate(genres=(name,)) for name in GENRES]
    if of.each == "size":
        return [Predicate(columns=(("size", (name,)),)) for name in _SIZES if name]
    return [of]


def _most(amount: Amount, places: int) -> int:
    return round(100 * amount.value) * places // 100 if amount.is_share else int(amount.value)


def _least(amount: Amount, places: int) -> int:
    return min(places, -(-round(100 * amount.value) * places // 100) if amount.is_share else int(amount.value))
