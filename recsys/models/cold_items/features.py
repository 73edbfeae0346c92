"""What is known of items as numbers: genres, tags, words and years of titles, given vectors."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final, Self, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.checks import positive, whole
from recsys.data.items import NO_GENRE, ItemMetadata
from recsys.data.titles import fold, year_of
from recsys.errors import ConfigError, DataError
from recsys.types import Doubles, Floats, Ints

_WORD = re.compile(r"\w+")
_PIECE: Final = 4
_YEARS: Final = 2
"""Titles share a year with those of so many years before and after."""
_LEAST: Final = 2
"""Items in training that must have a token; of one that a single item has, nothing can be told from that item."""

_HASHES, _RARITY, _KIND, _VECTOR = "hashes", "rarity", "kind", "vector_size"


@final
@dataclass(frozen=True)
class ItemFeatures:
    """How much each kind of metadata counts, 0: not at all, and how many features there are at most.

    Each kind is a block of unit length, times its weight: tokens weighted by their rarity, log(1 + N) / (1 + n_t),
    as is usual for texts (Sparck Jones, 1972). A kind that an item lacks is zeros.

    Attributes:
        genres: genres of an item.
        tags: tags and numbered attributes. Tags that users write come after the item: leave them out of an evaluation.
        titles: words, pairs of words, and pieces of four letters of the title.
        years: the year at the end of a title, which it shares with the two years around.
        vectors: vectors of one's own, `ItemMetadata.vectors`, such as embeddings of texts or images.
        size: the most tokens that are features, those that most training items have.

    Raises:
        ConfigError: a weight is below 0, or all are 0; or the size is no positive whole number.
    """

    genres: float = 1.0
    tags: float = 1.0
    titles: float = 1.0
    years: float = 1.0
    vectors: float = 1.0
    size: int = 2048

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            positive(f"features.{name}", weight, zero=True)
        whole("features.size", self.size)
        if not any(self.weights.values()):
            raise ConfigError("features: all weights are 0, so nothing would be known of an item; raise one")

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each kind of metadata."""
        return {name: value for name, value in asdict(self).items() if name != "size"}


def tokens_of(metadata: ItemMetadata, kind: str, number: int) -> Iterator[str]:
    """Yield what one kind of metadata says of an item, in words; a word may come again.

    >>> metadata = ItemMetadata(("Heat (1995)",), (("Crime",),))
    >>> [*tokens_of(metadata, "genres", 0)], [*tokens_of(metadata, "titles", 0)][:3]
    (['genre Crime'], ['word heat', 'piece <hea', 'piece heat'])
    """
    if kind == "genres":
        yield from (f"genre {name}" for name in metadata.genres[number] if name not in NO_GENRE)
    elif kind == "tags":
        yield from (f"tag {fold(text)}" for text in metadata.tags[number])
    elif kind == "years":
        year = year_of(metadata.titles[number])
        if year is not None:
            yield from (f"about {year + step}" for step in range(-_YEARS, _YEARS + 1))
    else:
        title = metadata.titles[number]
        words = _WORD.findall(fold(title if year_of(title) is None else title[: title.rindex("(")]))
        yield from (f"word {word}" for word in words)
        yield from (f"words {one} {two}" for one, two in pairwise(words))
        for word in words:
            edged = f"<{word}>"
            yield from (f"piece {edged[at : at + _PIECE]}" for at in range(max(1, len(edged) - _PIECE + 1)))


_TOKENS: Final = ("genres", "tags", "titles", "years")


@final
@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """The features that were chosen on training items: tokens by their hashes, then the dimensions of given vectors.

    Attributes:
        settings: weights of the kinds.
        hashes: "tokens", int64, ascending: 64 bits of the BLAKE2 hash of each token.
        rarity: "tokens", how much each counts.
        kind: "tokens", int64, the kind of metadata that has it, a number in `genres, tags, titles, years`.
        vector_size: dimensions of the given vectors; 0 without any.
    """

    settings: ItemFeatures
    hashes: Ints
    rarity: Floats
    kind: Ints
    vector_size: int

    @classmethod
    def of(cls, settings: ItemFeatures, metadata: ItemMetadata) -> Self:
        """Choose the tokens that most items of training have; those with one item alone say nothing of others."""
        names, holders = [], []
        kinds: list[int] = []
        for number, kind in enumerate(_TOKENS):
            counted: Counter[str] = Counter()
            if settings.weights[kind] > 0:
                for item in range(len(metadata)):
                    counted.update(set(tokens_of(metadata, kind, item)))
            common = [(token, count) for token, count in counted.items() if count >= _LEAST]
            names += [token for token, _ in common]
            holders += [count for _, count in common]
            kinds += [number] * len(common)
        held = np.asarray(holders, np.int64)
        # By hash among those that as many items have, so that the choice does not depend on an order of items.
        hashes = _hashes(names)
        best = np.lexsort((hashes, -held))[: settings.size]
        best = best[np.argsort(hashes[best])]
        rarity = np.log((1 + len(metadata)) / (1 + held[best])).astype(np.float32)
        size = 0 if metadata.vectors is None or settings.vectors == 0 else metadata.vectors.shape[1]
        return cls(settings, hashes[best], rarity, np.asarray(kinds, np.int64)[best], size)

    def __len__(self) -> int:
        return len(self.hashes) + self.vector_size + 1

    def matrix(self, metadata: ItemMetadata) -> sp.csr_matrix:
        """Return "items features", float32, of items that need not be those of training; the last feature is 1.

        Raises:
            DataError: the given vectors have another size than those of training.
        """
        rows: list[int] = []
        texts: list[str] = []
        weights = self.settings.weights
        for kind in _TOKENS:
            if weights[kind] > 0:
                for item in range(len(metadata)):
                    found = set(tokens_of(metadata, kind, item))
                    rows += [item] * len(found)
                    texts += found
        hashes = _hashes(texts)
        place = np.minimum(np.searchsorted(self.hashes, hashes), max(0, len(self.hashes) - 1))
        known = self.hashes[place] == hashes if len(self.hashes) else np.zeros(len(hashes), np.bool_)
        row, column = np.asarray(rows, np.int64)[known], place[known]
        value = self._block_lengths(row, column, len(metadata))
        items = len(metadata)
        vectors = self._vectors(metadata)
        given = np.nonzero(vectors)
        rows_of = np.concatenate([row, given[0], np.arange(items)])
        columns = np.concatenate([column, len(self.hashes) + given[1], np.full(items, len(self) - 1)])
        values = np.concatenate([value, vectors[given], np.ones(items, np.float32)])
        return sp.csr_matrix((values, (rows_of, columns)), shape=(items, len(self)), dtype=np.float32)

    def names(self, metadata: ItemMetadata, item: int) -> dict[int, str]:
        """Return the features that an item has, in words, by their numbers."""
        texts = [text for kind in _TOKENS for text in dict.fromkeys(tokens_of(metadata, kind, item))]
        place = np.minimum(np.searchsorted(self.hashes, _hashes(texts)), max(0, len(self.hashes) - 1))
        return {
            int(at): text
            for at, text, own in zip(place, texts, _hashes(texts), strict=True)
            if len(self.hashes) and self.hashes[at] == own
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything but the settings."""
        size = np.asarray([self.vector_size], np.int64)
        return {_HASHES: self.hashes, _RARITY: self.rarity, _KIND: self.kind, _VECTOR: size}

    @classmethod
    def restored(cls, settings: ItemFeatures, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Return what `arrays` describes."""
        return cls(settings, arrays[_HASHES], arrays[_RARITY], arrays[_KIND], int(arrays[_VECTOR][0]))

    def _block_lengths(self, row: Ints, column: Ints, items: int) -> Floats:
        """ "entries": the rarity of each token, such that the block of a kind has the length of its weight."""
        value, kind = self.rarity[column], self.kind[column]
        block = row * len(_TOKENS) + kind
        length = np.sqrt(np.bincount(block, value.astype(np.float64) ** 2, minlength=items * len(_TOKENS)))
        weight = np.asarray([self.settings.weights[name] for name in _TOKENS])
        return np.asarray(weight[kind] * value / np.maximum(length[block], 1e-12), np.float32)

    def _vectors(self, metadata: ItemMetadata) -> Floats:
        """ "items vector_size": the given vectors, of the length of their weight; zeros where there are none."""
        vectors = metadata.vectors
        if self.vector_size == 0 or vectors is None:  # an item without a vector is known by the rest
            return np.zeros((len(metadata), self.vector_size), np.float32)
        if vectors.shape[1] != self.vector_size:
            raise DataError(
                f"vectors of {vectors.shape[1]} dimensions, those of the training items have {self.vector_size}; make "
                "them with the same encoder"
            )
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(self.settings.vectors * vectors / np.where(length > 0, length, 1.0), np.float32)


def _hashes(texts: Sequence[str]) -> Ints:
    """Return 64 bits of each text's hash; which, unlike Python's own, are the same in every process."""
    distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    codes = (int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True) for text in distinct)
    each = np.fromiter(codes, np.int64, len(distinct))
    return each[np.fromiter((distinct[text] for text in texts), np.int64, len(texts))]


def ridge_inverse(features: sp.csr_matrix, regularization: float) -> Doubles:
    """Return (F^T F + lambda I)^-1, "features features", of F "items features"."""
    gram = (features.T @ features).toarray().astype(np.float64)
    gram[np.diag_indices(len(gram))] += regularization
    factor = np.linalg.cholesky(gram)
    half = np.linalg.inv(factor)
    return np.asarray(half.T @ half)
