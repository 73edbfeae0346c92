"""The page at `/`: its files and their headers. It uses the public API.

The files need no build and load nothing from elsewhere, which their content security policy makes the browser enforce.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, final

_STATIC = Path(__file__).parents[1] / "static"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"  # text can become markup nowhere
)


@final
@dataclass(frozen=True)
class PageFile:
    """A file of the page, with its headers: browsers cache it and revalidate each time, mostly with a 304."""

    content: bytes
    headers: Mapping[str, str]


@cache
def page_files() -> Mapping[str, PageFile]:
    """Return the files by path: `/`, and `/page/NAME`."""
    files = {}
    for path in sorted(path for path in _STATIC.iterdir() if path.suffix in _TYPES):
        content = path.read_bytes()
        url = "/" if path.name == "index.html" else f"/page/{path.name}"
        files[url] = PageFile(
            content,
            {
                "content-type": _TYPES[path.suffix],
                "etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
                "cache-control": "no-cache",
                "content-security-policy": _POLICY,
                "cross-origin-opener-policy": "same-origin",
            },
        )
    return files
