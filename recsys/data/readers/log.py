"""Reading a log of any known format into `Interactions`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys.data.interactions import Clock, Interactions
from recsys.data.readers.columns import Columns
from recsys.data.readers.layout import Layout, detect
from recsys.data.readers.metadata import read_metadata
from recsys.data.readers.parsing import Coded, chunks
from recsys.data.readers.rejects import Rejects
from recsys.data.readers.repeats import find_repeats, unwanted
from recsys.data.readers.sources import find_log
from recsys.data.readers.validation import Checked, Validator
from recsys.data.vocabulary import Vocabulary
from recsys.errors import DataError

LOGGER = logging.getLogger("recsys.data")

OnError = Literal["raise", "skip"]

_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"


@final
@dataclass(frozen=True)
class ReadReport:
    """What happened to the rows of a file.

    Attributes:
        source: the file, with the member of an archive.
        rows: data rows in the file, bad ones included.
        events: events of the log that was made of them.
        rejected: bad rows that were left out.
        rejects: the file that holds the bad rows; None where there are none.
        duplicates: exact duplicates that were dropped.
        re_ratings: re-ratings that were dropped.
        time_unit: how the file writes its times; None without times.
        columns: name of the column that was taken for each role.
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
    on_error: OnError = "raise",
    rejects: Path | None = None,
    name: str | None = None,
) -> Interactions:
    """Read a log; see `read_log_with_report`."""
    return read_log_with_report(path, columns, on_error=on_error, rejects=rejects, name=name)[0]


def read_log_with_report(
    path: str | Path,
    columns: Columns | None = None,
    *,
    on_error: OnError = "raise",
    rejects: Path | None = None,
    name: str | None = None,
) -> tuple[Interactions, ReadReport]:
    """Read a log and tell what happened to its rows.

    The format is found from the file: `u.data`, `ratings.dat`, `ratings.csv` as GroupLens publishes them; any CSV, TSV,
    Parquet or JSON-lines file; each plain or gzipped, in a folder, or in a zip archive, which is not unpacked. Titles,
    genres and tags are read from the files that GroupLens puts beside the ratings.

    Memory is about 100 bytes per event at its highest; the text of the file is never held as a whole.

    Args:
        path: file, folder or zip archive.
        columns: which column holds what, and the policies; None: all recognised, all defaults.
        on_error: "raise", or "skip" to leave bad rows out and write them to `rejects`.
        rejects: file for bad rows; None: `<file name>.rejected.csv` in the working directory.
        name: of the log, for reports; None: the file's name.

    Raises:
        DataError: naming file, line, value and cure.
    """
    columns = columns or Columns()
    source = find_log(Path(path))
    layout = detect(source, columns)
    validator = Validator(columns)
    parts = _Parts()
    with Rejects(rejects or Path.cwd() / f"{source.base}.rejected.csv") as rejected:
        for chunk in chunks(layout):
            checked = validator.check(chunk)
            if checked.rejected:
                if on_error == "raise":
                    line, fault = checked.rejected[0]
                    raise DataError(f"{source.label}, {layout.unit} {line}: {fault}")
                rejected.add(checked.rejected, chunk.texts([line for line, _ in checked.rejected]))
            parts.add(checked)
    if rejected.count:
        LOGGER.warning("%s: %d bad rows left out, listed in %s", source.label, rejected.count, rejected.path)
    rows = parts.rows + rejected.count
    if not parts.rows:
        raise DataError(
            f"{source.label}: none of its {rows} rows is usable, see {rejected.path}"
            if rejected.count
            else f"{source.label}, line {2 if layout.header else 1}: the file is empty, it has no rows; export it again"
        )
    log, duplicates, re_ratings = _assemble(parts, layout, columns, name or Path(path).name)
    if duplicates or re_ratings:
        LOGGER.info("%s: %d exact duplicates and %d re-ratings dropped", source.label, duplicates, re_ratings)
    return log, ReadReport(
        source.label,
        rows,
        len(log),
        rejected.count,
        rejected.path if rejected.count else None,
        duplicates,
        re_ratings,
        validator.time_unit,
        {role: layout.names[position] for role, position in layout.roles.items()},
    )


@final
@dataclass
class _Parts:
    """The columns of the chunks read so far."""

    user: list[pa.Array] = field(default_factory=list)
    item: list[pa.Array] = field(default_factory=list)
    category: list[pa.Array] = field(default_factory=list)
    value: list[npt.NDArray[np.float32]] = field(default_factory=list)
    time: list[npt.NDArray[np.int64]] = field(default_factory=list)
    lines: list[range | npt.NDArray[np.int64]] = field(default_factory=list)
    rows: int = 0

    def add(self, checked: Checked) -> None:
        self.user.append(_arrow(checked.user))
        self.item.append(_arrow(checked.item))
        if checked.category is not None:
            self.category.append(_arrow(checked.category))
        self.value.append(checked.value)
        self.time.append(checked.time)
        self.lines.append(checked.lines)
        self.rows += len(checked.lines)

    def line(self, position: int) -> int:
        """Return the number of the line of an event."""
        for lines in self.lines:
            if position < len(lines):
                return int(lines[position])
            position -= len(lines)
        raise IndexError(position)


def _arrow(column: Coded) -> pa.Array:
    mask = column.codes < 0
    indices = pa.array(column.codes, mask=mask) if mask.any() else pa.array(column.codes)
    return pa.DictionaryArray.from_arrays(indices, column.texts)


def _joined(parts: list[pa.Array]) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """Return the codes of all chunks under one dictionary (-1: absent), and the dictionary; empties `parts`."""
    unified = pa.chunked_array(parts).unify_dictionaries()
    parts.clear()
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in unified.chunks]
    # Arrow widens codes only beyond 2**31 distinct texts, which int32 numbers could not hold either.
    return np.concatenate(codes).astype(np.int32, copy=False), unified.chunk(unified.num_chunks - 1).dictionary


def _numbered(parts: list[pa.Array]) -> tuple[Vocabulary, npt.NDArray[np.int32]]:
    """Return the sorted vocabulary of the ids that occur, and the numbers of the column.

    Ids are integers only if every one is written as an integer is: "0054890" would not survive as a number.
    """
    codes, texts = _joined(parts)
    occurs = np.bincount(codes, minlength=len(texts)) > 0
    texts = texts.filter(pa.array(occurs))
    if pc.all(pc.match_substring_regex(texts, _INTEGER)).as_py():
        texts = texts.cast(pa.int64())
    order = pc.sort_indices(texts)
    number_of_used = np.empty(len(texts), np.int32)
    number_of_used[order.to_numpy()] = np.arange(len(texts), dtype=np.int32)
    number = np.full(len(occurs), -1, np.int32)
    number[occurs] = number_of_used
    return Vocabulary(texts.take(order).to_numpy(zero_copy_only=False)), number[codes]


def _assemble(parts: _Parts, layout: Layout, columns: Columns, name: str) -> tuple[Interactions, int, int]:
    users, user_num = _numbered(parts.user)
    items, item_num = _numbered(parts.item)
    value, time = np.concatenate(parts.value), np.concatenate(parts.time)
    parts.value.clear()
    parts.time.clear()
    categories = _categories(item_num, parts.category, len(items)) if parts.category else None
    dropped, duplicates, re_ratings = unwanted(
        find_repeats(user_num, item_num, value, time),
        columns,
        lambda position: f"{layout.source.label}, {layout.unit} {parts.line(position)}: this row",
    )
    if len(dropped):
        kept = np.ones(len(user_num), np.bool_)
        kept[dropped] = False
        user_num, item_num, value, time = user_num[kept], item_num[kept], value[kept], time[kept]
    clock: Clock = "none"
    if "time" in layout.roles:
        clock = "seconds"
    elif "order" in layout.roles:
        clock = "order"
    elif "period" in layout.roles:
        clock = "period"
    metadata = read_metadata(layout.source, items, categories)
    log = Interactions.sorted(user_num, item_num, value, time, users, items, metadata, clock, name)
    return log, duplicates, re_ratings


def _categories(item_num: npt.NDArray[np.int32], parts: list[pa.Array], n_items: int) -> tuple[tuple[str, ...], ...]:
    """Return the categories of each item as genre names, the most frequent first."""
    codes, texts = _joined(parts)
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "").to_numpy(zero_copy_only=False)
    # The entry after the last belongs to code -1: rows without category.
    present = ~np.append(blank, np.bool_(True))[codes]
    pairs, counts = np.unique(item_num[present].astype(np.int64) * len(texts) + codes[present], return_counts=True)
    order = np.lexsort((-counts, pairs // len(texts)))
    names: list[str] = [f"category {text}" for text in texts.to_pylist()]
    rows: list[list[str]] = [[] for _ in range(n_items)]
    for pair in pairs[order].tolist():
        rows[pair // len(texts)].append(names[pair % len(texts)])
    return tuple(tuple(row) for row in rows)
