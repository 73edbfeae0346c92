"""Search of titles: as somebody types, without accents or capitals, in any order of words."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

_WORD = re.compile(r"\w+")
_LAST = chr(0x10FFFF)
"""Not in any word: what begins with p is from p to p + _LAST."""


def fold(text: str) -> str:
    """Return a text as it is compared: without capitals and accents, on one line.

    >>> fold("Amélie (2001)")
    'amelie (2001)'
    """
    # Folded twice: taking marks away can leave what has another case again.
    parts = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(part for part in parts if not unicodedata.combining(part)).casefold()
    return " ".join(plain.split())


@final
class TitleSearch:
    """Finds items by title.

    First come titles that begin with what was asked, then those in which every word that was asked begins a word,
    then those that hold it anywhere; each in the given order. What is asked never makes it slow: the words are in an
    index, and the last step reads all titles at most once. The index is built by the first search.

    Args:
        titles: by item number.
        order: "items", item numbers, the one to list first first.
    """

    def __init__(self, titles: Sequence[str], order: npt.NDArray[np.integer]) -> None:
        self._titles = titles
        self._order = order

    def search(self, query: str, n: int) -> list[int]:
        """Return the numbers of at most n items.

        >>> films = TitleSearch(["The Thing", "Thin Ice", "Ice Age", "Slice"], np.arange(4))
        >>> films.search("ice", 4), films.search("ice thin", 4), films.search("thi", 4), films.search("?", 4)
        ([2, 1, 3], [1], [1, 0], [])
        """
        asked = fold(query)
        if not asked:
            return []
        found: dict[int, None] = {}
        for rank in self._ranks(asked):
            found.setdefault(rank)
            if len(found) == n:
                break
        return [int(self._order[rank]) for rank in found]

    def _ranks(self, asked: str) -> Iterator[int]:
        """Yield places in the order, best first, some of them twice."""
        folded, words, starts, ranks = self._index
        begun = self._with_words(_WORD.findall(asked), words, starts, ranks).tolist()
        yield from (rank for rank in begun if folded.title(rank).startswith(asked))
        yield from begun
        yield from folded.holding(asked)

    def _with_words(
        self, asked: Sequence[str], words: Sequence[str], starts: npt.NDArray[np.int64], ranks: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.int64]:
        """Return the places of the titles in which each word begins one, rising."""
        if not asked:
            return np.zeros(0, np.int64)
        fits = np.ones(len(self._order), np.bool_)
        for word in asked:
            # Words are sorted, so those with one beginning are neighbours, and so are their titles.
            first, stop = bisect_left(words, word), bisect_left(words, word + _LAST)
            begins = np.zeros_like(fits)
            begins[ranks[starts[first] : starts[stop]]] = True
            fits &= begins
        return np.flatnonzero(fits)

    @cached_property
    def _index(self) -> tuple[_Folded, list[str], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """The folded titles in order; all words, sorted; where each word's places start; the places, word by word."""
        titles = [fold(self._titles[item]) for item in self._order.tolist()]
        places: dict[str, list[int]] = {}
        for rank, title in enumerate(titles):
            for word in set(_WORD.findall(title)):
                places.setdefault(word, []).append(rank)
        words = sorted(places)
        starts = np.concatenate([[0], np.cumsum([len(places[word]) for word in words], dtype=np.int64)])
        ranks = np.fromiter((rank for word in words for rank in places[word]), np.int32, int(starts[-1]))
        return _Folded(titles), words, starts.astype(np.int64), ranks


@final
class _Folded:
    """Titles in one text, a line each, so that a search in all of them is one scan."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._text = "\n".join(("", *titles, ""))
        self._starts = np.cumsum([1, *(len(title) + 1 for title in titles)], dtype=np.int64)

    def title(self, rank: int) -> str:
        return self._text[self._starts[rank] : self._starts[rank + 1] - 1]

    def holding(self, asked: str) -> Iterator[int]:
        """Yield the places of the titles that hold a text."""
        at = self._text.find(asked)
        while at >= 0:
            rank = int(np.searchsorted(self._starts, at, "right")) - 1
            yield rank
            at = self._text.find(asked, int(self._starts[rank + 1]))
