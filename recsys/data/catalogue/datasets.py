"""Logs by name: finding, downloading and loading the data sets that have a card, and any other file.

The libraries that read logs are imported where a log is read, so that a command line lists the cards without them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.data.catalogue import locations
from recsys.data.catalogue.cards import Card, Derivation
from recsys.data.readers.columns import Columns, Duplicates, ReRatings
from recsys.errors import DataError, nearest

if TYPE_CHECKING:
    from recsys.data.interactions import Interactions
    from recsys.data.readers.log import OnError, ReadReport


@cache
def _read_cards(folder: Path) -> dict[str, Card]:
    return {path.stem: Card.read(path) for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def cards() -> dict[str, Card]:
    """Return all dataset cards by name, sorted."""
    return dict(_read_cards(locations.shipped("datasets")))


def card(name: str) -> Card:
    """Return one card.

    Raises:
        DataError: there is no card of that name; the nearest name and all names are told.

    >>> card("ml-100k").rows
    100000
    """
    known = cards()
    if name not in known:
        raise DataError(f"no data set {name!r}{nearest(name, known)}; known: {', '.join(known)}; or give a file")
    return known[name]


def find(name: str, root: Path | None = None) -> Path | None:
    """Return where the log of a card lies, or None; the folders are those of `locations.data_roots`."""
    places = (folder / path for folder in locations.data_roots(root) for path in card(name).paths)
    return next((place for place in places if place.exists()), None)


def is_available(name: str, root: Path | None = None) -> bool:
    """Whether a card's log can be loaded now, without a download."""
    entry = card(name)
    if entry.simulated or find(name, root) is not None:
        return True
    return entry.derivation is not None and is_available(entry.derivation.source, root)


def fetch(name: str, *, root: Path | None = None, progress: Callable[[int, int | None], None] | None = None) -> Path:
    """Return the path of a card's log, downloading it if it is not there.

    Args:
        name: of the card.
        root: folder to look in first and to download to; None: RECSYS_DATA if it is set and can be written, else the
            user's cache.
        progress: called with bytes done and bytes in all (None if unknown).

    Raises:
        DataError: there is no such card, no URL (the text says which file to put where), no network, or the checksum is
            wrong.
    """
    entry = card(name)
    found = find(name, root)
    if found is not None:
        return found
    if entry.simulated:
        raise DataError(f"{name} is simulated: there is nothing to fetch, it can be loaded at once")
    folder = locations.download_root(root)
    if entry.url is None or entry.file is None:
        derived = f"; or fetch {entry.derivation.source}, from which it can be made" if entry.derivation else ""
        raise DataError(
            f"{name} has no public URL; {entry.place} (folder of logs: {folder}, or set RECSYS_DATA){derived}"
        )
    from recsys.data.catalogue import fetching  # noqa: PLC0415

    target = folder / entry.file
    fetching.download(entry, target, progress)
    return target


def load(
    name_or_file: str | Path,
    *,
    root: Path | None = None,
    columns: Columns | None = None,
    on_error: OnError = "raise",
    rejects: Path | None = None,
    seed: int = 0,
    duplicates: Duplicates | None = None,
    re_ratings: ReRatings | None = None,
) -> Interactions:
    """Load a log by the name of its card, or from any file; see `load_with_report`."""
    return load_with_report(
        name_or_file,
        root=root,
        columns=columns,
        on_error=on_error,
        rejects=rejects,
        seed=seed,
        duplicates=duplicates,
        re_ratings=re_ratings,
    )[0]


def load_with_report(
    name_or_file: str | Path,
    *,
    root: Path | None = None,
    columns: Columns | None = None,
    on_error: OnError = "raise",
    rejects: Path | None = None,
    seed: int = 0,
    duplicates: Duplicates | None = None,
    re_ratings: ReRatings | None = None,
) -> tuple[Interactions, ReadReport | None]:
    """Load a log by the name of its card, or from any file, and tell what happened to its rows.

    A name of a card goes before a file of that name in the working directory; write `./NAME` for the file.

    Args:
        name_or_file: name of a card, or a file, folder or zip archive.
        root: folder of logs to look in first.
        columns: how to read the file; None: as the card declares, or all recognised.
        on_error: "raise", or "skip" to leave bad rows out.
        rejects: file for bad rows.
        seed: of the simulated log.
        duplicates: overrides the declared policy.
        re_ratings: overrides the declared policy.

    Returns:
        The log, and the report of the reader (None for a simulated log).

    Raises:
        DataError: unknown name, the log is not at hand (the text says how to get it), or bad input.
    """
    from recsys.data.readers.log import read_log_with_report  # noqa: PLC0415

    name = str(name_or_file)
    entry = cards().get(name) if isinstance(name_or_file, str) else None
    if entry is None:
        path = Path(name_or_file).expanduser()
        if not path.exists():
            if len(path.parts) == 1 and not path.suffix:
                card(name)
            known = ", ".join(cards())
            raise DataError(f"{name} is neither a file nor a data set{nearest(name, cards())}; data sets: {known}")
        settings = _with_policies(columns or Columns(), duplicates, re_ratings)
        return read_log_with_report(path, settings, on_error=on_error, rejects=rejects)
    if entry.simulated:
        return replace(_simulated(entry, seed), name=name), None
    settings = _with_policies(columns or entry.columns, duplicates, re_ratings)
    found = find(name, root)
    if found is not None:
        log, report = read_log_with_report(found, settings, on_error=on_error, rejects=rejects, name=name)
        return _with_attributes(log, entry, found), report
    if entry.derivation is not None and is_available(entry.derivation.source, root):
        base, base_report = load_with_report(entry.derivation.source, root=root, on_error=on_error, rejects=rejects)
        return _derived(base, entry.derivation, name), base_report
    how = f"run `recsys data fetch {name}`" if entry.url else entry.place
    looked = ", ".join(str(folder) for folder in locations.data_roots(root))
    raise DataError(f"{name} is not at hand (looked in {looked}); {how}")


def _simulated(entry: Card, seed: int) -> Interactions:
    if entry.world == "drift":
        from recsys.worlds.drift import drift_world  # noqa: PLC0415

        return drift_world(seed).log
    from recsys.worlds.simulation import simulated_log  # noqa: PLC0415

    return simulated_log(seed=seed)


def _with_policies(columns: Columns, duplicates: Duplicates | None, re_ratings: ReRatings | None) -> Columns:
    return replace(columns, duplicates=duplicates or columns.duplicates, re_ratings=re_ratings or columns.re_ratings)


def _with_attributes(log: Interactions, entry: Card, found: Path) -> Interactions:
    if entry.attributes is None or not (found.parent / entry.attributes).exists():
        return log
    from recsys.data.readers.metadata import read_attributes  # noqa: PLC0415

    return replace(log, metadata=read_attributes(found.parent / entry.attributes, log.items, log.metadata))


def _derived(log: Interactions, derivation: Derivation, name: str) -> Interactions:
    import numpy as np  # noqa: PLC0415

    frequent = np.bincount(log.item_num, minlength=log.n_items) >= derivation.minimum_item_events
    kept = replace(log.select(frequent[log.item_num]).compact(), name=name)
    if derivation.clock == "seconds":
        return kept
    # The log is sorted by user and time, equal times in the order of the file, so the position is the order.
    position = np.arange(len(kept), dtype=np.int64) - kept.indptr[kept.user_num]
    return replace(kept, time=position, clock="order")
