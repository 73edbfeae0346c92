"""Loads logs: of a data set by the name of its card, or of any file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from recsys import checks
from recsys.data.catalogue import cards, fetching, locations
from recsys.data.catalogue.cards import Derivation
from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.partitions.log import PartitionedLog
from recsys.data.readers.columns import Columns, Duplicates, ReRatings
from recsys.data.readers.log import OnError, read_log, with_items
from recsys.data.readers.metadata import read_attributes
from recsys.data.vocabulary import Vocabulary
from recsys.errors import DataError, nearest


def load(
    name_or_file: str | Path,
    *,
    root: Path | None = None,
    columns: Columns | None = None,
    on_error: OnError = "raise",
    rejects: Path | None = None,
    seed: int = 0,
    items: str | Path | None = None,
    duplicates: Duplicates | None = None,
    re_ratings: ReRatings | None = None,
) -> Interactions:
    """Load a log by the name of its card, or from any file.

    A card has precedence over a file of its name in the working directory; write `./NAME` for the file.

    Args:
        name_or_file: name of a card, or a file, folder or zip archive.
        root: folder of logs to search first.
        columns: how to read the file; None: as the card declares, or all recognised.
        on_error: "raise", or "skip" to leave bad rows out.
        rejects: file for bad rows.
        seed: of a simulated log.
        items: a file with titles and genres of the items, of any format; see `recsys.data.readers.metadata.read_items`.
        duplicates: overrides the declared policy.
        re_ratings: overrides the declared policy.

    Raises:
        DataError: unknown name, the log is missing (the message says how to get it), or bad input.
    """
    log = _loaded(name_or_file, root, columns, on_error, rejects, seed, duplicates, re_ratings)
    return log if items is None else with_items(log, items)


def policies_of(name: str, columns: Columns | None) -> Columns | None:
    """Return what is declared of a log's repeats; None for a log that is made otherwise, such as by a reader.

    Args:
        name: of a card, or a file.
        columns: as for `load`.
    """
    card = cards.all_cards().get(name)
    if card is not None and (card.generator is not None or card.derivation is not None):
        return None
    declared = columns or (Columns() if card is None else card.columns)
    return declared if declared.reader is None else None


def file_of(name: str, columns: Columns | None) -> tuple[Path, Columns] | None:
    """Return the file of a log and how it is read; None for a log that is made otherwise, such as by a reader.

    Args:
        name: of a card, or a file.
        columns: as for `load`.

    Raises:
        DataError: there is no such log.
    """
    entry = cards.all_cards().get(name)
    declared = policies_of(name, columns)
    if declared is None:
        return None
    if entry is None:
        return _existing(name), declared
    path = fetching.find(name, None)
    return None if path is None else (path, declared)


def described(name: str, path: Path, items: Vocabulary, metadata: ItemMetadata) -> ItemMetadata:
    """Return the metadata of a log's items with what the card's own file of attributes adds, if it is there.

    Args:
        name: of the card, or a file.
        path: the file of the log.
        items: of the log.
        metadata: what is known of them.
    """
    entry = cards.all_cards().get(name)
    attributes = None if entry is None or entry.attributes is None else path.parent / entry.attributes
    if attributes is None or not attributes.exists():
        return metadata
    return read_attributes(attributes, items, metadata)


def _loaded(
    name_or_file: str | Path,
    root: Path | None,
    columns: Columns | None,
    on_error: OnError,
    rejects: Path | None,
    seed: int,
    duplicates: Duplicates | None,
    re_ratings: ReRatings | None,
) -> Interactions:
    name = str(checks.path_of("load", name_or_file))
    entry = cards.all_cards().get(name) if isinstance(name_or_file, str) else None
    if entry is not None and entry.pairs:
        raise DataError(
            f"{name} is a log of choices between two items, not of events; read it with "
            f"recsys.data.pairs.read_pair_log({name!r}), or give it to recsys disagree --pairs"
        )
    if entry is not None and entry.generator is not None:
        log: Interactions = checks.object_named(f"card {name}: generator", entry.generator, "recsys.worlds")(seed=seed)
        return replace(log, name=name)
    if columns is None:
        columns = Columns() if entry is None else entry.columns
    columns = replace(columns, duplicates=duplicates or columns.duplicates, re_ratings=re_ratings or columns.re_ratings)
    if entry is None and PartitionedLog.is_at(name):
        return PartitionedLog.open(name).whole()
    if entry is None:
        return read_log(_existing(name_or_file), columns, on_error=on_error, rejects=rejects)
    path = fetching.find(name, root)
    if path is not None:
        log = read_log(path, columns, on_error=on_error, rejects=rejects, name=name)
        return replace(log, metadata=described(name, path, log.items, log.metadata))
    if entry.derivation is not None and fetching.is_available(entry.derivation.source, root):
        source = load(entry.derivation.source, root=root, on_error=on_error, rejects=rejects)
        return _derived(source, entry.derivation, name)
    how = f"run `recsys data fetch {name}`" if entry.url else entry.place
    folders = ", ".join(str(folder) for folder in locations.data_roots(root))
    raise DataError(f"{name} is not at hand (looked in {folders}); {how}")


def _existing(name_or_file: str | Path) -> Path:
    path = Path(name_or_file)
    with suppress(RuntimeError):  # "~" of nobody
        path = path.expanduser()
    try:
        missing = not path.exists()
    except OSError:  # find_log tells what is wrong with it
        return path
    if missing:
        if len(path.parts) == 1 and not path.suffix:
            cards.card(str(name_or_file))  # raises: it can only be a misspelt name
        known = cards.all_cards()
        hint = f"{nearest(str(name_or_file), known)}; data sets: {', '.join(known)}"
        raise DataError(f"{name_or_file} is neither a file nor a data set{hint}")
    return path


def _derived(log: Interactions, derivation: Derivation, name: str) -> Interactions:
    frequent = np.bincount(log.item_num, minlength=log.n_items) >= derivation.minimum_item_events
    derived = replace(log.select(frequent[log.item_num]).compact(), name=name)
    if derivation.clock == "seconds":
        return derived
    # The log is sorted by user and time, equal times in the order of the file, so the position is the order.
    return replace(derived, time=derived.positions, clock="order", superseded=None)
