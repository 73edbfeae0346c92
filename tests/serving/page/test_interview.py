"""One whole interview by keyboard, in a real browser: four titles a screen, skip, back, enough."""

from __future__ import annotations

from typing import Any

from tests.serving.page.browser import PHONE, Visit, answer, axe, barriers


def _asked(page: Any) -> list[str]:
    found: list[str] = page.locator(".question").evaluate_all("all => all.map(one => one.dataset.item)")
    return found


def _screen(page: Any, number: int) -> list[str]:
    page.locator("#interview-place", has_text=f"Screen {number}").wait_for()
    page.locator("#interview[aria-busy=false]").wait_for()
    return _asked(page)


def _listed(page: Any) -> list[str]:
    found: list[str] = page.locator("#interview-list .listed-title").all_inner_texts()
    return found


def test_somebody_new_answers_by_keyboard_alone_and_goes_on_with_the_list(visit: Visit, base: str) -> None:
    page = visit(base)
    page.locator("#start-interview").wait_for()  # what is hidden takes no focus
    page.keyboard.press("Tab")  # from the title of the page
    page.keyboard.press("Enter")
    first = _screen(page, 1)
    before = _listed(page)
    assert (len(first), len(before)) == (4, 10)
    assert "Nothing is known of you yet" in page.locator("#interview-known").inner_text()
    for letter in "lldk":
        page.keyboard.press(letter)
    second = _screen(page, 2)
    assert not set(first) & set(second)
    assert _listed(page) != before
    assert page.locator("#interview-list .tag").count() > 0
    assert "is known" in page.locator("#interview-told").inner_text()
    page.keyboard.press("s")
    third = _screen(page, 3)
    assert not set(third) & {*first, *second}
    page.keyboard.press("b")
    assert _screen(page, 2) == second
    page.keyboard.press("Enter")  # the first button of the first title: liked
    page.locator(".question.said").wait_for()
    for letter in "kkk":
        page.keyboard.press(letter)
    assert _screen(page, 3) == third
    page.keyboard.press("e")
    page.locator("#desk .card").first.wait_for()
    page.locator("#list-lead", has_text="From 4 events of yours").wait_for()
    user = page.locator("#list-title .user").inner_text()
    kept = {event["item_id"]: event["kind"] for event in answer(page, base, user, "data")["events"]}
    assert kept == {first[0]: "like", first[1]: "like", first[2]: "dislike", second[0]: "like"}


def test_a_screen_takes_four_taps_and_leaving_keeps_nothing(visit: Visit, base: str) -> None:
    page = visit(base, size=PHONE, has_touch=True)
    page.get_by_role("button", name="Answer a few questions").tap()
    for number in (1, 2):
        _screen(page, number)
        for place in range(4):
            page.locator(".question").nth(place).get_by_role("button", name="Liked").tap()
    _screen(page, 3)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Leave").tap()
    page.locator("#choose-title").wait_for()
    assert not any(method == "POST" and url.endswith("/v1/events") for method, url in _sent(page))


def test_an_interview_has_no_barriers_and_says_what_failed(visit: Visit, base: str) -> None:
    page = visit(base)
    page.get_by_role("button", name="Answer a few questions").click()
    _screen(page, 1)
    page.route("**/v1/interview", lambda route: route.abort())
    for letter in "lkdk":
        page.keyboard.press(letter)
    page.locator("#interview-error", has_text="does not answer").wait_for()
    page.unroute("**/v1/interview")
    page.locator(".question").last.get_by_role("button", name="Liked").click()
    _screen(page, 2)
    assert barriers(page, axe()) == []


def _sent(page: Any) -> list[tuple[str, str]]:
    entries: list[str] = page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
    return [("POST", entry) for entry in entries if "/v1/events" in entry]
