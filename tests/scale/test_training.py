"""A partitioned log trains the model of the whole log, in one process and on workers, also when one is killed."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from recsys.errors import CapabilityError, ConfigError
from recsys.evaluation.result import Evaluation
from recsys.experiments.configuration import read_experiment
from recsys.experiments.run_log import DataSettings
from recsys.experiments.runs import load_model, train_run
from recsys.models import EASE, LinearNextItem
from recsys.models.capabilities import Statistic, Sums
from recsys.scale import training
from recsys.scale.engine import InProcess
from recsys.scale.engines import engine_of
from recsys.scale.training import evaluate_partitioned, of_part, summed, train_partitioned

CONFIGS = {"ease": [("regularization", "20")], "linear_next_item": [("half_lives", "[1, 5]"), ("regularization", "5")]}


def _weights(run: Path) -> npt.NDArray[np.float32]:
    return load_model(run).arrays()["weights"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, log_file: Path) -> Path:
    """Runs on the whole log, by configuration."""
    folder = tmp_path_factory.mktemp("whole")
    for name, settings in CONFIGS.items():
        train_run(read_experiment(name, settings), DataSettings(str(log_file)), folder / name)
    return folder


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_the_numbers_are_those_of_the_whole_log(
    request: pytest.FixtureRequest, whole: Path, partitioned: Path, tmp_path: Path, config: str, engine: str
) -> None:
    if engine == "ray":
        request.getfixturevalue("cluster")
    experiment, out = read_experiment(config, CONFIGS[config]), tmp_path / "run"
    with engine_of(engine, None) as chosen:  # type: ignore[arg-type]
        train_partitioned(experiment, DataSettings(str(partitioned)), out, chosen)
    expected, found = _weights(whole / config), _weights(out)
    if config == "ease":  # counts are whole numbers
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for part in ("valid", "test"):
        one, other = (Evaluation.load(run / f"{part}.parquet") for run in (whole / config, out))
        for metric in ("ndcg@10", "recall@20", "coverage@10", "gini@10", "novelty@10"):
            assert other.summary[metric] == pytest.approx(one.summary[metric], abs=1e-6)
        tables = [table.per_user.set_index("user_id").sort_index() for table in (one, other)]
        expected, found = (table["ndcg@10"].to_numpy() for table in tables)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert tables[0]["user_kind"].equals(tables[1]["user_kind"])
        assert one.counts == other.counts
    with engine_of(engine, None) as chosen:  # type: ignore[arg-type]
        again = evaluate_partitioned(out, str(partitioned), chosen)
    assert again.summary["ndcg@10"] == Evaluation.load(out / "test.parquet").summary["ndcg@10"]
    recorded = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert recorded["partitions"]["repeated"] == []
    assert recorded["leaks_time"] is False


def _killed_once(statistic: Statistic, mark: Path, split: object, reads_kinds: bool, number: int) -> Sums:
    if number == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return of_part(split, statistic, reads_kinds, number)  # type: ignore[arg-type]


@pytest.mark.usefixtures("cluster")
def test_a_worker_that_is_killed_changes_nothing_and_is_told(
    whole: Path, partitioned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, told = tmp_path / "mark", list[str]()

    def dying(split: object, statistic: Statistic, reads_kinds: bool) -> object:
        return partial(_killed_once, statistic, mark, split, reads_kinds)

    monkeypatch.setattr(training, "partial", lambda _, *arguments: dying(*arguments))
    with engine_of("ray", 2, told.append) as engine:
        experiment = read_experiment("ease", CONFIGS["ease"])
        metrics = train_partitioned(experiment, DataSettings(str(partitioned)), tmp_path / "run", engine)
    assert mark.exists()
    np.testing.assert_array_equal(_weights(tmp_path / "run"), _weights(whole / "ease"))
    assert metrics["partitions"]["repeated"] == told
    assert told == ["part 2 lost its worker (WorkerCrashedError) and is repeated"]


def test_sums_are_added_in_the_order_of_the_parts() -> None:
    pieces = [np.array([number], np.float32) for number in (1e8, -1e8, 1.0)]
    assert summed(InProcess(), lambda number: {"x": pieces[number]}, 3)["x"].tolist() == [1.0]


def test_what_needs_the_whole_log_is_refused_before_anything_is_read(partitioned: Path, tmp_path: Path) -> None:
    data = DataSettings(str(partitioned))

    def refused(config: str, settings: list[tuple[str, str]], data: DataSettings = data) -> None:
        train_partitioned(read_experiment(config, settings), data, tmp_path / "run", InProcess())

    with pytest.raises(CapabilityError, match=r"AMPCF does not learn from sums.*EASE, LinearNextItem"):
        refused("ampcf_latent", [])
    with pytest.raises(CapabilityError, match="feedback 'liked' reads each rating against those of everybody"):
        refused("ease", [("feedback", "liked")])
    with pytest.raises(ConfigError, match="filters count the events of all users"):
        refused("ease", [("filters.min_item_events", "5")])
    with pytest.raises(ConfigError, match="split by global_time"):
        refused("ease", [], DataSettings(str(partitioned), "random"))
    assert not (tmp_path / "run").exists()


def test_a_model_fitted_to_sums_is_that_of_fit(partitioned: Path) -> None:
    """`fit` of these models goes the same way."""
    from recsys.data.partitions.log import PartitionedLog

    log = PartitionedLog.open(partitioned).whole()
    for model in (EASE(20.0), LinearNextItem(regularization=5.0)):
        first = model.fit(log)
        again = model.unfitted().fit_sums(first.fitted_on, lambda statistic: statistic(log), len(log))
        np.testing.assert_array_equal(first.arrays()["weights"], again.arrays()["weights"])
