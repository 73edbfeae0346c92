"""Folders of the files shipped with the library and of the user's logs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from recsys.errors import DataError

_CHECKOUT = Path(__file__).resolve().parents[3]


def checkout() -> Path | None:
    """Return the source checkout that this module belongs to, or None for an installed library."""
    return _CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "datasets").is_dir() else None


def shipped(folder: str) -> Path:
    """Return a folder shipped with the library ("datasets" or "configs").

    It is in the source checkout, or in `share/recsys` of the environment after an installation.

    Raises:
        DataError: it is in neither.
    """
    source = checkout()
    places = [source / folder] if source is not None else []
    places.append(Path(sys.prefix) / "share" / "recsys" / folder)
    for place in places:
        if place.is_dir():
            return place
    looked = " or ".join(str(place) for place in places)
    raise DataError(f"the folder {folder!r} that comes with recsys is not at {looked}; install recsys again")


def cache() -> Path:
    """Return the user's cache of logs: `$XDG_CACHE_HOME/recsys`, by default `~/.cache/recsys`; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "recsys"


def data_roots(root: Path | None = None) -> list[Path]:
    """Return the folders of logs in the order of search.

    These are `root`, if given; the environment variable RECSYS_DATA, if set; a folder `shared/data` next to the source
    checkout, if it exists; and the user's cache.
    """
    roots = [] if root is None else [Path(root)]
    named = os.environ.get("RECSYS_DATA", "")
    if named:
        roots.append(Path(named).expanduser())
    source = checkout()
    if source is not None and (source.parent / "shared" / "data").is_dir():
        roots.append(source.parent / "shared" / "data")
    return [*roots, cache()]


def download_root(root: Path | None = None) -> Path:
    """Return the folder for downloads: `root`, else RECSYS_DATA if it is writable, else the user's cache."""
    if root is not None:
        return Path(root)
    named = os.environ.get("RECSYS_DATA", "")
    if named:
        place = Path(named).expanduser()
        if not place.exists() or os.access(place, os.W_OK):
            return place
    return cache()
