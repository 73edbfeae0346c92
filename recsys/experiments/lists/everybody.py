"""Everybody's lists of a run in a file, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import pyarrow as pa

from recsys.bundles.index import digest_of
from recsys.bundles.manifest import read_manifest
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.readers.times import moment
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import DataError
from recsys.experiments.lists.batch import RunLists
from recsys.experiments.lists.files import check_out, write_lines, write_table
from recsys.experiments.lists.parts import PartedFile
from recsys.experiments.lists.rows import explained_table, plain_table
from recsys.experiments.lists.users_file import read_users
from recsys.experiments.runs import load_model, run_log
from recsys.explanations.external_ids import user_numbers
from recsys.models.base import Recommender
from recsys.types import Items

_USERS: Final = {True: 1024, False: 8192}
"""Users of a part, explained or not: their lists and reasons are what is in memory."""


@final
@dataclass(frozen=True)
class ListSettings:
    """What everybody's lists are.

    Attributes:
        n: length of the lists.
        explain: with reasons, as `recsys.experiments.questions.recommend` gives them.
        at: the moment of the question, as for one user; None: after everything.
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
) -> WrittenLists:
    """Write the lists of many users of a run's log, each equal to that of the user alone.

    The file is Parquet or CSV with a row for each place, or JSON lines with a line for each user; see
    `recsys.experiments.lists.rows` for the columns. Parts are in FILE.parts while it is made, so that the same call
    goes on where it was interrupted; the file appears whole or not at all.

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

    Raises:
        CapabilityError: the model cannot serve users that are named.
        ConfigError: the ending of the file is none of those that can be written.
        DataError: users that the log lacks, or the file is there.
    """
    check_out(out)
    named = None if users is None else read_users(users)
    model = load_model(run, allow)
    log = run_log(run, model, source, columns)
    numbers, unserved = _numbers(model, log, named)
    if not len(numbers):
        raise DataError(f"the model of {run} can serve none of the {unserved} users of {log.name}")
    lister = RunLists.of(run, model, settings.n, exact=settings.exact)
    size = _USERS[settings.explain]
    digest = blake2b(numbers.tobytes(), digest_size=16).hexdigest()
    question = {
        **asdict(settings),
        "model": digest_of(read_manifest(run / "model")),
        "log": log.fingerprint,
        "users": digest,
        "users of a part": size,
    }
    file = PartedFile(out, question)
    file.begin(overwrite=overwrite)
    writer = _Writer(lister, log, settings)
    started = time.perf_counter()

    def make(number: int, part: Path) -> None:
        writer.write(part, numbers[number * size : (number + 1) * size])

    count = -(-len(numbers) // size)
    names = writer.columns() if out.suffix.lower() == ".csv" else ()
    kept = file.write(count, make, names, lambda done: progress(min(done * size, len(numbers)), len(numbers)))
    return WrittenLists(len(numbers), unserved, min(kept * size, len(numbers)), round(time.perf_counter() - started, 3))


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
class _Writer:
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
        now = None if self._now is None else np.full(len(numbers), self._now, np.int64)
        return self._lister.model.fitted_on.queries(self._log, numbers, now)


def _place(row: dict[str, Any]) -> dict[str, Any]:
    """Return a place of a list without its user and rank, and without an owner where there is none."""
    return {name: value for name, value in row.items() if name not in ("user_id", "rank") and value is not None}
