"""The list of one user with some of the found personas muted or boosted, and its shelves: a persona and its seats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError, ConfigError, nearest
from recsys.explanations.found import names_of_found, often_of_found
from recsys.explanations.reasons.user_list import UserList
from recsys.explanations.text import taste_words
from recsys.models.base import Recommender
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.ownership import persona_shares, without_evidence

MUTED, BOOSTED = 0.0, 2.0
"""Weights of personas: no item and no evidence, and twice the seats."""


@final
@dataclass(frozen=True)
class Controls:
    """What the user sets for one list.

    Attributes:
        mute: personas of which no item is listed and no event counts: numbers, or names in any spelling.
        boost: personas that are due twice the seats.
        visit: list more like what the user did in the visit that is going on, and nothing of the usual list: see
            `recsys.decay.ShortTerm`.

    Raises:
        ConfigError: personas are named, and `visit`.
    """

    mute: tuple[str, ...] = ()
    boost: tuple[str, ...] = ()
    visit: bool = False

    def __post_init__(self) -> None:
        if self.visit and self.of_personas:
            raise ConfigError("what goes with a visit belongs to no persona; leave out --mute and --boost, or --visit")

    @property
    def of_personas(self) -> bool:
        """Whether personas are muted or boosted."""
        return bool(self.mute or self.boost)


def list_of(model: Recommender, queries: Queries, n: int, controls: Controls = Controls()) -> UserList:
    """Return the list of one user, and how it was made.

    Args:
        model: a fitted model that folds in.
        queries: one query.
        n: length of the list.
        controls: which personas are muted or boosted.

    Raises:
        CapabilityError: personas are named, and the model finds none.
        ConfigError: the user has no persona of that name or number, or one is muted and boosted.
    """
    if not controls.of_personas:
        return UserList.of(model, queries, n)
    if not isinstance(model, WithPersonas):
        raise CapabilityError(
            f"{type(model).__name__} finds no personas in the history, so that none can be muted or boosted; train "
            "with personas (--config ease_personas, or ampcf)"
        )
    found = model.found(queries)
    found_names = names_of_found(model, queries, found)[0]
    numbers = found.numbers[0].tolist()
    names = {number: name.text for number, name in zip(numbers, found_names, strict=True) if name is not None}
    weights = {number_of(names, name): MUTED for name in controls.mute}
    for number in (number_of(names, name) for name in controls.boost):
        if weights.setdefault(number, BOOSTED) == MUTED:
            raise ConfigError(f"{names[number]} is muted and boosted; do one of them")
    muted, boosted, _ = found.controls(0, weights, model.dictionary.members)
    asked = without_evidence(queries, model.dictionary, found.personas, muted) if muted.any() else queries
    owners = model.owners(queries, found, muted=muted, boosted=boosted)
    listed = model.recommend(asked, n, slate=model.chosen_slate, owners=owners)
    read = model.read(asked)
    evidence = model.read(queries).queries if muted.any() else None
    slate = model.chosen_slate
    return UserList(read.model, read.queries, listed, found, slate, muted, boosted, evidence, found_names)


def number_of(names: Mapping[int, str], wanted: str) -> int:
    """Return the public number of the persona of one user that a name or a number means.

    Args:
        names: of the user's personas, by number.
        wanted: a number, or a name in any spelling.

    Raises:
        ConfigError: it is none of them.
    """
    if wanted.strip().isdecimal() and int(wanted) in names:
        return int(wanted)
    same = [number for number, name in names.items() if name.casefold() == wanted.strip().casefold()]
    if same:
        return same[0]
    if not names:
        raise ConfigError(f"{wanted!r} is no persona of this user, who has none: no event is of a known item")
    there = ", ".join(f"{name!r} ({number})" for number, name in names.items())
    raise ConfigError(
        f"{wanted!r} is no persona of this user{nearest(wanted, list(names.values()))}; there are {there}"
    )


def shelves_of(user_list: UserList) -> list[dict[str, Any]]:
    """Return the shelves of a list, as plain values: first the personas by their first item, then nobody's items.

    Then come the personas without a seat, largest first. Each has `persona`, `name`, the name as it stands after
    "your taste for" (`taste`), what its events `often` are, its `share` of what the history weighs, muted ones
    included, its `seats`, its `weight` (0 muted, 1, 2 boosted) and whether it is `muted`. None for a model that finds
    no personas.
    """
    model, found = user_list.model, user_list.found
    if found is None:
        return []
    assert isinstance(model, WithPersonas)
    asked = user_list.evidence or user_list.queries
    shares = persona_shares(model, asked, user_list.of_event, found.numbers.shape[1])[0]
    items = user_list.items != UNKNOWN
    owners = user_list.listed.owners
    places = np.full(len(items), UNKNOWN) if owners is None else owners[0]
    owned = places[items].tolist()
    seated = [place for place in dict.fromkeys(owned) if place != UNKNOWN]
    existing = np.flatnonzero(found.numbers[0] != UNKNOWN)
    rest = [place for place in existing[np.argsort(-shares[existing], kind="stable")].tolist() if place not in seated]
    nobody = [UNKNOWN] if UNKNOWN in owned else []
    (often,) = often_of_found(model, asked, found, [list(user_list.names)])
    return [
        _shelf(user_list, place, float(shares[place]), owned.count(place), () if place == UNKNOWN else often[place])
        for place in [*seated, *nobody, *rest]
    ]


def _shelf(user_list: UserList, place: int, share: float, seats: int, often: tuple[str, ...]) -> dict[str, Any]:
    if place == UNKNOWN:
        nobody: dict[str, Any] = {"persona": None, "name": None, "taste": None, "often": []}
        return {**nobody, "share": 0.0, "seats": seats, "weight": 1.0, "muted": False}
    model, found = user_list.model, user_list.found
    assert isinstance(model, WithPersonas)
    assert found is not None
    number = int(found.numbers[0, place])
    muted, boosted = (
        control is not None and bool(control[0, place]) for control in (user_list.muted, user_list.boosted)
    )
    weight = MUTED if muted else BOOSTED if boosted else 1.0
    name = user_list.names[place]
    assert name is not None
    controls = {"weight": weight, "muted": muted}
    taste = taste_words(name.text, name.kind, name.labels)
    said = {"name": name.text, "taste": taste, "often": list(often)}
    return {"persona": number, **said, "share": share, "seats": seats, **controls}
