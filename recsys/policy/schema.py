"""What a policy says: rules in layers, over items that predicates select, in circumstances that conditions select."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, final, get_args

from recsys.errors import ConfigError

LayerName = Literal["law", "organisation", "role", "individual"]
LAYERS: Final[tuple[LayerName, ...]] = get_args(LayerName)
"""The layers, the one that binds most first."""

Kind = Literal["deny", "require", "no_profiling", "quota", "prefer"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

FORMAT: Final = 1
LONGEST: Final = 100
"""The longest list that a policy may be made for."""


@final
@dataclass(frozen=True)
class Predicate:
    """Selects items: those for which all conditions hold.

    Attributes:
        genres: one of these genres.
        tags: one of these tags.
        items: one of these external ids.
        before: a title of an earlier year.
        after: a title of a later year.
        window: a column of "FROM/UNTIL" dates, of which one end may be missing, holds now.
        columns: column and values, of which the item has one.
        each: a genre or a column: the rule holds for each of its values by itself.
    """

    genres: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    before: int | None = None
    after: int | None = None
    window: str | None = None
    columns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    each: str | None = None

    def __str__(self) -> str:
        words = [f"each {self.each}"] if self.each else []
        for name, values in (("genre", self.genres), ("tag", self.tags), ("item", self.items), *self.columns):
            words += [f"{name} {' or '.join(values)}"] if values else []
        words += [] if self.before is None else [f"before {self.before}"]
        words += [] if self.after is None else [f"after {self.after}"]
        words += [] if self.window is None else [f"within {self.window}"]
        return " and ".join(words)


@final
@dataclass(frozen=True)
class Condition:
    """Circumstances of a request: all that are given hold. An unknown age counts as the youngest.

    Attributes:
        age_below: the person is younger.
        region: the request comes from one of these.
        consent: the person has agreed to one of these purposes.
        role: the service acts as one of these.
    """

    age_below: int | None = None
    region: tuple[str, ...] = ()
    consent: tuple[str, ...] = ()
    role: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [] if self.age_below is None else [f"younger than {self.age_below}"]
        for name, values in (("in region", self.region), ("with consent", self.consent), ("as role", self.role)):
            words += [f"{name} {' or '.join(values)}"] if values else []
        return " and ".join(words)

    def holds(self, context: Context) -> bool:
        """Return whether a request is of these circumstances."""
        young = self.age_below is None or context.age is None or context.age < self.age_below
        there = not self.region or context.region in self.region
        agreed = not self.consent or bool(context.consents & set(self.consent))
        return young and there and agreed and (not self.role or context.role in self.role)


@final
@dataclass(frozen=True)
class Context:
    """Who asks, as far as it is known.

    Attributes:
        age: in years; None if unknown.
        region: as the file writes regions; None if unknown.
        consents: purposes to which the person has agreed.
        role: what the service acts as.
    """

    age: int | None = None
    region: str | None = None
    consents: frozenset[str] = frozenset()
    role: str | None = None


@final
@dataclass(frozen=True)
class Amount:
    """A number of items, or a part of the list."""

    value: float
    is_share: bool = False

    def __post_init__(self) -> None:
        if self.is_share and not 0 <= self.value <= 1:
            raise ConfigError(f"a share is {self.value:.0%}; it must be from 0% to 100%")
        if not self.is_share and (self.value < 0 or self.value != int(self.value)):
            raise ConfigError(f"a number of items is {self.value:g}; it must be whole and at least 0, or a share: 20%")

    def least(self, length: int) -> int:
        """Return the count for a list of some length as a lower bound: shares are rounded up, and it is at most all.

        >>> Amount(0.25, True).least(10), Amount(2).least(1)
        (3, 1)
        """
        return min(length, math.ceil(round(self.value * length, 9)) if self.is_share else int(self.value))

    def most(self, length: int) -> int:
        """Return the count for a list of some length as an upper bound: shares are rounded down.

        >>> Amount(0.25, True).most(10)
        2
        """
        return math.floor(round(self.value * length, 9)) if self.is_share else int(self.value)

    def __str__(self) -> str:
        return f"{self.value * 100:g}%" if self.is_share else f"{self.value:g}"


@final
@dataclass(frozen=True)
class Rule:
    """One norm.

    Attributes:
        id: its name, unique in the file.
        kind: what it does. `deny` removes the items, `require` all others; `no_profiling` takes them out of the history
            before anything is scored; `quota` bounds how many of them a list has; `prefer` adds to their scores.
        of: the items.
        at_least: of a quota; None: no lower bound.
        at_most: of a quota; None: no upper bound.
        in_first: of a quota: counts in so many first places; None: in the whole list.
        weight: of a preference, in ranges of the scores.
        when: it holds only then; None: always.
        unless: it does not hold then; None: always.
        why: a sentence for people.
        line: of the file; 0 if it comes from none.
    """

    id: str
    kind: Kind
    of: Predicate
    at_least: Amount | None = None
    at_most: Amount | None = None
    in_first: int | None = None
    weight: float = 0.0
    when: Condition | None = None
    unless: Condition | None = None
    why: str = ""
    line: int = 0

    def applies(self, context: Context) -> bool:
        """Return whether the rule holds for a request."""
        wanted = self.when is None or self.when.holds(context)
        return wanted and (self.unless is None or not self.unless.holds(context))

    def __str__(self) -> str:
        if self.kind == "quota":
            bounds = [f"at least {self.at_least}"] if self.at_least else []
            bounds += [f"at most {self.at_most}"] if self.at_most else []
            place = "" if self.in_first is None else f" in the first {self.in_first}"
            return f"{' and '.join(bounds)} of {self.of}{place}"
        return f"{self.kind.replace('_', ' ')} {self.of}"


@final
@dataclass(frozen=True)
class Layer:
    """The rules of one authority.

    Attributes:
        name: which.
        rules: in the order of the file.
        prefer_cap: the largest weight, up or down, that preferences of lower layers may have; None: as the one above.
    """

    name: LayerName
    rules: tuple[Rule, ...]
    prefer_cap: float | None = None


@final
@dataclass(frozen=True)
class Policy:
    """A policy file.

    Attributes:
        name: what it is called.
        version: SHA-256 of the file.
        layers: the one that binds most first, each at most once.
        valid_from: Unix seconds, the first moment; None: always was.
        valid_until: Unix seconds, the moment after the last; None: without end.
        shortest: length of the shortest list that is promised.
        longest: length of the longest list that is promised.
    """

    name: str
    version: str
    layers: tuple[Layer, ...]
    valid_from: int | None = None
    valid_until: int | None = None
    shortest: int = 10
    longest: int = 50

    @property
    def rules(self) -> tuple[tuple[LayerName, Rule], ...]:
        """All rules with their layers, the one that binds most first."""
        return tuple((layer.name, rule) for layer in self.layers for rule in layer.rules)

    def valid(self, now: int) -> bool:
        """Return whether the policy is in force at a moment."""
        return (self.valid_from is None or now >= self.valid_from) and (
            self.valid_until is None or now < self.valid_until
        )

    def with_individual(self, rules: tuple[Rule, ...]) -> Policy:
        """Return the policy with other rules in the individual layer."""
        others = tuple(layer for layer in self.layers if layer.name != "individual")
        return replace(self, layers=(*others, Layer("individual", rules)) if rules else others)

    def without(self, rules: frozenset[str]) -> Policy:
        """Return the policy without the rules of some ids."""
        kept = (replace(each, rules=tuple(rule for rule in each.rules if rule.id not in rules)) for each in self.layers)
        return replace(self, layers=tuple(kept))

    def to_dict(self) -> dict[str, Any]:
        """Return the main parameters in words, as plain data."""
        return {
            "name": self.name,
            "version": self.version,
            "layers": [
                {
                    "layer": layer.name,
                    "rules": [{"id": rule.id, "rule": str(rule), "why": rule.why} for rule in layer.rules],
                }
                for layer in self.layers
            ],
        }
