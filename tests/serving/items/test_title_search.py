"""Search of titles, against a search that reads every title."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.titles import fold
from recsys.serving.items.title_search import TitleSearch

_TEXT = st.text("abAB éß.\n", max_size=8)


def _plainly(titles: list[str], order: list[int], query: str, n: int) -> list[int]:
    asked = fold(query)
    words = re.findall(r"\w+", asked)

    def tier(item: int) -> int:
        title = fold(titles[item])
        has = bool(words) and all(any(word.startswith(one) for word in re.findall(r"\w+", title)) for one in words)
        return 0 if title.startswith(asked) else 1 if has else 2 if asked in title else 3

    ranked = sorted(order, key=tier)  # stable
    return [item for item in ranked if asked and tier(item) < 3][:n]


@given(st.lists(_TEXT, max_size=8), _TEXT, st.integers(1, 9))
def test_the_index_finds_what_reading_every_title_finds(titles: list[str], query: str, n: int) -> None:
    order = np.random.default_rng(len(titles)).permutation(len(titles))
    assert TitleSearch(titles, order).search(query, n) == _plainly(titles, order.tolist(), query, n)


def test_accents_capitals_and_scripts_do_not_matter() -> None:
    films = TitleSearch(["Amélie", "STRASSE", "七人の侍", "Æon Flux"], np.arange(4))
    assert films.search("amelie", 1) == [0]
    assert films.search("Straße", 1) == [1]
    assert films.search("侍", 1) == [2]
    assert films.search("flux æ", 1) == [3]
