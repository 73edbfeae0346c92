"""Search of titles as a person types: without accents or capitals, words in any order."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

from recsys.data.titles import fold

_WORD = re.compile(r"\w+")
_LAST = chr(0x10FFFF)
"""In no word: the words that begin with p lie between p and p + _LAST."""


@final
class TitleSearch:
    """Finds items by title.

    First come the titles that begin with the query, then those in which every word of the query begins a word, then
    those that contain the query anywhere; each in the given order. No query is slow: the words are in an index, and the
    last step reads all titles at most once.

    Args:
        titles: by item number.
        order: "items", item numbers in the order of the lists.
    """

    def __init__(self, titles: Sequence[str], order: npt.NDArray[np.integer]) -> None:
        self._order = order
        folded = [fold(titles[item]) for item in order.tolist()]
        self._folded = _FoldedTitles(folded)
        places: dict[str, list[int]] = {}
        for rank, title in enumerate(folded):
            for word in set(_WORD.findall(title)):
                places.setdefault(word, []).append(rank)
        # The sorted words, the start of the ranks of each, and the ranks, word by word.
        self._words = sorted(places)
        self._starts = np.cumsum([0, *(len(places[word]) for word in self._words)], dtype=np.int64)
        self._ranks = np.fromiter((rank for word in self._words for rank in places[word]), np.int32)

    def search(self, query: str, n: int) -> list[int]:
        """Return the numbers of at most n items.

        >>> films = TitleSearch(["The Thing", "Thin Ice", "Ice Age", "Slice"], np.arange(4))
        >>> films.search("ice", 4), films.search("ice thin", 4), films.search("thi", 4), films.search("?", 4)
        ([2, 1, 3], [1], [1, 0], [])
        """
        folded = fold(query)
        if not folded:
            return []
        ranks: dict[int, None] = {}
        for rank in self._best(folded, n):
            ranks.setdefault(rank)
            if len(ranks) == n:
                break
        return [int(self._order[rank]) for rank in ranks]

    def _best(self, query: str, n: int) -> Iterator[int]:
        """Yield ranks in the order, best first, some of them twice."""
        yield from self._folded.beginning(query)[:n].tolist()
        # Fewer than n so far, so that twice as many contain enough others.
        yield from self._with_words(_WORD.findall(query))[: 2 * n].tolist()
        yield from self._folded.containing(query)

    def _with_words(self, words: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the ranks of the titles in which each of the words begins a word, ascending."""
        if not words:
            return np.zeros(0, np.int64)
        matches = np.ones(len(self._order), np.bool_)
        for word in words:
            # Words are sorted, so that those with the same beginning are neighbours, and so are their ranks.
            first, stop = bisect_left(self._words, word), bisect_left(self._words, word + _LAST)
            begins = np.zeros_like(matches)
            begins[self._ranks[self._starts[first] : self._starts[stop]]] = True
            matches &= begins
        return np.flatnonzero(matches)


@final
class _FoldedTitles:
    """Titles in one text, a line each, so that a search in all of them is one scan."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._text = "\n".join(("", *titles, ""))
        self._starts = np.cumsum([1, *(len(title) + 1 for title in titles)], dtype=np.int64)
        self._sorted = np.asarray(sorted(range(len(titles)), key=titles.__getitem__), np.int32)

    def title(self, rank: int) -> str:
        return self._text[self._starts[rank] : self._starts[rank + 1] - 1]

    def beginning(self, text: str) -> npt.NDArray[np.int32]:
        """Return the ranks of the titles that begin with a text, ascending."""
        first = bisect_left(self._sorted, text, key=self.title)
        return np.sort(self._sorted[first : bisect_left(self._sorted, text + _LAST, key=self.title)])

    def containing(self, text: str) -> Iterator[int]:
        """Yield the ranks of the titles that contain a text, ascending."""
        at = self._text.find(text)
        while at >= 0:
            rank = int(np.searchsorted(self._starts, at, "right")) - 1
            yield rank
            at = self._text.find(text, int(self._starts[rank + 1]))
