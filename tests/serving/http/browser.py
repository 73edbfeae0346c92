"""Debian's chromium, headless, for the tests of the page; and axe-core, which scans a page for barriers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest

from benchmarks.serving.processes.chromium import open_chromium
from recsys.errors import ConfigError


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
    """Return what axe-core finds serious or critical on a page as it is now."""
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
