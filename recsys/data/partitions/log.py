"""A log as a folder of Parquet files, each with all events of some users."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Self, cast, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.data.interactions import Clock, Interactions
from recsys.data.items import ItemMetadata
from recsys.data.readers.rows import NumberedRows
from recsys.data.uses import kinds_of_values
from recsys.data.vocabulary import Vocabulary
from recsys.errors import DataError
from recsys.files import write_json
from recsys.types import Ints, Mask

MANIFEST: Final = "partitions.json"
FORMAT: Final = 1
_ITEMS: Final = "items.parquet"
_ROWS: Final = 1 << 20
"""Rows of a group, which can be read alone."""


@final
@dataclass(frozen=True)
class PartSize:
    """What a part holds.

    Attributes:
        events: superseded ones included.
        users: number of users.
        sha256: of its file.
    """

    events: int
    users: int
    sha256: str


@final
@dataclass(frozen=True, eq=False)
class PartitionedLog:
    """A log whose users are spread over parts by a hash of their ids.

    A part is an `Interactions` of its own users and of all items: the numbers of items are those of the whole log, so
    that what is summed over users can be summed over parts.

    Attributes:
        directory: where the parts are.
        name: of the log, for reports.
        clock: the meaning of its times.
        sizes: of each part.
        span: the first and the last time.
        has_kinds, has_superseded: whether events have kinds, and whether later ones replace some.
        items: vocabulary of the items.
        metadata: titles, genres and tags of the items.
    """

    directory: Path
    name: str
    clock: Clock
    sizes: tuple[PartSize, ...]
    span: tuple[int, int]
    has_kinds: bool
    has_superseded: bool
    items: Vocabulary
    metadata: ItemMetadata

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """Read what is known of a partitioned log; no event is read.

        Raises:
            DataError: the folder holds none, or one of a later format.
        """
        path = Path(directory).expanduser().resolve()
        try:
            content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise DataError(
                    f"{path / MANIFEST}: format {content['format']} is unknown to this version, which reads {FORMAT}; "
                    "partition the log again, or update the library"
                )
            sizes = tuple(PartSize(**size) for size in content["parts"])
            table = pq.read_table(path / _ITEMS)
            ids = table["item_id"].combine_chunks().to_numpy(zero_copy_only=False)
            genres, tags = (tuple(map(tuple, table[name].to_pylist())) for name in ("genres", "tags"))
            metadata = ItemMetadata(tuple(table["title"].to_pylist()), genres, tags)
            first, last = content["span"]
            facts = content["name"], cast("Clock", content["clock"]), sizes, (first, last)
            flags = bool(content["has_kinds"]), bool(content["has_superseded"])
        except FileNotFoundError as error:
            raise DataError(
                f"{directory} holds no partitioned log ({Path(error.filename).name} is missing); make one: "
                f"`recsys data partition LOG --out {directory}`"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise DataError(f"{path}: not as `recsys data partition` writes it ({error}); partition again") from error
        return cls(path, *facts, *flags, Vocabulary(ids), metadata)

    @staticmethod
    def is_at(path: str | Path) -> bool:
        """Return whether a folder holds a partitioned log."""
        try:
            return (Path(path).expanduser() / MANIFEST).is_file()
        except OSError:  # such as a name that is too long
            return False

    def __len__(self) -> int:
        return len(self.sizes)

    def __repr__(self) -> str:
        size = f"{self.events} events, {self.users} users, {len(self.items)} items"
        return f"PartitionedLog({self.name}: {len(self)} parts, {size}, clock {self.clock})"

    @property
    def events(self) -> int:
        """Number of events, superseded ones included."""
        return sum(size.events for size in self.sizes)

    @property
    def users(self) -> int:
        """Number of users."""
        return sum(size.users for size in self.sizes)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the files of the parts: two logs with one fingerprint are the same log in the same parts."""
        return hashlib.sha256(" ".join(size.sha256 for size in self.sizes).encode()).hexdigest()

    def path(self, number: int) -> Path:
        """Return the file of a part."""
        return self.directory / f"part-{number:05d}.parquet"

    def times(self, number: int) -> Ints:
        """Return the times of all events of a part, of which nothing else is read."""
        return np.asarray(self._table(number, ["time"])["time"].to_numpy(), np.int64)

    def users_of(self, number: int) -> Vocabulary:
        """Return the users of a part, of whose events nothing is read."""
        return Vocabulary(np.unique(self._table(number, ["user_id"])["user_id"].to_numpy()))

    def part(self, number: int, before: int | None = None, *, values: bool = True) -> Interactions:
        """Read a part; its users are those of the part that have an event in it.

        Args:
            number: of the part, from 0.
            before: read only the events that are strictly earlier, superseded ones in their places.
            values: read the ratings; else all are 1.
        """
        log, superseded = self._read(number, before, values=values)
        told = log.superseding(superseded)
        return told if before is None else told.every

    def whole(self) -> Interactions:
        """Read all parts as one log, for work that needs it in memory."""
        parts, superseded = zip(*(self._read(number) for number in range(len(self))), strict=True)
        return joined(parts, superseded if self.has_superseded else None)

    def _read(self, number: int, before: int | None = None, *, values: bool = True) -> tuple[Interactions, Mask]:
        """Return the events of a part, superseded ones in their places, and which these are."""
        names = ["user_id", "item", "time"] + (["value"] if values else [])
        names += ["kind"] if self.has_kinds else []
        names += ["superseded"] if self.has_superseded else []
        table = self._table(number, names, before)
        users = table["user_id"].combine_chunks().dictionary_encode()  # rows are sorted by user: so is the dictionary
        log = Interactions(
            users.indices.to_numpy().astype(np.int32),
            table["item"].to_numpy().astype(np.int32),
            table["value"].to_numpy().astype(np.float32) if values else np.ones(len(table), np.float32),
            table["time"].to_numpy().astype(np.int64),
            Vocabulary(users.dictionary.to_numpy(zero_copy_only=False)),
            self.items,
            self.metadata,
            self.clock,
            self.name,
            kinds=table["kind"].to_numpy().astype(np.int8) if self.has_kinds else None,
        )
        if not self.has_superseded:
            return log, np.zeros(len(log), np.bool_)
        return log, table["superseded"].to_numpy().astype(np.bool_)

    def _table(self, number: int, names: list[str], before: int | None = None) -> pa.Table:
        """Read some columns of a part, of the rows before a time."""
        path = self.path(number)
        try:
            return pq.read_table(path, columns=names, filters=None if before is None else pc.field("time") < before)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path}: cannot be read ({error}); partition the log again") from error


def joined(parts: Sequence[Interactions], superseded: Sequence[Mask] | None = None) -> Interactions:
    """Return parts, each with users of its own and all with the same items, as one log.

    Args:
        parts: at least one.
        superseded: "events" of each part, whether a later event replaces it; None: no events are replaced.
    """
    first = parts[0]
    users = Vocabulary(np.sort(np.concatenate([part.users.ids for part in parts])))
    kinds = [part.kinds for part in parts if part.kinds is not None]
    return Interactions.sorted(
        np.concatenate([users.numbers(part.users.ids)[part.user_num] for part in parts]),
        np.concatenate([part.item_num for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.time for part in parts]),
        *(users, first.items, first.metadata, first.clock),
        np.concatenate(kinds) if kinds else None,
        None if superseded is None else np.concatenate(superseded),
        *(None, (), first.name),
    )


@lru_cache(maxsize=2)
def opened(directory: Path) -> PartitionedLog:
    """Return the log of a folder; a process that works on one part after the other reads its items once."""
    return PartitionedLog.open(directory)


def write_part(directory: Path, number: int, rows: NumberedRows, *, kinds: bool, superseded: bool) -> PartSize:
    """Write a part.

    Args:
        directory: of the partitioned log.
        number: of the part.
        rows: the events of its users, with the numbers of the items of the whole log.
        kinds: whether the column of kinds is written; it then is in every part.
        superseded: whether that of superseded events is written.
    """
    order = np.lexsort((rows.time, rows.user_num))
    ids = pa.array(rows.users.ids, pa.int64() if rows.users.is_integer else pa.string())
    columns = {
        "user_id": ids.take(pa.array(rows.user_num[order])),
        "item": pa.array(rows.item_num[order], pa.int32()),
        "value": pa.array(rows.value[order], pa.float32()),
        "time": pa.array(rows.time[order], pa.int64()),
    }
    if kinds:
        known = kinds_of_values(rows.value) if rows.kinds is None else rows.kinds
        columns["kind"] = pa.array(known[order], pa.int8())
    if superseded:
        mask = np.zeros(len(order), np.bool_) if rows.superseded is None else rows.superseded
        columns["superseded"] = pa.array(mask[order])
    path = directory / f"part-{number:05d}.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=_ROWS)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return PartSize(len(order), len(rows.users), digest)


def write_manifest(
    directory: Path,
    name: str,
    clock: Clock,
    sizes: list[PartSize],
    span: tuple[int, int],
    items: Vocabulary,
    metadata: ItemMetadata,
    *,
    kinds: bool,
    superseded: bool,
) -> None:
    """Write the items and what is known of the parts, which makes the folder a partitioned log."""
    words = pa.list_(pa.string())
    table = pa.table(
        {
            "item_id": pa.array(items.ids, pa.int64() if items.is_integer else pa.string()),
            "title": pa.array(metadata.titles, pa.string()),
            "genres": pa.array(metadata.genres, words),
            "tags": pa.array(metadata.tags, words),
        }
    )
    pq.write_table(table, directory / _ITEMS)
    content = {
        "format": FORMAT,
        "name": name,
        "clock": clock,
        "events": sum(size.events for size in sizes),
        "users": sum(size.users for size in sizes),
        "items": len(items),
        "span": span,
        "has_kinds": kinds,
        "has_superseded": superseded,
        "parts": [vars(size) for size in sizes],
    }
    write_json(directory / MANIFEST, content)
