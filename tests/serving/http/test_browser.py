"""The page in a real browser, on a real service: the main journeys, the keyboard, the phone, and barriers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving.processes.served_process import ServedProcess
from recsys.events.addresses import open_store
from recsys.events.store import EventStore
from tests.serving.client import token
from tests.serving.http.browser import Watch, axe, barriers, chromium
from tests.serving.titled_run import HOSTILE, train_titled

PHONE, DESK = (320, 640), (1280, 900)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def titled(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_titled(tmp_path_factory.mktemp("titled"))


@pytest.fixture(scope="module")
def base(titled: Path) -> Iterator[str]:
    """The address of a service without tokens."""
    with ServedProcess(titled, str(titled.parent / "open.db")) as service:
        yield service.url


@pytest.fixture(scope="module")
def store(titled: Path) -> Iterator[EventStore]:
    with open_store(str(titled.parent / "guarded.db")) as opened:
        yield opened


@pytest.fixture(scope="module")
def guarded(titled: Path, store: EventStore) -> Iterator[str]:
    """The address of a service that wants tokens."""
    with ServedProcess(titled, str(titled.parent / "guarded.db"), ()) as service:
        yield service.url


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Opens pages; at the end none may have had a fault, or have asked anybody else."""
    opened: list[tuple[Any, Watch, str]] = []

    def visit(
        base: str, user: str | None = None, *, size: tuple[int, int] = DESK, tour: bool = False, **options: Any
    ) -> Any:
        """Open the page, as a user if one is given; `tour`: as somebody who has not seen it."""
        width, height = size
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(10_000)
        seen = "" if tour else "localStorage.setItem('recsys.tour', 'seen');"
        remembered = (
            ""
            if user is None
            else f"localStorage.getItem('recsys.user') ?? localStorage.setItem('recsys.user', {json.dumps(user)});"
        )
        context.add_init_script(f"{seen} {remembered}")
        page = context.new_page()
        opened.append((page, Watch(page), base))
        page.goto(base)
        if user is not None:
            page.locator(".card").first.wait_for()
        return page

    yield visit
    for page, watch, base in opened:
        assert watch.faults == []
        assert watch.origins() == {base}
        page.context.close()


def _titles(page: Any) -> list[str]:
    found: list[str] = page.locator(".card-title").all_inner_texts()
    return found


def _until_changed(page: Any, before: list[str]) -> list[str]:
    """Return the titles of the list once they are others."""
    page.wait_for_function(
        "old => { const now = [...document.querySelectorAll('.card-title')].map((one) => one.textContent);"
        " return now.length && JSON.stringify(now) !== JSON.stringify(old); }",
        arg=before,
    )
    return _titles(page)


def _held(page: Any, base: str, user: str) -> dict[str, Any]:
    found: dict[str, Any] = page.request.get(f"{base}/v1/users/{user}/data").json()
    return found


def _focused(page: Any) -> str:
    found: str = page.evaluate("document.activeElement.id || document.activeElement.textContent")
    return found


def _fits(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_somebody_new_likes_three_titles_and_gets_reasons_and_personas(visit: Any, base: str) -> None:
    page = visit(base)
    page.get_by_role("button", name="Start as somebody new").click()
    page.locator(".card").first.wait_for()
    cold = _titles(page)
    assert len(cold) == 10
    assert "Nothing of yours is known yet" in page.locator("#list-lead").inner_text()
    assert "as soon as you have marked" in page.locator("#persona-list").inner_text()
    assert page.locator(".picture").count() == 0
    # The titles of the last search stand until the next ones are there, so each is one that only its own search finds.
    for typed, title in (("Silent Harbour", "Silent Harbour"), ("golden", "Golden"), ("LANTERN last", "Last Lantern")):
        page.get_by_label("Find it by title").fill(typed)
        first = page.locator("#found li", has_text=title).first
        first.get_by_role("button", name="Liked").click()
        first.get_by_text("Liked, saved").wait_for()
    warm = _until_changed(page, cold)
    assert len(warm) == 10
    assert "Because" in page.locator(".reason").first.inner_text()
    assert page.locator(".persona").count() == 4
    assert "Activity of 4 personas" in (page.get_by_role("img", name="Activity").get_attribute("aria-label") or "")
    assert "counts half as much" in page.locator("#half-life").inner_text()
    page.get_by_text("What speaks for it").first.click()
    assert page.locator(".why[open] tbody tr").count() > 0
    # The browser remembers who it was.
    user = page.locator("#list-title .user").inner_text()
    page.reload()
    page.locator(".card").first.wait_for()
    assert page.locator("#list-title .user").inner_text() == user
    assert [event["kind"] for event in _held(page, base, user)["events"]] == ["like"] * 3


def test_a_known_user_is_offered_and_can_be_changed(visit: Any, base: str) -> None:
    page = visit(base)
    page.locator(".chip").first.click()
    page.locator(".card").first.wait_for()
    assert page.locator(".mix-bar").count() == 10
    page.get_by_role("button", name="Change user").click()
    page.get_by_label("Your id").fill("..")
    page.get_by_role("button", name="Open").click()
    assert "dots" in page.locator("#user-error").inner_text()
    page.get_by_label("Your id").fill("a/b ü?#%")
    page.get_by_role("button", name="Open").click()
    page.locator("#list-title .user", has_text="a/b ü?#%").wait_for()
    page.locator(".card").first.wait_for()


def test_muting_a_persona_changes_the_list_and_lasts(visit: Any, base: str) -> None:
    page = visit(base, "4")
    before = _titles(page)
    persona = page.locator(".persona").first
    number = persona.get_attribute("data-persona")
    persona.get_by_role("radio", name="Mute").check()
    after = _until_changed(page, before)
    muted = page.locator(f'.persona[data-persona="{number}"]')
    assert muted.locator(".tag").inner_text() == "muted"
    page.reload()
    page.locator(".persona.muted").wait_for()
    assert _titles(page) == after
    muted.get_by_role("radio", name="As found").check()
    assert _until_changed(page, after) == before


def test_a_persona_gets_the_persons_own_name(visit: Any, base: str) -> None:
    page = visit(base, "6")
    persona = page.locator(".persona").first
    found = persona.locator("h3").inner_text()
    persona.get_by_role("button", name="Rename").click()
    page.keyboard.type("<i>Late</i> evenings")
    page.keyboard.press("Enter")
    page.locator("h3", has_text="<i>Late</i> evenings").wait_for()
    assert _focused(page) == "Rename"
    page.locator(".reason", has_text="your <i>Late</i> evenings side").first.wait_for()
    page.get_by_role("button", name="Rename <i>Late</i> evenings").click()
    page.get_by_role("button", name="Back to the name").click()
    page.locator(".persona h3", has_text=found).first.wait_for()


@pytest.mark.parametrize(("user", "label"), [("8", "Not for me"), ("10", "Liked"), ("26", "Seen it")])
def test_a_mark_counts_at_once_and_can_be_undone(visit: Any, base: str, user: str, label: str) -> None:
    page = visit(base, user)
    before = _titles(page)
    page.get_by_role("button", name=f"{label}: {before[0]}", exact=True).click()
    changed = _until_changed(page, before)
    assert before[0] not in changed
    assert page.locator(".fresh .tag").count() > 0
    assert _focused(page) == "mark"
    (sent,) = _held(page, base, user)["events"]
    assert (sent["title"], sent["value"]) == (before[0], None)
    page.keyboard.press("Enter")
    page.get_by_role("button", name=f"{label}: {before[0]}", exact=True).wait_for()
    assert _titles(page) == before
    assert _focused(page) == before[0]
    page.locator("#live", has_text=f"{before[0]}: taken back.").wait_for(state="attached")
    assert page.locator(".mark").count() == 0
    assert _held(page, base, user)["events"] == []
    # Marked again, it is another event, which counts.
    page.get_by_role("button", name=f"{label}: {before[0]}", exact=True).click()
    assert _until_changed(page, before) == changed
    page.reload()
    page.locator(".card").first.wait_for()
    assert _titles(page) == changed


def test_what_was_marked_is_listed_as_it_was_and_can_be_taken_back_later(visit: Any, base: str) -> None:
    page = visit(base, "18")
    before = _titles(page)
    rated = {"event_id": "r", "user_id": "18", "item_id": "3", "value": 4.5, "time": 1_500_000_000}
    assert page.request.post(f"{base}/v1/events", data={"events": [rated]}).ok
    page.get_by_role("button", name=f"Liked: {before[0]}", exact=True).click()
    middle = _until_changed(page, before)
    page.get_by_role("button", name=f"Not for me: {middle[0]}", exact=True).click()
    _until_changed(page, middle)
    page.get_by_text("What you marked").click()
    marked = page.locator("#marked li")
    page.wait_for_function("() => document.querySelectorAll('#marked li').length === 3")
    told = marked.all_inner_texts()
    assert sorted(text.split("\n")[0] for text in told[:2]) == sorted([before[0], middle[0]])
    assert not any("rated" in text for text in told[:2])
    assert "Seen, rated 4.5, " in told[2]
    page.get_by_role("button", name=f"Take back: liked, {before[0]}", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('#marked li').length === 2")
    assert _focused(page) == "marks-title"
    assert [event["kind"] for event in _held(page, base, "18")["events"]] == ["use", "dismiss"]
    for left in (1, 0):
        page.locator("#marked button").first.click()
        page.wait_for_function(f"() => document.querySelectorAll('#marked button').length === {left}")
    page.locator("#marked", has_text="Nothing yet.").wait_for()
    page.wait_for_function("() => document.querySelector('#list').getAttribute('aria-busy') === 'false'")
    assert _titles(page) == before


def test_a_mark_of_the_search_can_be_undone_and_made_again(visit: Any, base: str) -> None:
    page = visit(base, "new to search")
    before = _titles(page)
    page.get_by_label("Find it by title").fill("Silent Harbour")
    found = page.locator("#found")
    for _ in range(2):
        found.get_by_role("button", name="Liked: Silent Harbour (1967)", exact=True).click()
        found.get_by_text("Liked, saved").wait_for()
        assert len(_held(page, base, "new to search")["events"]) == 1
        found.get_by_role("button", name="Undo: liked, Silent Harbour (1967)").click()
        found.get_by_role("button", name="Liked: Silent Harbour (1967)", exact=True).wait_for()
        assert _focused(page) == "Seen it"
        assert _held(page, base, "new to search")["events"] == []
    assert _titles(page) == before


def test_a_mark_that_cannot_be_undone_stays_and_says_so(visit: Any, base: str) -> None:
    page = visit(base, "28")
    before = _titles(page)
    page.get_by_role("button", name="Not for me").first.click()
    _until_changed(page, before)
    page.route("**/events/*", lambda route: route.abort())
    page.get_by_role("button", name="Undo: not for me").click()
    page.get_by_text("The service does not answer.").wait_for()
    assert page.get_by_role("button", name="Undo: not for me").is_visible()
    page.unroute("**/events/*")
    page.get_by_role("button", name="Try again").click()
    page.locator(".mark").wait_for(state="detached")
    assert _held(page, base, "28")["events"] == []


def test_an_event_that_was_lost_on_the_way_is_sent_again_as_it_was(visit: Any, base: str) -> None:
    page = visit(base, "12")
    sent: list[str] = []

    def lose(route: Any) -> None:
        sent.append(route.request.post_data)
        answer = route.fetch()  # it arrives, and its answer does not
        if len(sent) == 1:
            told = {"error": {"code": "timeout", "message": "it took too long; send the same again"}}
            route.fulfill(status=503, json=told)
        else:
            route.fulfill(response=answer)

    page.route("**/v1/events", lose)
    before = _titles(page)
    page.get_by_role("button", name=f"Liked: {before[0]}", exact=True).click()
    page.get_by_text("It took too long; send the same again.").wait_for()
    page.mouse.wheel(0, 1500)
    assert page.locator("#list-error").bounding_box()["y"] >= 0
    page.get_by_role("button", name="Try again").click()
    assert before[0] not in _until_changed(page, before)
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert len(_held(page, base, "12")["events"]) == 1


def test_titles_are_text_whatever_they_hold(visit: Any, base: str) -> None:
    page = visit(base, "39")
    page.get_by_label("Find it by title").fill("img src")
    page.locator(".found-title").wait_for()
    assert page.locator(".found-title").inner_text() == HOSTILE
    page.locator("#found").get_by_role("button", name="Liked: <img").click()
    page.get_by_text("Liked, saved").wait_for()
    page.get_by_role("button", name="Change user").click()
    page.get_by_label("Your id").fill("<b onclick=alert(1)>new</b>")
    page.get_by_role("button", name="Open").click()
    page.locator(".card", has_text="<img src=x").wait_for()
    assert HOSTILE in _titles(page)
    page.get_by_role("button", name="Seen it: <img").click()
    page.locator(".mark", has_text="<img src=x").wait_for()
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(visit: Any, base: str, scheme: str) -> None:
    page = visit(base, size=PHONE, color_scheme=scheme, tour=True)
    page.locator(".chip").first.wait_for()
    _fits(page)
    page.locator(".chip").nth(1).click()
    page.locator("#tour[open]").wait_for()
    _fits(page)
    page.get_by_role("button", name="End the tour").click()
    page.get_by_text("What speaks for it").first.click()
    page.get_by_role("button", name="Rename").first.click()
    page.get_by_label("Find it by title").fill("a")
    page.locator(".found-title").first.wait_for()
    _fits(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(250, 248, 244)") == (scheme == "light")


def test_everything_can_be_done_with_the_keyboard(visit: Any, base: str) -> None:
    page = visit(base, tour=True)
    page.locator(".chip").first.wait_for()
    page.keyboard.press("Tab")  # from the title of the page
    assert page.locator(".chip:focus").count() == 1
    page.get_by_label("Your id").press("Shift+Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("with keys")
    page.keyboard.press("Enter")
    page.locator("#tour[open]").wait_for()
    page.keyboard.press("Escape")
    assert not page.locator("#tour").is_visible()
    assert _focused(page) == "list-title"
    page.keyboard.press("Tab")
    assert _focused(page) == "find-text"
    page.keyboard.type("Silent Har")
    page.locator("#found").get_by_role("button", name="Liked: Silent Harbour").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("Liked, saved").wait_for()
    assert _focused(page) == "Liked, saved"
    page.keyboard.press("Escape")
    assert _focused(page) == "find-text"
    page.locator("#list-lead", has_text="Silent Harbour").wait_for()  # one reason for all of them
    page.keyboard.press("Tab")
    assert "What speaks for it" in _focused(page)
    page.keyboard.press("Enter")
    assert page.locator(".why[open]").count() == 1
    for _ in range(3):
        page.keyboard.press("Tab")
    before = _titles(page)
    page.keyboard.press("Space")
    after = _until_changed(page, before)
    assert before[0] not in after
    assert _focused(page) == "mark"
    page.locator(".persona").first.get_by_role("radio", checked=True).focus()
    number = page.locator(".persona").first.get_attribute("data-persona")
    page.keyboard.press("ArrowLeft")
    page.locator(f'.persona[data-persona="{number}"].muted').wait_for()
    assert _focused(page) == f"persona-{number}-0"
    page.locator("#live", has_text="is muted. The list").wait_for(state="attached")


def test_a_token_is_asked_for_and_a_wrong_one_is_told(visit: Any, guarded: str, store: EventStore) -> None:
    page = visit(guarded)
    page.get_by_label("Token", exact=True).fill("recsys_wrong")
    page.keyboard.press("Enter")
    page.get_by_text("This token is unknown, expired or revoked, or its user was erased; get a new one.").wait_for()
    secret = token(store, ["read"], "2")
    page.get_by_label("Token", exact=True).fill(secret)
    page.get_by_role("button", name="Use this token").click()
    # A token of one user leads to that user, and says in words what it does not allow.
    page.locator(".chip", has_text="2").click()
    page.locator(".card").first.wait_for()
    assert page.locator(".card-title").count() == 10
    page.get_by_role("button", name="Liked:").first.click()
    page.get_by_text("This token lacks the scope 'write'").wait_for()
    page.evaluate("localStorage.setItem('recsys.user', '3')")
    page.reload()
    page.get_by_text("This token is for another user").first.wait_for()
    assert page.evaluate("JSON.stringify(localStorage)").count(secret) == 0
    assert page.evaluate("sessionStorage.getItem('recsys.token')") == secret


def test_a_token_is_in_no_address(visit: Any, guarded: str, store: EventStore, browser: Any) -> None:
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
    assert page.locator(".card").count() == 10


def test_the_tour_is_for_the_first_visit_and_can_be_taken_again(visit: Any, base: str) -> None:
    page = visit(base, "14", tour=True)
    page.locator("#tour[open]").wait_for()
    steps = 1
    while page.locator("#tour-next").inner_text() == "Next":
        assert _focused(page) == "tour-title"
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
    assert _focused(page) == "start-tour"


def test_data_is_taken_along_and_erased(visit: Any, base: str) -> None:
    page = visit(base, "16")
    before = _titles(page)
    page.get_by_role("button", name=f"Liked: {before[0]}", exact=True).click()
    _until_changed(page, before)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download my data").click()
    taken = json.loads(Path(waiting.value.path()).read_text(encoding="utf-8"))
    assert waiting.value.suggested_filename == "recsys-16.json"
    assert (taken["user_id"], len(taken["events"])) == ("16", 1)
    page.get_by_role("button", name="Erase my data").click()
    assert _focused(page) == "erase-cancel"
    page.keyboard.press("Enter")
    assert len(_held(page, base, "16")["events"]) == 1
    page.get_by_role("button", name="Erase my data").click()
    page.get_by_role("button", name="Erase it").click()
    page.get_by_text("Everything of 16 is erased.").first.wait_for()
    assert "Nothing of yours is known yet" in page.locator("#list-lead").inner_text()
    held = _held(page, base, "16")
    assert held["events"] == held["logged"] == []


def test_a_service_that_is_gone_is_told_with_a_way_back(visit: Any, base: str) -> None:
    page = visit(base)
    page.locator(".chip").first.wait_for()
    page.route("**/v1/**", lambda route: route.abort())
    page.locator(".chip").first.click()
    page.get_by_text("The service does not answer.").first.wait_for()
    page.unroute("**/v1/**")
    page.get_by_role("button", name="Try again").first.click()
    page.locator(".card").first.wait_for()


def test_nothing_moves_for_who_does_not_want_it(visit: Any, base: str) -> None:
    moves = "getComputedStyle(document.querySelector('.fresh')).animationName"
    names = []
    for user, wish in (("22", "no-preference"), ("24", "reduce")):
        page = visit(base, user, reduced_motion=wish)
        page.get_by_role("button", name="Seen it").first.click()
        page.locator(".fresh").first.wait_for()
        names.append(page.evaluate(moves))
    assert names == ["arrive", "none"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Any, base: str, guarded: str, scheme: str) -> None:
    script = axe()
    page = visit(base, color_scheme=scheme, reduced_motion="reduce", tour=True)
    page.locator(".chip").first.wait_for()
    assert barriers(page, script) == []
    page.locator(".chip").nth(3).click()
    page.locator("#tour[open]").wait_for()
    assert barriers(page, script) == []
    page.keyboard.press("Escape")
    page.get_by_text("What speaks for it").first.click()
    page.locator(".persona").last.get_by_role("radio", name="Mute").check()
    page.locator(".persona.muted").wait_for()
    page.get_by_role("button", name="Rename").first.click()
    page.get_by_label("Find it by title").fill("a")
    page.locator(".found-title").first.wait_for()
    page.get_by_role("button", name="Not for me").last.click()
    page.locator("#mark").wait_for()
    page.get_by_text("What you marked").click()
    page.locator("#marked button").first.wait_for()
    assert barriers(page, script) == []
    page.get_by_role("button", name="Erase my data").click()
    assert barriers(page, script) == []
    page.get_by_role("button", name="Keep it").click()
    asked = visit(guarded, color_scheme=scheme)
    asked.get_by_label("Token", exact=True).fill("x")
    asked.keyboard.press("Enter")
    asked.get_by_text("This token is unknown").wait_for()
    assert barriers(asked, script) == []
