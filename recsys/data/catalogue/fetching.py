"""Downloading one file, verified before it takes its name."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from recsys.data.catalogue.cards import Card
from recsys.errors import DataError

LOGGER = logging.getLogger("recsys.data")
TIMEOUT_SECONDS = 30
_PIECE = 1 << 20

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have arrived and the size of the whole, if the server tells it."""


def download(card: Card, target: Path, progress: Progress | None = None) -> None:
    """Download a card's file to `target`.

    The bytes go to a temporary sibling, which is renamed once its checksum is right: the card's SHA-256, else its MD5,
    else the MD5 that the publisher keeps beside the file. Without any of them the computed SHA-256 is logged.

    Raises:
        DataError: there is no network, the folder cannot be written, or the checksum differs.
    """
    url = card.url
    if url is None:
        raise DataError(f"{card.name} has no public URL; {card.place}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise DataError(
            f"{card.name} cannot be saved in {target.parent} ({error.strerror}); "
            "set RECSYS_DATA to a folder that can be written"
        ) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            digests = _copy(url, stream.write, progress, card)
        _verify(card, digests)
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _copy(url: str, write: Callable[[bytes], object], progress: Progress | None, card: Card) -> dict[str, str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    done = 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - cards hold http(s) only
            length = response.headers.get("Content-Length")
            total = int(length) if length else None
            while piece := response.read(_PIECE):
                write(piece)
                sha256.update(piece)
                md5.update(piece)
                done += len(piece)
                if progress is not None:
                    progress(done, total)
    except urllib.error.HTTPError as error:
        error.close()
        raise DataError(
            f"{card.name}: {url} answers {error.code} {error.reason}; see {card.homepage or url}"
        ) from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise DataError(
            f"{card.name} cannot be downloaded from {url}: no network, or the server does not answer ({error}); "
            f"connect, or put the file as {card.file} in the folder that RECSYS_DATA names"
        ) from error
    if total is not None and done != total:
        raise DataError(f"{card.name}: only {done} of {total} bytes arrived from {url}; try again")
    return {"SHA-256": sha256.hexdigest(), "MD5": md5.hexdigest()}


def _verify(card: Card, digests: dict[str, str]) -> None:
    kind, expected = ("SHA-256", card.sha256) if card.sha256 else ("MD5", card.md5 or _published_md5(card))
    if expected is None:
        LOGGER.warning("%s: no checksum recorded; computed SHA-256 %s", card.name, digests["SHA-256"])
    elif digests[kind] != expected.lower():
        raise DataError(
            f"{card.name}: the file from {card.url} has {kind} {digests[kind]}, expected {expected}; it was damaged on "
            "the way, or the publisher replaced it: try again, and if it stays so compare with the publisher's checksum"
        )
    elif kind == "MD5":
        LOGGER.info("%s: MD5 is right; no SHA-256 recorded; computed %s", card.name, digests["SHA-256"])


def _published_md5(card: Card) -> str | None:
    if card.md5_url is None:
        return None
    try:
        with urllib.request.urlopen(card.md5_url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - as above
            text = response.read(4096).decode("ascii", errors="replace")
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError):
        return None
    found = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    return found.group() if found else None
