"""Writes a log of any known format as a partitioned log, in one pass over it and in bounded memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.checks import whole
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.kinds import CODES
from recsys.data.partitions.log import PartitionedLog, PartSize, write_manifest, write_part
from recsys.data.readers.coded import Coded
from recsys.data.readers.columns import Columns, clock_of
from recsys.data.readers.layout import Layout, detect
from recsys.data.readers.log import LOGGER, OnError, checked_chunks
from recsys.data.readers.metadata import read_items, read_metadata
from recsys.data.readers.rejects import Rejects
from recsys.data.readers.rows import INTEGER, NumberedRows, Rows
from recsys.data.readers.sources import find_log
from recsys.data.readers.validation import Checked, Validator
from recsys.data.vocabulary import Vocabulary
from recsys.errors import ConfigError, DataError
from recsys.types import Floats, Ints, Kinds

MOST_PARTS: Final = 4096
_BUFFERED: Final = 4_000_000
"""Events in memory before they are written to their parts."""

_SCHEMA: Final = pa.schema(
    {"user": pa.string(), "item": pa.string(), "value": pa.float32(), "time": pa.int64(), "kind": pa.int8()}
)


def write_partitions(
    source: str,
    out: Path,
    parts: int = 16,
    *,
    columns: Columns | None = None,
    on_error: OnError = "raise",
    items: str | Path | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> PartitionedLog:
    """Write a log as a partitioned log, which appears whole or not at all.

    The log is read once, some million events at a time. Then each part is read, numbered and written by itself, with
    the checks and the rules for repeats of a log that is read whole. A log without a file, as simulated ones are, is
    made in memory first.

    Args:
        source: name of a data set, or a file of any known format.
        out: the folder to make.
        parts: how many; a part is what one worker holds.
        columns: how to read the file; None: as the data set declares, or all recognised.
        on_error: "raise", or "skip" to leave bad rows out.
        items: a file with titles and genres of the items.
        progress: called with the number of events read so far.

    Raises:
        ConfigError: the number of parts is none.
        DataError: bad input, or `out` is there already.
    """
    whole("parts", parts)
    if parts > MOST_PARTS:
        raise ConfigError(f"parts is {parts}; it must be at most {MOST_PARTS}")
    if out.exists():
        raise DataError(f"{out} is there already; choose another name, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=f".{out.name}.new-", dir=out.parent))
    try:
        found = datasets.file_of(source, columns)
        if found is None:
            _of_log(datasets.load(source), directory, parts, items)
        else:
            path, declared = found
            with tempfile.TemporaryDirectory(prefix="events-", dir=directory) as events:
                _of_file(source, path, declared, directory, Path(events), parts, on_error, items, progress)
        directory.chmod(0o755)
        directory.rename(out)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return PartitionedLog.open(out)


def part_numbers(users: npt.NDArray[Any], parts: int) -> Ints:
    """Return the part of each user, "users", by a hash of the id as text.

    >>> part_numbers(np.array(["ann", "bo"]), 1).tolist()
    [0, 0]
    """
    hashed = pd.util.hash_array(users.astype(str).astype(object), categorize=False)
    return np.asarray(hashed % np.uint64(parts), np.int64)


def _of_log(log: Interactions, directory: Path, parts: int, items: str | Path | None) -> None:
    """Write the parts of a log that is in memory."""
    part_of, none = part_numbers(log.users.ids, parts), np.zeros(0, np.bool_)
    metadata = log.metadata if items is None else read_items(Path(items), log.items, log.metadata)
    both = [log] if log.superseded is None else [log.superseded, log]
    marks = np.concatenate([np.full(len(one), one is not log) for one in both]) if len(both) > 1 else none
    user, item, value, time = (
        np.concatenate([getattr(one, name) for one in both]) for name in ("user_num", "item_num", "value", "time")
    )
    kinds = None if log.kinds is None else np.concatenate([one.kinds for one in both if one.kinds is not None])
    sizes = []
    for number in range(parts):
        mine = np.flatnonzero(part_of[user] == number)
        present, renumbered = np.unique(user[mine], return_inverse=True)
        rows = NumberedRows(
            *(renumbered.astype(np.int32), item[mine], value[mine], time[mine]),
            *(log.users.take(present), log.items, metadata, log.clock),
            None if kinds is None else kinds[mine],
            marks[mine] if len(marks) else None,
        )
        sizes.append(write_part(directory, number, rows, kinds=kinds is not None, superseded=len(marks) > 0))
    assert log.every.span is not None
    facts = log.name, log.clock, sizes, log.every.span, log.items, metadata
    write_manifest(directory, *facts, kinds=kinds is not None, superseded=len(marks) > 0)


def _of_file(
    name: str,
    path: Path,
    columns: Columns,
    directory: Path,
    events: Path,
    parts: int,
    on_error: OnError,
    items: str | Path | None,
    progress: Callable[[int], None],
) -> None:
    """Write the parts of a file: its events to files of texts, and these, one by one, to the parts."""
    source = find_log(path)
    layout = detect(source, columns)
    if unread := sorted({"title", "genres", "category", "condition"} & set(layout.roles)):
        LOGGER.warning(
            "%s: %s of its rows are not kept in parts; give titles and genres as a file of items (--items)",
            source.label,
            " and ".join(unread),
        )
    spread = _Spread(events, parts)
    with Rejects(Path.cwd() / f"{source.base}.rejected.csv") as rejected:
        for checked in checked_chunks(layout, Validator(columns), on_error, rejected):
            spread.add(checked)
            progress(spread.events)
    spread.close()
    if not spread.events:
        raise DataError(f"{source.label}: none of its rows is usable, or it has none; export it again")
    names = spread.items()
    metadata = datasets.described(name, path, names, read_metadata(source, names, ItemMetadata.untitled(names)))
    if items is not None:
        metadata = read_items(Path(items), names, metadata)
    # Events that a later one replaces are marked in every part, whether this one has any or not.
    superseded = columns.re_ratings == "last"
    sizes: list[PartSize] = []
    for number in range(parts):
        part = _numbered(spread, number, layout, columns, names, metadata)
        sizes.append(write_part(directory, number, part, kinds=spread.tells, superseded=superseded))
    facts = Path(name).name, clock_of(layout.roles), sizes, spread.span, names, metadata
    write_manifest(directory, *facts, kinds=spread.tells, superseded=superseded)


@final
class _Spread:
    """Appends checked rows to the file of their user's part, as texts and numbers; remembers what all parts share.

    Attributes:
        events: rows so far.
        tells: whether a row has a kind that its value does not tell.
        rated: whether a row has a value.
        span: the first and the last time.
    """

    def __init__(self, folder: Path, parts: int) -> None:
        self._folder, self._parts = folder, parts
        self._writers = [pa.OSFile(str(folder / f"{number}.arrow"), "wb") for number in range(parts)]
        self._streams = [pa.ipc.new_stream(file, _SCHEMA) for file in self._writers]
        self._buffer: list[tuple[pa.RecordBatch, Ints]] = []
        self._buffered = 0
        self._items: pa.Array = pa.array([], pa.string())
        self._integers = {"user": True, "item": True}
        self.events, self.tells, self.rated = 0, False, False
        self.span = (np.iinfo(np.int64).max, np.iinfo(np.int64).min)

    def add(self, checked: Checked) -> None:
        """Append the rows of a chunk."""
        if not len(checked.value):
            return
        kinds = np.full(len(checked.value), -1, np.int8) if checked.kinds is None else checked.kinds
        user, item = _used(checked.user), _used(checked.item)
        for role, column in (("user", user), ("item", item)):
            self._integers[role] &= bool(pc.all(pc.match_substring_regex(column.texts, INTEGER)).as_py())
        self._items = pa.concat_arrays([self._items, item.texts]).unique()
        self.tells |= not bool(np.isin(kinds, [-1, CODES["use"], CODES["rating"]]).all())
        self.rated |= bool(np.isfinite(checked.value).any())
        self.span = min(self.span[0], int(checked.time.min())), max(self.span[1], int(checked.time.max()))
        columns = [_texts(user), _texts(item), pa.array(checked.value), pa.array(checked.time), pa.array(kinds)]
        part = part_numbers(user.texts.to_numpy(zero_copy_only=False), self._parts)[user.codes]
        self._buffer.append((pa.record_batch(columns, schema=_SCHEMA), part))
        self.events += len(part)
        self._buffered += len(part)
        if self._buffered >= _BUFFERED:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        for stream, file in zip(self._streams, self._writers, strict=True):
            stream.close()
            file.close()

    def items(self) -> Vocabulary:
        """Return the sorted vocabulary of all items."""
        texts = self._items.cast(pa.int64()) if self._integers["item"] else self._items
        return Vocabulary(texts.take(pc.sort_indices(texts)).to_numpy(zero_copy_only=False))

    def rows(self, number: int) -> Checked:
        """Return the rows of a part, in the order of the log."""
        with pa.memory_map(str(self._folder / f"{number}.arrow")) as file:
            table = pa.ipc.open_stream(file).read_all()
        user, item = (Coded.of(table[name].combine_chunks()) for name in ("user", "item"))
        value: Floats = table["value"].to_numpy()
        kinds: Kinds | None = table["kind"].to_numpy() if self.tells else None
        return Checked(range(len(table)), user, item, value, table["time"].to_numpy(), kinds, {}, [], "the log")

    def users(self, found: Vocabulary) -> Vocabulary:
        """Return the ids of a part's users as they are in the whole log: integers only if all users have integers."""
        if self._integers["user"] or not found.is_integer:
            return found
        return Vocabulary(np.sort(found.ids.astype(str).astype(object)))

    def _flush(self) -> None:
        if not self._buffer:
            return
        table = pa.Table.from_batches([batch for batch, _ in self._buffer])
        part = np.concatenate([part for _, part in self._buffer])
        self._buffer, self._buffered = [], 0
        order = np.argsort(part, kind="stable")
        table = table.take(pa.array(order))
        ends = np.searchsorted(part[order], np.arange(self._parts + 1))
        for number, stream in enumerate(self._streams):
            stream.write_table(table.slice(ends[number], ends[number + 1] - ends[number]))


def _numbered(
    spread: _Spread, number: int, layout: Layout, columns: Columns, items: Vocabulary, metadata: ItemMetadata
) -> NumberedRows:
    """Return the rows of a part as those of a log that is read whole, with its items and the rules for repeats."""
    rows = Rows("event")
    checked = spread.rows(number)
    if not len(checked.value):
        empty = np.zeros(0, np.int32)
        users = Vocabulary(np.zeros(0, np.int64))
        times = np.zeros(0, np.int64)
        return NumberedRows(empty, empty, np.zeros(0, np.float32), times, users, items, metadata, "none")
    rows.add(checked)
    part, _, _ = rows.numbered(columns, layout.roles)
    users = spread.users(part.users)
    part = part._replace(
        user_num=users.numbers(part.users.ids)[part.user_num],
        item_num=items.numbers(part.items.ids)[part.item_num],
        users=users,
        items=items,
        metadata=metadata,
    )
    if spread.rated and np.isnan(checked.value).all():
        return part._replace(value=np.full_like(part.value, np.nan))
    return part


def _used(column: Coded) -> Coded:
    """Return a column whose texts all occur."""
    occurs = np.bincount(column.codes, minlength=len(column.texts)) > 0
    number = np.cumsum(occurs, dtype=np.int32) - 1
    return replace(column, codes=number[column.codes].astype(np.int32), texts=column.texts.filter(pa.array(occurs)))


def _texts(column: Coded) -> pa.Array:
    return column.texts.take(pa.array(column.codes))
