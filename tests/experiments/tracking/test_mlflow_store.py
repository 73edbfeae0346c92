"""A run lands in a real MLflow store of SQLite, whole, with the fingerprint of its bundle."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import pytest

from recsys.bundles import bundle
from recsys.errors import ConfigError
from recsys.experiments.configuration import read_experiment
from recsys.experiments.run_log import DataSettings
from recsys.experiments.runs import train_run
from recsys.experiments.tracking.mlflow_store import record_run
from recsys.worlds.simulation import simulated_log


def _log(folder: Path) -> str:
    log = simulated_log(seed=1, n_users=40, n_items=30, events_per_user=15)
    rows = zip(log.users.ids[log.user_num], log.items.ids[log.item_num], log.time, strict=True)
    path = folder / "log.csv"
    path.write_text("user,item,time\n" + "\n".join(",".join(map(str, row)) for row in rows))
    return str(path)


def test_settings_metrics_curve_and_fingerprints_are_in_the_store(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    given = [("epochs", "2"), ("embedding_size", "4"), ("logger", "mlflow"), ("store", store)]
    experiment = read_experiment("mf", given)
    said: list[str] = []
    out = tmp_path / "run"
    metrics = train_run(experiment, DataSettings(_log(tmp_path), "last_one"), out, say=said.append)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=store)
        found = client.get_experiment_by_name("recsys")
        assert found is not None
        (run,) = client.search_runs([found.experiment_id])
        curve = client.get_metric_history(run.info.run_id, "curve/validation")
        again = record_run(out, store, "others")
        assert client.get_run(again).data.metrics == run.data.metrics
    assert run.info.status == "FINISHED"
    assert run.data.params["model.init_args.embedding_size"] == "4"
    assert run.data.metrics["test/ndcg_at_10"] == pytest.approx(metrics["test"]["ndcg@10"])
    assert [point.step for point in curve] == [0, 1]
    assert run.data.tags["recsys.fingerprint"] == metrics["fingerprint"]
    digest = bundle.read_manifest(out / "model").files["arrays.safetensors"]["sha256"]
    assert run.data.tags["recsys.bundle"] == digest
    assert said[-1] == f"recorded in MLflow: run {run.info.run_id}"


def test_a_store_that_cannot_be_used_is_told_and_the_run_is_complete(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    given = [("logger", "mlflow"), ("store", str(tmp_path / "a folder"))]
    with pytest.raises(ConfigError, match=r"cannot be used.*sqlite:///mlflow\.db"):
        train_run(read_experiment("popularity", given), DataSettings(_log(tmp_path), "last_one"), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["model"] == "Popularity"


def test_without_mlflow_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    experiment = read_experiment("popularity", [("logger", "mlflow")])
    with pytest.raises(ConfigError, match=r"pip install 'recsys\[mlflow\]'"):
        train_run(experiment, DataSettings(_log(tmp_path), "last_one"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_tracking_is_written_where_none_is_wanted() -> None:
    assert "tracking" not in read_experiment("popularity").to_dict()
    with pytest.raises(ConfigError, match=r"tracking"):
        read_experiment("popularity", [("logger", "wandb")])
