"""Debian's chromium, headless, for the tests of the page; and axe-core, which scans a page for barriers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

import pytest

from benchmarks.serving.processes.chromium import open_chromium
from recsys.errors import ConfigError

DESK, PHONE, NARROW = (1280, 900), (390, 844), (320, 640)
"""Sizes of windows, in pixels."""


class Visit(Protocol):
    """Opens the page and returns it, as a user and with a token if given; `tour`: as somebody who has not seen it."""

    def __call__(
        self,
        base: str,
        user: str | None = None,
        *,
        size: tuple[int, int] = DESK,
        tour: bool = False,
        secret: str | None = None,
        **options: Any,
    ) -> Any: ...


def missing(what: str) -> NoReturn:
    """Skip a test, or fail it where `RECSYS_TEST_BROWSER` is `required`, as it is in `.ci/run`."""
    if os.environ.get("RECSYS_TEST_BROWSER") == "required":
        pytest.fail(f"{what}, and RECSYS_TEST_BROWSER is required")
    pytest.skip(what)


@contextmanager
def chromium() -> Iterator[Any]:
    """Give a browser, which is closed at the end."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(open_chromium())
        except ConfigError as error:
            missing(str(error))
        yield opened


def axe() -> str:
    """Return the script of axe-core that `.ci/axe` has fetched."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = sorted((cache / "recsys").glob("axe-core-*/axe.min.js"))
    if not found:
        missing("there is no axe-core: run .ci/axe")
    return found[-1].read_text(encoding="utf-8")


def barriers(page: Any, script: str) -> list[str]:
    """Return what axe-core finds serious or critical on a page, once nothing of it is on its way."""
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    page.evaluate(script)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert found["passes"], "nothing was looked at"
    return [
        f"{rule['impact']} {rule['id']}: {rule['help']}: {[node['html'][:200] for node in rule['nodes'][:3]]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


class Watch:
    """Notes what a page asks for and what goes wrong in it.

    Attributes:
        requests: method, address and body of each request.
        faults: exceptions, messages of the console that are errors, refusals of the policy of content.
    """

    def __init__(self, page: Any) -> None:
        self.requests: list[tuple[str, str, str | None]] = []
        self.faults: list[str] = []
        page.on("request", lambda sent: self.requests.append((sent.method, sent.url, sent.post_data)))
        page.on("pageerror", lambda error: self.faults.append(f"error {error}"))
        page.on("console", self._said)

    def origins(self) -> set[str]:
        """Return whom the page asked."""
        parts = [urlsplit(url) for _, url, _ in self.requests]
        return {f"{part.scheme}://{part.netloc}" for part in parts if part.scheme in ("http", "https", "ws", "wss")}

    def _said(self, message: Any) -> None:
        # The browser itself reports each answer that is not 2xx; those are looked at where they are meant.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(f"console {message.text}")


def titles(page: Any) -> list[str]:
    """Return the titles of the list, in the order of the page."""
    found: list[str] = page.locator("#shelves .card-title").all_inner_texts()
    return found


def until_changed(page: Any, before: list[str]) -> list[str]:
    """Return the titles of the list once they are others."""
    page.wait_for_function(
        "old => { const now = [...document.querySelectorAll('#shelves .card-title')].map((one) => one.textContent);"
        " return now.length && JSON.stringify(now) !== JSON.stringify(old)"
        " && document.querySelector('#list').getAttribute('aria-busy') === 'false'; }",
        arg=before,
    )
    return titles(page)


def until_titles(page: Any, wanted: list[str]) -> None:
    """Wait until the list has these titles."""
    page.wait_for_function(
        "wanted => JSON.stringify([...document.querySelectorAll('#shelves .card-title')].map((one) => one.textContent))"
        " === JSON.stringify(wanted)",
        arg=wanted,
    )


def answer(page: Any, base: str, user: str, what: str) -> dict[str, Any]:
    """Return what the service says of a user: "data", "personas", "recommendations?n=10"."""
    found: dict[str, Any] = page.request.get(f"{base}/v1/users/{user}/{what}").json()
    return found


def focused(page: Any) -> str:
    """Return the id or else the text of what has the focus."""
    found: str = page.evaluate("document.activeElement.id || document.activeElement.textContent")
    return found


def bare(title: str) -> str:
    """Return a title as the page shows it: the year at its end stands beside it."""
    return re.sub(r" \(\d{4}\)$", "", title)
