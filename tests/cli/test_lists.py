"""Everybody's lists in a file: those of each user alone, in three formats, interrupted and resumed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from recsys.experiments.lists import everybody
from recsys.experiments.lists.files import write_table
from recsys.experiments.lists.parts import PartedFile

Call = Callable[..., tuple[int, str, str]]


def _run(name: str, runs: dict[str, Path], found_run: Path) -> Path:
    return found_run if name == "found" else runs[name]


def _users(path: Path) -> dict[int, list[dict[str, Any]]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["user_id"]: line["items"] for line in lines}


@pytest.mark.parametrize("name", ["found", "persona_ease", "ampcf_paper_dot"])
def test_lists_are_those_of_each_user_alone(
    call: Call, runs: dict[str, Path], found_run: Path, tmp_path: Path, name: str
) -> None:
    run, out = _run(name, runs, found_run), tmp_path / "lists.jsonl"
    code, said, err = call("recommend", "--run", run, "--all", "--out", out, "-k", "5")
    assert code == 0, err
    assert "80 users" in said
    lists = _users(out)
    assert len(lists) == 80
    for user in list(lists)[::4]:
        alone = json.loads(call("recommend", "--run", run, "--user", user, "-n", "5", "--json")[1])
        assert _same(lists[user], alone)


def _same(value: Any, other: Any) -> bool:
    """Return whether plain values are equal, floats up to rounding: sums of many users at once are in another order."""
    if isinstance(value, dict):
        return list(value) == list(other) and all(_same(value[name], other[name]) for name in value)
    if isinstance(value, list):
        return len(value) == len(other) and all(map(_same, value, other))
    return bool(value == pytest.approx(other, rel=1e-5, abs=1e-6)) if isinstance(value, float) else bool(value == other)


def test_three_formats_say_the_same(call: Call, found_run: Path, tmp_path: Path) -> None:
    for suffix in ("parquet", "csv", "jsonl"):
        assert call("recommend", "--run", found_run, "--all", "--out", tmp_path / f"lists.{suffix}", "-n", "4")[0] == 0
    rows = pq.read_table(tmp_path / "lists.parquet").to_pylist()
    with (tmp_path / "lists.csv").open(encoding="utf-8") as read:
        flat = list(csv.DictReader(read))
    assert len(rows) == len(flat) == 320
    items = [(user, item) for user, each in _users(tmp_path / "lists.jsonl").items() for item in each]
    for row, line, (user, item) in zip(rows, flat, items, strict=True):
        assert (
            (row["user_id"], row["item_id"]) == (int(line["user_id"]), int(line["item_id"])) == (user, item["item_id"])
        )
        assert row["reason"] == line["reason"] == item["reason"]
        assert row["owner_name"] == (line["owner_name"] or None) == item.get("owner_name")
        assert row["without"] == json.loads(line["without"]) == item.get("without", [])
        evidence = [{name: value for name, value in one.items() if value is not None} for one in row["evidence"]]
        assert evidence == [
            {name: value for name, value in one.items() if value is not None} for one in item["evidence"]
        ]
    assert [row["rank"] for row in rows[:4]] == [1, 2, 3, 4]
    assert any(row["owner"] is not None for row in rows)


def test_without_reasons_the_lists_are_the_same(call: Call, found_run: Path, tmp_path: Path) -> None:
    tables = []
    for more in ((), ("--no-explain",)):
        out = tmp_path / f"lists{len(more)}.parquet"
        assert call("recommend", "--run", found_run, "--all", "--out", out, *more)[0] == 0
        tables.append(pd.read_parquet(out))
    explained, plain = tables
    assert list(plain.columns) == ["user_id", "rank", "item_id", "title", "score", "owner", "owner_name"]
    pd.testing.assert_frame_equal(plain, explained[list(plain.columns)])


def test_some_users_from_a_file(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    files = {"ids.txt": "7\n3\n7\n", "table.csv": "user_id,age\n7,30\n3,40\n", "list.json": "[7, 3]"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        out = tmp_path / f"{name}.jsonl"
        code, _, err = call(
            "recommend", "--run", runs["ease"], "--users", tmp_path / name, "--out", out, "--no-explain"
        )
        assert code == 0, err
        assert list(_users(out)) == [7, 3]
    (tmp_path / "ids.txt").write_text("7\nnobody\n")
    code, _, err = call(
        "recommend", "--run", runs["ease"], "--users", tmp_path / "ids.txt", "--out", tmp_path / "a.csv"
    )
    assert code == 2
    assert "nobody" in err
    assert not (tmp_path / "a.csv").exists()


def test_an_interrupted_command_goes_on(
    call: Call, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everybody, "_USERS", {False: 16})
    ask = ("recommend", "--run", runs["ease"], "--all", "--no-explain")
    assert call(*ask, "--out", tmp_path / "whole.csv")[0] == 0
    out, begun = tmp_path / "lists.csv", 0

    def write(path: Path, table: Any) -> None:
        nonlocal begun
        begun += 1
        if begun == 3:
            raise KeyboardInterrupt
        write_table(path, table)

    monkeypatch.setattr(everybody, "write_table", write)
    code, _, err = call(*ask, "--out", out)
    assert code == 130
    assert "goes on from there" in err
    assert not out.exists()
    code, _, err = call(*ask, "--out", out, "-n", "7")
    assert code == 2
    assert "n)" in err
    assert "--overwrite" in err
    code, said, _ = call(*ask, "--out", out, "--json")
    assert code == 0
    assert json.loads(said)["kept"] == 32
    assert begun == 6
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lists.csv", "whole.csv"]


def test_a_file_is_replaced_only_when_asked(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "lists.csv"
    out.write_text("mine")
    ask = ("recommend", "--run", runs["ease"], "--all", "--no-explain", "--out", out)
    code, _, err = call(*ask)
    assert (code, out.read_text()) == (2, "mine")
    assert "--overwrite" in err
    (tmp_path / "lists.csv.parts").mkdir()
    assert "not made by this command" in call(*ask, "--overwrite")[2]
    (tmp_path / "lists.csv.parts").rmdir()
    assert call(*ask, "--overwrite")[0] == 0
    assert out.read_text().startswith('"user_id"')


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--all",), "--out"),
        (("--all", "--out", "lists.xlsx"), ".parquet, .csv, .jsonl"),
        (("--all", "--out", "nowhere/lists.csv"), "no directory"),
        (("--all", "--out", "lists.csv", "--mute", "3"), "--mute"),
        (("--user", "3", "--out", "lists.csv"), "--all and --users"),
        (
            ("--users", "missing.txt", "--out", "lists.csv"),
            "missing.txt does not exist; give a file with the ids of the users",
        ),
    ],
)
def test_misuse_is_told(
    call: Call,
    runs: dict[str, Path],
    arguments: tuple[str, ...],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = call("recommend", "--run", runs["ease"].resolve(), *arguments)
    assert code == 2
    assert told in err
    assert not list(tmp_path.iterdir())


def test_users_whom_the_model_cannot_serve_are_counted(
    call: Call, runs: dict[str, Path], log_file: Path, tmp_path: Path
) -> None:
    grown = tmp_path / "grown.csv"
    grown.write_text(log_file.read_text() + "new,3,4.0,1\n".replace("new", "9999"))
    out = tmp_path / "lists.jsonl"
    ask = ("recommend", "--run", runs["ampcf_paper_dot"], "--data", grown, "--all", "--out", out, "--no-explain")
    code, _, err = call(*ask)
    assert code == 0
    assert "1 users of the log have no list" in err
    assert 9999 not in _users(out)


def test_parts_of_a_broken_state_are_not_joined(tmp_path: Path) -> None:
    file = PartedFile(tmp_path / "lists.csv", {"n": 3})
    file.begin(overwrite=False)
    (file.folder / "state.json").write_text("{")
    with pytest.raises(Exception, match="n"):
        file.begin(overwrite=False)
    file.begin(overwrite=True)
    assert [path.name for path in file.folder.iterdir()] == ["state.json"]
