"""Made catalogues and policies of all kinds, and a checker of lists that shares no code with the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from recsys.data.items import ItemMetadata
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.schema import Amount, Layer, LayerName, Policy, Predicate, Rule

GENRES: Final = ("Comedy", "Drama", "Horror", "War")


def catalogue(rng: np.random.Generator, items: int) -> PolicyCatalogue:
    """Return films of which much is not known."""
    years = rng.integers(1950, 2020, items)
    titles = tuple(f"Film {item} ({year})" if item % 7 else f"Film {item}" for item, year in enumerate(years))
    genres = (GENRES, *(tuple(name for name in GENRES if rng.random() < 0.35) for _ in range(1, items)))
    tags = tuple(("adult",) if rng.random() < 0.1 or item == 0 else () for item in range(items))
    size = [("small", "large", None)[int(rng.integers(3))] for _ in range(items)]
    licensed = ["2020-01-01/" if rng.random() < 0.9 else "2020-01-01/2021-01-01" for _ in range(items)]
    ids = tuple(f"i{item}" for item in range(items))
    return PolicyCatalogue(ids, ItemMetadata(titles, genres, tags), {"size": size, "licensed": licensed})


def policy_of(*layers: tuple[LayerName, list[Rule]]) -> Policy:
    """Return a policy of these layers."""
    return Policy("test", "0", tuple(Layer(name, tuple(rules)) for name, rules in layers), shortest=1, longest=10)


def random_policy(rng: np.random.Generator) -> Policy:
    """Return rules of all kinds, with groups that cross."""
    selections = [
        *(Predicate(genres=(name,)) for name in GENRES),
        *(Predicate(tags=("adult",)), Predicate(before=1980), Predicate(after=1990), Predicate(window="licensed")),
        *(Predicate(columns=(("size", ("small",)),)), Predicate(genres=("Drama", "War"), before=1990)),
    ]
    layers: dict[LayerName, list[Rule]] = {"law": [], "organisation": [], "role": [], "individual": []}
    names = list(layers)
    for place in range(int(rng.integers(1, 6))):
        of, layer = selections[int(rng.integers(len(selections)))], names[int(rng.integers(4))]
        kind = rng.choice(["deny", "require", "prefer", "quota", "quota", "quota"])
        first = None if rng.random() < 0.8 else int(rng.integers(1, 8))
        if kind == "quota":
            least, most = Amount(float(rng.integers(0, 3))), Amount(float(rng.integers(2, 6)))
            rule = Rule(f"r{place}", "quota", of, least if rng.random() < 0.6 else None, most, first)
        else:
            rule = Rule(f"r{place}", kind, of, weight=float(rng.normal()) if kind == "prefer" else 0.0)
        layers[layer].append(rule)
    return policy_of(*layers.items())


def holds(films: PolicyCatalogue, item: int, of: Predicate) -> bool | None:
    """Return whether a predicate holds for an item; None where it cannot be said. Written apart from the library."""
    title, genres = films.metadata.titles[item], films.metadata.genres[item]
    year = int(title[-5:-1]) if title.endswith(")") else None
    answers: list[bool | None] = []
    if of.genres:
        answers.append(any(name in genres for name in of.genres) if genres else None)
    if of.tags:
        answers.append(any(tag in films.metadata.tags[item] for tag in of.tags))
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


def broken_rules(films: PolicyCatalogue, policy: Policy, items: Sequence[int], n: int) -> set[str]:
    """Return the rules that a list does not keep, counted one by one."""
    broken = set()
    for _, rule in policy.rules:
        answers = [holds(films, item, rule.of) for item in items]
        first = min(n, rule.in_first or n)
        count = answers[:first].count(True)
        wrong = (
            (rule.kind == "deny" and any(answer is not False for answer in answers))
            or (rule.kind == "require" and any(answer is not True for answer in answers))
            or (rule.kind == "quota" and rule.at_most is not None and count > rule.at_most.value)
            or (rule.kind == "quota" and rule.at_least is not None and count < min(first, rule.at_least.value))
        )
        if wrong:
            broken.add(rule.id)
    return broken
