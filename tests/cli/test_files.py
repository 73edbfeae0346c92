"""Logs and histories of any layout can be named by options, and messages name the options as they are typed."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pandas as pd
import pytest

from recsys.cli.render import as_typed
from tests.cli.conftest import Call

TRAIN = ("train", "--config", "ease", "--quiet", "--out")


@pytest.fixture
def headerless(log_file: Path, tmp_path: Path) -> Path:
    """The log without its header, with ratings in a decimal comma and separated by semicolons."""
    frame = pd.read_csv(log_file)
    frame.to_csv(tmp_path / "log.csv", index=False, header=False, sep=";", decimal=",")
    return tmp_path / "log.csv"


def test_file_without_a_header_is_read_with_names_and_items(call: Call, headerless: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(headerless, sep=";", header=None)
    items = [{"id": int(item), "name": f"Film {item}", "genre": ["Drama"]} for item in frame[1].unique()]
    (tmp_path / "items.json").write_text(json.dumps(items))
    columns = ("names=user,item,rating,timestamp", "value_range=1,5", "decimal=,", "separator=;")
    options = ("--data", headerless, "--items", tmp_path / "items.json", "--columns", *columns)
    code, _, err = call(*TRAIN, tmp_path / "run", *options)
    assert code == 0, err
    (tmp_path / "items.json").unlink()  # the model keeps the titles
    code, out, err = call("recommend", "--run", tmp_path / "run", "--user", "3", "--json")
    assert code == 0, err
    assert all(entry["title"] == f"Film {entry['item_id']}" for entry in json.loads(out))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (
            (),
            "no column for the user among .*; say which it is with --columns user=NAME; a file without a header needs",
        ),
        (("user=buyer",), "no column 'buyer', as --columns user=buyer says; there are"),
        (("rating=mark",), "no column 'mark', as --columns rating=mark says"),
        (("names=user,item,rating,timestamp",), "line 1: rating '.*' is not a number; declare --columns decimal=,"),
        (("value_range=5,1",), "--columns value_range=5,1 is empty"),
        (("value_range=1",), "--columns value_range=1 is no range; give two numbers, as in value_range=1,5"),
        (("encoding=latin9000",), "--columns encoding=latin9000 is unknown; did you mean 'latin-1'"),
        (("rating=a", "value=b"), "--columns rating=a and value=b say the same"),
        (("ratngs=a",), "unknown key 'ratngs'; did you mean 'rating'"),
    ],
)
def test_messages_name_the_option_as_it_is_typed(
    columns: tuple[str, ...], told: str, call: Call, headerless: Path, tmp_path: Path
) -> None:
    code, _, err = call(*TRAIN, tmp_path / "run", "--data", headerless, "--columns", "separator=;", *columns)
    assert code == 2
    assert re.search(told, err.replace("\n", " ")), err


def test_remarks_are_in_the_words_of_the_command_line() -> None:
    said = "x.csv: 12 rows became 3 events: ...; to keep them, declare columns duplicates=keep re_ratings=keep"
    assert as_typed(said).endswith("declare --columns duplicates=keep re_ratings=keep")
    assert as_typed("columns differ; see --columns user=x") == "columns differ; see --columns user=x"


def test_unknown_items_of_a_history_are_told(
    call: Call, runs: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "history.csv").write_bytes(b"\xef\xbb\xbfitem\n1\n2\nnowhere\n")
    with caplog.at_level(logging.WARNING):
        code, out, err = call("recommend", "--run", runs["ease"], "--history", tmp_path / "history.csv", "--json")
    assert code == 0, err
    assert "history.csv: unknown_items, which do not count: nowhere" in caplog.text
    assert not {entry["item_id"] for entry in json.loads(out)} & {1, 2}


@pytest.mark.parametrize(
    ("at", "told"),
    [("1600", "is 1970-01-01T00:26:40Z, before the log begins"), ("soon", "is neither Unix seconds nor")],
)
def test_moment_in_another_unit_is_refused(at: str, told: str, call: Call, runs: dict[str, Path]) -> None:
    for command in (("recommend",), ("personas",)):
        code, _, err = call(*command, "--run", runs["persona_ease"], "--user", "3", "--at", at)
        assert code == 2
        assert told in err


def test_moment_is_the_same_in_seconds_and_milliseconds(call: Call, runs: dict[str, Path], log_file: Path) -> None:
    at = int(pd.read_csv(log_file)["timestamp"].median())
    question = ("recommend", "--run", runs["ease"], "--user", "3", "--json", "--at")
    answers = [call(*question, str(at * factor))[1] for factor in (1, 1000, 10**9)]
    assert json.loads(answers[0])[0]["evidence"]
    assert answers[0] == answers[1] == answers[2]


def test_moment_needs_a_history_with_times(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("1\n2\n")
    code, _, err = call("recommend", "--run", runs["ease"], "--history", tmp_path / "ids.txt", "--at", "2020-01-01")
    assert code == 2
    assert "has no times, so that nothing in it is before or after 2020-01-01; leave out --at" in err
