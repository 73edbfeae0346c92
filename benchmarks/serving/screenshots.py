"""Draw the pictures of the page in the documentation: `python -m benchmarks.screenshots --run DIR`.

Serves the run on a temporary store, and opens the page as one of the users that the page offers. Needs chromium and
`recsys[serving,browser]`. The fonts are those of the machine.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from benchmarks.serving.processes.chromium import open_chromium
from benchmarks.serving.processes.served_process import ServedProcess
from benchmarks.tools.command import parser, program, require

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
_DESK, _PHONE = (1280, 960), (390, 844)
_LIKED = ("alien", "blade runner", "matrix")
"""Titles that a new user likes; the run must have such items."""


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the pictures; return the exit code."""
    command = parser("screenshots", __doc__)
    command.add_argument("--run", type=Path, required=True, help="directory of a finished run")
    command.add_argument("--user", help="user of the page (default: the third that it offers)")
    command.add_argument("--out", type=Path, default=IMAGES, help="folder of the pictures (default: docs/images)")
    options = command.parse_args(arguments)

    require("serving", "fastapi", "uvicorn", "sqlalchemy")
    require("browser", "playwright")
    options.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_chromium() as browser,
        ServedProcess(options.run, str(Path(folder) / "events.db")) as service,
    ):
        for path in draw(browser, service.url, options.user, options.out):
            print(path)
    return 0


def draw(browser: Browser, url: str, user: str | None, out: Path) -> list[Path]:
    """Draw the page at an address: light, dark, on a phone, and as a new user; return the pictures."""
    light = _page(browser, url, _DESK, "light")
    if user is None:
        user = str(light.locator(".chip").nth(2).get_attribute("data-user"))
    _open(light, user)
    because = light.locator(".why summary", has_text="Because of")
    (because if because.count() else light.locator(".why summary")).first.click()
    phone = _page(browser, url, _PHONE, "light")
    _open(phone, user)
    dark = _page(browser, url, _DESK, "dark")
    _open(dark, user)
    dark.locator(".shelf").first.get_by_role("button", name="Mute").click()
    dark.locator("#change").wait_for()
    new = _page(browser, url, _DESK, "light")
    _open(new, "somebody new")
    for title in _LIKED:
        new.get_by_label("Find it by title").fill(title)
        match = new.locator("#found li", has_text=re.compile(title, re.IGNORECASE)).first
        match.get_by_role("button", name="Liked: ").click()
        new.get_by_text("Liked, saved").wait_for()
    new.locator("li.persona").first.wait_for()
    new.get_by_role("button", name="Close what changed").click()
    new.get_by_label("Find it by title").press("Escape")
    pictures = {"page_light": light, "page_dark": dark, "page_phone": phone, "page_new": new}
    paths = []
    for name, page in pictures.items():
        page.mouse.move(0, 0)
        page.wait_for_timeout(1_000)  # animations end
        paths.append(out / f"{name}.png")
        _small(page.screenshot()).save(paths[-1], optimize=True)
        page.context.close()
    return paths


def _page(browser: Browser, url: str, size: tuple[int, int], scheme: Literal["light", "dark"]) -> Page:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.add_init_script("localStorage.setItem('recsys.tour', 'seen')")
    page = context.new_page()
    page.goto(url)
    page.locator(".chip").first.wait_for()
    return page


def _small(png: bytes) -> Image.Image:
    """Return a picture with 256 colours, which the page does not exceed but for smooth edges."""
    return Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)


def _open(page: Page, user: str) -> None:
    page.get_by_label("Your id").fill(user)
    page.get_by_role("button", name="Open").click()
    page.locator(".card").first.wait_for()
