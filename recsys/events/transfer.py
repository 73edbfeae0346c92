"""Exports, imports and training logs of an event store.

Importing an export gives the same events in the same order of arrival. Importing twice changes nothing: rows without
event ids get them from their content, so that equal rows, in one file or in two, are one event.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from pathlib import Path
from typing import TypeVar, cast, final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.kinds import KINDS, UNRATED_KINDS, Kind
from recsys.data.readers.columns import Columns, Duplicates, ReRatings, Role
from recsys.data.readers.layout import Layout, detect, split_fields
from recsys.data.readers.log import read_log
from recsys.data.readers.sources import find_log
from recsys.data.readers.tables import batches
from recsys.data.readers.times import UNIT_NAMES, parse_times
from recsys.data.spellings import NO_CODE, codes_of, kind_fault
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import DataError
from recsys.events.addresses import PINNED, is_address, located, open_store
from recsys.events.batches import content_id
from recsys.events.checks import check_event_time
from recsys.events.store import Event, EventStore, Recorded
from recsys.files import replacing

SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("value", pa.float64()),
        ("time", pa.int64()),
        ("kind", pa.string()),
        ("condition", pa.string()),
    ]
)
"""The columns of a file of events."""

_BATCH = 5000
_WRITERS = {".csv": pacsv.CSVWriter, ".parquet": pq.ParquetWriter}

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Imported:
    """Numbers of the rows of a file, of new events, and of events that were there already."""

    rows: int
    accepted: int
    repeated: int


def export_events(
    store: EventStore,
    path: Path,
    *,
    kinds: Collection[Kind] = KINDS,
    until: int | None = None,
    overwrite: bool = False,
    batch: int = _BATCH,
) -> int:
    """Write the events of a store to a file, in order of arrival, and return how many there are.

    The file appears when it is complete. Memory does not grow with the store.

    Args:
        store: where they are.
        path: `.csv` or `.parquet`.
        kinds: which to write.
        until: sequence number of the last one to write; None: of the newest when it begins.
        overwrite: replace a file that is there.
        batch: events in memory at a time.

    Raises:
        DataError: the format is unknown, the file is there, or it cannot be written.
    """
    file_writer = _WRITERS.get(path.suffix.lower())
    if file_writer is None:
        raise DataError(f"{path} is neither .csv nor .parquet; give one of the two")
    if path.exists() and not overwrite:
        raise DataError(f"{path} is there already; give another name, or replace it with --overwrite")
    last = store.last_sequence() if until is None else until
    changes = takewhile(lambda change: change.sequence <= last, store.replay(page=batch))
    of_kinds = (change.event for change in changes if isinstance(change, Recorded) and change.event.kind in kinds)
    count = 0
    try:
        with replacing(path) as temporary, file_writer(temporary, SCHEMA) as writer:
            for events in _batches(of_kinds, batch):
                columns = {field: [getattr(event, field) for event in events] for field in SCHEMA.names}
                writer.write_table(pa.Table.from_pydict(columns, SCHEMA))
                count += len(events)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}; give another path") from error
    return count


def import_events(
    store: EventStore,
    path: Path,
    *,
    columns: Columns | None = None,
    batch: int = _BATCH,
    clock: Callable[[], float] = time.time,
) -> Imported:
    """Append the events of a file: one that was exported, or any CSV, TSV, GroupLens or Parquet log with times.

    Args:
        store: where they go.
        path: file, folder or zip archive; see `recsys.data.readers.sources.find_log`.
        columns: which column holds what; None: recognised, by the rules for logs. A column `event_id` is always used.
        batch: events in one transaction.
        clock: Unix seconds; what cannot have been is refused, see `recsys.events.checks.check_event_time`.

    Raises:
        DataError: naming file, line, value and cure. Batches before that line are in the store; import the corrected
            file, nothing counts twice.
        ConflictError: an event id stands for another event in the store.
    """
    columns = columns or Columns()
    layout = detect(find_log(path), columns)
    if layout.kind in ("json", "array"):
        raise DataError(f"{layout.source.label}: events are imported from CSV, TSV or Parquet; convert the file")
    if "time" not in layout.roles:
        raise DataError(
            f"{layout.source.label}: no column for the time among {', '.join(map(repr, layout.names))}; an event "
            "needs one, say which it is with --columns time=NAME"
        )
    reader = _RowReader(layout, columns, clock())
    rows = accepted = 0
    for lines, cells in _cells(layout, batch):
        appended = store.append(reader.events(lines, cells))
        rows += len(lines)
        accepted += appended.accepted
    return Imported(rows, accepted, rows - accepted)


def interactions_of(
    store: EventStore,
    *,
    name: str = "events",
    until: int | None = None,
    known: tuple[Vocabulary, ItemMetadata] | None = None,
    duplicates: Duplicates = "drop",
    re_ratings: ReRatings = "last",
) -> Interactions:
    """Return the log of a store, as `recsys.data.readers.log.read_log` reads it from an exported file.

    It goes through a temporary file, so that one code path with one rule for ids and repeats makes logs: ids are
    integers where all look like it, and of ratings of one item by one user the last counts by default.

    Args:
        store: where the events are.
        name: of the log, for reports.
        until: only what arrived up to this sequence number; None: everything.
        known: items with titles, genres and tags, such as those of the model; a store has none.
        duplicates, re_ratings: which of repeated events count; see `recsys.data.readers.columns.Columns`.

    Raises:
        DataError: there is no such event.
    """
    columns = Columns(
        user="user_id",
        item="item_id",
        value="value",
        time="time",
        kind="kind",
        condition="condition",
        time_unit="seconds",
        duplicates=duplicates,
        re_ratings=re_ratings,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        if not export_events(store, path, until=until, batch=10 * _BATCH):
            raise DataError(f"the event store {name} holds no interactions yet; serve or import some first")
        log = read_log(path, columns, name=name)
    return log if known is None else replace(log, metadata=_described(log.items, *known))


def pinned(address: str) -> str:
    """Return the address of a store as it is now, `ADDRESS#SEQUENCE`, so that a run can be repeated; others unchanged.

    Raises:
        StoreError: there is no such store.
    """
    if not is_address(address) or PINNED.search(address):
        return address
    with open_store(address, create=False) as store:
        return f"{address}#{store.last_sequence()}"


def log_of(address: str, duplicates: Duplicates = "drop", re_ratings: ReRatings = "last") -> Interactions:
    """Return the log of the store at an address, possibly `pinned`; for repeats see `interactions_of`.

    Raises:
        StoreError: there is no such store.
        DataError: it holds no interactions.
    """
    as_of = PINNED.search(address)
    place = address if as_of is None else address[: as_of.start()]
    with open_store(place, create=False) as store:
        name = Path(located(place).partition("?")[0]).name
        until = None if as_of is None else int(as_of[1])
        return interactions_of(store, name=name, until=until, duplicates=duplicates, re_ratings=re_ratings)


def _batches(entries: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(entries)
    while batch := list(islice(remaining, size)):
        yield batch


def _cells(layout: Layout, size: int) -> Iterator[tuple[Sequence[int], Mapping[str, Sequence[str]]]]:
    """Yield the line numbers of a batch of rows, and their texts by the name of the column."""
    if layout.kind == "table":
        yield from _table_cells(layout, size)
        return
    for rows in _batches(_text_rows(layout), size):
        lines, fields = zip(*rows, strict=True)
        yield lines, dict(zip(layout.names, zip(*fields, strict=True), strict=True))


def _text_rows(layout: Layout) -> Iterator[tuple[int, list[str]]]:
    with layout.source.open_text() as stream:
        for line, raw in enumerate(stream, start=1):
            if (layout.header and line == 1) or not raw.strip():
                continue
            try:
                fields = split_fields(raw.decode(layout.encoding).rstrip("\r\n"), layout.separator)
            except (UnicodeError, csv.Error) as error:
                raise DataError(
                    f"{layout.source.label}, line {line}: it cannot be read ({error}); keep each row on one line, "
                    f"close quotation marks, and save the file as {layout.encoding}"
                ) from None
            if len(fields) != len(layout.names):
                raise DataError(
                    f"{layout.source.label}, line {line}: {len(fields)} fields where {len(layout.names)} are expected; "
                    "correct the row"
                )
            yield line, fields


def _table_cells(layout: Layout, size: int) -> Iterator[tuple[range, dict[str, list[str]]]]:
    names = [name for name in layout.names if name in _event_columns(layout).values()]
    row = 1
    for part in layout.source.parts or (layout.source,):
        for batch in batches(part, layout.form, names, size):
            yield range(row, row + batch.num_rows), {name: _texts(batch.column(name)) for name in names}
            row += batch.num_rows


def _texts(column: pa.Array) -> list[str]:
    try:
        if pa.types.is_floating(column.type):
            values = column.to_numpy(zero_copy_only=False)
            if np.all(np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 2**53)):
                column = column.cast(pa.int64())  # ids and times that another tool has written as 7.0
        return cast("list[str]", column.cast(pa.string()).fill_null("").to_pylist())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"a column of type {column.type} is no text ({error}); write numbers or text") from None


def _event_columns(layout: Layout) -> dict[str, str]:
    """Return the column's name for each field of an event that the file has."""
    fields: dict[Role, str] = {"user": "user_id", "item": "item_id", "value": "value", "time": "time", "kind": "kind"}
    fields["condition"] = "condition"
    by_role = {field: layout.names[layout.roles[role]] for role, field in fields.items() if role in layout.roles}
    return by_role | {name: name for name in ("event_id",) if name in layout.names}


@final
class _RowReader:
    """Parses the texts of rows as events; all times of a file must have the unit of the first."""

    def __init__(self, layout: Layout, columns: Columns, now: float) -> None:
        self._layout = layout
        self._names = _event_columns(layout)
        self._time_unit = columns.time_unit
        self._blanks = "kind" in self._names or columns.blank_values == "keep"
        self._own_words = dict(columns.kinds or ())
        self._now = now
        self._unit: int | None = None

    def events(self, lines: Sequence[int], cells: Mapping[str, Sequence[str]]) -> list[Event]:
        texts = {field: [text.strip() for text in cells[name]] for field, name in self._names.items()}
        times = self._times(lines, texts["time"])
        kinds = self._kinds(lines, texts.get("kind", [""] * len(lines)))
        events: list[Event] = []
        for place, line in enumerate(lines):
            row = {field: column[place] for field, column in texts.items()}
            text = row.get("value", "")
            try:
                value = None if "value" not in row or (not text and self._blanks) else float(text)
            except ValueError:
                raise self._fault(line, f"value {text!r} is not a number; correct it") from None
            kind = kinds[place]
            user, item, moment = row["user_id"], row["item_id"], times[place]
            try:
                check_event_time("time", moment, self._now, row["time"])
                event_id = row["event_id"] if "event_id" in row else content_id(user, item, value, moment, kind)
                value = None if kind in UNRATED_KINDS else value
                events.append(Event(event_id, user, item, value, moment, kind, row.get("condition") or None))
            except DataError as error:
                raise self._fault(line, str(error)) from None
        return events

    def _kinds(self, lines: Sequence[int], texts: Sequence[str]) -> list[Kind]:
        codes = codes_of(texts, self._own_words)
        wrong = np.flatnonzero(codes < NO_CODE)
        if len(wrong):
            raise self._fault(lines[int(wrong[0])], kind_fault(texts[int(wrong[0])]))
        return [KINDS[max(code, 0)] for code in codes.tolist()]  # a blank is a use

    def _times(self, lines: Sequence[int], texts: Sequence[str]) -> list[int]:
        parsed = parse_times(pa.array(texts, pa.string()), self._time_unit)
        if self._unit is None:
            self._unit = int(parsed.unit[0])
        wrong = np.flatnonzero((parsed.unit != self._unit) | (parsed.unit < 0))
        if len(wrong):
            expected = UNIT_NAMES[self._unit] if self._unit >= 0 else "Unix seconds, milliseconds or ISO-8601"
            raise self._fault(lines[int(wrong[0])], f"time {texts[int(wrong[0])]!r} is not in {expected}; correct it")
        return cast("list[int]", parsed.seconds.tolist())

    def _fault(self, line: int, fault: str) -> DataError:
        return DataError(f"{self._layout.source.label}, {self._layout.unit} {line}: {fault}")


def _described(items: Vocabulary, known: Vocabulary, metadata: ItemMetadata) -> ItemMetadata:
    """Return the metadata of items as far as another vocabulary has them."""
    own = ItemMetadata.untitled(items)
    places = known.numbers(items.ids)
    rows = [(own, row) if place == UNKNOWN else (metadata, place) for row, place in enumerate(places.tolist())]
    return ItemMetadata(
        tuple(source.titles[at] for source, at in rows),
        tuple(source.genres[at] for source, at in rows),
        tuple(source.tags[at] for source, at in rows),
    )
