from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.tools.cells import Cells, Progress, identity
from benchmarks.tools.environment import environment
from recsys.data.splits.standard import split
from recsys.evaluation.holdout import evaluate
from recsys.models import Popularity
from recsys.worlds.simulation import simulated_log


def test_cell_is_loaded_only_by_its_identity(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    key = identity({"rate": 0.1}, 3)
    saved = cells.save("log/model/seed-0", key, {"test": {"ndcg@10": 0.25, "undefined": float("nan")}})
    loaded = cells.load("log/model/seed-0", key)
    assert loaded is not None
    assert loaded["test"]["ndcg@10"] == saved["test"]["ndcg@10"] == 0.25
    assert np.isnan(loaded["test"]["undefined"])
    assert cells.load("log/model/seed-0", identity({"rate": 0.2}, 3)) is None
    assert cells.load("log/model/seed-1", key) is None


def test_a_cell_holds_the_environment_in_which_it_was_made(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    cells.save("a/b", identity(1), {"x": 1})
    assert cells.environment("a/b") == environment()
    assert {"commit", "machine", "versions"} <= environment().keys()


def test_a_damaged_cell_is_missing(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    cells.save("a", "key", {"value": 1})
    whole = cells.path("a", "json").read_text()
    cells.path("a", "json").write_text(whole[: len(whole) // 2])
    assert cells.load("a", "key") is None


def test_tables_and_arrays_are_stored_beside_the_cell(tmp_path: Path) -> None:
    log = simulated_log(n_users=30, n_items=40, events_per_user=10)
    cut = split(log, "random")
    evaluation = evaluate(Popularity().fit(cut.train), cut.test, cut.train, cutoffs=(10,))
    cells = Cells(tmp_path)
    cells.save("m/seed-0", "key", {}, evaluation=evaluation, arrays={"v": np.arange(3)})
    assert cells.evaluation("m/seed-0").summary["ndcg@10"] == pytest.approx(evaluation.summary["ndcg@10"])
    arrays = cells.arrays("m/seed-0")
    assert arrays is not None
    assert arrays["v"].tolist() == [0, 1, 2]
    cells.drop_arrays("m/seed-0")
    assert cells.arrays("m/seed-0") is None
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["seed-0.json", "seed-0.parquet"]
    assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_time_left_is_estimated_from_measured_cells_only() -> None:
    progress = Progress(total=100.0)
    progress.add("cached", 50.0, None)
    progress.add("measured", 10.0, 30.0)
    # 40 of 100 are left, at 3 seconds for one.
    assert progress.eta() == "about 2 min left"
