"""The page in a real browser, on a real service: the main journeys of a person, and what goes wrong on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.serving.page.browser import Visit, answer, bare, focused, titles, until_changed
from tests.serving.titled_run import HOSTILE


def test_somebody_new_likes_three_titles_and_gets_reasons_and_personas(visit: Visit, base: str) -> None:
    page = visit(base)
    page.get_by_role("button", name="Start as somebody new").click()
    page.locator(".card").first.wait_for()
    cold = titles(page)
    assert len(cold) == 10
    assert "Nothing of yours is known yet" in page.locator("#list-lead").inner_text()
    assert page.locator(".shelf-name").all_inner_texts() == ["What most people like"]
    assert page.locator(".control").count() == 0
    page.locator("#persona-list", has_text="as soon as you have marked").wait_for()
    assert page.locator(".picture").count() == 0
    # The titles of the last search stand until the next ones are there, so each is one that only its own search finds.
    for typed, title in (("Silent Harbour", "Silent Harbour"), ("golden", "Golden"), ("LANTERN last", "Last Lantern")):
        page.get_by_label("Find it by title").fill(typed)
        first = page.locator("#found li", has_text=title).first
        first.get_by_role("button", name="Liked").click()
        first.get_by_text("Liked, saved").wait_for()
    warm = until_changed(page, cold)
    assert len(warm) == 10
    page.locator("#list-lead", has_text="From 3 events of yours").wait_for()
    assert page.locator('.shelf[data-persona]:not([data-persona="null"]) .card').count() > 0
    assert page.locator(".persona").count() >= 1
    assert "counts half as much" in page.locator("#half-life").inner_text()
    page.locator(".why summary").first.click()
    assert page.locator(".why[open] tbody tr").count() > 0
    # The browser remembers who it was.
    user = page.locator("#list-title .user").inner_text()
    page.reload()
    page.locator(".card").first.wait_for()
    assert page.locator("#list-title .user").inner_text() == user
    assert [event["kind"] for event in answer(page, base, user, "data")["events"]] == ["like"] * 3


def test_a_known_user_is_offered_and_can_be_changed(visit: Visit, base: str) -> None:
    page = visit(base)
    page.locator(".chip").first.click()
    page.locator(".card").first.wait_for()
    assert page.locator(".shelf-head .meter").count() > 0
    page.get_by_role("button", name="Change user").click()
    page.get_by_label("Your id").fill("..")
    page.get_by_role("button", name="Open").click()
    assert "dots" in page.locator("#user-error").inner_text()
    page.get_by_label("Your id").fill("a/b ü?#%")
    page.get_by_role("button", name="Open").click()
    page.locator("#list-title .user", has_text="a/b ü?#%").wait_for()
    page.locator(".card").first.wait_for()


@pytest.mark.parametrize(
    ("user", "label", "kind"), [("8", "Less like this", "dislike"), ("10", "Liked", "like"), ("26", "Seen it", "view")]
)
def test_a_mark_counts_at_once_shows_what_it_changed_and_can_be_undone(
    visit: Visit, base: str, user: str, label: str, kind: str
) -> None:
    page = visit(base, user)
    before = titles(page)
    page.get_by_role("button", name=f"{label}: {before[0]}", exact=True).click()
    changed = until_changed(page, before)
    assert before[0] not in changed
    assert page.locator(".fresh .tag").count() > 0
    page.locator("#undo").wait_for()
    assert focused(page) == "undo"
    told = page.locator("#change").inner_text()
    left = [title for title in before if title not in changed]
    assert sum(title in told for title in left) == min(3, len(left))  # the rest is counted
    assert any(title in told for title in set(changed) - set(before))
    (sent,) = answer(page, base, user, "data")["events"]
    assert (bare(sent["title"]), sent["value"], sent["kind"]) == (before[0], None, kind)
    page.keyboard.press("Enter")
    page.get_by_role("button", name=f"{label}: {before[0]}", exact=True).wait_for()
    assert titles(page) == before
    page.wait_for_function("title => document.activeElement.textContent === title", arg=before[0])
    page.locator("#live", has_text=f"{before[0]}: taken back.").wait_for(state="attached")
    assert not page.locator("#change").is_visible()
    assert answer(page, base, user, "data")["events"] == []
    # Marked again, it is another event, which counts.
    page.get_by_role("button", name=f"{label}: {before[0]}", exact=True).click()
    assert until_changed(page, before) == changed
    page.reload()
    page.locator(".card").first.wait_for()
    assert titles(page) == changed


def test_what_was_marked_is_listed_as_it_was_and_can_be_taken_back_later(visit: Visit, base: str) -> None:
    page = visit(base, "19")
    before = titles(page)
    rated = {"event_id": "r", "user_id": "19", "item_id": "3", "value": 4.5, "time": 1_500_000_000, "kind": "rating"}
    assert page.request.post(f"{base}/v1/events", data={"events": [rated]}).ok
    page.get_by_role("button", name=f"Liked: {before[0]}", exact=True).click()
    middle = until_changed(page, before)
    page.get_by_role("button", name=f"Less like this: {middle[0]}", exact=True).click()
    until_changed(page, middle)
    marked = page.locator("#marked li")
    page.wait_for_function("() => document.querySelectorAll('#marked button').length === 3")
    told = marked.all_inner_texts()
    assert sorted(text.split("\n")[0] for text in told[:2]) == sorted([before[0], middle[0]])
    assert not any("ated" in text for text in told[:2])
    assert "Rated 4.5, " in told[2]
    page.get_by_role("button", name=f"Take back: liked, {before[0]}", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('#marked button').length === 2")
    assert focused(page) == "marks-title"
    assert [event["kind"] for event in answer(page, base, "19", "data")["events"]] == ["rating", "dislike"]
    for left in (1, 0):
        page.locator("#marked button").first.click()
        page.wait_for_function(f"() => document.querySelectorAll('#marked button').length === {left}")
    page.locator("#marked", has_text="Nothing yet.").wait_for()
    page.wait_for_function("() => document.querySelector('#list').getAttribute('aria-busy') === 'false'")
    assert titles(page) == before


def test_of_many_marks_the_newest_are_listed_and_the_others_on_demand(visit: Visit, base: str) -> None:
    page = visit(base, "many marks")
    events = [
        {"event_id": f"m{n}", "user_id": "many marks", "item_id": str(n), "time": 1_600_000_000 + n, "kind": "like"}
        for n in range(1, 8)
    ]
    assert page.request.post(f"{base}/v1/events", data={"events": events}).ok
    page.reload()
    page.locator("#marked").get_by_role("button", name="Take back").first.wait_for()
    assert page.locator("#marked").get_by_role("button", name="Take back").count() == 5
    page.get_by_role("button", name="Show all 7").click()
    page.wait_for_function("() => document.querySelectorAll('#marked button').length === 7")


def test_a_mark_of_the_search_can_be_undone_and_made_again(visit: Visit, base: str) -> None:
    page = visit(base, "new to search")
    before = titles(page)
    page.get_by_label("Find it by title").fill("Silent Harbour")
    found = page.locator("#found")
    for _ in range(2):
        found.get_by_role("button", name="Liked: Silent Harbour", exact=True).click()
        found.get_by_text("Liked, saved").wait_for()
        assert len(answer(page, base, "new to search", "data")["events"]) == 1
        found.get_by_role("button", name="Undo: liked, Silent Harbour").click()
        found.get_by_role("button", name="Liked: Silent Harbour", exact=True).wait_for()
        assert focused(page) == "Seen it"
        assert answer(page, base, "new to search", "data")["events"] == []
    assert titles(page) == before


def test_a_mark_that_cannot_be_undone_stays_and_says_so(visit: Visit, base: str) -> None:
    page = visit(base, "28")
    before = titles(page)
    page.get_by_role("button", name="Less like this").first.click()
    until_changed(page, before)
    page.route("**/events/*", lambda route: route.abort())
    page.get_by_role("button", name="Undo: Less like this").click()
    page.get_by_text("The service does not answer.").wait_for()
    assert page.get_by_role("button", name="Undo: Less like this").is_visible()
    page.unroute("**/events/*")
    page.get_by_role("button", name="Try again").click()
    page.locator("#undo").wait_for(state="detached")
    assert answer(page, base, "28", "data")["events"] == []


def test_an_event_that_was_lost_on_the_way_is_sent_again_as_it_was(visit: Visit, base: str) -> None:
    page = visit(base, "13")
    sent: list[str] = []

    def lose(route: Any) -> None:
        sent.append(route.request.post_data)
        reply = route.fetch()  # it arrives, and its answer does not
        if len(sent) == 1:
            told = {"error": {"code": "timeout", "message": "it took too long; send the same again"}}
            route.fulfill(status=503, json=told)
        else:
            route.fulfill(response=reply)

    page.route("**/v1/events", lose)
    before = titles(page)
    page.get_by_role("button", name=f"Liked: {before[0]}", exact=True).click()
    page.get_by_text("It took too long; send the same again.").wait_for()
    page.mouse.wheel(0, 1500)
    assert page.locator("#list-error").bounding_box()["y"] >= 0
    page.get_by_role("button", name="Try again").click()
    assert before[0] not in until_changed(page, before)
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert len(answer(page, base, "13", "data")["events"]) == 1


def test_titles_are_text_whatever_they_hold(visit: Visit, base: str) -> None:
    page = visit(base, "59")
    page.get_by_label("Find it by title").fill("img src")
    page.locator(".found-title").wait_for()
    assert bare(HOSTILE) in page.locator(".found-title").inner_text()
    page.locator("#found").get_by_role("button", name="Liked: <img").click()
    page.get_by_text("Liked, saved").wait_for()
    page.get_by_role("button", name="Change user").click()
    page.get_by_label("Your id").fill("<b onclick=alert(1)>new</b>")
    page.get_by_role("button", name="Open").click()
    page.locator(".card", has_text="<img src=x").wait_for()
    assert bare(HOSTILE) in titles(page)
    page.get_by_role("button", name="Seen it: <img").click()
    page.locator("#change h2", has_text="<img src=x").wait_for()
    assert page.locator("#list-title .user").inner_text() == "<b onclick=alert(1)>new</b>"
    assert page.locator("main img, main b b, main [onclick]").count() == 0
    assert page.title() != "taken"


def test_the_browser_refuses_to_make_markup_of_text_or_to_ask_anybody_else(browser: Any, base: str) -> None:
    page = browser.new_page()
    page.goto(base)
    markup = "() => { try { document.body.innerHTML = '<p>'; return 'made' } catch (error) { return error.name } }"
    assert page.evaluate(markup) == "TypeError"
    elsewhere = (
        "() => new Promise((told) => { fetch('http://127.0.0.2:9/').catch(() => null);"
        " addEventListener('securitypolicyviolation', (event) => told(event.effectiveDirective), {once: true}); })"
    )
    assert page.evaluate(elsewhere) == "connect-src"
    page.close()


def test_the_tour_is_for_the_first_visit_and_can_be_taken_again(visit: Visit, base: str) -> None:
    page = visit(base, "14", tour=True)
    page.locator("#tour[open]").wait_for()
    steps = 1
    while page.locator("#tour-next").inner_text() == "Next":
        assert focused(page) == "tour-title"
        assert page.locator(".toured").count() == 1
        page.locator("#tour-next").press("Enter")
        steps += 1
    assert page.locator("#tour-place").inner_text() == f"{steps} of {steps}"
    page.locator("#tour-back").click()
    page.locator("#tour-next").click()
    page.locator("#tour-next").click()
    assert page.locator(".toured").count() == 0
    page.reload()
    page.locator(".card").first.wait_for()
    assert not page.locator("#tour").is_visible()
    page.get_by_role("button", name="Tour", exact=True).click()
    assert page.locator("#tour").is_visible()
    page.keyboard.press("Escape")
    assert focused(page) == "start-tour"


def test_data_is_taken_along_and_erased(visit: Visit, base: str) -> None:
    page = visit(base, "16")
    before = titles(page)
    page.get_by_role("button", name=f"Liked: {before[0]}", exact=True).click()
    until_changed(page, before)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download my data").click()
    taken = json.loads(Path(waiting.value.path()).read_text(encoding="utf-8"))
    assert waiting.value.suggested_filename == "recsys-16.json"
    assert (taken["user_id"], len(taken["events"])) == ("16", 1)
    page.get_by_role("button", name="Erase my data").click()
    assert focused(page) == "erase-cancel"
    page.keyboard.press("Enter")
    assert len(answer(page, base, "16", "data")["events"]) == 1
    page.get_by_role("button", name="Erase my data").click()
    page.get_by_role("button", name="Erase it").click()
    page.get_by_text("Everything of 16 is erased.").first.wait_for()
    assert "Nothing of yours is known yet" in page.locator("#list-lead").inner_text()
    held = answer(page, base, "16", "data")
    assert held["events"] == held["logged"] == []


def test_a_service_that_is_gone_is_told_with_a_way_back(visit: Visit, base: str) -> None:
    page = visit(base)
    page.locator(".chip").first.wait_for()
    page.route("**/v1/**", lambda route: route.abort())
    page.locator(".chip").first.click()
    page.get_by_text("The service does not answer.").first.wait_for()
    page.unroute("**/v1/**")
    page.get_by_role("button", name="Try again").first.click()
    page.locator(".card").first.wait_for()
