"""One turn of the loop: train on what came in, judge, put in place, tell the services, take back on alarm."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, final

from recsys.bundles.manifest import read_manifest
from recsys.checks import positive, share, whole
from recsys.errors import BundleError, DataError
from recsys.events.transfer import pinned
from recsys.experiments.configuration import Experiment
from recsys.experiments.registry.models import SERVED, Attempt, Outcome, Registry
from recsys.experiments.registry.run_checks import check_run
from recsys.experiments.registry.service import AwayError, RunningService
from recsys.experiments.run_log import DataSettings, LogRecord
from recsys.experiments.runs import METRICS, load_model, read_metrics, train_run
from recsys.files import json_values
from recsys.models.base import Recommender
from recsys.models.personas.model import WithPersonas
from recsys.policy.reading import read_policy
from recsys.training.session import Session

Progress = Callable[[str], None]

_PLACES: Final = ("source", "items", "item_vectors", "on_error")
"""Settings of a log that do not decide what is learned from it: its fingerprint does."""


@final
@dataclass(frozen=True)
class RetrainSettings:
    """When a new run takes the place of the one before.

    Attributes:
        tolerance: by how much of NDCG@10 it may be worse, as a share. Refused is also what is worse beyond chance.
        matched: least mean Jaccard coefficient of a user's personas before and after.
        policy: norms that must be possible to keep.
        attributes: facts that they ask for.
        watch: seconds in which an alarm of a service takes the run back.
        keep: runs whose directories are kept.

    Raises:
        ConfigError: a number is out of range.
    """

    tolerance: float = 0.02
    matched: float = 0.7
    policy: Path | None = None
    attributes: Path | None = None
    watch: float = 60.0
    keep: int = 5

    def __post_init__(self) -> None:
        share("tolerance", self.tolerance)
        share("matched", self.matched)
        positive("watch", self.watch, zero=True)
        whole("keep", self.keep, least=2)


def retrain(
    experiment: Experiment,
    data: DataSettings,
    registry: Registry,
    settings: RetrainSettings | None = None,
    services: Sequence[RunningService] = (),
    *,
    config: str = "",
    seed: int = 0,
    session: Session | None = None,
    allow: Sequence[type | str] = (),
    say: Progress = lambda _: None,
) -> Attempt | None:
    """Train a run in a registry, and put it in place if it may be.

    Args:
        experiment: model, filters, validation. The tastes of a model with personas continue those of the run in place.
        data: the log, best an event store, and its split.
        registry: where the runs are.
        settings: of the checks.
        services: that serve the registry's link. One that refuses the run, or gives alarm, takes it back everywhere;
            one that is not running is told of, and loads what is in place when it starts.
        config: name of the experiment, for the record.
        seed: of the model.
        session: device, progress, resumption.
        allow: classes from elsewhere that bundles may name.
        say: called with progress messages.

    Returns:
        What became of it; None: log, split, experiment and seed are those of the run in place, or of the one that
        somebody took back last, so that there is nothing to learn.

    Raises:
        DataError: the log cannot be read, or the registry is in use.
        ConfigError: a setting is wrong.
    """
    settings = settings or RetrainSettings()
    if settings.policy is not None:
        read_policy(settings.policy)  # a fault in the file is told before anything is trained
    asked = json_values(experiment.to_dict())
    with registry.locked():
        former = registry.in_place
        data = replace(data, source=pinned(data.source))
        if former is not None and (known := _known(registry, former, data, asked, seed)) is not None:
            back = "" if known == former else f", which was taken back; {former}"
            say(f"nothing has come in since {known} was trained{back or '; it'} stays in place")
            return None
        name = registry.next_name()
        run = registry.run(name)
        earlier = None if former is None else registry.run(former)
        model = None if earlier is None else _read(earlier, registry, allow)
        goes_on = isinstance(model, WithPersonas) and isinstance(experiment.build(seed), WithPersonas)
        continued = earlier if goes_on else None
        made = train_run(experiment, data, run, seed=seed, session=session, overwrite=True, former=continued, say=say)
        log = made["log"]

        def attempt(outcome: Outcome, reason: str = "") -> Attempt:
            now, of_log = int(time.time()), (log["fingerprint"], log["events"])
            entry = Attempt(name, now, outcome, former, config, asked, *of_log, findings, reason)
            registry.record(entry)
            if outcome != "in place":
                _prune(registry, settings.keep, say)
            return entry

        say("checking the run")
        findings = check_run(
            run,
            earlier,
            tolerance=settings.tolerance,
            matched=settings.matched,
            policy=settings.policy,
            attributes=settings.attributes,
            allow=allow,
        )
        for finding in findings:
            say(f"{finding.check}: {'passed' if finding.passed else 'failed'}: {finding.found}")
        if failed := [finding.check for finding in findings if not finding.passed]:
            return attempt("refused", f"checks failed: {', '.join(failed)}")
        registry.put(name)
        try:
            running, refusal = _reloaded(services, say, read_manifest(run / "model").model_id)
        except BaseException:  # an interruption changes nothing
            _take_back(registry, former, services, say)
            raise
        if refusal:
            _take_back(registry, former, running, say)
            return attempt("refused", refusal)
        put = attempt("in place")
        for service in running:
            if settings.watch and (alarm := service.alarm(settings.watch)):
                _take_back(registry, former, running, say)
                return attempt("rolled back", alarm)
        _prune(registry, settings.keep, say)
        return put


def roll_back(
    registry: Registry, services: Sequence[RunningService] = (), *, say: Progress = lambda _: None
) -> Attempt:
    """Put the run back in place that was there before the present one.

    Raises:
        DataError: there is none any more, or a service does not answer with it.
        BundleError: its model cannot be read.
    """
    with registry.locked():
        present = registry.in_place
        back = registry.before(present)
        if present is None or back is None:
            raise DataError(f"{registry.folder} has no run before {present or 'the first'} that is still there")
        model = read_manifest(registry.run(back) / "model").model_id
        registry.put(back)
        running, refusal = _reloaded(services, say, model)
        if refusal:
            _take_back(registry, present, running, say)
            raise DataError(f"{back} is not put back: {refusal}")
        log = read_metrics(registry.run(back))["log"]
        now, of_log = int(time.time()), (log["fingerprint"], log["events"])
        made = Attempt(back, now, "put back", present, "", {}, *of_log, (), "as asked")
        return registry.record(made)


def _known(registry: Registry, former: str, data: DataSettings, asked: object, seed: int) -> str | None:
    """Return the run that an experiment made of this log: the one in place, or the one that was taken back last."""
    lineage = registry.lineage
    made = {attempt.run: attempt for attempt in lineage if attempt.outcome != "put back"}
    taken_back = [attempt.former for attempt in lineage[-1:] if attempt.outcome == "put back"]
    log = LogRecord.of(data.load()).fingerprint
    for name in (former, *taken_back):
        attempt = None if name is None else made.get(name)
        if attempt is None or attempt.log != log or attempt.experiment != asked:
            continue
        if _made_so(registry.run(attempt.run), data, seed):
            return name
    return None


def _made_so(run: Path, data: DataSettings, seed: int) -> bool:
    """Return whether a run was made with this seed and this division of the log; wherever that was read from."""
    if not (run / METRICS).exists():
        return True  # it was removed since
    made = read_metrics(run)
    asked = json_values({name: value for name, value in asdict(data).items() if name not in _PLACES})
    return made.get("seed") == seed and all(made["data"].get(name, value) == value for name, value in asked.items())


def _read(earlier: Path, registry: Registry, allow: Sequence[type | str]) -> Recommender:
    """Return the model in place, before anything is trained that could not be compared with it."""
    try:
        return load_model(earlier, allow)
    except BundleError as error:
        raise DataError(
            f"the run in place cannot be read, so that no other can be compared with it: {error}; put another one back "
            f"with --rollback, or remove the link {registry.folder / SERVED} to put the next run in place as the first"
        ) from error


def _reloaded(
    services: Sequence[RunningService], say: Progress, model: str | None = None
) -> tuple[list[RunningService], str]:
    """Let services load what is in place; return those that run, and why one of them does not answer with `model`."""
    running: list[RunningService] = []
    for service in services:
        try:
            answering = service.reload()
        except AwayError as error:
            say(f"{error} It loads what is in place when it starts")
            continue
        except DataError as error:
            return [*running, service], str(error)
        running.append(service)
        if model not in (None, answering):
            return running, (
                f"{service.url} answers with the model {answering}, not with {model}: it serves another run than the "
                f"registry's link `{SERVED}`; start it with `recsys serve --run REGISTRY/{SERVED}`"
            )
    return running, ""


def _take_back(registry: Registry, former: str | None, services: Sequence[RunningService], say: Progress) -> None:
    """Put the former run in place again, and let the services load it, as far as they can."""
    if former is None:
        (registry.folder / SERVED).unlink(missing_ok=True)
        return
    registry.put(former)
    _reloaded(services, say)


def _prune(registry: Registry, keep: int, say: Progress) -> None:
    for gone in registry.prune(keep):
        say(f"{gone} is removed, as {keep} runs are kept")


def plain(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as a row of a table."""
    moment = time.strftime("%Y-%m-%d %H:%M", time.gmtime(attempt.time))
    return {
        "run": attempt.run,
        "time (UTC)": moment,
        "outcome": attempt.outcome,
        "before": attempt.former or "-",
        "events": attempt.events,
        "reason": attempt.reason or "; ".join(finding.found for finding in attempt.findings),
    }
