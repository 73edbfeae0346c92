"""Runs on a partitioned log: models that learn from sums over the parts, evaluated part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from recsys.bundles import bundle
from recsys.data.partitions.log import PartitionedLog
from recsys.data.partitions.splitting import Facts, PartitionedSplit
from recsys.data.vocabulary import Vocabulary
from recsys.errors import CapabilityError, ConfigError, DataError
from recsys.evaluation.beyond_accuracy import information_of
from recsys.evaluation.holdout import ascending_cutoffs
from recsys.evaluation.result import Evaluation
from recsys.evaluation.tastes import Tastes
from recsys.experiments.configuration import Experiment, Filters, Validation
from recsys.experiments.fitting import continuing
from recsys.experiments.run_log import DataSettings
from recsys.experiments.runs import (
    CONFIG,
    HEALTH_USERS,
    LOGS,
    METRICS,
    AskedOf,
    load_model,
    metrics_of,
    prepare,
    read_metrics,
    run_data,
)
from recsys.files import json_values, write_json, write_text
from recsys.models.base import FittedOn, Recommender
from recsys.models.capabilities import SummedFit
from recsys.models.feedback import FeedbackReader
from recsys.models.personas.health import HealthSummary
from recsys.models.personas.model import WithPersonas
from recsys.scale.engine import Engine, Say
from recsys.scale.evaluation import PartEvaluation, joined
from recsys.scale.users import PartUsers, known
from recsys.training.session import CHECKPOINT, Effort, Session


def train_partitioned(
    experiment: Experiment,
    data: DataSettings,
    out: Path,
    engine: Engine,
    *,
    seed: int = 0,
    cutoffs: Sequence[int] = (5, 10, 20),
    session: Session | None = None,
    overwrite: bool = False,
    former: Path | None = None,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Train and evaluate one run on a partitioned log; return the content of `DIR/metrics.json`.

    No process holds more than one part of the log. The split is global_time, with the cuts of the whole log.

    Args:
        experiment: model and filters; without filters, and of a model that learns from sums over users, of all of them
            or of each batch.
        data: the partitioned log, and when users are asked.
        out: the run's directory.
        engine: where parts are worked on.
        seed: of the model.
        cutoffs: list lengths.
        session: whether to report progress, and to go on from the last checkpoint in `out/logs`; on which device one
            process trains by gradient.
        overwrite: replace a finished run.
        former: an earlier run whose tastes, their numbers and names continue.
        say: called with progress messages.

    Raises:
        CapabilityError: the model, or its reading of ratings, needs the whole log at once.
        ConfigError: the split, or a filter, does; or the session has devices or nodes of its own.
        DataError: there is no partitioned log, `out` holds a finished run, or the log has no times.
    """
    lengths, session = ascending_cutoffs([*cutoffs, 10]), session or Session()
    experiment, model = _checked(experiment, data, seed)
    model.check_session(session)
    if session.is_parallel:
        raise ConfigError(
            "parts are trained by the processes of an engine; leave out --devices, --nodes and --strategy, and give "
            "--engine ray --workers N"
        )
    if session.accelerator == "gpu" and engine.workers > 1:
        raise ConfigError("Ray's workers train on the CPU; leave out --accelerator gpu, or --engine ray")
    if former is not None:
        continuing(model, load_model(former))
    log = PartitionedLog.open(data.source)
    prepare(out, overwrite=overwrite)
    if not session.resume:
        (out / LOGS / CHECKPOINT).unlink(missing_ok=True)
    parts = range(len(log))
    say(f"{log}; finding the cuts")
    split, facts = PartitionedSplit.of(
        log, lambda function: engine.map(function, parts, "part"), ask=data.ask, pause=data.pause
    )
    fitted_on = fitted_on_parts(log, split, facts)
    users, items = len(fitted_on.users), len(fitted_on.items)
    notes = (
        f"cut 1 at {split.cut1}, cut 2 at {split.cut2} ({log.clock})",
        f"train: {facts.events} events, {users} users, {items} items in {len(log)} parts",
    )
    write_text(out / CONFIG, yaml.safe_dump(experiment.to_dict(), sort_keys=False))
    say(f"training {type(model).__name__} on {notes[1].removeprefix('train: ')}")
    where = fitted_on, split, len(log), facts.events
    fit = partial(_fitted, model, where, experiment.validation, session, out.resolve(), seed)
    # By gradient, the processes that hold the parts train; in closed form, they add up for this one.
    effort, health = engine.together(fit, len(log), out) if model.shares_batches else fit(engine)
    say("evaluating")
    name = type(model).__name__
    del model, fit  # evaluation reads it from the bundle, in this process or another
    evaluations = _evaluated(out, split, facts, len(log), lengths, engine)
    for part, evaluation in evaluations.items():
        evaluation.save(out / f"{part}.parquet")
    asked = AskedOf(log.name, "global_time", False, fitted_on.fingerprint, notes)
    content = metrics_of(name, effort, data, asked, seed, evaluations)
    content |= {
        "personas": health,
        "feedback": None,
        "partitions": {"fingerprint": log.fingerprint, "parts": len(log), "repeated": engine.repeated},
    }
    metrics: dict[str, Any] = json_values(content)
    write_json(out / METRICS, metrics)
    return metrics


def _fitted(
    model: SummedFit,
    where: tuple[FittedOn, PartitionedSplit, int, int],
    validation: Validation,
    session: Session,
    out: Path,
    seed: int,
    engine: Engine,
) -> tuple[Effort, dict[str, float | None]]:
    """Fit a model and save it; return the effort, and the health of personas.

    By gradient, each part is worked on by one thread, so that its sums are the same in one process and in several.
    """
    users = PartUsers(*where, engine, reads_kinds=model.reads_kinds, validation=validation)
    threads = torch.get_num_threads()
    if model.shares_batches:
        torch.set_num_threads(1)
        session = replace(session, directory=out / LOGS, resume=(out / LOGS / CHECKPOINT).exists())
        if engine.workers > 1:
            session = replace(session, accelerator="cpu", devices=engine.workers, strategy="ddp")
    try:
        model.fit_sums(where[0], users, session)
    finally:
        torch.set_num_threads(threads)
    if session.is_first:
        bundle.save(model, out / "model", extra={"split": "global_time", "seed": seed})
    assert model.effort is not None
    return model.effort, _health(model, where[1])


def evaluate_partitioned(run: Path, source: str, engine: Engine, cutoffs: Sequence[int] = (5, 10, 20)) -> Evaluation:
    """Evaluate a run's model on the test questions of its partitioned log again, part by part.

    Args:
        run: directory of a finished run on a partitioned log.
        source: the partitioned log.
        engine: where parts are worked on.
        cutoffs: list lengths.

    Raises:
        DataError: the log is not the one that the run read.
    """
    lengths, metrics = ascending_cutoffs(cutoffs), read_metrics(run)
    log, recorded = PartitionedLog.open(source), metrics.get("partitions", {}).get("fingerprint")
    if recorded != log.fingerprint:
        raise DataError(
            f"{source} is not the partitioned log that {run} read, so the model may have learned from its questions; "
            "give the run's log with --data, or train again"
        )
    data = run_data(run)
    split, facts = PartitionedSplit.of(
        log, lambda function: engine.map(function, range(len(log)), "part"), ask=data.ask, pause=data.pause
    )
    return _evaluated(run, split, facts, len(log), lengths, engine)["test"]


def _evaluated(
    run: Path, split: PartitionedSplit, facts: Facts, parts: int, cutoffs: tuple[int, ...], engine: Engine
) -> dict[str, Evaluation]:
    """Return the evaluations of a run's saved model, by the name of the questions."""
    tastes = Tastes.of(split.train(0))  # genres, or else clusters by the users of a part, which a hash has drawn
    information = information_of(facts.people[split.items], facts.active)
    evaluate = PartEvaluation((run / "model").resolve(), split, cutoffs, tastes, information)
    return joined(engine.map(evaluate, range(parts), "evaluation of part"), cutoffs)


def _health(model: Recommender, split: PartitionedSplit) -> dict[str, float | None]:
    """Return the health of personas over test questions of the first part, whose users a hash has drawn."""
    if isinstance(model, WithPersonas) and len(test := split.split(0).test):
        some = test.take(np.arange(min(len(test), HEALTH_USERS)))
        return HealthSummary.of(model, known(some, model).queries).to_dict()
    return dict.fromkeys(("effective", "mean_cosine", "dead"))


def _checked(experiment: Experiment, data: DataSettings, seed: int) -> tuple[Experiment, SummedFit]:
    """Return the experiment and its model, both as they can be trained on parts."""
    elsewhere = data.threshold, data.items, data.among, data.columns or None
    if data.split != "global_time" or any(option is not None for option in elsewhere):
        raise ConfigError(
            "a partitioned log is split by global_time, and read as it was partitioned; leave out --split, "
            "--threshold, --among, --items and --columns (the last two are options of `recsys data partition`)"
        )
    if experiment.filters != Filters():
        raise ConfigError("filters count the events of all users and items; filter the log before it is partitioned")
    if experiment.feedback == "auto" and experiment.readings:
        experiment = experiment.reading("events")
    model = experiment.build(seed)
    within = model.model if isinstance(model, WithPersonas) else model
    if isinstance(model, SummedFit) and model.shares_batches and not model.learns_from_sums:
        raise CapabilityError(
            f"{type(model).__name__} with users='embedding' learns vectors for every user, which needs the whole log; "
            "use users='history', or train on the whole log"
        )
    if not isinstance(model, SummedFit) or not model.learns_from_sums:
        names = ", ".join(sorted(one.__name__ for one in SummedFit.__subclasses__() if one is not WithPersonas))
        raise CapabilityError(
            f"{type(within).__name__} does not learn from sums over users, so that it needs the whole log; a "
            f"partitioned log trains {names}, and those in closed form with personas (WithPersonas)"
        )
    FeedbackReader.of_each(getattr(within, "feedback", "events"), "seconds", type(within).__name__)  # or it is refused
    return experiment, model


def fitted_on_parts(log: PartitionedLog, split: PartitionedSplit, facts: Facts) -> FittedOn:
    """Describe the training log of a partitioned split."""
    fingerprint = sha256(f"{log.fingerprint} before {split.cut1}".encode()).hexdigest()
    items, counts = split.items, facts.uses[split.items]
    known = Vocabulary(facts.users), log.items.take(items), log.metadata.take(items)
    return FittedOn(*known, counts, log.clock, log.name, fingerprint)
