"""Reads a log of any known format into `Interactions`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, final

from recsys.checks import object_named, path_of
from recsys.data.interactions import Interactions
from recsys.data.readers.columns import Columns, clock_of
from recsys.data.readers.layout import Layout, detect, sample
from recsys.data.readers.metadata import read_items, read_metadata
from recsys.data.readers.parsing import chunks
from recsys.data.readers.rejects import Rejects
from recsys.data.readers.remarks import remark_on_rating, remark_on_rows, remark_on_time, remark_on_values
from recsys.data.readers.rows import Rows
from recsys.data.readers.sources import find_log
from recsys.data.readers.validation import Checked, Validator
from recsys.errors import DataError

LOGGER = logging.getLogger("recsys.data")

OnError = Literal["raise", "skip"]


@final
@dataclass(frozen=True)
class ReadReport:
    """What happened to the rows of a file.

    Attributes:
        source: the file, with the member of an archive.
        rows: data rows in the file, bad ones included.
        events: events of the log.
        rejected: bad rows that were left out.
        rejects: the file that lists the bad rows; None if there are none.
        duplicates: exact duplicates that were dropped.
        re_ratings: re-ratings that were dropped.
        time_unit: how the file writes its times; None without times.
        columns: name of the column taken for each role.
    """

    source: str
    rows: int
    events: int
    rejected: int
    rejects: Path | None
    duplicates: int
    re_ratings: int
    time_unit: str | None
    columns: dict[str, str]


def read_log(
    path: str | Path,
    columns: Columns | None = None,
    *,
    user: str | None = None,
    item: str | None = None,
    value: str | None = None,
    time: str | None = None,
    rating: str | None = None,
    timestamp: str | None = None,
    kind: str | None = None,
    feedback: str | None = None,
    on_error: OnError = "raise",
    rejects: Path | None = None,
    name: str | None = None,
    reader: str | None = None,
    items: str | Path | None = None,
) -> Interactions:
    """Read a log of any known format, or with a reader of one's own.

    The format is detected from the file: `u.data`, `ratings.dat`, `ratings.csv` as GroupLens publishes them; any CSV,
    TSV, Parquet, Arrow (Feather) or JSON file; each plain or compressed (gzip, bzip2, xz, zstd), in a folder, or in a
    zip archive, which is not unpacked; and a folder of Parquet or Arrow files, which are the parts of one log.
    Titles, genres and tags are read from GroupLens' files beside the ratings.

    Memory is about 100 bytes per event at its peak; the text of the file is never held as a whole.

    Args:
        path: file, folder or zip archive.
        columns: which column holds what, and the policies; None: all recognised, all defaults.
        user, item, value, time: names of the columns of user ids, item ids, ratings and times, as in `columns`.
        rating, timestamp: other words for `value` and `time`, as in `columns`.
        kind, feedback: name of the column that says what was done, as in `columns`.
        on_error: "raise", or "skip" to leave bad rows out and write them to `rejects`.
        rejects: file for bad rows; None: `<file name>.rejected.csv` in the working directory.
        name: of the log, for reports; None: the file's name.
        reader: a function (path, columns) -> `Interactions` that reads the file instead: its dotted path, or an entry
            point of `recsys.readers`; None: `columns.reader`.
        items: a file with titles and genres of the items, of any format; see `recsys.data.readers.metadata.read_items`.

    Raises:
        DataError: naming file, line, value and cure.
        ConfigError: there is no such reader.
    """
    path = path_of("read", path)
    columns = (columns or Columns()).naming(
        user=user,
        item=item,
        value=value,
        rating=rating,
        time=time,
        timestamp=timestamp,
        kind=kind,
        feedback=feedback,
    )
    reader = reader or columns.reader
    if reader is None:
        log, _ = read_log_with_report(path, columns, on_error=on_error, rejects=rejects, name=name)
    else:
        log = _read_by(reader, path, columns, on_error, name)
    return log if items is None else with_items(log, items)


def with_items(log: Interactions, path: str | Path, vectors: str | Path | None = None) -> Interactions:
    """Return a log with the titles and genres that a file of items has, and vectors of its rows; see `read_items`."""
    file = path_of("items", path).expanduser()
    given = None if vectors is None else path_of("item vectors", vectors)
    return replace(log, metadata=read_items(file, log.items, log.metadata, given))


def checked_chunks(layout: Layout, validator: Validator, on_error: OnError, rejected: Rejects) -> Iterator[Checked]:
    """Yield the usable rows of a file chunk by chunk; memory does not grow with it.

    Args:
        layout: of the file.
        validator: of its rows.
        on_error: "raise", or "skip" to leave bad rows out.
        rejected: what is left out.

    Raises:
        DataError: a row is bad; the message names file, line, value and cure.
    """
    for chunk in chunks(layout):
        checked = validator.check(chunk)
        if checked.rejected:
            if on_error == "raise":
                first = checked.rejected[0]
                raise DataError(f"{checked.where}, {layout.unit} {first.line}: {first.reason}")
            rejected.add(checked.rejected, chunk.texts([row.line for row in checked.rejected]))
        yield checked


def _read_by(reader: str, path: Path, columns: Columns, on_error: OnError, name: str | None) -> Interactions:
    if on_error == "skip":
        raise DataError(f"{path}: the reader {reader!r} cannot leave out bad rows; use on_error='raise'")
    log = object_named("reader", reader, "recsys.readers")(Path(path), columns)
    if not isinstance(log, Interactions):
        raise DataError(f"{path}: the reader {reader!r} returned {type(log).__name__}; it must return Interactions")
    return replace(log, name=name or Path(path).name)


def read_log_with_report(
    path: str | Path,
    columns: Columns | None = None,
    *,
    on_error: OnError = "raise",
    rejects: Path | None = None,
    name: str | None = None,
) -> tuple[Interactions, ReadReport]:
    """Read a log of a known format, and report what happened to its rows; see `read_log`."""
    columns = columns or Columns()
    source = find_log(Path(path))
    layout = detect(source, columns)
    rows, validator = Rows(layout.unit), Validator(columns)
    with Rejects(rejects or Path.cwd() / f"{source.base}.rejected.csv") as rejected:
        for checked in checked_chunks(layout, validator, on_error, rejected):
            rows.add(checked)
    if rejected.count:
        LOGGER.warning("%s: %d bad rows left out, listed in %s", source.label, rejected.count, rejected.path)
    count = len(rows) + rejected.count
    if not len(rows) and rejected.count:
        raise DataError(f"{source.label}: none of its {count} rows is usable, see {rejected.path}")
    if not len(rows):
        first_line = 2 if layout.kind == "text" and layout.header else 1
        raise DataError(
            f"{source.label}, {layout.unit} {first_line}: the file is empty, it has no rows; export it again"
        )
    usable = len(rows)
    numbered, duplicates, re_ratings = rows.numbered(columns, layout.roles)
    numbered = numbered._replace(metadata=read_metadata(source, numbered.items, numbered.metadata))
    log = Interactions.sorted(*numbered, name or Path(path).name)
    if not len(log.uses):
        raise DataError(f"{log.name}: none of its {len(log)} events is an interaction, all are dislikes or skips")
    if "value" not in layout.roles:
        remark_on_rating(source.label, sample(layout), [layout.names[at] for at in layout.roles.values()])
    if clock_of(layout.roles) == "none":
        remark_on_time(source.label, sample(layout), [layout.names[at] for at in layout.roles.values()])
    remark_on_values(source.label, validator.unread_values)
    remark_on_rows(source.label, validator.trimmed, usable, len(log), duplicates, re_ratings)
    return log, ReadReport(
        source.label,
        count,
        len(log),
        rejected.count,
        rejected.path if rejected.count else None,
        duplicates,
        re_ratings,
        validator.time_unit,
        {role: layout.names[position] for role, position in layout.roles.items()},
    )
