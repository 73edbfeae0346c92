"""The controls of the page: a persona's mute, boost and name, and the text about a person; each shows what it changed,
and can be undone."""

from __future__ import annotations

from typing import Any

from tests.serving.page.browser import Visit, answer, axe, bare, barriers, focused, titles, until_changed


def _first_shelf(page: Any) -> tuple[Any, int, list[str]]:
    """Return the first shelf, its persona's number, and its titles."""
    shelf = page.locator(".shelf").first
    return shelf, int(shelf.get_attribute("data-persona")), shelf.locator(".card-title").all_inner_texts()


def _seats(page: Any, base: str, user: str, persona: int) -> int:
    listed = answer(page, base, user, "recommendations?n=10")["items"]
    return sum(item["owner"] == persona for item in listed)


def test_muting_a_persona_takes_its_titles_away_tells_so_and_lasts(visit: Visit, base: str) -> None:
    page = visit(base, "4")
    before = titles(page)
    shelf, number, own = _first_shelf(page)
    name = shelf.locator(".shelf-name").inner_text()
    assert own
    shelf.get_by_role("button", name="Mute").click()
    after = until_changed(page, before)
    muted = page.locator(f'.shelf[data-persona="{number}"]')
    assert muted.locator(".tag").inner_text() == "muted"
    assert muted.locator(".card").count() == 0
    assert not set(own) & set(after)
    page.locator("#change h2", has_text=f"Muted: {name[0].lower()}").or_(
        page.locator("#change h2", has_text=f"Muted: {name}")
    ).first.wait_for()
    told = page.locator("#change").inner_text()
    assert f"{len(own)} → 0" in told
    assert own[0] in told
    page.locator(".lane.muted", has_text=name).wait_for()
    page.reload()
    page.locator(".shelf.muted").wait_for()
    assert titles(page) == after
    muted.get_by_role("button", name="Unmute").click()
    assert until_changed(page, after) == before


def test_a_mute_is_undone_where_it_is_told_and_where_marks_are_listed(visit: Visit, base: str) -> None:
    page = visit(base, "5")
    before = titles(page)
    _, number, _ = _first_shelf(page)
    page.locator(".shelf").first.get_by_role("button", name="Mute").click()
    after = until_changed(page, before)
    page.locator("#undo").click()
    assert until_changed(page, after) == before
    assert not page.locator("#change").is_visible()
    assert page.evaluate("document.activeElement.dataset.key") == f"mute {number}"
    page.keyboard.press("Enter")
    assert until_changed(page, before) == after
    page.locator("#marked").get_by_role("button", name="Take back: muted").click()
    assert until_changed(page, after) == before
    page.locator("#marked", has_text="Nothing yet.").wait_for()


def test_a_boosted_persona_gets_more_seats(visit: Visit, base: str) -> None:
    page = visit(base, "7")
    before = titles(page)
    shelf = page.locator('.shelf:not([data-persona="null"])').last
    number = int(shelf.get_attribute("data-persona"))
    seats = _seats(page, base, "7", number)
    shelf.get_by_role("button", name="Boost").click()
    until_changed(page, before)
    boosted = page.locator(f'.shelf[data-persona="{number}"]')
    assert boosted.locator(".tag", has_text="boosted").count() == 1
    now = _seats(page, base, "7", number)
    assert now > seats
    assert boosted.locator(".card").count() == now
    assert f"{seats} → {now}" in page.locator("#change").inner_text()
    (held,) = answer(page, base, "7", "data")["corrections"]
    assert (held["persona"], held["weight"]) == (number, 2)
    boosted.get_by_role("button", name="Unboost").click()
    page.wait_for_function("() => document.querySelectorAll('.control.on').length === 0")
    assert titles(page) == before


def test_a_persona_gets_the_persons_own_name_and_keeps_it_when_muted(visit: Visit, base: str) -> None:
    page = visit(base, "11")
    shelf, number, _ = _first_shelf(page)
    found = shelf.locator(".shelf-name").inner_text()
    shelf.get_by_role("button", name="Rename").click()
    page.keyboard.type("<i>Late</i> evenings")
    page.keyboard.press("Enter")
    page.locator(".shelf-name", has_text="<i>Late</i> evenings").wait_for()
    assert focused(page) == "Rename"
    page.locator(".persona-name", has_text="<i>Late</i> evenings").wait_for()
    page.locator(".lane-name", has_text="<i>Late</i> evenings").wait_for()
    owned = [item for item in answer(page, base, "11", "recommendations?n=10")["items"] if item["owner"] == number]
    assert {item["owner_name"] for item in owned} == {"<i>Late</i> evenings"}
    page.get_by_role("button", name="Mute <i>Late</i> evenings").click()
    page.locator(f'.shelf.muted[data-persona="{number}"]', has_text="<i>Late</i> evenings").wait_for()
    page.get_by_role("button", name="Rename <i>Late</i> evenings").click()
    page.keyboard.press("Escape")
    assert focused(page) == "Rename"
    page.get_by_role("button", name="Rename <i>Late</i> evenings").click()
    page.get_by_role("button", name="Back to the name").click()
    page.locator(f'.shelf.muted[data-persona="{number}"] .shelf-name', has_text=found).wait_for()


def test_a_control_that_changes_nothing_says_so(visit: Visit, base: str) -> None:
    page = visit(base, "6")  # of one taste
    before = titles(page)
    page.locator(".shelf").first.get_by_role("button", name="Boost").click()
    page.locator("#change", has_text="The list stays as it was.").wait_for()
    assert titles(page) == before
    page.get_by_role("button", name="Close what changed").click()
    assert not page.locator("#change").is_visible()


def test_a_correction_that_fails_leaves_the_page_as_it_is_and_can_be_tried_again(visit: Visit, base: str) -> None:
    page = visit(base, "20")
    before = titles(page)
    page.route("**/personas/*", lambda route: route.abort())
    page.locator(".shelf").first.get_by_role("button", name="Mute").click()
    page.get_by_text("The service does not answer.").wait_for()
    assert titles(page) == before
    assert page.locator(".shelf.muted").count() == 0
    page.unroute("**/personas/*")
    page.get_by_role("button", name="Try again").click()
    page.locator(".shelf.muted").wait_for()
    assert titles(page) != before


def test_less_like_this_takes_the_title_away_and_is_listed_as_said(visit: Visit, base: str) -> None:
    page = visit(base, "22")
    before = titles(page)
    page.get_by_role("button", name=f"Less like this: {before[0]}", exact=True).click()
    after = until_changed(page, before)
    assert before[0] not in after
    page.locator("#marked", has_text=before[0]).wait_for()
    assert "Less like this" in page.locator("#marked li").first.inner_text()
    listed = answer(page, base, "22", "recommendations?n=100")["items"]
    assert before[0] not in {bare(item["title"]) for item in listed}


def test_the_text_about_a_person_is_changed_undone_and_forgotten_by_keyboard(visit: Visit, base: str) -> None:
    page = visit(base, "26")
    before, found = titles(page), page.locator("#summary-text").inner_text()
    assert "like" in found
    assert page.locator("#summary-facts").inner_text().startswith(f"{len(found.encode())} bytes, written from your")
    page.get_by_role("button", name="Change it").focus()
    page.keyboard.press("Enter")
    assert (focused(page), page.locator("#summary-field").input_value()) == ("summary-field", found)
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("Mostly westrns; avoids romances.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#summary-error", has_text="did you mean 'western").wait_for()
    field = "document.querySelector('#summary-field')"
    assert page.evaluate(f"{field}.value.slice({field}.selectionStart, {field}.selectionEnd)") == "westrns"
    assert (focused(page), page.locator("#summary-field").get_attribute("aria-invalid")) == ("summary-field", "true")
    assert barriers(page, axe()) == []
    page.keyboard.type("westerns")  # in place of what is selected
    page.keyboard.press("Control+Enter")
    after = until_changed(page, before)
    page.locator("#summary-text", has_text="Mostly westerns; avoids romances.").wait_for()
    assert page.locator("#list-lead").inner_text() == "From what you wrote."
    assert sum("Western" in genres for genres in page.locator("#shelves .genres").all_inner_texts()) >= 7
    page.locator("#live", has_text="Your text counts. Left: ").wait_for(state="attached")
    assert focused(page) == "undo"
    page.keyboard.press("Enter")
    assert until_changed(page, after) == before
    page.locator("#summary-text", has_text=found).wait_for()
    assert page.evaluate("document.activeElement.dataset.key") == "summary edit"


def test_what_was_written_is_forgotten_and_comes_back_as_it_was(visit: Visit, base: str) -> None:
    written = {"text": "Avoids comedies.", "time": 1_500_000_000}
    page = visit(base, "27")
    before = titles(page)
    page.request.put(f"{base}/v1/users/27/summary", data=written)
    page.reload()
    page.locator("#summary-facts", has_text="written by you").wait_for()
    own = titles(page)
    assert own != before
    page.get_by_role("button", name="Forget what I wrote").click()
    assert until_changed(page, own) == before
    page.locator("#summary-facts", has_text="written from your history").wait_for()
    assert page.locator("#summary").get_by_role("button").all_inner_texts() == ["Change it"]
    page.locator("#undo").click()
    assert until_changed(page, before) == own
    kept = answer(page, base, "27", "summary")
    assert (kept["text"], kept["time"]) == (written["text"], written["time"])
