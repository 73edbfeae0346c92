"""Writes a finished run to MLflow, which only this module imports: settings, metrics, curve, what it was made of."""

from __future__ import annotations

import csv
import json
import math
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from recsys.bundles import bundle
from recsys.errors import ConfigError

DEFAULT_STORE: Final = "sqlite:///mlflow.db"
_VALUE: Final = 6000
"""Most characters of a setting that MLflow stores."""
_BATCH: Final = 90
_NO_NAME = re.compile(r"[^\w\-. /]")


def refuse_without_mlflow() -> None:
    """Raise a ConfigError, with the cure, where MLflow is not installed: before anything is trained."""
    try:
        import mlflow  # noqa: F401, PLC0415
    except ImportError as error:
        raise ConfigError(
            "tracking.logger is 'mlflow', and MLflow is not installed; install it with `pip install 'recsys[mlflow]'`"
        ) from error


def record_run(run: Path, store: str | None = None, experiment: str = "recsys") -> str:
    """Write a finished run to an MLflow store, and return the id that it has there.

    Parameters are the settings of the complete experiment; metrics those of validation and test, such as
    "valid/ndcg_at_10", and of the training, with the curve by epochs where the model was trained by gradient. Tags are
    the run's directory, the data set, the split, the fingerprints of the training part, of the whole log and of the
    bundle's arrays.

    Args:
        run: its directory, as `recsys train` writes it.
        store: address of the store: SQLite ("sqlite:///mlflow.db"), another database, or a server; None: what
            MLFLOW_TRACKING_URI says, else `DEFAULT_STORE`.
        experiment: the MLflow experiment to which it is added; made where it is missing.

    Raises:
        ConfigError: MLflow is not installed, or the store cannot be used.
    """
    refuse_without_mlflow()
    with warnings.catch_warnings():
        # Of MLflow's own use of SQLAlchemy, which nobody here can mend.
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient  # noqa: PLC0415 (an extra, and slow to import)
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415
        from mlflow.environment_variables import MLFLOW_TRACKING_URI  # noqa: PLC0415
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        address = store or MLFLOW_TRACKING_URI.get() or DEFAULT_STORE
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        settings = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        now = int(time.time() * 1000)
        params = [Param(name, text[:_VALUE]) for name, text in _flat(settings)]
        numbers = [Metric(name, value, now, step) for name, value, step in _numbers(run, metrics)]
        tags = [RunTag(name, str(value)) for name, value in _facts(run, metrics).items()]
        try:
            client = MlflowClient(tracking_uri=address)
            found = client.get_experiment_by_name(experiment)
            number = client.create_experiment(experiment) if found is None else found.experiment_id
            made = str(client.create_run(number, run_name=run.name).info.run_id)
            client.log_batch(made, tags=tags)
            for start in range(0, len(params), _BATCH):
                client.log_batch(made, params=params[start : start + _BATCH])
            for start in range(0, len(numbers), _BATCH):
                client.log_batch(made, metrics=numbers[start : start + _BATCH])
            client.set_terminated(made)
        except MlflowException as error:
            fault = " ".join(str(error).split())
            raise ConfigError(
                f"tracking.store {address!r} cannot be used ({fault}); the run in {run} is complete: give a store such "
                f"as {DEFAULT_STORE}, and record it with recsys.experiments.tracking.mlflow_store.record_run"
            ) from error
    return made


def _flat(settings: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, json.dumps(settings) if isinstance(settings, list) else str(settings)


def _numbers(run: Path, metrics: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
    """Yield name, value and step of everything that was measured."""
    for part in ("valid", "test", "train"):
        for name, value in (metrics.get(part) or {}).items():
            if isinstance(value, int | float) and math.isfinite(value):
                yield f"{part}/{_named(name)}", float(value), 0
    for file in sorted((run / "logs").glob("csv/**/metrics.csv")):
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                step = int(row.get("epoch") or row.get("step") or 0)
                for name, text in row.items():
                    if name not in ("epoch", "step") and text:
                        yield f"curve/{_named(name)}", float(text), step


def _named(name: str) -> str:
    return _NO_NAME.sub("_", name.replace("@", "_at_"))


def _facts(run: Path, metrics: Mapping[str, Any]) -> Mapping[str, object]:
    facts: dict[str, object] = {
        "recsys.run": run.resolve(),
        "recsys.bundle": bundle.read_manifest(run / "model").files["arrays.safetensors"]["sha256"],
        "recsys.log": (metrics.get("log") or {}).get("fingerprint"),
    }
    for name in ("dataset", "split", "model", "seed", "fingerprint", "asked"):
        facts[f"recsys.{name}"] = metrics.get(name)
    return {name: value for name, value in facts.items() if value is not None}
