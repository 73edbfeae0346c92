"""What may be done about a chamber: beliefs about personas, slates by them, places at random, weights of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

from recsys.audits.beliefs import Belief, History, Mixture, Organic, Rate
from recsys.checks import positive, whole
from recsys.errors import ConfigError, nearest
from recsys.slates import Floor, Seats, Slate

_EVERYTHING = 100_000
"""Candidates of seats: the whole catalogue, so that every persona has some."""


@final
@dataclass(frozen=True)
class Mitigation:
    """How the lists of a model are made.

    Attributes:
        name: in reports.
        belief: how often each persona acts; None without personas.
        slate: makes the lists of what the personas own and are due; None: the best scores.
        appeal: power of how often an item was taken where it was shown, which corrects the score; 0: not at all.
        sampled: scale of the Gumbel noise that is added to the corrected scores, so that lists are drawn (Luce 1959,
            Plackett 1975) and similar users see different ones; needs `appeal`.
        explore: places of the list, the last ones, that are drawn at random from everything.
        weighted: whether events weigh by the inverse of how often their item was shown to all.
    """

    name: str
    belief: Belief | None = None
    slate: Slate | None = None
    appeal: float = 0.0
    sampled: float = 0.0
    explore: int = 0
    weighted: bool = False

    def __post_init__(self) -> None:
        whole("explore", self.explore, least=0)
        positive("appeal", self.appeal, zero=True)
        positive("sampled", self.sampled, zero=True)
        if self.sampled > 0 and self.appeal == 0:
            raise ConfigError(f"{self.name}: sampled is {self.sampled}; it needs an appeal above 0")
        if (self.belief is None) != (self.slate is None):
            raise ConfigError(f"{self.name}: a belief needs a slate, and a slate a belief")


def seats(weight: float = 1.0) -> Seats:
    """Return seats of the whole catalogue without calibration."""
    positive("weight", weight, zero=True)
    return Seats(weight, 0.0, _EVERYTHING)


MITIGATIONS: Final = {
    each.name: each
    for each in (
        Mitigation("floor", Organic(), Floor(0.08, _EVERYTHING)),
        Mitigation("seats", History(), seats()),
        Mitigation("rate", Rate(), seats()),
        Mitigation("mixture", Mixture(), seats()),
        Mitigation("appeal", Mixture(), seats(), appeal=1.0),
        Mitigation("broad", Mixture(floor=3.0), seats(), appeal=1.0, explore=2),
        Mitigation("sampled", Mixture(floor=2.0), seats(), appeal=1.5, sampled=2.0),
        Mitigation("explore", explore=2),
        Mitigation("weighted", weighted=True),
    )
}
"""What the command line offers by name."""


def mitigation(name: str) -> Mitigation:
    """Return a mitigation, or several joined by "+", such as "seats+explore".

    Raises:
        ConfigError: there is no such mitigation, or two of them make the lists.

    >>> mitigation("seats+explore").explore
    2
    """
    parts = [_named(part) for part in name.split("+")]
    beliefs = [part for part in parts if part.belief is not None]
    if len(beliefs) > 1:
        raise ConfigError(f"{name}: {beliefs[0].name} and {beliefs[1].name} both make the lists; give one of them")
    first = beliefs[0] if beliefs else parts[0]
    return replace(
        first,
        name=name,
        explore=max(part.explore for part in parts),
        weighted=any(part.weighted for part in parts),
    )


def mitigations(names: Sequence[str]) -> list[Mitigation]:
    """Return several mitigations; see `mitigation`."""
    return [mitigation(name) for name in names]


def _named(name: str) -> Mitigation:
    if name not in MITIGATIONS:
        raise ConfigError(f"no mitigation {name!r}; there are {', '.join(MITIGATIONS)}{nearest(name, MITIGATIONS)}")
    return MITIGATIONS[name]
