"""What a training run leaves behind: a checkpoint, CSV and TensorBoard logs; nothing without a directory."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recsys.models import AMPCF
from recsys.training.session import Session
from recsys.training.trainable import Optimization
from recsys.worlds.simulation import simulated_log


def test_logs_and_checkpoint_are_written(tmp_path: Path) -> None:
    log = simulated_log(seed=0, n_users=30, n_items=20, events_per_user=10)
    model = AMPCF(4, 2, optimization=Optimization(epochs=3, batch_size=10))
    model.fit(log, lambda _: 0.5, Session(tmp_path / "logs"))
    assert (tmp_path / "logs" / "last.ckpt").exists()
    with next((tmp_path / "logs" / "csv").rglob("metrics.csv")).open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["loss"]) for row in rows if row.get("loss")]
    assert all(1 <= float(row["effective"]) <= 2.001 for row in rows if row.get("effective"))
    assert any(row.get("effective") for row in rows)
    assert {float(row["validation"]) for row in rows if row.get("validation")} == {0.5}
    events = EventAccumulator(str(next((tmp_path / "logs" / "tensorboard").rglob("events*")).parent))
    events.Reload()
    assert len(events.Scalars("loss")) == 3


def test_nothing_is_written_without_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = simulated_log(seed=0, n_users=30, n_items=20, events_per_user=10)
    AMPCF(4, 2, optimization=Optimization(epochs=1, batch_size=10)).fit(log)
    assert list(tmp_path.iterdir()) == []
