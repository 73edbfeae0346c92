"""A run: one experiment on one log, trained, evaluated and kept in a directory that later commands can ask.

DIR/model/         the bundle
DIR/config.yaml    the complete experiment
DIR/metrics.json   what came out
DIR/valid.parquet, DIR/test.parquet    per-user metrics
DIR/logs/          checkpoint, CSV and TensorBoard logs
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd
import yaml

from recsys.bundles import bundle
from recsys.data.catalogue import cards, datasets
from recsys.data.interactions import Interactions
from recsys.data.readers.columns import Columns
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.splits.names import SplitName
from recsys.data.splits.standard import split
from recsys.errors import DataError
from recsys.evaluation.holdout import evaluate, validator
from recsys.evaluation.result import Evaluation
from recsys.evaluation.significance import compare
from recsys.evaluation.tastes import Tastes
from recsys.events.addresses import is_address, located
from recsys.events.transfer import log_of, pinned
from recsys.experiments.configuration import Experiment, read_experiment
from recsys.models.base import Recommender
from recsys.models.capabilities import PersonaRecommender
from recsys.models.health import persona_health
from recsys.training.session import Session

METRICS = "metrics.json"
_HEALTH_USERS = 1000
Progress = Callable[[str], None]


@final
@dataclass(frozen=True)
class Data:
    """Which log a run uses, and how it is read and cut.

    Attributes:
        source: the name of a dataset card, a file, or the address of an event store.
        split: name of the split.
        seed: seed of the split, where it draws (and of the simulated log).
        threshold: keep only events of at least this value (the `paper` split of rating logs); None keeps all.
        columns: names of a file's columns by role, where they are not recognised.
        on_error: "raise", or "skip" to set bad rows aside.
    """

    source: str
    split: SplitName = "global_time"
    seed: int = 0
    threshold: float | None = None
    columns: Mapping[str, Any] | None = None
    on_error: str = "raise"

    def load(self) -> Interactions:
        """Return the log."""
        if is_address(self.source):
            return log_of(self.source)
        columns = None if not self.columns else Columns.from_mapping(self.columns)
        return datasets.load(
            self.source, columns=columns, on_error="skip" if self.on_error == "skip" else "raise", seed=self.seed
        )

    def cut(self, log: Interactions, experiment: Experiment) -> Split:
        """Return the split of the log, with the experiment's filters."""
        filters = experiment.filters
        return split(
            log,
            self.split,
            seed=self.seed,
            min_user_events=filters.min_user_events,
            min_item_events=filters.min_item_events,
            threshold=self.threshold,
        )


def train_run(
    experiment: Experiment,
    data: Data,
    out: Path,
    *,
    seed: int = 0,
    cutoffs: Sequence[int] = (5, 10, 20),
    session: Session | None = None,
    overwrite: bool = False,
    say: Progress = lambda _: None,
) -> dict[str, Any]:
    """Train, evaluate and keep one run; return what `DIR/metrics.json` holds.

    Args:
        experiment: model, filters, validation.
        data: log and split.
        out: the run's directory.
        seed: of the model.
        cutoffs: list lengths.
        session: device, progress, whether to resume; its directory is `out/logs`.
        overwrite: replace a finished run.
        say: told what happens, a line at a time.

    Raises:
        DataError: `out` holds a finished run or something that is not a run.
    """
    _prepare(out, overwrite=overwrite)
    data = replace(data, source=pinned(data.source))
    say(f"reading {located(data.source)}")
    log = data.load()
    cut = data.cut(log, experiment)
    say(f"{log}; split {cut.name}: {len(cut.train)} training events, {len(cut.valid)} and {len(cut.test)} questions")
    _write(out / "config.yaml", yaml.safe_dump(experiment.to_dict(), sort_keys=False))
    model = experiment.build(seed)
    say(f"training {type(model).__name__}")
    model.fit(cut.train, _validator(experiment, cut), replace(session or Session(), directory=out / "logs"))
    say("evaluating")
    tastes = Tastes.of(cut.train)
    wanted = sorted({*cutoffs, 10})
    evaluations = {
        name: evaluate(model, holdout, cut.train, cutoffs=wanted, tastes=tastes)
        for name, holdout in (("valid", cut.valid), ("test", cut.test))
    }
    for name, evaluation in evaluations.items():
        evaluation.save(out / f"{name}.parquet")
    metrics = _metrics(model, data, cut, seed, evaluations)
    bundle.save(model, out / "model", extra={"split": cut.name, "seed": seed, "metrics": metrics["test"]})
    _write(out / METRICS, json.dumps(metrics, indent=2))
    return metrics


def read_metrics(run: Path) -> dict[str, Any]:
    """Return what `DIR/metrics.json` of a finished run holds."""
    path = run / METRICS
    if not path.exists():
        raise DataError(
            f"{run} holds no finished run ({METRICS} is missing); train one with `recsys train --out {run}`"
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); train the run again") from error
    return content


def load_model(run: Path) -> Recommender:
    """Return the model of a finished run."""
    read_metrics(run)
    return bundle.load(run / "model")


def run_data(run: Path, source: str | None = None) -> Data:
    """Return what log a run was made on; `source` replaces where it is read from."""
    recorded = read_metrics(run)["data"]
    return Data(**(recorded | ({} if source is None else {"source": source})))


def evaluate_run(run: Path, source: str | None = None, cutoffs: Sequence[int] = (5, 10, 20)) -> Evaluation:
    """Evaluate a run's model on its test questions again, possibly at other cutoffs or from another copy of the log."""
    model = load_model(run)
    data = run_data(run, source)
    cut = data.cut(data.load(), read_experiment(run / "config.yaml"))
    return evaluate(model, cut.test, cut.train, cutoffs=cutoffs)


def compare_runs(first: Path, second: Path, metrics: Sequence[str]) -> pd.DataFrame:
    """Compare two runs on their shared test users; see `recsys.evaluation.significance.compare`.

    Raises:
        DataError: the runs were made on different logs or splits, so their users answered different questions.
    """
    one, two = read_metrics(first), read_metrics(second)
    for key in ("dataset", "fingerprint", "split"):
        if one[key] != two[key]:
            raise DataError(
                f"{first} and {second} cannot be paired: {key} is {one[key]!r} in one and {two[key]!r} in the other; "
                "compare runs of one log and one split"
            )
    tables = [Evaluation.load(run / "test.parquet").per_user for run in (first, second)]
    return compare(tables[0], tables[1], list(metrics))


def _prepare(out: Path, *, overwrite: bool) -> None:
    if (out / METRICS).exists():
        if not overwrite:
            raise DataError(f"{out} holds a finished run; choose another directory, or replace it with --overwrite")
        shutil.rmtree(out)
    elif out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "config.yaml").exists())):
        raise DataError(f"{out} exists and is not a run; choose another directory")
    out.mkdir(parents=True, exist_ok=True)


def _validator(experiment: Experiment, cut: Split) -> Callable[[Recommender], float] | None:
    if len(_answerable(cut.valid).queries) == 0:
        return None
    return validator(cut.valid, metric=experiment.validation.metric, sample=experiment.validation.users)


def _answerable(holdout: Holdout) -> Holdout:
    return holdout.take(np.flatnonzero(holdout.relevant.lengths > 0))


def _metrics(
    model: Recommender, data: Data, cut: Split, seed: int, evaluations: Mapping[str, Evaluation]
) -> dict[str, Any]:
    effort = model.effort
    assert effort is not None
    return {
        "dataset": cut.train.name,
        "split": cut.name,
        "leaks_time": cut.leaks_time,
        "model": type(model).__name__,
        "seed": seed,
        "valid": _finite(evaluations["valid"].summary),
        "test": _finite(evaluations["test"].summary),
        "train": {
            "seconds": round(effort.seconds, 3),
            "examples_per_second": round(effort.examples / effort.seconds, 1),
            "peak_rss_mb": round(peak_rss_mb(), 1),
            "epochs": effort.epochs,
        },
        "personas": _personas(model, cut),
        "fingerprint": cut.train.fingerprint,
        "counts": {name: evaluation.counts for name, evaluation in evaluations.items()},
        "notes": list(cut.notes),
        "data": asdict(data) | {"source": _located(data.source)},
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("recsys", "torch", "numpy", "pandas", "pytorch-lightning", "implicit")},
    }


def _personas(model: Recommender, cut: Split) -> dict[str, float | None]:
    none: dict[str, float | None] = {"effective": None, "mean_cosine": None, "dead": None}
    if not (isinstance(model, PersonaRecommender) and model.has_personas):
        return none
    queries = cut.test.queries
    if not model.folds_in:
        queries = queries.take(np.flatnonzero(queries.users >= 0))
    queries = queries.take(np.arange(min(len(queries), _HEALTH_USERS)))
    n = min(20, max(1, model.n_items // 10))
    try:
        health = persona_health(model, queries, n)
    except ValueError:
        return none
    return {"effective": health.effective, "mean_cosine": health.mean_cosine, "dead": health.dead}


def _finite(summary: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: a metric that is defined for nobody is null."""
    return {name: (float(value) if np.isfinite(value) else None) for name, value in summary.items()}


def _located(source: str) -> str:
    """Return where a log is found from anywhere: a file's absolute path, a store without password, a card's name."""
    if is_address(source):
        return located(source)
    return source if source in cards.all_cards() else str(Path(source).expanduser().resolve())


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def peak_rss_mb() -> float:
    """Return the largest resident memory this process has had, in 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
