"""Finds the logs of data sets in the folders of logs, and downloads missing ones with a verified checksum."""

from __future__ import annotations

import hashlib
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from recsys.data.catalogue import cards, locations
from recsys.data.catalogue.cards import Card
from recsys.errors import DataError
from recsys.files import replacing

LOGGER = logging.getLogger("recsys.data")
TIMEOUT_SECONDS = 30
_PIECE = 1 << 20

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes received and the total size, None if the server does not give it."""


def find(name: str, root: Path | None = None) -> Path | None:
    """Return the path of a card's log in the folders of `locations.data_roots`, or None."""
    places = (folder / path for folder in locations.data_roots(root) for path in cards.card(name).paths)
    return next((place for place in places if place.exists()), None)


def is_available(name: str, root: Path | None = None) -> bool:
    """Whether a card's log can be loaded now, without a download."""
    entry = cards.card(name)
    if entry.generator is not None or find(name, root) is not None:
        return True
    return entry.derivation is not None and is_available(entry.derivation.source, root)


def fetch(name: str, *, root: Path | None = None, progress: Progress | None = None) -> Path:
    """Return the path of a card's log, downloading it if it is missing.

    Args:
        root: folder to search first and to download to; None: `RECSYS_DATA` if it is set and writable, else the user's
            cache.
        progress: called after each piece of the download.

    Raises:
        DataError: there is no such card, no URL (the message says which file to put where), no network, or the
            checksum is wrong.
    """
    entry = cards.card(name)
    path = find(name, root)
    if path is not None:
        return path
    if entry.generator is not None:
        raise DataError(f"{name} is simulated: there is nothing to fetch, it can be loaded at once")
    folder = locations.download_root(root)
    if entry.url is None or entry.file is None:
        derived = f"; or fetch {entry.derivation.source}, from which it can be made" if entry.derivation else ""
        raise DataError(
            f"{name} has no public URL; {entry.place} (folder of logs: {folder}, or set RECSYS_DATA){derived}"
        )
    download(entry, folder / entry.file, progress)
    return folder / entry.file


def download(card: Card, target: Path, progress: Progress | None = None) -> None:
    """Download a card's file to `target`.

    `target` appears only once its checksum is verified: the card's SHA-256, else its MD5, else the MD5 at the
    publisher. Without any of them the computed SHA-256 is logged.

    Raises:
        DataError: there is no network, the folder cannot be written, or the checksum differs.
    """
    url = card.url
    if url is None:
        raise DataError(f"{card.name} has no public URL; {card.place}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            with temporary.open("wb") as stream:
                digests = _copy(url, stream.write, progress, card)
            _verify(card, digests)
    except OSError as error:
        raise DataError(
            f"{card.name} cannot be saved in {target.parent} ({error}); set RECSYS_DATA to a folder that can be written"
        ) from error


def _copy(url: str, write: Callable[[bytes], object], progress: Progress | None, card: Card) -> dict[str, str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    done = 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - cards hold http(s) only
            total = int(response.headers.get("Content-Length") or 0) or None
            while piece := response.read(_PIECE):
                write(piece)
                sha256.update(piece)
                md5.update(piece)
                done += len(piece)
                if progress is not None:
                    progress(done, total)
    except urllib.error.HTTPError as error:
        error.close()
        page = card.homepage or url
        raise DataError(f"{card.name}: {url} answers {error.code} {error.reason}; see {page}") from error
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
    digest = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    return digest.group() if digest else None
