"""The page for everybody: keyboard, screen reader, small windows, light and dark, and who wants nothing to move."""

from __future__ import annotations

from typing import Any

import pytest

from recsys.events.store import EventStore
from tests.serving.client import token
from tests.serving.page.browser import NARROW, Visit, axe, barriers, focused, titles, until_changed


def _fits(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_small_phone(visit: Visit, base: str, scheme: str) -> None:
    page = visit(base, size=NARROW, color_scheme=scheme, tour=True)
    page.locator(".chip").first.wait_for()
    _fits(page)
    page.locator(".chip").nth(1).click()
    page.locator("#tour[open]").wait_for()
    _fits(page)
    page.get_by_role("button", name="End the tour").click()
    page.locator(".why summary").first.click()
    page.get_by_role("button", name="Rename").first.click()
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Find it by title").fill("a")
    page.locator(".found-title").first.wait_for()
    _fits(page)
    page.get_by_role("button", name="Seen it").last.click()
    page.locator("#change").wait_for()
    _fits(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(250, 248, 244)") == (scheme == "light")


def test_everything_can_be_done_with_the_keyboard(visit: Visit, base: str) -> None:
    page = visit(base, tour=True)
    page.locator(".chip").first.wait_for()
    page.keyboard.press("Tab")  # from the title of the page
    assert focused(page) == "start-interview"
    page.keyboard.press("Tab")
    assert page.locator(".chip:focus").count() == 1
    page.get_by_label("Your id").press("Shift+Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("with keys")
    page.keyboard.press("Enter")
    page.locator("#tour[open]").wait_for()
    page.keyboard.press("Escape")
    assert not page.locator("#tour").is_visible()
    assert focused(page) == "list-title"
    page.keyboard.press("Tab")
    assert focused(page) == "find-text"
    page.keyboard.type("Silent Har")
    page.locator("#found").get_by_role("button", name="Liked: Silent Harbour").wait_for()
    for _ in range(3):  # the filter, what was seen, what was liked
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("Liked, saved").wait_for()
    assert focused(page) == "Liked, saved"
    page.keyboard.press("Escape")
    assert focused(page) == "find-text"
    page.locator("#change", has_text="Silent Harbour").wait_for()
    page.keyboard.press("Tab")
    assert focused(page) == "filter-open"
    page.keyboard.press("Tab")
    assert focused(page) == "Mute"
    for _ in range(3):
        page.keyboard.press("Tab")
    assert focused(page) == "Seen it"
    before = titles(page)
    page.keyboard.press("Space")
    after = until_changed(page, before)
    assert before[0] not in after
    page.locator("#undo").wait_for()
    assert focused(page) == "undo"
    page.locator(".why summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".why[open]").count() == 1
    mute = page.locator(".control").first
    key = mute.get_attribute("data-key")
    mute.focus()
    page.keyboard.press("Enter")
    page.locator(".shelf.muted").wait_for()
    assert page.evaluate("document.activeElement.dataset.key") == key
    page.locator("#live", has_text="Muted: ").wait_for(state="attached")


def test_nothing_moves_for_who_does_not_want_it(visit: Visit, base: str) -> None:
    moves = "getComputedStyle(document.querySelector('.fresh')).animationName"
    names = []
    for user, wish in (("23", "no-preference"), ("25", "reduce")):
        page = visit(base, user, reduced_motion=wish)
        page.get_by_role("button", name="Seen it").first.click()
        page.locator(".fresh").first.wait_for()
        names.append(page.evaluate(moves))
    assert names == ["arrive", "none"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Visit, base: str, guarded: str, store: EventStore, scheme: str) -> None:
    script = axe()
    page = visit(base, color_scheme=scheme, reduced_motion="reduce", tour=True)
    page.locator(".chip").first.wait_for()
    assert barriers(page, script) == []
    page.locator(".chip").nth(3).click()
    page.locator("#tour[open]").wait_for()
    assert barriers(page, script) == []
    page.keyboard.press("Escape")
    page.locator(".why summary").first.click()
    page.locator("#shelves .shelf").last.get_by_role("button", name="Mute").click()
    page.locator(".shelf.muted").wait_for()
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Find it by title").fill("a")
    page.locator(".found-title").first.wait_for()
    page.get_by_role("button", name="Less like this").last.click()
    page.locator("#undo").wait_for()
    page.get_by_role("button", name="Rename").first.click()
    page.locator("#marked button").nth(1).wait_for()
    assert barriers(page, script) == []
    page.get_by_role("button", name="Erase my data").click()
    assert barriers(page, script) == []
    page.get_by_role("button", name="Keep it").click()
    reading = visit(guarded, "2", secret=token(store, ["read"]), color_scheme=scheme)
    assert barriers(reading, script) == []
    asked = visit(guarded, color_scheme=scheme)
    asked.get_by_label("Token", exact=True).fill("x")
    asked.keyboard.press("Enter")
    asked.get_by_text("This token is unknown").wait_for()
    assert barriers(asked, script) == []
