"""The personas of a batch of users with their public numbers, and which of them a control of the user acts on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.clusters import Personas
from recsys.types import Doubles, Items, Mask


@final
@dataclass(frozen=True, eq=False)
class FoundPersonas:
    """The personas of a batch of users.

    Attributes:
        personas: the clusters of each user's events.
        numbers: "users K", int32: the public number of each persona, which is the node of the dictionary's tree that it
            resembles, the same for everybody; distinct within a user, `UNKNOWN` where there is no persona. It stays
            while the persona lasts and resembles the node (`recsys.models.personas.growth`).
        mass: "users tastes": summed event weights of each taste.
        former: "users K nodes": the numbers that each persona has had while the history grew, its own among them.
    """

    personas: Personas
    numbers: Items
    mass: Doubles
    former: Mask

    def __len__(self) -> int:
        return len(self.numbers)

    @classmethod
    def concatenated(cls, parts: Sequence[FoundPersonas]) -> FoundPersonas:
        """Return the personas of all users of some batches."""
        personas = Personas(
            *(np.concatenate([getattr(part.personas, name) for part in parts]) for name in vars(parts[0].personas))
        )
        names = ("numbers", "mass", "former")
        return cls(personas, *(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def take(self, rows: np.ndarray) -> FoundPersonas:
        """Return the personas of some users."""
        return FoundPersonas(self.personas.take(rows), self.numbers[rows], self.mass[rows], self.former[rows])

    def place(self, row: int, number: int, members: Mask) -> int | None:
        """Return which persona of a user, below K, a public number means now; None where there is no such persona.

        It is the one that has that number; else the one that had it; else the one with most of the user's events below
        that node, if it has at least half of them and half of its own events are there: so that what a person said of
        a persona goes on to hold for the persona that continues it.

        Args:
            row: the user.
            number: a node of the dictionary's tree.
            members: "nodes tastes", `TasteDictionary.members`.
        """
        if not 0 <= number < len(members):
            return None
        for exact in (self.numbers[row] == number, self.former[row, :, number]):
            if exact.any():
                return int(exact.argmax())
        below = self.mass[row] * members[number]
        of_taste = self.personas.of_taste[row]
        shared = np.bincount(np.maximum(of_taste, 0), below * (of_taste != UNKNOWN), self.numbers.shape[1])
        best = int(shared.argmax())
        own = float(self.personas.mass[row, best])
        return best if shared[best] > 0 and 2 * shared[best] >= max(below.sum(), own) else None

    def controls(self, row: int, weights: Mapping[int, float], members: Mask) -> tuple[Mask, Mask, dict[int, int]]:
        """Return which personas of a user are muted and which are boosted, and what each number means.

        Args:
            row: the user.
            weights: of personas by public number: 0 mutes, above 1 boosts, 1 changes nothing.
            members: "nodes tastes", `TasteDictionary.members`.

        Returns:
            muted and boosted, each "1 K"; and the place of the persona of each number that means one.
        """
        places = {number: self.place(row, number, members) for number in weights}
        found = {number: place for number, place in places.items() if place is not None}
        muted, boosted = np.zeros((1, self.numbers.shape[1]), np.bool_), np.zeros((1, self.numbers.shape[1]), np.bool_)
        for number, place in found.items():
            muted[0, place] |= weights[number] == 0
            boosted[0, place] |= weights[number] > 1
        return muted, boosted & ~muted, found
