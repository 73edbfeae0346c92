"""A run knows the log that it read: another one is refused or told, a grown one is asked only about what is later."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.cli.main import main
from recsys.data.interactions import Interactions
from recsys.events.addresses import open_store
from recsys.events.store import Event

Call = Callable[..., tuple[int, str, str]]
START = 1_500_000_000


def _rows(users: int = 60, items: int = 120, events: int = 40) -> pd.DataFrame:
    """Return events in the order of time; every user likes a quarter of the items best."""
    draw = np.random.default_rng(0)
    taste = np.arange(items).reshape(4, -1)
    rows = [
        (f"u{user:02}", f"i{item}", int(draw.integers(1, 6)), START + int(draw.integers(10_000_000)))
        for user in range(users)
        for item in np.unique(np.r_[draw.choice(taste[user % 4], events - 15), draw.choice(items, 15)])
    ]
    return pd.DataFrame(rows, columns=["user", "item", "rating", "time"]).sort_values("time", ignore_index=True)


def _write(rows: pd.DataFrame, path: Path) -> Path:
    rows.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return _rows()


@pytest.fixture(scope="module")
def trained(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the rows: `log.csv` beside `run`."""
    folder = tmp_path_factory.mktemp("other_logs")
    log = _write(rows, folder / "log.csv")
    arguments = ["train", "--config", "ease", "--data", log, "--out", folder / "run", "--quiet"]
    assert main([str(argument) for argument in arguments]) == 0
    return folder


def _record(run: Path) -> dict[str, object]:
    record: dict[str, object] = json.loads((run / "metrics.json").read_text())["log"]
    return record


def _fingerprint(rows: pd.DataFrame) -> str:
    return Interactions.from_pandas(rows).fingerprint


def test_run_records_its_log(trained: Path, rows: pd.DataFrame) -> None:
    record = _record(trained / "run")
    assert record == {
        "fingerprint": _fingerprint(rows), "events": len(rows), "users": 60, "items": 120, "until": rows["time"].max(),
    }  # fmt: skip


def _cut(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.iloc[: int(0.7 * len(rows))]


def _renamed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(user="v" + rows["user"].str[1:])


def _swapped(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(user=rows["user"].replace({"u00": "u01", "u01": "u00"}))


def _other_values(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(rating=6 - rows["rating"])


def _other_times(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(time=rows["time"] + 1)


@pytest.mark.parametrize("change", [_cut, _renamed, _swapped, _other_values, _other_times])
@pytest.mark.parametrize("later", [(), ("--later",)])
def test_evaluating_on_another_log_is_refused(
    call: Call,
    trained: Path,
    rows: pd.DataFrame,
    tmp_path: Path,
    change: Callable[..., pd.DataFrame],
    later: tuple[str, ...],
) -> None:
    other = _write(change(rows), tmp_path / "other.csv")
    run = trained / "run"
    code, out, err = call("evaluate", "--run", run, "--data", other, *later)
    assert (code, out) == (2, "")
    assert str(other) in err
    assert str(run) in err
    assert str(_record(run)["fingerprint"])[:12] in err
    if not later:
        assert _fingerprint(change(rows))[:12] in err
    assert "--data" in err or later
    assert later or "--later" not in err  # which would be refused, too
    assert "train again" in err


def test_equal_log_under_another_name_is_the_same_log(
    call: Call, trained: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    copy = _write(rows, tmp_path / "copy.csv")
    run, again = trained / "run", tmp_path / "again"
    code, out, err = call("evaluate", "--run", run, "--data", copy, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["ndcg@10"] == json.loads((run / "metrics.json").read_text())["test"]["ndcg@10"]
    train = ("train", "--config", "popularity", "--data", copy, "--out", again, "--quiet")
    assert call(*train)[0] == 0
    assert call("compare", again, run)[0] == 0
    shuffled = _write(rows.sort_values("item", kind="stable"), tmp_path / "shuffled.csv")
    assert call("evaluate", "--run", run, "--data", shuffled)[0] == 0
    other = _write(_cut(rows), tmp_path / "other.csv")
    assert call("train", "--config", "ease", "--data", other, "--out", tmp_path / "less", "--quiet")[0] == 0
    code, _, err = call("compare", tmp_path / "less", run)
    assert code == 2
    assert "cannot be paired" in err
    assert str(_record(run)["fingerprint"])[:12] in err


def test_grown_log_is_asked_only_about_what_is_later(
    call: Call, trained: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    run, until = trained / "run", int(rows["time"].max())
    new = pd.DataFrame(
        [
            ("u00", "i3", 5, until + 10),
            ("u01", str(rows.loc[rows["user"] == "u01", "item"].iloc[0]), 5, until + 20),  # used before
            ("u01", "i77777", 4, until + 30),
            ("stranger", "i5", 4, until + 40),
        ],
        columns=list(rows.columns),
    )
    new = new[~((new["user"] == "u00") & new["item"].isin(rows.loc[rows["user"] == "u00", "item"]))]
    grown = _write(pd.concat([rows, new]), tmp_path / "grown.csv")
    code, _, err = call("evaluate", "--run", run, "--data", grown)
    assert code == 2
    assert "--later" in err
    code, out, err = call("evaluate", "--run", run, "--data", grown, "--later", "--json")
    assert (code, err) == (0, "")
    counts = json.loads(out)
    assert counts["users"] == new["user"].nunique()
    assert counts["unreachable_relevant"] == 1
    assert counts["cold_users"] == 1
    code, _, err = call("evaluate", "--run", run, "--later")
    assert code == 2
    assert "none of its" in err
    late = pd.concat([rows, new, new.assign(time=until)])  # arrives afterwards, but is not later
    code, _, err = call("evaluate", "--run", run, "--data", _write(late, tmp_path / "late.csv"), "--later")
    assert code == 2
    assert "only grown" in err


def _store(rows: pd.DataFrame, address: str) -> None:
    with open_store(address, create=True) as store:
        events = zip(rows["user"], rows["item"], rows["rating"], rows["time"], strict=True)
        store.append([Event(f"{u}-{i}-{t}", u, i, float(r), int(t)) for u, i, r, t in events])


def test_store_has_grown_also_where_an_item_is_used_again(call: Call, rows: pd.DataFrame, tmp_path: Path) -> None:
    address, run = f"sqlite:///{tmp_path / 'events.db'}", tmp_path / "run"
    again = rows.iloc[[7, 40]].assign(time=rows["time"] + 1)  # used again before the training, too
    _store(pd.concat([rows, again]).sort_values("time"), address)
    assert call("train", "--config", "ease", "--data", address, "--out", run, "--quiet")[0] == 0
    late = int(rows["time"].max()) + 10
    _store(rows.iloc[[3, 50]].assign(time=late), address)
    _store(pd.DataFrame([("u00", "i_new", 4, late + 1)], columns=rows.columns), address)
    code, out, err = call("evaluate", "--run", run, "--later", "--json")
    assert (code, err) == (0, "")
    counts = json.loads(out)
    assert counts["users"] == len({"u00", *rows.iloc[[3, 50]]["user"]})
    assert counts["unreachable_relevant"] == 1
    told = call("evaluate", "--run", run, "--later")[1]
    assert f"; 1 of {counts['users']} have a new item, and means of ranking metrics are over these 1." in told


def test_what_is_later_has_the_threshold_of_the_run(call: Call, rows: pd.DataFrame, tmp_path: Path) -> None:
    run, log = tmp_path / "run", _write(rows, tmp_path / "log.csv")
    paper = ("--split", "paper", "--threshold", "4", "--quiet")
    assert call("train", "--config", "ease", "--data", log, "--out", run, *paper)[0] == 0
    late = int(rows["time"].max()) + 10
    new = [(user, "i_new", rating, late) for user, rating in (("u00", 3), ("u01", 4), ("u02", 1), ("u03", 5))]
    grown = _write(pd.concat([rows, pd.DataFrame(new, columns=rows.columns)]), tmp_path / "grown.csv")
    code, out, _ = call("evaluate", "--run", run, "--data", grown, "--later", "--json")
    assert code == 0
    assert json.loads(out)["users"] == 2


def test_log_that_changed_in_its_place_is_used_only_when_named(
    call: Call, rows: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, log = tmp_path / "run", tmp_path / "log.csv"
    _write(rows, log)
    assert call("train", "--config", "ease", "--data", log, "--out", run, "--quiet")[0] == 0
    question = ("recommend", "--run", run, "--user", "u03", "-n", "3")
    assert call(*question)[2] == ""
    _write(_cut(rows), log)
    for command in (question, ("personas", *question[1:5]), ("evaluate", "--run", run)):
        code, out, err = call(*command)
        assert (code, out) == (2, "")
        assert "fingerprint" in err
        assert "--data" in err
    code, out, _ = call(*question, "--data", log)
    assert code == 0
    assert out
    assert "is not the log that" in caplog.text
    assert "100.0% of its items, 100.0% of its users" in caplog.text


def test_foreign_log_is_told_or_refused(
    call: Call, trained: Path, rows: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trained / "run"
    foreign = rows.assign(item="x" + rows["item"])
    code, out, err = call("recommend", "--run", run, "--user", "u03", "--data", _write(foreign, tmp_path / "a.csv"))
    assert (code, out) == (2, "")
    assert "none of its items" in err
    strangers = _write(_renamed(rows), tmp_path / "b.csv")
    code, out, err = call("recommend", "--run", run, "--user", "v03", "--data", strangers)
    assert (code, out) == (2, "")
    assert "none of its users" in err
    half = rows.assign(item=rows["item"].where(rows["item"].str[1:].astype(int) < 60, "x" + rows["item"]))
    assert call("recommend", "--run", run, "--user", "u03", "--data", _write(half, tmp_path / "c.csv"))[0] == 0
    assert "50.0% of its items, 100.0% of its users" in caplog.text


def test_run_without_a_record_says_what_is_not_checked(
    call: Call, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained / "run", run)
    metrics = json.loads((run / "metrics.json").read_text())
    del metrics["log"]
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert call("evaluate", "--run", run)[0] == 0
    assert "the test questions are not" in caplog.text
    assert call("recommend", "--run", run, "--user", "u03")[0] == 0
    assert "is taken for that log" in caplog.text
    assert call("compare", run, trained / "run")[0] == 0
    code, _, err = call("evaluate", "--run", run, "--data", _write(_cut(_rows()), tmp_path / "cut.csv"))
    assert code == 2
    assert "may have learned" in err
    (run / "metrics.json").write_text("[]")
    code, _, err = call("evaluate", "--run", run)
    assert code == 2
    assert "train the run again" in err
