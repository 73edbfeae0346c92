"""Everybody's lists of a run in a file, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TypeVar, final

import numpy as np
import pyarrow as pa

from recsys.bundles.index import digest_of
from recsys.bundles.manifest import read_manifest
from recsys.data.interactions import Interactions
from recsys.data.partitions.log import PartitionedLog
from recsys.data.partitions.writing import part_numbers
from recsys.data.queries import Queries
from recsys.data.readers.times import moment
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import DataError
from recsys.experiments.lists.batch import RunLists
from recsys.experiments.lists.files import check_out, write_lines, write_table
from recsys.experiments.lists.parts import Each, PartedFile
from recsys.experiments.lists.rows import explained_table, plain_table
from recsys.experiments.lists.users_file import read_users
from recsys.experiments.runs import load_model, read_metrics, run_data, run_log
from recsys.explanations.external_ids import moments, user_numbers
from recsys.models.base import Recommender
from recsys.types import Items

_Made = TypeVar("_Made")

_USERS: Final = {True: 1024, False: 8192}
"""Users of a part, explained or not: their lists and reasons are what is in memory."""


@final
@dataclass(frozen=True)
class ListSettings:
    """What everybody's lists are.

    Attributes:
        n: length of the lists.
        explain: with reasons, as `recsys.experiments.questions.recommend` gives them.
        at: the moment of the question, as for one user; None: the next visit of each.
        exact: score every item, also where the run has an index.
    """

    n: int = 10
    explain: bool = True
    at: str | None = None
    exact: bool = False


@final
@dataclass(frozen=True)
class WrittenLists:
    """What was written.

    Attributes:
        users: whose lists are in the file.
        unserved: users of the log whom the model cannot serve, so that they have no list.
        kept: of the users, those whose lists an interrupted command had left.
        seconds: wall-clock time of the others.
    """

    users: int
    unserved: int
    kept: int
    seconds: float


def write_lists(
    run: Path,
    out: Path,
    settings: ListSettings,
    *,
    users: Path | None = None,
    source: str | None = None,
    columns: Mapping[str, Any] | None = None,
    allow: Iterable[type | str] = (),
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    each: Each = map,
) -> WrittenLists:
    """Write the lists of many users of a run's log, each equal to that of the user alone.

    The file is Parquet or CSV with a row for each place, or JSON lines with a line for each user; see
    `recsys.experiments.lists.rows` for the columns. Parts are in FILE.parts while it is made, so that the same call
    goes on where it was interrupted; the file appears whole or not at all. Of a partitioned log one part is in memory,
    and users come in the order of the parts.

    Args:
        run: directory of a finished run.
        out: the file: .parquet, .csv or .jsonl.
        settings: of the lists.
        users: a file with the ids of users; None: all users of the log whom the model can serve.
        source: read the run's log from here.
        columns: how to read it, in addition to what the run recorded.
        allow: classes from elsewhere that the run's bundle may name.
        overwrite: replace the file, and parts of another question.
        progress: called with the number of users done and of all users.
        each: calls what writes a part for every part, here or in other processes.

    Raises:
        CapabilityError: the model cannot serve users that are named.
        ConfigError: the ending of the file is none of those that can be written.
        DataError: users that the log lacks, or the file is there.
    """
    check_out(out)
    named = None if users is None else read_users(users)
    job = _Job(run, settings, source, dict(columns or {}), tuple(allow))
    try:
        model, parts = job.lister().model, job.partitioned()
        size = _USERS[settings.explain]
        if parts is None:
            log = job.log(None)
            numbers, unserved = _numbers(model, log, named)
            pieces: list[Slice] = [(None, numbers[start : start + size]) for start in range(0, len(numbers), size)]
            name, fingerprint = log.name, log.fingerprint
        else:
            pieces, unserved = _pieces(parts, named, size), 0
            name, fingerprint = parts.name, parts.fingerprint
        if not pieces:
            raise DataError(f"the model of {run} can serve none of the {unserved} users of {name}")
        digest = blake2b(b"".join(numbers.tobytes() for _, numbers in pieces), digest_size=16).hexdigest()
        question = {
            **asdict(settings),
            "model": digest_of(read_manifest(run / "model")),
            "log": fingerprint,
            "users": digest,
            "users of a part": size,
        }
        file = PartedFile(out, question)
        file.begin(overwrite=overwrite)
        started = time.perf_counter()
        until = np.cumsum([len(numbers) for _, numbers in pieces]).tolist()

        def users_of(done: int) -> int:
            return int(until[done - 1]) if done else 0

        names = job.writer(pieces[0][0]).columns() if out.suffix.lower() == ".csv" else ()
        kept = file.write(pieces, job, names, lambda done: progress(users_of(done), until[-1]), each)
        return WrittenLists(until[-1], unserved, users_of(kept), round(time.perf_counter() - started, 3))
    finally:
        _OPENED.clear()


Slice = tuple[int | None, Items]
"""The part of a partitioned log, None for a log that is whole, and the numbers of some of its users."""

_OPENED: dict[str, tuple[str, Any]] = {}
"""What this process has opened: a process that writes many parts opens the model once."""


@final
@dataclass(frozen=True)
class _Job:
    """Writes parts of everybody's lists, in this process or another one."""

    run: Path
    settings: ListSettings
    source: str | None
    columns: Mapping[str, Any]
    allow: tuple[type | str, ...]

    def __call__(self, piece: tuple[Slice, Path]) -> None:
        (part, numbers), path = piece
        self.writer(part).write(path, numbers)

    def lister(self) -> RunLists:
        """Return what makes the lists."""

        def make() -> RunLists:
            return RunLists.of(self.run, load_model(self.run, self.allow), self.settings.n, exact=self.settings.exact)

        return self._once("lister", "", make)

    def partitioned(self) -> PartitionedLog | None:
        """Return the log, if it is a partitioned one.

        Raises:
            DataError: it is not the one that the run was trained on, and not named either.
        """
        directory = run_data(self.run, self.source).source
        if not PartitionedLog.is_at(directory):
            return None
        log = PartitionedLog.open(directory)
        recorded = read_metrics(self.run).get("partitions", {}).get("fingerprint")
        if self.source is None and recorded != log.fingerprint:
            raise DataError(
                f"{directory} has changed since {self.run} read it (fingerprint {log.fingerprint[:12]}); use it as it "
                f"is now with --data {directory}, or train again"
            )
        return log

    def log(self, part: int | None) -> Interactions:
        """Return the log, or a part of it."""
        if part is None:
            return self._once("log", "", lambda: run_log(self.run, self.lister().model, self.source, self.columns))
        log = self._once("partitioned", "", self.partitioned)
        assert log is not None
        return self._once("log", str(part), lambda: log.part(part))

    def writer(self, part: int | None) -> ListWriter:
        """Return what writes lists of users of the log, or of a part of it."""
        return ListWriter(self.lister(), self.log(part), self.settings)

    def _once(self, what: str, which: str, make: Callable[[], _Made]) -> _Made:
        """Return what was made last, if it is the same; else make it in its place."""
        key = f"{self!r} {which}"
        if _OPENED.get(what, ("",))[0] != key:
            _OPENED.pop(what, None)
            _OPENED[what] = key, make()
        made: _Made = _OPENED[what][1]
        return made


def _pieces(log: PartitionedLog, named: list[str] | None, size: int) -> list[Slice]:
    """Return the slices of the users of a partitioned log, or of those that are named, in the order of the parts.

    Raises:
        DataError: users that the log lacks.
    """
    if named is None:
        counts = [part.users for part in log.sizes]
        every = [np.arange(count, dtype=np.int32) for count in counts]
    else:
        wanted = np.array(list(dict.fromkeys(named)), object)
        homes = part_numbers(wanted, len(log))
        every = [np.zeros(0, np.int32)] * len(log)
        for part in np.unique(homes).tolist():
            users = log.users_of(part)
            every[part] = users.numbers(wanted[homes == part])
            if (missing := wanted[homes == part][every[part] == UNKNOWN]).size:
                raise DataError(f"{log.name} has no user {missing[0]!r}; leave the id out, or spell it as the log does")
    return [
        (part, numbers[start : start + size])
        for part, numbers in enumerate(every)
        for start in range(0, len(numbers), size)
    ]


def _numbers(model: Recommender, log: Interactions, named: list[str] | None) -> tuple[Items, int]:
    """Return the log's numbers of the users who have a list, each once, and how many have none."""
    if named is not None:
        numbers = user_numbers(model, log, named)
        _, first = np.unique(numbers, return_index=True)
        return numbers[np.sort(first)], 0
    if not model.needs_known_users:
        return user_numbers(model, log, None), 0
    known = model.fitted_on.users.numbers(log.users.ids) != UNKNOWN
    return user_numbers(model, log, log.users.ids[known]), int((~known).sum())


@final
class ListWriter:
    """Writes the lists of some users to a part."""

    def __init__(self, lister: RunLists, log: Interactions, settings: ListSettings) -> None:
        self._lister, self._log, self._settings = lister, log, settings
        at = settings.at
        self._now = None if at is None else moment(at, log.clock, log.span)

    def write(self, part: Path, numbers: Items) -> None:
        """Write the lists of users, by their numbers in the log."""
        if part.suffix != ".jsonl":
            write_table(part, self._table(numbers))
            return
        ids = self._log.users.ids[numbers].tolist()
        if self._settings.explain:
            lists = self._lister.explained(self._queries(numbers))
            items = ([one.to_dict() for one in each] for each in lists)
            write_lines(part, ({"user_id": user, "items": each} for user, each in zip(ids, items, strict=True)))
            return
        rows = self._table(numbers).to_pylist()
        of_user = {user: list(each) for user, each in groupby(rows, key=lambda row: row["user_id"])}
        write_lines(part, ({"user_id": user, "items": [_place(row) for row in of_user.get(user, ())]} for user in ids))

    def columns(self) -> list[str]:
        """Return the names of the columns."""
        return list(self._table(np.zeros(0, np.int32)).column_names)

    def _table(self, numbers: Items) -> pa.Table:
        model, queries = self._lister.model, self._queries(numbers)
        users, ids = self._log.users, self._log.users.ids[numbers].tolist()
        if not self._settings.explain:
            return plain_table(model, users, ids, queries, self._lister.lists(queries))
        tables, done = [], 0
        for columns in self._lister.columns(queries):
            tables.append(explained_table(model, users, ids[done : done + len(columns.queries)], columns))
            done += len(columns.queries)
        return pa.concat_tables(tables)

    def _queries(self, numbers: Items) -> Queries:
        now = moments(self._log, numbers, self._now)
        return self._lister.model.fitted_on.queries(self._log, numbers, now)


def _place(row: dict[str, Any]) -> dict[str, Any]:
    """Return a place of a list without its user and rank, and without an owner where there is none."""
    return {name: value for name, value in row.items() if name not in ("user_id", "rank") and value is not None}
