"""What a user said of their found personas: which are muted, boosted or renamed, and which words find no persona."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import DataError
from recsys.events.store import Correction
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.names.labels import TasteName
from recsys.serving.answers import UnknownError
from recsys.serving.records import UnmatchedCorrection
from recsys.types import Floats, Items, Mask

BOOST = 2.0
"""The weight of a boosted persona: twice the seats."""

_OTHER = "it was made with a model of other tastes, and cannot be matched to these; say it again of a persona of today"
_HELD = "you have no persona of this taste now; its items and your events of it stay muted until you unmute it"
_WAITING = "you have no persona of this taste now; it will hold for one"


def tastes_id(dictionary: TasteDictionary) -> str:
    """Return what is the same of two dictionaries whose tastes have the same numbers: those that continue each other.

    A dictionary that continues another after a training has its tree; two that were found apart do not.
    """
    return "tastes-" + hashlib.sha256(np.ascontiguousarray(dictionary.merges).tobytes()).hexdigest()[:16]


def check_control(model: WithPersonas, persona: int, correction: Correction) -> None:
    """Raise unless a number is that of a taste, and the weight one that has a meaning.

    Raises:
        UnknownError: there is no taste of this number.
        DataError: the weight is none of 0, 1 and 2.
    """
    count = len(model.names.names)
    if not 0 <= persona < count:
        raise UnknownError(f"there is no persona {persona}; this model has 0 to {count - 1}")
    if correction.weight not in (0.0, 1.0, BOOST):
        raise DataError(
            f"weight is {correction.weight:g}; give 0 to mute the persona, 2 to give it twice the seats, 1 to leave it"
        )


@final
@dataclass(frozen=True, eq=False)
class Controls:
    """What a user said, applied to the personas that the user has.

    Attributes:
        numbers: "K", the public number of each persona; that of the correction where one acts on it.
        names: "K".
        corrections: "K", of each persona; one without effect where the user said nothing.
        muted, boosted: "1 K".
        silent: "tastes": muted, though no persona of the user is theirs now.
        unmatched: corrections that act on no persona.
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...]
    corrections: tuple[Correction, ...]
    muted: Mask
    boosted: Mask
    silent: Mask
    unmatched: tuple[UnmatchedCorrection, ...]

    @classmethod
    def of(
        cls,
        model: WithPersonas,
        found: FoundPersonas,
        found_names: Sequence[TasteName | None],
        corrections: Mapping[int, Correction],
        tastes: str,
    ) -> Self:
        """Apply a user's corrections, those of other models included.

        A muted taste stays muted when the user's personas change so that none is its own any more.

        Args:
            model: fitted.
            found: the personas of this one user.
            found_names: "K", their names, one for each persona that there is.
            corrections: by public number.
            tastes: `tastes_id` of the model's dictionary.
        """
        members = model.dictionary.members
        own = {k: one for k, one in corrections.items() if one.model in ("", tastes) and 0 <= k < len(members)}
        muted, boosted, places = found.controls(0, {k: one.weight for k, one in own.items()}, members)
        count = int(found.personas.counts[0])
        numbers = found.numbers[0, :count].tolist()
        said: list[Correction] = [Correction()] * count
        for number, place in sorted(places.items(), key=lambda pair: pair[0] == numbers[pair[1]]):
            # Of several that mean one persona, that of its own number comes last; but what is muted stays muted.
            weight = 0.0 if muted[0, place] else own[number].weight
            said[place] = replace(own[number], weight=weight)
            if number not in numbers:
                numbers[place] = number
        silent = np.zeros(members.shape[1], np.bool_)
        for number, one in own.items():
            if one.muted and number not in places:
                silent |= members[number]
        names = [
            one.name or ("" if name is None else name.text) for one, name in zip(said, found_names[:count], strict=True)
        ]
        unmatched = [
            UnmatchedCorrection(number, one.name, one.weight, _why(one, number in own))
            for number, one in sorted(corrections.items())
            if number not in places and not (number in own and one.weight == 1 and one.name is None)
        ]
        return cls(tuple(numbers), tuple(names), tuple(said), muted, boosted, silent, tuple(unmatched))

    @property
    def mutes(self) -> bool:
        """Whether anything is muted."""
        return bool(self.muted.any() or self.silent.any())

    def weights(self, dictionary: TasteDictionary, queries: Queries, of_event: Items) -> Floats:
        """Return "events": 0 for the events of what is muted, the given weights for the others.

        Args:
            dictionary: the tastes.
            queries: the user.
            of_event: "events", the persona of each event.
        """
        known = of_event != UNKNOWN
        mute = self.muted[0, np.maximum(of_event, 0)] & known
        mute |= self.silent[dictionary.taste[np.maximum(queries.history.items, 0)]] & known
        weights = np.ones(len(mute), np.float32) if queries.weights is None else queries.weights
        return np.where(mute, 0.0, weights).astype(np.float32)


def _why(correction: Correction, own: bool) -> str:
    if not own:
        return _OTHER
    return _HELD if correction.muted else _WAITING
