"""Tokens on the page: asked for, kept out of addresses; with one that may only read, controls are off and say why."""

from __future__ import annotations

from recsys.events.store import EventStore
from tests.serving.client import token
from tests.serving.page.browser import Visit, answer, titles


def test_a_token_is_asked_for_and_a_wrong_one_is_told(visit: Visit, guarded: str, store: EventStore) -> None:
    page = visit(guarded)
    page.get_by_label("Token", exact=True).fill("recsys_wrong")
    page.keyboard.press("Enter")
    page.get_by_text("This token is unknown, expired or revoked, or its user was erased; get a new one.").wait_for()
    secret = token(store, ["read"], "2")
    page.get_by_label("Token", exact=True).fill(secret)
    page.get_by_role("button", name="Use this token").click()
    # A token of one user leads to that user.
    page.locator(".chip", has_text="2").click()
    page.locator(".card").first.wait_for()
    assert page.locator(".card-title").count() == 10
    page.evaluate("localStorage.setItem('recsys.user', '3')")
    page.reload()
    page.get_by_text("This token is for another user").first.wait_for()
    assert page.evaluate("JSON.stringify(localStorage)").count(secret) == 0
    assert page.evaluate("sessionStorage.getItem('recsys.token')") == secret


def test_a_token_that_may_only_read_switches_the_controls_off_and_says_why(
    visit: Visit, guarded: str, store: EventStore
) -> None:
    page = visit(guarded, "2", secret=token(store, ["read"]))
    assert page.locator("#read-only").is_visible()
    before = titles(page)
    asked = []
    page.on("request", lambda sent: asked.append(sent.method))
    page.get_by_label("Find it by title").fill("Silent Harbour")
    page.locator("#found .say").first.wait_for()
    off = page.locator(".answer, .control, #erase, .say")
    assert off.count() > 30
    for control in off.all():
        assert control.get_attribute("aria-disabled") == "true"
        assert control.get_attribute("aria-describedby") == "read-only"
    # They stay in reach of the keyboard, for the reason to be heard; pressed, they say it and do nothing.
    for selector in (".answer", ".control", "#erase", ".say"):
        page.evaluate("document.querySelector('#live').textContent = ''")
        page.locator(selector).first.press("Enter")
        page.locator("#live", has_text="This token may only read").wait_for(state="attached")
    assert set(asked) == {"GET"}
    assert not page.locator("#erase-dialog").is_visible()
    assert titles(page) == before
    assert page.locator(".why summary").first.get_attribute("aria-disabled") is None
    page.get_by_role("button", name="Show ten more").click()
    page.wait_for_function("() => document.querySelectorAll('.card').length === 20")


def test_a_token_that_may_write_switches_nothing_off(visit: Visit, guarded: str, base: str, store: EventStore) -> None:
    for page in (visit(guarded, "2", secret=token(store)), visit(base, "2")):
        assert not page.locator("#read-only").is_visible()
        assert page.locator("[aria-disabled]").count() == 0


def test_a_token_is_in_no_address(visit: Visit, guarded: str, store: EventStore) -> None:
    page = visit(guarded)
    secret = token(store)
    addresses: list[str] = []
    page.on("request", lambda sent: addresses.append(sent.url))
    page.get_by_label("Token", exact=True).fill(secret)
    page.keyboard.press("Enter")
    page.locator(".chip").first.click()
    page.locator(".card").first.wait_for()
    assert len(addresses) > 2
    assert not any(secret in address for address in [*addresses, page.url])
    page.get_by_role("button", name="Token").click()
    page.get_by_role("button", name="Cancel").click()
    assert page.locator("#shelves .card").count() == 10
    assert answer(page, guarded, "2", "data").get("error", {}).get("code") == "token_missing"
