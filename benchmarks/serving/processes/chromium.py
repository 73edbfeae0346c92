"""Debian's chromium, headless and driven by playwright: for the tests of the page, and for its pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recsys.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """Open a browser of playwright, which is closed at the end.

    Raises:
        ConfigError: playwright or the browser is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 (an optional library)
    except ModuleNotFoundError:
        raise ConfigError("playwright is not installed; pip install 'recsys[browser]'") from None
    program = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        raise ConfigError("there is no chromium; apt install chromium")
    with sync_playwright() as playwright:
        # Its sandbox needs rights that a container does not give; it opens this service alone.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
