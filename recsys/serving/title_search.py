"""Search of titles: as somebody types, without accents or capitals, in any order of words."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
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
    # BoundedScores twice: taking marks away can leave what has another case again.
    parts = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(part for part in parts if not unicodedata.combining(part)).casefold()
    return " ".join(plain.split())


@final
class TitleSearch:
    """Finds items by title.

    First come titles that begin with what was asked, then those in which every word that was asked begins a word,
    then those that hold it anywhere; each in the given order. What is asked never makes it slow: the words are in an
    index, and the last step reads all titles at most once.

    Args:
        titles: by item number.
        order: "items", item numbers, the one to list first first.
    """

    def __init__(self, titles: Sequence[str], order: npt.NDArray[np.integer]) -> None:
        self._order = order
        bounded = [fold(titles[item]) for item in order.tolist()]
        self._folded = _Folded(bounded)
        places: dict[str, list[int]] = {}
        for rank, title in enumerate(bounded):
            for word in set(_WORD.findall(title)):
                places.setdefault(word, []).append(rank)
        # All words, sorted; where the places of each start; the places, word by word.
        self._words = sorted(places)
        self._starts = np.cumsum([0, *(len(places[word]) for word in self._words)], dtype=np.int64)
        self._ranks = np.fromiter((rank for word in self._words for rank in places[word]), np.int32)

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
        for rank in self._best(asked, n):
            found.setdefault(rank)
            if len(found) == n:
                break
        return [int(self._order[rank]) for rank in found]

    def _best(self, asked: str, n: int) -> Iterator[int]:
        """Yield places in the order, best first, some of them twice."""
        yield from self._folded.beginning(asked)[:n].tolist()
        # Fewer than n were found so far, so among twice as many there are enough others.
        yield from self._with_words(_WORD.findall(asked))[: 2 * n].tolist()
        yield from self._folded.holding(asked)

    def _with_words(self, asked: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the places of the titles in which each word begins one, rising."""
        if not asked:
            return np.zeros(0, np.int64)
        fits = np.ones(len(self._order), np.bool_)
        for word in asked:
            # Words are sorted, so those with one beginning are neighbours, and so are their titles.
            first, stop = bisect_left(self._words, word), bisect_left(self._words, word + _LAST)
            begins = np.zeros_like(fits)
            begins[self._ranks[self._starts[first] : self._starts[stop]]] = True
            fits &= begins
        return np.flatnonzero(fits)


@final
class _Folded:
    """Titles in one text, a line each, so that a search in all of them is one scan."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._text = "\n".join(("", *titles, ""))
        self._starts = np.cumsum([1, *(len(title) + 1 for title in titles)], dtype=np.int64)
        self._sorted = np.asarray(sorted(range(len(titles)), key=titles.__getitem__), np.int32)

    def title(self, rank: int) -> str:
        return self._text[self._starts[rank] : self._starts[rank + 1] - 1]

    def beginning(self, asked: str) -> npt.NDArray[np.int32]:
        """Return the places of the titles that begin with a text, rising."""
        first = bisect_left(self._sorted, asked, key=self.title)
        return np.sort(self._sorted[first : bisect_left(self._sorted, asked + _LAST, key=self.title)])

    def holding(self, asked: str) -> Iterator[int]:
        """Yield the places of the titles that hold a text, rising."""
        at = self._text.find(asked)
        while at >= 0:
            rank = int(np.searchsorted(self._starts, at, "right")) - 1
            yield rank
            at = self._text.find(asked, int(self._starts[rank + 1]))
