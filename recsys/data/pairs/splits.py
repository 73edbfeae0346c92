"""How split people are over a pair of items: of those who rated both differently, how many prefer each."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
import pandas as pd

from recsys.data.interactions import Interactions
from recsys.data.pairs.pairs import PairWindow, pairs_of
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import DataError
from recsys.files import replacing
from recsys.types import Ints, Items

RATERS: Final = 50
"""Of fewer people a share says too little: its standard error is above .07."""


@final
@dataclass(frozen=True, slots=True)
class PairSplit:
    """Of the people who rated an item and another one differently, how many prefer the item.

    Attributes:
        other: number of the other item.
        preferred: people who prefer the item.
        raters: people who rated the two differently.
    """

    other: int
    preferred: int
    raters: int


@final
@dataclass(frozen=True, eq=False)
class Splits:
    """The pairs of items that enough people rated differently.

    Attributes:
        n_items: of the catalogue.
        key: "pairs", int64, ascending: first * n_items + second, with first < second.
        first: "pairs", how many prefer the first.
        raters: "pairs", how many prefer either.
    """

    n_items: int
    key: Ints
    first: Ints
    raters: Ints

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def of(
        cls,
        log: Interactions,
        items: Vocabulary | None = None,
        *,
        raters: int = RATERS,
        window: float = 20,
        unit: PairWindow = "events",
    ) -> Splits:
        """Count the preferences of a log of ratings; see `pairs_of`.

        Args:
            log: with ratings.
            items: whose numbers the pairs have; pairs with other items are left out. None: those of the log.
            raters: pairs that fewer people rated differently are left out.
            window: how far two ratings of one person may be apart.
            unit: what that is counted in.

        Raises:
            DataError: no two ratings differ.
        """
        pairs = pairs_of(log, window, unit)
        items = log.items if items is None else items
        number = items.numbers(log.items.ids).astype(np.int64)
        winner, loser = number[pairs.winner], number[pairs.loser]
        known = (winner != UNKNOWN) & (loser != UNKNOWN)
        low, high = np.minimum(winner, loser)[known], np.maximum(winner, loser)[known]
        # A person who rates again may prefer a pair twice, or both ways: that is one voice, or none.
        said = pd.DataFrame(
            {
                "user": pairs.user[known],
                "key": low * len(items) + high,
                "for_first": np.where(winner[known] == low, 1, -1),
            }
        )
        net = said.groupby(["user", "key"], sort=False)["for_first"].sum()
        net = net[net != 0]
        key, up = net.index.get_level_values("key").to_numpy(), net.to_numpy() > 0
        distinct, place, count = np.unique(key, return_inverse=True, return_counts=True)
        first = np.bincount(place, up, len(distinct)).astype(np.int64)
        kept = count >= raters
        return cls(len(items), distinct[kept], first[kept], count[kept].astype(np.int64))

    def nearest(self, listed: Items) -> list[PairSplit | None]:
        """Return of each item of a list the other one over which people are most evenly split; None: there is none.

        Args:
            listed: "n", the items of a list.
        """
        items = np.asarray(listed, np.int64)
        low, high = np.minimum.outer(items, items), np.maximum.outer(items, items)
        key = low * self.n_items + high
        place = np.minimum(np.searchsorted(self.key, key), max(len(self.key) - 1, 0))
        if not len(self.key):
            return [None] * len(items)
        found = (self.key[place] == key) & (low != high)
        raters = self.raters[place]
        preferred = np.where(items[:, None] == low, self.first[place], raters - self.first[place])
        uneven = np.where(found, np.abs(preferred / raters - 0.5), np.inf)
        best = uneven.argmin(1)
        rows = np.arange(len(items))
        return [
            PairSplit(int(items[other]), int(mine), int(all_)) if there else None
            for other, mine, all_, there in zip(
                best, preferred[rows, best], raters[rows, best], found[rows, best], strict=True
            )
        ]

    def save(self, path: Path, items: Vocabulary) -> None:
        """Write the pairs, with the ids of the items that their numbers are of."""
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                ids=np.asarray([str(one) for one in items.ids.tolist()]),
                pair=np.stack([self.key // self.n_items, self.key % self.n_items], 1).astype(np.int32),
                first=self.first,
                raters=self.raters,
            )

    @classmethod
    def load(cls, path: Path, items: Vocabulary) -> Splits:
        """Read what `save` wrote, in the numbers of a vocabulary.

        Raises:
            DataError: it is no such file, or one of other items.
        """
        cure = f"write it again (recsys disagree --run {path.parent} --keep)"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                ids, pair, first, raters = (stored[name] for name in ("ids", "pair", "first", "raters"))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} holds no splits ({type(error).__name__}); {cure}") from error
        if ids.tolist() != [str(one) for one in items.ids.tolist()]:
            raise DataError(f"{path} is of other items than the model's; {cure}")
        key = pair[:, 0].astype(np.int64) * len(items) + pair[:, 1]
        return cls(len(items), key, first.astype(np.int64), raters.astype(np.int64))
