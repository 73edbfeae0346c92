"""Modules of the page that only compute, run in the browser: the calendar, words, differences of lists."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

DAY = 86_400
START = 1_000_000_000  # 9 September 2001


@pytest.fixture(scope="module")
def page(browser: Any, base: str) -> Iterator[Any]:
    opened = browser.new_page()
    opened.goto(base)
    yield opened
    opened.close()


def _call(page: Any, module: str, function: str, *values: object) -> Any:
    arguments = ", ".join(json.dumps(value) for value in values)
    return page.evaluate(f"import('/page/{module}.js').then((module) => module.{function}({arguments}))")


def _axis(page: Any, times: list[int]) -> Any:
    axis = _call(page, "calendar", "axisOf", times)
    assert axis["places"] == sorted(axis["places"])
    assert axis["places"][0] == 0
    assert all(one["to"] < other["from"] for one, other in itertools.pairwise(axis["ticks"]))
    assert all(tick["from"] >= 0 and tick["to"] <= 1.0001 for tick in axis["ticks"])
    return axis


def test_moments_lie_at_their_distance_in_time(page: Any) -> None:
    axis = _axis(page, [START + DAY * day for day in (0, 10, 20, 40, 50, 60, 70, 80, 90, 100)])
    assert axis["places"] == pytest.approx([0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert axis["cuts"] == []
    # 100 days from 9 September: the months that begin in them.
    assert [tick["text"] for tick in axis["ticks"] if tick["text"].startswith(("Nov", "Dec"))] != []


def test_a_list_that_is_stale_says_how_old_it_is(page: Any) -> None:
    found = {"source": "history", "known_events": 3, "items": [], "shelves": [], "stale": True, "stale_seconds": 130}
    told = _call(page, "shown", "leadOf", found)
    assert "as of 2 minutes ago" in told
    assert told.endswith(_call(page, "shown", "leadOf", found | {"stale": False, "stale_seconds": None}))


@pytest.mark.parametrize(
    ("days", "some", "least"),
    [
        (8 * 365, {"2003", "2005", "2007", "2008", "2004", "2006"}, 3),
        (30 * 365, {"2005", "2010", "2015", "2020", "2025", "2030"}, 3),
        (200, {"Oct 2001", "Nov 2001", "Dec 2001", "Jan 2002", "Feb 2002", "Mar 2002"}, 2),
        (3, {"Sep 10, 2001", "Sep 11, 2001", "Sep 12, 2001"}, 1),
    ],
)
def test_dates_are_years_months_or_days_as_the_time_is_long(page: Any, days: int, some: set[str], least: int) -> None:
    axis = _axis(page, [START + round(DAY * days * part / 60) for part in range(61)])
    texts = {tick["text"] for tick in axis["ticks"]}
    assert len(texts & some) >= least, texts


def test_a_date_stands_where_its_moment_is(page: Any) -> None:
    times = [START + DAY * 30 * month for month in range(60)]
    axis = _axis(page, times)
    (year,) = [tick for tick in axis["ticks"] if tick["text"] == "2004"]
    begin = 1_072_915_200  # 2004-01-01
    assert year["at"] == pytest.approx((begin - times[0]) / (times[-1] - times[0]))


def test_a_long_pause_is_cut_and_both_sides_of_it_are_dated(page: Any) -> None:
    sitting = [START + 60 * minute for minute in range(90)]
    later = [START + 6 * 365 * DAY + 60 * minute for minute in range(90)]
    axis = _axis(page, sitting + later)
    assert len(axis["cuts"]) == 1
    assert axis["places"][89] == pytest.approx(0.475, abs=0.01)
    assert axis["places"][90] - axis["places"][89] == pytest.approx(0.05)
    assert axis["places"][-1] == pytest.approx(1)
    dates = [tick["text"] for tick in axis["ticks"]]
    assert any("2001" in date for date in dates)
    assert any("2007" in date for date in dates)


def test_one_moment_or_two_make_an_axis(page: Any) -> None:
    assert _axis(page, [START])["places"] == [0]
    assert _axis(page, [START, START + DAY])["places"] == [0, 1]
    assert [tick["text"] for tick in _axis(page, [START])["ticks"]] == ["Sep 9, 2001"]


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Mummy, The (1999)", "The Mummy"),
        ("Heat (1995)", "Heat"),
        ("Avventura, L' (1960)", "L'Avventura"),
        ("1984", "1984"),
        ("(500) Days of Summer (2009)", "(500) Days of Summer"),
        ("Love, Actually", "Love, Actually"),
    ],
)
def test_titles_are_shown_as_one_says_them(page: Any, title: str, said: str) -> None:
    assert _call(page, "words", "spokenTitle", title) == said


def test_names_are_joined_as_in_a_sentence(page: Any) -> None:
    assert _call(page, "words", "joined", ["A"]) == "A"
    assert _call(page, "words", "joined", ["A", "B"]) == "A and B"
    assert _call(page, "words", "joined", ["A", "B", "C"]) == "A, B and C"
    assert _call(page, "words", "joined", ["A", "B", "C", "D"], 2) == "A, B and 2 more"


def test_what_two_clocks_say_alike_is_said_once(page: Any) -> None:
    def clock(unit: str, probability: float, median: float | None) -> dict[str, object]:
        return {"unit": unit, "median": median, "low": 2, "high": None, "probability": probability}

    found = {"kind": "own", "never": 0.4, "learned_from": 3, "lasted": None}
    never = {**found, "clocks": [clock("events", 0.8, None), clock("days", 0.2, None)]}
    assert _call(page, "words", "halfLifeInWords", never) == [
        "What you did long ago counts as much as what you did just now.",
        "Learned from 3 events of yours.",
    ]
    several = {**found, "clocks": [clock("events", 0.8, 9), clock("days", 0.2, 30)]}
    assert sum("20% likely" in one for one in _call(page, "words", "halfLifeInWords", several)) == 1


@pytest.mark.parametrize(
    ("certainty", "needed", "words"),
    [
        (0.8, 2, ["Without the 2 marked", "would not be in the list", "nearly all", "(80%)"]),
        (0.3, 1, ["Without the one marked", "a good part", "(30%)"]),
        (0.6, 0, ["more than half", "(60%)"]),
        (0.1, 0, ["a small part", "(10%)", "the sum of many"]),
    ],
)
def test_certainty_is_told_in_words(page: Any, certainty: float, needed: int, words: list[str]) -> None:
    told = _call(page, "words", "certaintyInWords", certainty, needed)
    assert all(word in told for word in words)
    assert ("would not be in the list" in told) == (needed > 0)


def test_a_difference_names_what_left_what_came_and_whose_seats_moved(page: Any) -> None:
    def item(number: int, owner: int | None) -> dict[str, object]:
        return {"item_id": str(number), "title": f"Film {number}, The (1990)", "owner": owner}

    def shelf(persona: int | None, name: str | None) -> dict[str, object]:
        return {"persona": persona, "name": name}

    before = {"items": [item(1, 7), item(2, 7), item(3, 8)], "shelves": [shelf(7, "westerns"), shelf(8, "noir")]}
    after = {"items": [item(3, 8), item(4, 8), item(5, None)], "shelves": [shelf(8, "noir"), shelf(None, None)]}
    found = _call(page, "changes", "difference", before, after)
    assert found == {
        "left": ["The Film 1", "The Film 2"],
        "came": ["The Film 4", "The Film 5"],
        "seats": ["Westerns 2 → 0", "Noir 1 → 2", "Liked by nearly everybody 0 → 1"],
    }
    told = "Left: The Film 1 and The Film 2. Came: The Film 4 and The Film 5."
    assert _call(page, "changes", "spoken", found) == told
    same = _call(page, "changes", "difference", before, before)
    assert same == {"left": [], "came": [], "seats": []}
    assert _call(page, "changes", "spoken", same) == "The list stays as it was."
