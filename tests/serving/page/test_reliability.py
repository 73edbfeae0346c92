"""Ratings on the page: which count little, "I meant that", asked again; and how split people are over a title."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.serving.processes.served_process import ServedProcess
from recsys.data.pairs import Splits
from recsys.experiments.runs import SPLITS, load_model, run_log
from recsys.worlds.responses import answer_world
from tests.serving.page.browser import PHONE, Visit, answer, axe, barriers, focused, titles, until_changed, until_titles
from tests.serving.serving_run import START, train


@pytest.fixture(scope="module")
def reliable(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service whose model weighs ratings, and which knows how split people are."""
    world = answer_world(0.0, users=150, items=40, pairs=25, seed=2)
    folder = tmp_path_factory.mktemp("reliable")
    rows = zip(world.user.tolist(), world.item.tolist(), world.value.tolist(), strict=True)
    lines = [f"u{user},i{item},{value:g},{START + 90_000 * place}" for place, (user, item, value) in enumerate(rows)]
    (folder / "log.csv").write_text("user,item,rating,timestamp\n" + "\n".join(lines) + "\n", encoding="utf-8")
    run = train(folder / "run", folder / "log.csv", "ease_reliable", mixture__rounds=3, mixture__classes=2)
    model = load_model(run)
    items = model.fitted_on.items
    Splits.of(run_log(run, model), items, raters=10).save(run / SPLITS, items)
    with ServedProcess(run, str(folder / "events.db")) as service:
        yield service.url


def test_a_rating_that_counts_little_counts_when_the_person_meant_it(visit: Visit, reliable: str) -> None:
    page = visit(reliable, "u0")
    before = titles(page)
    told = answer(page, reliable, "u0", "reliability")
    lead = page.locator("#reliability-lead").inner_text()
    assert f"Of your {told['answers']} ratings, about {round(told['genuine']['share'] * 100)}%" in lead
    least = sorted((one for one in told["events"] if one["weight"] < 0.5), key=lambda one: one["weight"])
    rows = page.locator("#reliability-events li")
    assert rows.count() == min(5, len(least)) > 0
    assert rows.first.inner_text().startswith(least[0]["title"])
    assert (
        f"Rated {least[0]['value']:g}, counts {round(least[0]['weight'] * 100)}%: {least[0]['why']}."
        in rows.first.inner_text()
    )
    assert barriers(page, axe()) == []

    rows.first.get_by_role("button", name="I meant that").click()
    after = until_changed(page, before)
    page.locator("#change h2", has_text="Meant: ").wait_for()
    key = f"meant {least[0]['item_id']}"
    meant = page.locator(f'[data-key="{key}"]')
    assert meant.inner_text() == "Take back"
    assert "counts 100%: you said that you meant it" in page.locator("#reliability-events").inner_text()
    page.locator("#undo").click()
    assert until_changed(page, after) == before
    assert page.evaluate("document.activeElement.dataset.key") == key
    assert meant.inner_text() == "I meant that"


def test_a_rating_is_asked_about_again_and_the_answer_counts(visit: Visit, reliable: str) -> None:
    page = visit(reliable, "u3", size=PHONE)
    before = titles(page)
    asked = answer(page, reliable, "u3", "ask-again?n=2")
    assert asked["scale"] == [1, 2, 3, 4, 5]
    first = asked["questions"][0]
    question = page.locator("#reliability-questions li").first
    assert f"{first['title']}, to which you gave {first['value']:g}" in question.inner_text()
    assert question.get_by_role("button").all_inner_texts() == ["1", "2", "3", "4", "5"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    other = 1 if first["value"] > 3 else 5
    question.get_by_role("button", name=f"Rate {first['title']} {other}").click()
    page.locator("#change h2", has_text=f"Rated {other}: {first['title']}").wait_for()
    stored = answer(page, reliable, "u3", "data")["events"]
    assert [(one["item_id"], one["value"], one["kind"]) for one in stored] == [(first["item_id"], other, "rating")]
    page.locator("#undo").click()
    page.locator("#change").wait_for(state="hidden")
    assert answer(page, reliable, "u3", "data")["events"] == []
    until_titles(page, before)


def test_a_card_says_how_split_people_are_over_it(visit: Visit, reliable: str) -> None:
    page = visit(reliable, "u4")
    split = next(one for one in answer(page, reliable, "u4", "recommendations?n=10")["items"] if one["split"])
    card = page.locator(f'.card[data-item="{split["item_id"]}"]')
    card.locator("summary").click()
    hint = card.locator(".why .hint").inner_text()
    assert f"{split['split']['preferred']} of {split['split']['raters']} people who rated both" in hint


def test_a_model_that_counts_all_ratings_alike_has_no_such_panel(visit: Visit, base: str) -> None:
    page = visit(base, "1")
    assert not page.locator("#reliability").is_visible()
    assert focused(page) == "list-title"
