"""What the page shows of a list: shelves, cards, evidence, the picture of the personas, filters, and more than ten."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving.processes.served_process import ServedProcess
from tests.serving.page.browser import PHONE, Visit, answer, bare, focused, titles, until_changed
from tests.serving.serving_run import train
from tests.serving.titled_run import write_titled

_SHIFTS = """
    window.shifts = [];
    new PerformanceObserver((seen) => {
      for (const entry of seen.getEntries()) if (!entry.hadRecentInput) window.shifts.push(entry.value);
    }).observe({type: 'layout-shift', buffered: true});
"""


def test_shelves_are_the_personas_of_the_answer_in_its_order(visit: Visit, base: str) -> None:
    page = visit(base, "1")
    told = answer(page, base, "1", "recommendations?n=10")
    seats = [shelf for shelf in told["shelves"] if shelf["seats"]]
    shown = page.locator(".shelf:has(.card)")
    assert len(seats) > 1
    assert shown.count() == len(seats)
    for place, shelf in enumerate(seats):
        own = [bare(item["title"]) for item in told["items"] if item["owner"] == shelf["persona"]]
        assert shown.nth(place).locator(".card-title").all_inner_texts() == own
        facts = shown.nth(place).locator(".shelf-facts").inner_text()
        assert re.search(rf"\b{shelf['seats']} seats?\b", facts)
        if shelf["persona"] is not None:
            assert f"{round(shelf['share'] * 100)}%" in facts
            assert shown.nth(place).locator(".shelf-name").inner_text().lower() == shelf["name"].lower()
    ranks = {bare(item["title"]): str(place + 1) for place, item in enumerate(told["items"])}
    for card in page.locator(".card").all():
        assert card.locator(".rank").inner_text() == ranks[card.locator(".card-title").inner_text()]


def test_a_card_has_year_and_genres_and_one_line_of_reason(visit: Visit, base: str) -> None:
    page = visit(base, "2")
    item = answer(page, base, "2", "recommendations?n=10")["items"][0]
    card = page.locator(f'.card[data-item="{item["item_id"]}"]')
    assert card.locator(".year").inner_text() == str(item["year"])
    assert card.locator(".genres").inner_text() == ", ".join(item["genres"])
    for line in page.locator(".why .reason").all():
        box = line.bounding_box()
        assert box["height"] < 30


def test_details_give_exact_shares_the_needed_events_and_the_certainty_in_words(visit: Visit, base: str) -> None:
    page = visit(base, "2")
    items = answer(page, base, "2", "recommendations?n=10")["items"]
    with_set = [item for item in items if item["without"]]
    assert with_set
    for item in (with_set[0], next((one for one in items if one["evidence"] and not one["without"]), with_set[-1])):
        card = page.locator(f'.card[data-item="{item["item_id"]}"]')
        card.locator("summary").click()
        rows = card.locator("tbody tr")
        assert rows.count() == len(item["evidence"])
        for row, event in zip(rows.all(), item["evidence"], strict=True):
            text = row.inner_text()
            assert bare(event["title"]) in text
            assert f"{round(event['share'] * 100)}%" in text or "under 1%" in text
            assert ("needed" in text) == (event["item_id"] in item["without"])
        hint = card.locator(".why .hint").inner_text()
        assert f"({round(item['certainty'] * 100)}%)" in hint
        assert ("it would not be in the list" in hint) == bool(item["without"])
        assert item["reason"] in card.inner_text()


def test_the_personas_are_drawn_by_calendar_with_dates_in_the_picture(visit: Visit, base: str) -> None:
    page = visit(base, "1")
    told = answer(page, base, "1", "personas")
    assert page.locator(".lane").count() == len(told["personas"]) > 1
    for lane, persona in zip(page.locator(".lane").all(), told["personas"], strict=True):
        assert lane.locator(".name").inner_text().lower() == persona["name"].lower()
        assert lane.locator("b").inner_text() == f"{round(persona['share_now'] * 100)}%"
    dates = page.locator(".picture .tick").all_inner_texts()
    assert len(dates) >= 2
    assert all(re.search(r"\b20\d\d\b", date) for date in dates)
    # The dates lie apart, in the order of time, and each has its line in the lanes.
    boxes = [tick.bounding_box() for tick in page.locator(".picture .tick").all()]
    assert all(one["x"] + one["width"] < other["x"] for one, other in itertools.pairwise(boxes))
    assert page.locator(".lane").first.locator(".grid").count() == len(dates)
    words = page.get_by_role("img", name="Your ").get_attribute("aria-label")
    assert words.startswith(f"Your {len(told['personas'])} personas from May 2014 to ")
    # No two personas of a person have one colour.
    colour = "lanes => lanes.map((lane) => getComputedStyle(lane).getPropertyValue('--own'))"
    colours = page.locator(".lane").evaluate_all(colour)
    assert len(set(colours)) == len(colours)


def test_one_taste_is_no_picture_of_one_lane(visit: Visit, base: str) -> None:
    page = visit(base, "0")
    assert len(answer(page, base, "0", "personas")["personas"]) == 1
    page.locator(".persona").wait_for()
    assert page.locator(".persona").count() == 1
    assert page.locator(".lane").count() == 0


def test_ten_more_come_after_the_ten(visit: Visit, base: str) -> None:
    page = visit(base, "3")
    ten = titles(page)
    page.get_by_role("button", name="Show ten more").click()
    twenty = until_changed(page, ten)
    assert len(twenty) == 20
    told = answer(page, base, "3", "recommendations?n=20")["items"]
    assert set(twenty) == {bare(item["title"]) for item in told}
    assert focused(page) in set(twenty) - set(ten)
    page.locator("#live", has_text="10 more titles.").wait_for(state="attached")
    for _ in range(10):
        if not page.locator("#more").is_visible():
            break
        page.locator("#more").click()
        page.wait_for_function("() => document.querySelector('#list').getAttribute('aria-busy') === 'false'")
    every = {bare(item["title"]) for item in answer(page, base, "3", "recommendations?n=100")["items"]}
    assert set(titles(page)) == every
    assert len(every) > 30


def test_the_list_is_there_before_its_reasons_are_searched(visit: Visit, base: str) -> None:
    page = visit(base, "7")
    page.get_by_role("button", name=f"Seen it: {titles(page)[0]}", exact=True).click()
    page.locator("#change").wait_for()
    page.locator("#list[aria-busy=false]").wait_for()
    page.wait_for_function(
        "() => !performance.getEntriesByType('resource')"
        ".filter((one) => one.name.includes('/recommendations')).at(-1).name.includes('details')"
    )
    asked = [
        url
        for url in page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
        if "/recommendations" in url
    ]
    assert "details=ready" in asked[0]
    assert "details" not in asked[-1]
    shown = page.locator(".why .reason").all_inner_texts()
    page.reload()  # now they are searched, and come at once
    page.locator("#list[aria-busy=false] .card").first.wait_for()
    assert page.locator(".why .reason").all_inner_texts() == shown
    kinds = {item["reason_kind"] for item in answer(page, base, "7", "recommendations?n=10&details=ready")["items"]}
    assert "because" in kinds


def test_filters_choose_by_genre_year_and_persona(visit: Visit, base: str) -> None:
    page = visit(base, "4")
    ten = titles(page)
    page.get_by_role("button", name="Filter").click()
    assert focused(page) == "filter-persona"
    every = {item["item_id"]: item for item in answer(page, base, "4", "recommendations?n=100")["items"]}
    genres = page.request.get(f"{base}/v1/genres").json()["genres"]
    assert page.locator("#filter-genre option").all_inner_texts() == ["All genres", *genres]
    genre = next(genre for genre in genres if any(genre in item["genres"] for item in every.values()))
    page.get_by_label("Genre", exact=True).select_option(genre)
    page.locator("#filter-told", has_text="that pass").wait_for()
    fit = answer(page, base, "4", f"recommendations?n=10&genre={genre}")["items"]
    assert all(genre in item["genres"] for item in fit)
    assert set(titles(page)) == {bare(item["title"]) for item in fit}
    page.get_by_role("button", name="Show ten more").click()
    assert len(until_changed(page, [bare(item["title"]) for item in fit])) > len(fit)
    middle = sorted(item["year"] for item in fit)[len(fit) // 2]
    page.get_by_label("From year").fill(str(middle))
    page.get_by_label("From year").press("Tab")
    late = answer(page, base, "4", f"recommendations?n=10&genre={genre}&from_year={middle}")["items"]
    page.wait_for_function("n => document.querySelectorAll('.card').length === n", arg=len(late))
    page.locator("#list[aria-busy=false]").wait_for()
    assert set(titles(page)) == {bare(item["title"]) for item in late}
    page.get_by_label("To year").fill("1800")
    page.get_by_label("To year").press("Tab")
    page.get_by_text("No title passes.").wait_for()
    page.get_by_role("button", name="Clear").click()
    page.wait_for_function("() => document.querySelectorAll('.card').length === 10")
    assert titles(page) == ten
    persona = page.locator("#filter-persona option").nth(1)
    page.get_by_label("Persona", exact=True).select_option(index=1)
    page.wait_for_function("() => document.querySelectorAll('.shelf').length === 1")
    assert page.locator(".shelf-name").inner_text() == persona.inner_text()


def test_a_persona_that_is_muted_while_it_is_filtered_by_leaves_the_filter(visit: Visit, base: str) -> None:
    page = visit(base, "10")
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Persona", exact=True).select_option(index=1)
    page.wait_for_function("() => document.querySelectorAll('.shelf').length === 1")
    page.locator(".shelf").get_by_role("button", name="Mute").click()
    page.locator("#change").wait_for()
    assert page.get_by_label("Persona", exact=True).input_value() == ""
    assert page.locator("#list-error").inner_text() == ""
    page.locator("#undo").click()


def test_what_is_marked_while_filtered_leaves_the_filtered_list(visit: Visit, base: str) -> None:
    page = visit(base, "9")
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Genre", exact=True).select_option(index=1)
    page.locator("#filter-told", has_text="that pass").wait_for()
    before = titles(page)
    page.get_by_role("button", name=f"Seen it: {before[0]}", exact=True).click()
    assert before[0] not in until_changed(page, before)
    page.locator("#change", has_text=before[0]).wait_for()


@pytest.mark.parametrize("user", ["1", "2", "0", "nobody knows"])
def test_ten_titles_take_two_screens_of_a_phone_at_most(visit: Visit, base: str, user: str) -> None:
    page = visit(base, user, size=PHONE)
    assert page.locator("#shelves .card").count() == 10
    last = page.locator("#shelves .shelf").last.evaluate("shelf => shelf.getBoundingClientRect().bottom + scrollY")
    assert last <= 2 * PHONE[1]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


@pytest.mark.parametrize("size", [PHONE, (1280, 900)])
def test_nothing_jumps_while_the_page_is_filled(browser: Any, base: str, size: tuple[int, int]) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    remembered = "localStorage.setItem('recsys.tour', 'seen'); localStorage.setItem('recsys.user', '1');"
    context.add_init_script(f"{remembered} {_SHIFTS}")
    page = context.new_page()
    page.goto(base)
    page.locator(".lane").first.wait_for()
    page.locator("#marked li").first.wait_for()
    page.wait_for_timeout(300)
    shifts = page.evaluate("window.shifts")
    context.close()
    assert sum(shifts) <= 0.02, shifts


@pytest.fixture(scope="module")
def plain(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The address of a service of a model whose personas own no seats."""
    folder = tmp_path_factory.mktemp("plain")
    run = train(folder / "run", write_titled(folder), "persona_ease_decay", calibration=0.3, caution=0.0)
    with ServedProcess(run, str(Path(folder) / "open.db")) as service:
        yield service.url


def test_a_model_without_owners_has_one_list_and_the_controls_beside_it(visit: Visit, plain: str) -> None:
    page = visit(plain, "4")
    before = titles(page)
    assert page.locator("#shelves .shelf").count() == 1
    assert page.locator(".shelf .control").count() == 0
    assert len(before) == 10
    assert page.locator(".persona").count() == 4
    page.locator(".persona").first.get_by_role("button", name="Mute").click()
    after = until_changed(page, before)
    page.locator(".persona.muted").wait_for()
    page.locator("#undo").click()
    assert until_changed(page, after) == before


def test_a_model_without_personas_is_told_in_words_for_people(
    visit: Visit, browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("whole")
    run = train(folder / "run", write_titled(folder), "ease")
    with ServedProcess(run, str(folder / "open.db")) as service:
        page = visit(service.url, "4")
        told = page.locator("#personas-error").inner_text()
        assert "taken together" in told
        assert not any(word in told for word in ("EASE", "AMPCF", "model", "use "))
        assert len(titles(page)) == 10
        page.close()


def test_what_one_just_did_has_a_shelf_of_its_own(visit: Visit, base: str) -> None:
    page = visit(base, "41")
    assert page.locator("#visit .card").count() == 0
    before = titles(page)
    page.locator(".answer.like").first.click()
    until_changed(page, before)
    page.locator("#visit .card").first.wait_for()
    told = answer(page, base, "41", "recommendations?n=10&shelf=now")["items"][:5]
    assert page.locator("#visit .card-title").all_inner_texts() == [bare(one["title"]) for one in told]
    assert not set(titles(page)) & {bare(one["title"]) for one in told}
    page.get_by_role("button", name="Filter").click()
    page.locator("#filter-genre").select_option(index=1)
    page.locator("#visit .card").first.wait_for(state="detached")
