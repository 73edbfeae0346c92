"""A run: one experiment on one log, trained and evaluated, with its results in a directory.

DIR/model/         the bundle
DIR/config.yaml    the complete experiment
DIR/metrics.json   metrics, counts, versions
DIR/valid.parquet, DIR/test.parquet    per-user metrics
DIR/logs/          checkpoint, CSV and TensorBoard logs
"""

from __future__ import annotations

import json
import platform
import resource
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd
import yaml

from recsys.bundles import bundle
from recsys.checks import path_of
from recsys.data.catalogue import cards
from recsys.data.interactions import Interactions
from recsys.data.pairs import Splits
from recsys.data.queries import Queries
from recsys.data.splits.holdout import Split
from recsys.data.splits.names import Among
from recsys.errors import DataError
from recsys.evaluation.comparison import compare_models
from recsys.evaluation.holdout import ascending_cutoffs, evaluate
from recsys.evaluation.metrics import RANKING_METRICS, metrics_by_name
from recsys.evaluation.result import Evaluation
from recsys.evaluation.tastes import Tastes
from recsys.events.addresses import PINNED, is_address, located
from recsys.events.transfer import pinned
from recsys.experiments.configuration import Experiment, read_filters
from recsys.experiments.feedback import resolved
from recsys.experiments.fitting import continuing, validator_of
from recsys.experiments.run_log import DataSettings, LogRecord, log_for_questions, questions_again, questions_later
from recsys.experiments.tracking.mlflow_store import record_run, refuse_without_mlflow
from recsys.explanations.half_life import own_gain
from recsys.files import json_values, write_json, write_text
from recsys.models import TimeSVD
from recsys.models.base import Recommender
from recsys.models.capabilities import PersonaRecommender
from recsys.models.feedback import tells
from recsys.models.health import persona_health
from recsys.models.personas.health import HealthSummary
from recsys.models.personas.model import WithPersonas
from recsys.training.session import Effort, Session

__all__ = [
    "CONFIG",
    "HEALTH_USERS",
    "METRICS",
    "SPLITS",
    "AskedOf",
    "DataSettings",
    "compare_runs",
    "evaluate_run",
    "evaluations_of",
    "load_model",
    "metrics_of",
    "peak_rss_mb",
    "prepare",
    "read_metrics",
    "run_data",
    "run_log",
    "splits_of_run",
    "train_run",
    "usual_metrics",
]

CONFIG, METRICS, SPLITS, LOGS = "config.yaml", "metrics.json", "splits.npz", "logs"
HEALTH_USERS = 1000
"""Users over whom the health of personas is measured, at most."""
_LIKING = ("liked_ndcg@10", "regret@10")
Progress = Callable[[str], None]


def train_run(
    experiment: Experiment,
    data: DataSettings,
    out: Path,
    *,
    seed: int = 0,
    cutoffs: Sequence[int] = (5, 10, 20),
    session: Session | None = None,
    overwrite: bool = False,
    former: Path | None = None,
    say: Progress = lambda _: None,
) -> dict[str, Any]:
    """Train and evaluate one run; return the content of `DIR/metrics.json`.

    Of several processes that train together the first evaluates and writes; the others return nothing in it.

    Args:
        experiment: model, filters, validation.
        data: log and split.
        out: the run's directory.
        seed: of the model.
        cutoffs: list lengths.
        session: device, progress, resumption; its directory is `out/logs`.
        overwrite: replace a finished run.
        former: an earlier run (it may be `out`) whose tastes, their numbers and names continue.
        say: called with progress messages.

    Raises:
        CapabilityError: the model, or that of `former`, has no personas to continue.
        DataError: `out` holds a finished run or something that is not a run.
    """
    lengths = ascending_cutoffs([*cutoffs, 10])
    tracking = experiment.tracking
    if tracking.logger is not None:
        refuse_without_mlflow()
    data.check(experiment.filters)
    session = replace(session or Session(), directory=out / LOGS)
    experiment.build(seed).check_session(session)  # before anything is read
    earlier = None if former is None else load_model(former)
    if earlier is not None:
        continuing(experiment.build(seed), earlier)  # refused before anything is read
    if session.is_first:
        prepare(out, overwrite=overwrite)
    data = replace(data, source=pinned(data.source))
    say(f"reading {located(data.source)}")
    log = data.load()
    cut = data.cut(log, experiment.filters)
    say(f"{log}; split {cut.name}: {len(cut.train)} training events, {len(cut.valid)} and {len(cut.test)} questions")
    experiment, choice = resolved(experiment, cut, seed=seed, session=session, say=say)
    if session.is_first:
        write_text(out / CONFIG, yaml.safe_dump(experiment.to_dict(), sort_keys=False))
    model = experiment.build(seed) if earlier is None else continuing(experiment.build(seed), earlier)
    if not experiment.readings and not isinstance(model, TimeSVD) and tells(cut.train):
        say(f"{type(model).__name__} counts all events alike: it ignores what ratings and kinds say of them")
    say(f"training {type(model).__name__}")
    model.fit(cut.train, validator_of(cut, experiment.validation), session)
    if not session.is_first:
        return {}
    gain = own_gain(model)
    if gain is not None:
        say(str(gain))
    say("evaluating")
    tastes = Tastes.of(cut.train)
    evaluations = {}
    for name, holdout in (("valid", cut.valid), ("test", cut.test)):
        evaluations[name] = evaluate(model, holdout, cut.train, cutoffs=lengths, tastes=tastes)
        evaluations[name].save(out / f"{name}.parquet")
    asked = AskedOf(cut.train.name, cut.name, cut.leaks_time, cut.train.fingerprint, cut.notes)
    assert model.effort is not None
    content = metrics_of(type(model).__name__, model.effort, data, asked, seed, evaluations)
    content |= {"log": asdict(LogRecord.of(log)), "personas": _personas(model, cut)}
    content["own_half_lives"] = None if gain is None else asdict(gain)
    content["feedback"] = None if choice is None else choice.to_dict()
    metrics: dict[str, Any] = json_values(content)
    bundle.save(model, out / "model", extra={"split": cut.name, "seed": seed, "metrics": metrics["test"]})
    write_json(out / METRICS, metrics)
    if tracking.logger is not None:
        say(f"recorded in MLflow: run {record_run(out, tracking.store, tracking.experiment)}")
    return metrics


def read_metrics(run: Path) -> dict[str, Any]:
    """Return the content of `DIR/metrics.json` of a finished run."""
    path = run / METRICS
    if not path.exists():
        raise DataError(f"{run} holds no finished run ({METRICS} is missing); make one: `recsys train --out {run}`")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({error}); train the run again") from error
    if not isinstance(content, dict) or not isinstance(content.get("data"), dict):
        raise DataError(f"{path}: not as `recsys train` writes it; train the run again")
    return content


def load_model(path: str | Path, allow: type | str | Iterable[type | str] = ()) -> Recommender:
    """Return the model of a finished run, or of a bundle; see `recsys.bundles.bundle.load`.

    Args:
        path: directory of the run, or of the bundle.
        allow: models and rules of forgetting from elsewhere that the bundle may name, or their paths.

    Raises:
        DataError: there is neither a run nor a bundle.
        ConfigError: `path` is no path.
    """
    path = path_of("load_model", path)
    if (path / bundle.MANIFEST).exists():
        return bundle.load(path, allow)
    if not (path / METRICS).exists():
        place = (
            "a file, which" if path.is_file() else "a directory that" if path.exists() else "no directory, so that it"
        )
        raise DataError(
            f"{path} is {place} holds no finished run and no bundle; give the directory of a run (`recsys train --out "
            "DIR`) or of a bundle (recsys.save)"
        )
    return bundle.load(path / "model", allow)


def run_data(run: Path, source: str | None = None, columns: Mapping[str, Any] | None = None) -> DataSettings:
    """Return the settings of a run's log; `source` replaces where it is read from, `columns` add to how."""
    recorded = read_metrics(run)["data"] | ({} if source is None else {"source": source})
    try:
        data = DataSettings(**recorded)
        return replace(data, columns={**(data.columns or {}), **columns}) if columns else data
    except TypeError:
        raise DataError(f"{run / METRICS}: 'data' is not as `recsys train` writes it; train the run again") from None


def run_log(
    run: Path, model: Recommender, source: str | None = None, columns: Mapping[str, Any] | None = None
) -> Interactions:
    """Return a run's log, for the histories of those who ask; see `recsys.experiments.run_log.log_for_questions`.

    Args:
        run: directory of the run.
        model: the run's model.
        source: read the log from here instead of where the run read it.
        columns: how to read it, in addition to what the run recorded.
    """
    recorded = LogRecord.read(read_metrics(run))
    data = replace(run_data(run, source, columns), items=None)  # the model knows the titles
    return log_for_questions(run, model, data, recorded, given=source is not None)


def splits_of_run(run: Path, model: Recommender) -> Splits | None:
    """Return how split people are over pairs of items, which `recsys disagree --keep` stores; None: it is not stored.

    Raises:
        DataError: what is stored cannot be read, or is of other items than the model's.
    """
    path = run / SPLITS
    return Splits.load(path, model.fitted_on.items) if path.exists() else None


def evaluate_run(
    run: Path,
    source: str | None = None,
    cutoffs: Sequence[int] = (5, 10, 20),
    *,
    metrics: Sequence[str] = tuple(RANKING_METRICS),
    later: bool = False,
    among: Among | None = None,
    columns: Mapping[str, Any] | None = None,
    allow: Iterable[type | str] = (),
) -> Evaluation:
    """Evaluate a run's model on its test questions again, or on what happened since.

    Args:
        run: directory of a finished run.
        source: read the log from here instead of where the run read it.
        cutoffs: list lengths.
        metrics: ranking metrics by name; see `recsys.evaluation.metrics`.
        later: the log has grown: ask only about the events that are later than all that the run read.
        among: of a run with a split about new items: ask for these, or warm ones, among others than when it was made.
        columns: how to read the log, in addition to what the run recorded.
        allow: classes from elsewhere that the bundle may name.

    Raises:
        DataError: the log is not the one that the run read, or has not only grown.
        ConfigError: a cutoff is not positive, or there is no such metric.
    """
    ascending_cutoffs(cutoffs)
    metrics_by_name(metrics)
    model = load_model(run, allow)
    data = run_data(run, source, columns)
    if among is not None:
        data = replace(data, among=among)
        data.check(read_filters(run / CONFIG))
    if later and source is None:
        data = replace(data, source=PINNED.sub("", data.source))  # the store as it is now
    ask = questions_later if later else questions_again
    # The filters alone: the class that a run's configuration names is not imported.
    questions, train = ask(run, data, LogRecord.read(read_metrics(run)), read_filters(run / CONFIG))
    return evaluate(model, questions, train, cutoffs=cutoffs, metrics=metrics)


def compare_runs(first: Path, second: Path, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Compare two runs on their shared test users; see `recsys.evaluation.comparison.compare_models`.

    Args:
        first: directory of the baseline's run.
        second: directory of the other run.
        metrics: with cutoff; None: NDCG@10 and, where both runs have them, the two metrics of what users liked.

    Raises:
        DataError: the runs were made on different logs or splits, so their users answered different questions.
    """
    results = evaluations_of([first, second])
    return compare_models(results[0], results[1], metrics=usual_metrics(results) if metrics is None else list(metrics))


def evaluations_of(runs: Sequence[Path]) -> list[Evaluation]:
    """Return what runs reached on their test questions.

    Raises:
        DataError: the runs were made on different logs or splits, so their users answered different questions.
    """
    asked = [_questions_of(read_metrics(run)) for run in runs]
    first, one = runs[0], asked[0]
    for run, two in zip(runs[1:], asked[1:], strict=True):
        for key in one:
            if key in two and one[key] != two[key]:
                raise DataError(
                    f"{first} and {run} cannot be paired: {key} is {one[key]} in one and {two[key]} in the other; "
                    "compare runs of one log and one split"
                )
    return [Evaluation.load(run / "test.parquet") for run in runs]


def usual_metrics(results: Sequence[Evaluation]) -> list[str]:
    """Return NDCG@10 and, where all results have them, the two metrics of what users liked."""
    tables = [result.per_user for result in results]
    liking = [name for name in _LIKING if all(name in table and table[name].notna().any() for table in tables)]
    return ["ndcg@10", *liking]


def _questions_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the test questions of a run; the name of the log does not. Earlier versions knew less."""
    log = LogRecord.read(metrics)
    whole = {} if log is None else {"the log": str(log)}
    data = metrics.get("data", {})
    whole |= {"when a user is asked": f"{data.get('ask') or 'the cut'}, pause {data.get('pause')}"}
    return whole | {"split": metrics.get("split"), "fingerprint of the training part": metrics.get("fingerprint")}


def prepare(out: Path, *, overwrite: bool) -> None:
    """Make the directory of a run.

    Raises:
        DataError: it holds a finished run that is not to be replaced, or something that is not a run.
    """
    if (out / METRICS).exists():
        if not overwrite:
            raise DataError(f"{out} holds a finished run; choose another directory, or replace it with --overwrite")
        shutil.rmtree(out)
    elif out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / CONFIG).exists())):
        raise DataError(f"{out} exists and is not a run; choose another directory")
    out.mkdir(parents=True, exist_ok=True)


@final
@dataclass(frozen=True)
class AskedOf:
    """What a run records of its split.

    Attributes:
        dataset: name of the log.
        split: name of the split.
        leaks_time: whether training may hold events later than a question.
        fingerprint: of the training log.
        notes: facts on the split.
    """

    dataset: str
    split: str
    leaks_time: bool
    fingerprint: str
    notes: tuple[str, ...]


def metrics_of(
    model: str,
    effort: Effort,
    data: DataSettings,
    asked: AskedOf,
    seed: int,
    evaluations: Mapping[str, Evaluation],
) -> dict[str, Any]:
    """Return the content of `metrics.json`, without what only some runs know: log, personas, feedback."""
    return {
        "dataset": asked.dataset,
        "split": asked.split,
        "leaks_time": asked.leaks_time,
        "asked": data.ask or "cut",
        "model": model,
        "seed": seed,
        "valid": evaluations["valid"].summary,
        "test": evaluations["test"].summary,
        "train": {
            "seconds": round(effort.seconds, 3),
            "examples_per_second": round(effort.examples / effort.seconds, 1),
            "peak_rss_mb": round(peak_rss_mb(), 1),
            "epochs": effort.epochs,
        },
        "fingerprint": asked.fingerprint,
        "undefined": {name: evaluation.undefined for name, evaluation in evaluations.items()},
        "counts": {name: evaluation.counts for name, evaluation in evaluations.items()},
        "notes": list(asked.notes),
        "data": asdict(data)
        | {"source": _located(data.source)}
        | {
            name: path and _located(path) for name, path in (("items", data.items), ("item_vectors", data.item_vectors))
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("recsys", "torch", "numpy", "pandas", "pytorch-lightning", "implicit")},
    }


def _personas(model: Recommender, cut: Split) -> dict[str, float | None]:
    if isinstance(model, WithPersonas):
        return HealthSummary.of(model, _some(cut.test.queries)).to_dict()
    unknown = dict.fromkeys(("effective", "mean_cosine", "dead"))
    if not (isinstance(model, PersonaRecommender) and model.has_personas):
        return unknown
    queries = cut.test.queries
    if not model.folds_in:
        queries = queries.take(np.flatnonzero(queries.users >= 0))
    try:
        health = persona_health(model, _some(queries), min(20, max(1, model.n_items // 10)))
    except ValueError:
        return unknown
    return {name: getattr(health, name) for name in unknown}


def _some(queries: Queries) -> Queries:
    return queries.take(np.arange(min(len(queries), HEALTH_USERS)))


def _located(source: str) -> str:
    """Return where a log is found from anywhere: a file's absolute path, a store without password, a card's name."""
    if is_address(source):
        return located(source)
    return source if source in cards.all_cards() else str(Path(source).expanduser().resolve())


def peak_rss_mb() -> float:
    """Return the largest resident memory this process has had, in 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
