"""Models trained by gradient on a log in parts: the same in one process and on workers, also when one is killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsys.cli.main import main
from recsys.errors import CapabilityError, ConfigError
from recsys.evaluation.result import Evaluation
from recsys.experiments.configuration import Experiment, read_experiment
from recsys.experiments.run_log import DataSettings
from recsys.experiments.runs import load_model
from recsys.models import AMPCF, WithPersonas
from recsys.scale import users
from recsys.scale.engine import Engine, InProcess
from recsys.scale.engines import engine_of
from recsys.scale.training import evaluate_partitioned, train_partitioned
from recsys.training.session import CHECKPOINT, Session

CONFIGS = {
    "ampcf_latent": [("epochs", "6"), ("batch_size", "63")],
    "mf": [("users", "history"), ("epochs", "4"), ("objective.sampler", "popularity"), ("objective.log_q", "true")],
}
_KILLED_IN_EPOCH = 3


def _experiment(name: str) -> Experiment:
    return read_experiment(name, CONFIGS[name])


def assert_same(one: Path, other: Path) -> None:
    """The same parameters, to the last bit, and the same metrics."""
    models = [load_model(run).arrays() for run in (one, other)]
    assert models[0].keys() == models[1].keys()
    for name, array in models[0].items():
        np.testing.assert_array_equal(models[1][name], array)
    for questions in ("valid", "test"):
        tables = [Evaluation.load(run / f"{questions}.parquet").per_user for run in (one, other)]
        np.testing.assert_allclose(tables[1]["ndcg@10"], tables[0]["ndcg@10"], atol=1e-6)


@pytest.fixture(scope="module")
def alone(partitioned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of one process, by configuration."""
    folder = tmp_path_factory.mktemp("alone")
    for name in CONFIGS:
        train_partitioned(_experiment(name), DataSettings(str(partitioned)), folder / name, InProcess())
    return folder


def test_training_learns_and_is_recorded(alone: Path) -> None:
    recorded = json.loads((alone / "ampcf_latent" / "metrics.json").read_text(encoding="utf-8"))
    assert recorded["train"]["epochs"] == 6
    losses = [row.split(",") for row in (alone / "ampcf_latent/logs/csv/metrics.csv").read_text("utf-8").split()]
    column = losses[0].index("loss")
    told = [float(row[column]) for row in losses[1:] if row[column]]
    assert told == sorted(told, reverse=True)


@pytest.mark.usefixtures("cluster")
def test_workers_train_what_one_process_trains(alone: Path, partitioned: Path, tmp_path: Path) -> None:
    """Five parts, two processes; negatives are drawn by counts of all parts."""
    with engine_of("ray", 2) as engine:
        metrics = train_partitioned(_experiment("mf"), DataSettings(str(partitioned)), tmp_path / "run", engine)
        again = evaluate_partitioned(tmp_path / "run", str(partitioned), engine)
    assert metrics["partitions"]["repeated"] == []
    assert_same(alone / "mf", tmp_path / "run")
    assert again.summary["ndcg@10"] == metrics["test"]["ndcg@10"]
    assert not list((tmp_path / "run").glob(".ray*"))


def _in_epoch(happens: Callable[[], None]) -> Callable[..., Any]:
    """Return what validates a part; before the second part, something happens in one epoch."""
    values, calls = users._values, count(1)

    def interrupted(*arguments: Any) -> Any:
        if arguments[-1] == 1 and next(calls) == _KILLED_IN_EPOCH:
            happens()
        return values(*arguments)

    return interrupted


def _killed_once(function: Callable[[Engine], Any], mark: Path, engine: Engine) -> Any:
    """Call a function in a process that, if it holds one part of two and nobody else was killed, is killed later."""

    def die() -> None:
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    if not mark.exists() and engine.own(2) == range(1, 2):
        users._values = _in_epoch(die)
    return function(engine)


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_changes_nothing_and_is_told(
    alone: Path, partitioned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[str]()
    with engine_of("ray", 2, told.append) as engine:
        together = engine.together
        killing = lambda function, most, folder: together(  # noqa: E731
            partial(_killed_once, function, tmp_path / "mark"), most, folder
        )
        monkeypatch.setattr(engine, "together", killing)
        run, data = tmp_path / "run", DataSettings(str(partitioned))
        metrics = train_partitioned(_experiment("ampcf_latent"), data, run, engine)
    assert (tmp_path / "mark").exists()
    assert (run / "logs" / "csv" / "resumed").is_dir()
    assert metrics["partitions"]["repeated"] == told
    assert len(told) == 1
    assert told[0].startswith("training lost a worker of 2 (")
    assert_same(alone / "ampcf_latent", run)


def test_an_interrupted_training_goes_on_by_the_same_command(
    alone: Path, partitioned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    run, data = tmp_path / "run", DataSettings(str(partitioned))
    with monkeypatch.context() as patched:
        patched.setattr(users, "_values", _in_epoch(interrupt))
        with pytest.raises(KeyboardInterrupt):
            train_partitioned(_experiment("ampcf_latent"), data, run, InProcess())
    assert (run / "logs" / CHECKPOINT).exists()
    train_partitioned(_experiment("ampcf_latent"), data, run, InProcess(), session=Session(resume=True))
    assert (run / "logs" / "csv" / "resumed").is_dir()
    assert_same(alone / "ampcf_latent", run)


def test_lists_of_everybody_are_those_of_the_model(alone: Path, partitioned: Path, tmp_path: Path) -> None:
    command = ["recommend", "--run", str(alone / "ampcf_latent"), "--all", "--no-explain", "-n", "5"]
    assert main([*command, "--out", str(tmp_path / "lists.parquet")]) == 0
    table = pq.read_table(tmp_path / "lists.parquet").to_pandas()
    model = load_model(alone / "ampcf_latent")
    from recsys.data.partitions.log import PartitionedLog

    log = PartitionedLog.open(partitioned).part(0)
    expected = model.recommend(model.fitted_on.queries(log), 5).items
    some = int(np.flatnonzero(log.users.ids == table["user_id"].iloc[0])[0])
    found = table[table["user_id"] == log.users.ids[some]].sort_values("rank")["item_id"].tolist()
    assert found == model.fitted_on.items.ids[expected[some]].tolist()


def test_what_does_not_fit_is_refused_before_anything_is_read(partitioned: Path, tmp_path: Path) -> None:
    def refused(config: str, settings: list[tuple[str, str]], session: Session | None = None) -> None:
        data, experiment = DataSettings(str(partitioned)), read_experiment(config, settings)
        train_partitioned(experiment, data, tmp_path / "run", InProcess(), session=session)

    with pytest.raises(CapabilityError, match=r"MF with users='embedding' learns vectors for every user"):
        refused("mf", [])
    with pytest.raises(CapabilityError, match=r"AMPCF with users='embedding' learns vectors for every user"):
        refused("ampcf_paper_dot", [])
    with pytest.raises(CapabilityError, match=r"SequentialAMPCF does not learn from sums"):
        refused("ampcf_sequential", [])
    with pytest.raises(CapabilityError, match="feedback 'weighted' reads each rating against those of everybody"):
        refused("ampcf_latent", [("feedback", "weighted")])
    with pytest.raises(ConfigError, match=r"--engine ray --workers N"):
        refused("ampcf_latent", [], Session(accelerator="cpu", devices=2))
    assert not WithPersonas(AMPCF()).learns_from_sums
    assert not (tmp_path / "run").exists()
