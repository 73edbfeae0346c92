"""Exports: what an application reads is what the model says, and a directory appears whole."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recsys import load_model
from recsys.experiments.exports import export
from recsys.experiments.runs import run_log
from recsys.files import locked
from recsys.models.retrieval.points import persona_points

Call = Callable[..., tuple[int, str, str]]


def test_vectors_score_as_the_model(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    run, out = runs["ampcf_paper_dot"], tmp_path / "out"
    code, said, err = call("export", "--run", run, "--out", out, "--lists", "none", "--no-network", "--json")
    assert code == 0, err
    made = json.loads(said)
    assert made == json.loads((out / "export.json").read_text())
    assert made["rows"].keys() == {path.name for path in out.iterdir()} - {"export.json"}
    model = load_model(run)
    items, users = (pd.read_parquet(out / f"{name}_points.parquet") for name in ("item", "user"))
    queries = model.fitted_on.queries(run_log(run, model))
    points = persona_points(model, queries)
    mine = np.stack(users["vector"][users["user_id"] == users["user_id"][0]].tolist())
    torch.testing.assert_close(torch.from_numpy(mine), points.points[0])
    with torch.inference_mode():
        score = model.score(queries)[0].numpy()
    inner = np.stack(items["vector"].tolist()) @ mine.T
    # The attention weighs what the personas say.
    assert (score <= inner.max(1) + 1e-5).all()
    assert (score >= inner.min(1) - 1e-5).all()
    personas = pd.read_parquet(out / "personas.parquet")
    assert personas.groupby("user_id")["share"].sum().round(3).eq(1).all()


def test_found_personas_and_lists_in_a_database(call: Call, found_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said, err = call("export", "--run", found_run, "--out", out, "--lists", "sqlite", "-n", "5", "--no-explain")
    assert code == 0, err
    assert "no network" in said
    assert not (out / "lists.parquet").exists()
    database = sqlite3.connect(out / "lists.db")
    rows = database.execute("SELECT item_id, title, owner_name FROM lists WHERE user_id = 3 ORDER BY rank").fetchall()
    alone = json.loads(call("recommend", "--run", found_run, "--user", "3", "-n", "5", "--json")[1])
    assert rows == [(one["item_id"], one["title"], one.get("owner_name")) for one in alone]
    assert database.execute("SELECT count(*) FROM items").fetchone() == (60,)
    database.close()
    personas = pd.read_parquet(out / "user_tastes.parquet")
    told = json.loads(call("personas", "--run", found_run, "--user", "3", "--json")[1])
    assert set(personas["persona"][personas["user_id"] == 3]) == {one["persona"] for one in told}


def test_a_model_without_vectors_says_so(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    code, said, _ = call("export", "--run", runs["ease"], "--out", tmp_path / "out", "--json")
    assert code == 0
    assert set(json.loads(said)["left_out"]) == {"vectors", "personas", "network"}
    explained = pd.read_parquet(tmp_path / "out" / "lists.parquet")
    assert explained["reason"].str.endswith(".").all()


def test_an_export_appears_whole(
    call: Call, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    ask = ("export", "--run", runs["ease"], "--out", out, "--no-explain")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(export, "write_lists", interrupt)
        code, _, err = call(*ask)
    assert (code, out.exists()) == (130, False)
    assert "goes on from there" in err
    assert call(*ask)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    code, _, err = call(*ask)
    assert code == 2
    assert "--overwrite" in err
    assert call(*ask, "--overwrite", "--lists", "none")[0] == 0
    assert not (out / "lists.parquet").exists()


def test_parts_of_an_interrupted_export_are_not_in_one_without_lists(
    call: Call, runs: dict[str, Path], tmp_path: Path
) -> None:
    parts = tmp_path / "out.partial" / "lists.parquet.parts"
    parts.mkdir(parents=True)
    (parts / "000000.parquet").touch()
    (parts.parent / "export.unfinished").touch()
    code, said, err = call("export", "--run", runs["ease"], "--out", tmp_path / "out", "--lists", "none", "--json")
    assert code == 0, err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"export.json", *json.loads(said)["rows"]}


def test_two_exports_to_one_directory(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    with locked(tmp_path / "out.partial" / "export.unfinished", "in use"):
        code, _, err = call("export", "--run", runs["ease"], "--out", tmp_path / "out")
    assert code == 2
    assert "another export is going on there" in err


def test_an_export_that_fails_at_the_end_leaves_the_earlier_one(
    call: Call, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ("export", "--run", runs["ease"], "--out", tmp_path / "out", "--lists", "none", "--overwrite")
    assert call(*ask)[0] == 0
    rename, before = Path.rename, (tmp_path / "out" / "items.parquet").read_bytes()

    def fail(path: Path, target: Path) -> Path:
        if path.name == "out.partial":
            raise OSError(28, "No space left on device", str(path))
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        assert call(*ask)[0] == 2
    assert (tmp_path / "out" / "items.parquet").read_bytes() == before
    assert call(*ask)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_directories_of_others_are_left_alone(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    ask = ("export", "--run", runs["ease"], "--lists", "none", "--overwrite", "--out")
    for name in ("mine", "other.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text("mine")
    for name, told in (("mine", "no export"), ("other", "not made by this command"), ("nowhere/out", "no directory")):
        code, _, err = call(*ask, tmp_path / name)
        assert code == 2
        assert told in err
    assert (tmp_path / "mine" / "text").read_text() == (tmp_path / "other.partial" / "text").read_text() == "mine"


def test_without_the_library_of_the_format(
    call: Call, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "recsys.experiments.exports.onnx_network", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, said, err = call("export", "--run", runs["ampcf_latent"], "--out", tmp_path / "out", "--lists", "none")
    assert code == 0, err
    assert "pip install 'recsys[export]'" in said
