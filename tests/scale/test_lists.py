"""Everybody's lists are the same from a log in parts, and from workers, also when one is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from recsys.errors import DataError
from recsys.experiments.configuration import read_experiment
from recsys.experiments.lists import everybody
from recsys.experiments.lists.everybody import ListSettings, write_lists
from recsys.experiments.run_log import DataSettings
from recsys.experiments.runs import train_run
from recsys.scale.engine import InProcess
from recsys.scale.engines import engine_of
from recsys.scale.training import train_partitioned

PLAIN = ListSettings(5, explain=False)


def _trained(config: str, folder: Path, log_file: Path, partitioned: Path) -> Path:
    experiment = read_experiment(config, [("feedback", "events")])
    train_run(experiment, DataSettings(str(log_file)), folder / "whole")
    train_partitioned(experiment, DataSettings(str(partitioned)), folder / "parts", InProcess())
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, log_file: Path, partitioned: Path) -> Path:
    """The same run, of the whole log and of the one in parts."""
    return _trained("ease", tmp_path_factory.mktemp("runs"), log_file, partitioned)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everybody, "_USERS", {True: 20, False: 20})


def _lists(file: Path) -> dict[Any, list[Any]]:
    rows: dict[Any, list[Any]] = {}
    for row in pq.read_table(file).to_pylist():
        rows.setdefault(row["user_id"], []).append((row["rank"], row["item_id"], row["score"]))
    return rows


@pytest.fixture(scope="module")
def persona_runs(tmp_path_factory: pytest.TempPathFactory, log_file: Path, partitioned: Path) -> Path:
    """The same with personas."""
    return _trained("ease_personas", tmp_path_factory.mktemp("personas"), log_file, partitioned)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("explain", [False, True])
def test_lists_of_personas_are_those_of_the_whole_log(persona_runs: Path, tmp_path: Path, explain: bool) -> None:
    for name in ("whole", "parts"):
        write_lists(persona_runs / name, tmp_path / f"{name}.parquet", ListSettings(5, explain=explain))
    one, other = (
        sorted(pq.read_table(tmp_path / f"{name}.parquet").to_pylist(), key=lambda row: (row["user_id"], row["rank"]))
        for name in ("whole", "parts")
    )
    assert len(one) == 240 * 5
    assert other == one


@pytest.mark.usefixtures("small_parts")
def test_lists_of_a_log_in_parts_are_those_of_the_whole_log(runs: Path, tmp_path: Path) -> None:
    one = write_lists(runs / "whole", tmp_path / "whole.parquet", PLAIN)
    other = write_lists(runs / "parts", tmp_path / "parts.parquet", PLAIN)
    assert (one.users, one.unserved) == (other.users, other.unserved) == (240, 0)
    assert _lists(tmp_path / "parts.parquet") == _lists(tmp_path / "whole.parquet")


def test_users_are_named_whatever_part_they_are_in(runs: Path, tmp_path: Path) -> None:
    named = tmp_path / "users.txt"
    named.write_text("7\n3\n120\n3\n", encoding="utf-8")
    write_lists(runs / "parts", tmp_path / "lists.csv", PLAIN, users=named)
    rows = (tmp_path / "lists.csv").read_text(encoding="utf-8").splitlines()
    assert {row.split(",")[0] for row in rows[1:]} == {"3", "7", "120"}
    named.write_text("7\nnobody\n", encoding="utf-8")
    with pytest.raises(DataError, match="has no user 'nobody'"):
        write_lists(runs / "parts", tmp_path / "others.csv", PLAIN, users=named)


class _KilledOnce:
    """Kills its own process before the third part that it is to write."""

    def __init__(self, make: Callable[[Any], None], mark: Path) -> None:
        self._make, self._mark = make, mark

    def __call__(self, piece: Any) -> None:
        if piece[1].name.startswith("000002") and not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self._make(piece)


@pytest.mark.usefixtures("cluster", "small_parts")
@pytest.mark.parametrize("log", ["whole", "parts"])
def test_workers_write_the_same_lists_also_when_one_is_killed(runs: Path, tmp_path: Path, log: str) -> None:
    write_lists(runs / "whole", tmp_path / "expected.parquet", PLAIN)
    told: list[str] = []
    with engine_of("ray", 2, told.append) as engine:

        def each(make: Callable[[Any], None], pieces: Any) -> Any:
            return engine.map(_KilledOnce(make, tmp_path / "mark"), pieces, "part of the lists")

        write_lists(runs / log, tmp_path / "lists.parquet", PLAIN, each=each)
    assert told == ["part of the lists 2 lost its worker (WorkerCrashedError) and is repeated"]
    assert _lists(tmp_path / "lists.parquet") == _lists(tmp_path / "expected.parquet")


def test_a_log_in_parts_that_has_changed_is_refused(runs: Path, tmp_path: Path, log_file: Path) -> None:
    from recsys.data.partitions.writing import write_partitions

    write_partitions(str(log_file), tmp_path / "parts", 2)
    experiment = read_experiment("ease", [("feedback", "events")])
    train_partitioned(experiment, DataSettings(str(tmp_path / "parts")), tmp_path / "run", InProcess())
    (tmp_path / "parts").rename(tmp_path / "former")
    write_partitions(str(log_file), tmp_path / "parts", 3)
    with pytest.raises(DataError, match=r"has changed since .* read it"):
        write_lists(tmp_path / "run", tmp_path / "lists.parquet", PLAIN)
    write_lists(tmp_path / "run", tmp_path / "lists.parquet", PLAIN, source=str(tmp_path / "parts"))
