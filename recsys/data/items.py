"""Descriptions of items: titles, genres, tags, vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.types import Doubles, Floats

NO_GENRE = frozenset({"(no genres listed)"})
"""GroupLens' mark of items without genres: the absence of a taste, not a taste."""

_COMMON = frozenset(
    {
        *("Action", "Adventure", "Animation", "Biography", "Children", "Comedy", "Crime", "Documentary", "Drama"),
        *("Family", "Fantasy", "Film-Noir", "History", "Horror", "Music", "Musical", "Mystery", "Romance", "Sci-Fi"),
        *("Sport", "Thriller", "War", "Western"),
    }
)
"""Genres that are common words, which a sentence writes small."""


def spoken_genres(names: str) -> str:
    """Return the names of genres as a sentence has them: common words small, all others as they are.

    >>> spoken_genres("Comedy"), spoken_genres("Sci-Fi, Action & IMAX")
    ('comedy', 'sci-fi, action & IMAX')
    """
    return " ".join(word.lower() if word.strip(",") in _COMMON else word for word in names.split(" "))


@final
@dataclass(frozen=True)
class ItemMetadata:
    """Titles, genres and tags, aligned with an item vocabulary.

    Attributes:
        titles: one text per item; the external id as text if there is no title.
        genres: one tuple of names per item, possibly empty.
        tags: one tuple of free texts per item, possibly empty.
        vectors: "items dim", float32, vectors of one's own, such as embeddings of texts; None without any. Zeros where
            an item has none. Bundles store what a model makes of them, not the vectors.
    """

    titles: tuple[str, ...]
    genres: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, ...], ...] = field(default=())
    vectors: Floats | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.tags:
            object.__setattr__(self, "tags", ((),) * len(self.titles))
        if not len(self.titles) == len(self.genres) == len(self.tags):
            raise ValueError("titles, genres and tags must have one entry per item")
        if self.vectors is not None and (self.vectors.ndim != 2 or len(self.vectors) != len(self)):
            raise ValueError(f"vectors of shape {self.vectors.shape} for {len(self)} items")

    @classmethod
    def untitled(cls, items: Vocabulary) -> ItemMetadata:
        """Return metadata with ids as titles and without genres."""
        return cls(tuple(str(identifier) for identifier in items.ids), ((),) * len(items))

    def __len__(self) -> int:
        return len(self.titles)

    @property
    def has_genres(self) -> bool:
        """Whether any item has a genre."""
        return any(self.genres)

    @cached_property
    def labelled(self) -> float:
        """The share of the items that have a genre; 0 without items."""
        return float(self.genre_parts.any(1).mean()) if len(self) else 0.0

    @cached_property
    def genre_shares(self) -> Floats:
        """ "genres", the share of the items with each genre."""
        return np.asarray(self.genre_matrix[1].mean(0))

    @cached_property
    def genre_matrix(self) -> tuple[tuple[str, ...], Floats]:
        """The sorted genre names and "items genres", read-only: 1 if the item has the genre."""
        names = tuple(sorted({name for row in self.genres for name in row}))
        column = {name: position for position, name in enumerate(names)}
        matrix = np.zeros((len(self), len(names)), dtype=np.float32)
        rows = [row for row, entry in enumerate(self.genres) for _ in entry]
        matrix[rows, [column[name] for entry in self.genres for name in entry]] = 1.0
        matrix.setflags(write=False)
        return names, matrix

    @cached_property
    def genre_parts(self) -> Doubles:
        """ "items genres", read-only: the part of an item that each of its genres has; zeros without genres."""
        names, has = self.genre_matrix
        matrix = has * np.asarray([name not in NO_GENRE for name in names], np.float64)
        total = matrix.sum(1, keepdims=True)
        parts = np.asarray(matrix / np.where(total > 0, total, 1.0))
        parts.setflags(write=False)
        return parts

    def take(self, numbers: Sequence[int] | npt.NDArray[np.integer]) -> ItemMetadata:
        """Return the metadata of the given item numbers, in that order."""
        rows = [int(number) for number in numbers]
        if UNKNOWN in rows:
            raise ValueError("unknown items have no metadata")
        return ItemMetadata(
            tuple(self.titles[row] for row in rows),
            tuple(self.genres[row] for row in rows),
            tuple(self.tags[row] for row in rows),
            None if self.vectors is None else self.vectors[rows],
        )

    def followed_by(self, other: ItemMetadata) -> ItemMetadata:
        """Return the metadata of these items and of others after them; who has no vector has zeros.

        Raises:
            ValueError: their vectors differ in size.
        """
        vectors = None
        size = next((part.vectors.shape[1] for part in (self, other) if part.vectors is not None), None)
        if size is not None:
            parts = [
                np.zeros((len(part), size), np.float32) if part.vectors is None else part.vectors
                for part in (self, other)
            ]
            vectors = np.concatenate(parts)
        return ItemMetadata(self.titles + other.titles, self.genres + other.genres, self.tags + other.tags, vectors)

    def with_vectors(self, vectors: Floats) -> ItemMetadata:
        """Return the metadata with a vector for each item, "items dim"."""
        return replace(self, vectors=np.asarray(vectors, np.float32))
