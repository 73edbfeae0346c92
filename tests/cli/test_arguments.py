"""Misuse of the command line that its parsers find, and how the columns of a run's log are declared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

Call = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recommend", "--run", "x", "--user", "u1", "--user", "u2"], "--user: given twice; give it once\n"),
        (["evaluate", "--run", "x", "--k", "5", "--k", "10"], "--k: given twice; give it once, with all values"),
        (["train", "--config", "ease", "--seed", "1", "--seed", "2"], "--seed: given twice"),
        (["train", "--config", "ease", "--regularization", "3", "--regularization=4"], "--regularization is given"),
        (["data", "inspect", "x", "--columns", "user=a", "--columns", "item=b"], "--columns: given twice"),
        (["explain", "--run", "x"], "that is `recsys recommend` here"),
        (["predict"], "that is `recsys recommend` here"),
        (["fit"], "that is `recsys train` here"),
        (["eval"], "that is `recsys evaluate` here"),
        (["stats"], "that is `recsys data inspect` here"),
        (["trian"], "did you mean 'train'?"),
        (["data", "inspct"], "did you mean 'inspect'?"),
    ],
)
def test_misuse_is_one_line_with_its_cure(call: Call, arguments: list[str], message: str) -> None:
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_results_below_a_file_are_refused_with_the_cure(call: Call, tmp_path: Path) -> None:
    (tmp_path / "f.txt").touch()
    code, _, err = call("train", "--config", "ease", "--data", "simulated", "--out", tmp_path / "f.txt" / "x")
    assert code == 2
    assert "a part of that path is a file: give another place" in err


def test_columns_that_no_log_has_are_named_with_all_that_there_are(call: Call, log_file: Path) -> None:
    code, _, err = call("data", "inspect", log_file, "--columns", "foo=bar")
    assert code == 2
    assert err.startswith("recsys: --columns foo=bar: unknown key 'foo'; known: user, item")
    assert "rating, timestamp" in err


def test_a_copy_without_a_header_is_read_as_its_columns_say(
    call: Call, runs: dict[str, Path], log_file: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.csv"
    pd.read_csv(log_file).to_csv(copy, index=False, header=False)
    run = ("--run", runs["ease"], "--data", copy)
    assert call("evaluate", *run)[0] == 2
    declared = ("--columns", "names=user_id,item_id,rating,timestamp")
    for command in (
        ("evaluate", *run, "--json"),
        ("recommend", *run, "--user", "3", "--json"),
        ("personas", "--run", runs["persona_ease"], "--data", copy, "--user", "3", "--json"),
    ):
        code, out, err = call(*command, *declared)
        assert (code, err) == (0, "")
        assert json.loads(out)


def test_repeats_of_a_log_are_told_at_training_only(
    call: Call, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, out = tmp_path / "log.csv", tmp_path / "run"
    rows = [f"{user},{(user * 7 + event) % 30},5,{event}" for user in range(40) for event in range(60)]
    log.write_text("user,item,rating,order\n" + "\n".join(rows))
    arguments = ["train", "--config", "ease", "--data", str(log), "--out", str(out), "--split", "last_one", "--quiet"]
    assert call(*arguments)[0] == 0
    assert "other repeats dropped" in caplog.text
    caplog.clear()
    for command in (("recommend", "--user", "3"), ("personas", "--user", "3"), ("evaluate",)):
        assert call(*command, "--run", out)[0] in (0, 2)  # EASE has no personas
        assert "dropped" not in caplog.text


def test_two_times_are_too_few_for_parts_one_after_the_other(call: Call, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,time\nu1,a,2020-01-01\nu2,b,2020-01-02\n")
    code, _, err = call("train", "--config", "ease", "--data", tmp_path / "log.csv", "--out", tmp_path / "run")
    assert code == 2
    assert "--split held_out_users" in err


def test_inspection_counts_the_events_that_training_reads(call: Call, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("user,item,rating,time\n" + "".join(f"u{row % 5},a,{row % 3},{row}\n" for row in range(20)))
    for columns, expected in (((), 5), (("--columns", "re_ratings=keep"), 20)):
        code, out, _ = call("data", "inspect", log, "--json", *columns)
        assert (code, json.loads(out)["events"], json.loads(out)["training_events"]) == (0, 20, expected)
