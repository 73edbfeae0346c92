"""A browser, services to look at, and pages opened as somebody; all of them for the tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving.processes.served_process import ServedProcess
from recsys.events.addresses import open_store
from recsys.events.store import EventStore
from tests.serving.page.browser import DESK, Visit, Watch, chromium
from tests.serving.titled_run import train_titled


@pytest.fixture(scope="module")  # while it is open a loop runs in this thread, and tests of other folders may follow
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="package")
def titled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_titled(tmp_path_factory.mktemp("titled"))


@pytest.fixture(scope="module")
def base(browser: Any, titled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service without tokens."""
    with ServedProcess(titled, str(tmp_path_factory.mktemp("open") / "events.db")) as service:
        yield service.url


@pytest.fixture(scope="module")
def guarded_events(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("guarded") / "events.db")


@pytest.fixture(scope="module")
def store(guarded_events: str) -> Iterator[EventStore]:
    with open_store(guarded_events) as opened:
        yield opened


@pytest.fixture(scope="module")
def guarded(browser: Any, titled: Path, guarded_events: str, store: EventStore) -> Iterator[str]:
    """The address of a service that wants tokens; those of `store`."""
    with ServedProcess(titled, guarded_events, ()) as service:
        yield service.url


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Opens pages; at the end none may have had a fault, or have asked anybody else."""
    opened: list[tuple[Any, Watch, str]] = []

    def visit(
        base: str,
        user: str | None = None,
        *,
        size: tuple[int, int] = DESK,
        tour: bool = False,
        secret: str | None = None,
        **options: Any,
    ) -> Any:
        """Open the page, as a user and with a token if given; `tour`: as somebody who has not seen it."""
        width, height = size
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(30_000)
        before = [] if tour else ["localStorage.setItem('recsys.tour', 'seen');"]
        if user is not None:
            known = f"localStorage.getItem('recsys.user') ?? localStorage.setItem('recsys.user', {json.dumps(user)});"
            before.append(known)
        if secret is not None:
            before.append(f"sessionStorage.setItem('recsys.token', {json.dumps(secret)});")
        context.add_init_script(" ".join(before))
        page = context.new_page()
        opened.append((page, Watch(page), base))
        page.goto(base)
        if user is not None:
            page.locator(".card").first.wait_for()
            page.locator("#list[aria-busy=false]").wait_for()
        return page

    yield visit
    for page, watch, base in opened:
        assert watch.faults == []
        assert watch.origins() == {base}
        page.context.close()
