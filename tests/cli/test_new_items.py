"""`recsys train | evaluate | recommend` with items that training did not know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from recsys.data.readers.metadata import read_new_items
from recsys.data.vocabulary import Vocabulary
from recsys.errors import DataError
from tests.cli.conftest import Call


def _done(call: Call, *arguments: object) -> str:
    code, out, error = call(*arguments)
    assert code == 0, error
    return out


def _refused(call: Call, *arguments: object) -> str:
    code, _, error = call(*arguments)
    assert code != 0
    return error


def _write_log(folder: Path) -> tuple[Path, Path]:
    """Odd users like war, even ones love; an item begins every 20 events."""
    rng = np.random.default_rng(0)
    rows, items = ["user,item,time"], ["item,title,genres"]
    for time in range(1200):
        user = int(rng.integers(0, 30))
        item = 2 * int(rng.integers(max(0, time // 40 - 12), 1 + time // 40)) + user % 2
        rows.append(f"u{user},{item},{1_000_000 + time}")
    for item in range(62):
        items.append(f"{item},{('Love', 'War')[item % 2]} number {item},{('Romance', 'War')[item % 2]}")
    log, described = folder / "log.csv", folder / "items.csv"
    log.write_text("\n".join(rows))
    described.write_text("\n".join(items))
    return log, described


def test_new_items_are_evaluated_and_listed_with_their_features(call: Call, tmp_path: Path) -> None:
    log, items = _write_log(tmp_path)
    vectors = tmp_path / "vectors.safetensors"
    save_file({"vectors": np.eye(2, dtype=np.float32)[np.arange(62) % 2]}, vectors)
    run = tmp_path / "run"
    given = ("--data", log, "--items", items, "--item-vectors", vectors)
    _done(call, "train", "--config", "ease_cold", *given, "--split", "cold_items", "--out", run, "--quiet", "--k", 3)
    shown = [
        json.loads(_done(call, "evaluate", "--run", run, "--k", 3, "--json", *more))
        for more in ([], ["--among", "all"])
    ]
    assert shown[0]["recall@3"] > shown[1]["recall@3"]
    new = tmp_path / "new.csv"
    new.write_text("item,title,genres\n900,War again,War\n901,Love again,Romance\n3,War number 3,War\n")
    np.save(tmp_path / "new.npy", np.eye(2, dtype=np.float32)[[1, 0, 1]])
    command = ("recommend", "--run", run, "--new-items", new, "--item-vectors", tmp_path / "new.npy", "--only-new")
    for user, likes in (("u1", "War"), ("u2", "Love")):
        listed = json.loads(_done(call, *command, "--user", user, "-n", 100, "--json"))
        places = {item["title"]: place for place, item in enumerate(listed)}
        other = {"War": "Love", "Love": "War"}[likes]
        assert places[f"{likes} again"] < places[f"{other} again"]
        assert "War number 3" not in places
    assert set(listed[0]["features"]) & {"genre Romance", "word love", "the given vector"}
    assert "new, and liked for" in _done(call, *command, "--user", "u2", "-n", 1)


def test_what_has_no_answer_is_refused(call: Call, tmp_path: Path) -> None:
    log, items = _write_log(tmp_path)
    run = tmp_path / "run"
    _done(call, "train", "--config", "ease", "--data", log, "--items", items, "--out", run, "--quiet")
    asked = ("recommend", "--run", run, "--user", "u1")
    assert "EASE takes no new items" in _refused(call, *asked, "--new-items", items)
    assert "scores no new items" in _refused(call, *asked, "--only-new")
    assert "belong to no persona or visit" in _refused(call, *asked, "--only-new", "--mute", "3")
    assert "give both" in _refused(call, *asked, "--item-vectors", items)
    everybody = ("recommend", "--run", run, "--all", "--out", tmp_path / "lists.csv", "--item-vectors", items)
    assert "are for one user" in _refused(call, *everybody)
    text = ("recommend", "--run", run, "--summary", items, "--only-new")
    assert "titles that the model knows" in _refused(call, *text)
    assert "no option 'among'" in _refused(call, "evaluate", "--run", run, "--among", "all")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,A,War\n1,B,War", "'1' comes twice"),
        ("x,A,War", "'x' is no whole number"),
        ("7,A,War", "knows all of its 1 items already"),
    ],
)
def test_files_of_new_items_are_checked(tmp_path: Path, rows: str, message: str) -> None:
    file = tmp_path / "new.csv"
    file.write_text(f"item,title,genres\n{rows}\n")
    with pytest.raises(DataError, match=message):
        read_new_items(file, Vocabulary([7, 8]))


def test_there_must_be_a_vector_for_each_row(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text("item,title,genres\n1,A,War\n2,B,War\n")
    np.save(tmp_path / "v.npy", np.ones((3, 2), np.float32))
    with pytest.raises(DataError, match="3 vectors for the 2 rows"):
        read_new_items(file, Vocabulary([7]), tmp_path / "v.npy")
