"""The drift benchmark on a log: every base under every arm, tuned on one stretch of time and reported on the next."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from recsys.data.interactions import Interactions
from recsys.decay.detectors import DetectorReset
from recsys.errors import CapabilityError, ConfigError, DataError, nearest
from recsys.evaluation.drift.claims import Questions
from recsys.evaluation.prequential.replay import QuestionSettings, events_before
from recsys.experiments.drift import summary
from recsys.experiments.drift.arm_results import ArmResult, Bench, Say, Settings, identity, read_json
from recsys.experiments.drift.bases import Base, read_bases
from recsys.experiments.drift.names import DRIFT_ARMS
from recsys.experiments.drift.report import write_report
from recsys.files import json_values, write_json

__all__ = ["run_drift"]

RESULT = "drift.json"
_DEFAULT = Settings()


def run_drift(
    log: Interactions,
    bases: Sequence[str],
    arms: Sequence[str],
    out: Path,
    settings: Settings = _DEFAULT,
    *,
    command: str = "",
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Replay a log under each base and arm, store tables, report and pictures; return the content of `drift.json`.

    Finished results in `out` are read back and a replay under way is resumed: repeat an interrupted call.

    Args:
        log: with times that are common to all users.
        bases: names of shipped experiments, or paths of experiment files.
        arms: of `DRIFT_ARMS`; differences are taken from "per_user", where it is among them.
        out: a directory.
        settings: see the class.
        command: with which it can be run again, for the report.
        say: called with a line of progress at a time.

    Raises:
        ConfigError: an argument is unknown or out of range.
        DataError: users of the log share no time, or it is too short.
        CapabilityError: a base cannot fold in, every base refuses the log, or a detector needs a missing library.
    """
    check_options(arms, settings)
    _check(log)
    models = read_bases(bases, settings.seed)
    bases_of_run = {base.name: base.experiment.to_dict() for base in models}
    run = identity(log, settings, {"bases": bases_of_run, "arms": list(arms)})
    former = read_json(out / RESULT)
    if former is not None and former.get("identity") == run:
        say(f"{out} holds this result already")
        return former
    say(f"{log}; {', '.join(base.name for base in models)} under {', '.join(arms)}")
    results, refused = _results(log, models, arms, settings, out, say)
    origin = {"refused": refused, "commands": [command], "identity": run}
    content = json_values(_content(log, results, settings) | origin)
    write_report(content, out)
    write_json(out / RESULT, content)  # last: it marks the run as complete
    return dict(content)


def _check(log: Interactions) -> None:
    if not log.has_time:
        raise DataError(
            f"{log.name} has clock {log.clock!r}: its users share no time, so that neither a detector for everybody "
            "nor the days since training mean anything; give a log with a column of times"
        )


def check_options(arms: Sequence[str], settings: Settings) -> None:
    """Raise a ConfigError for what is wrong with the arms and the settings whatever the log holds.

    Raises:
        CapabilityError: a detector needs a missing library.
    """
    for arm in arms:
        if arm not in DRIFT_ARMS:
            raise ConfigError(f"no arm {arm!r}{nearest(arm, DRIFT_ARMS)}; there are {', '.join(DRIFT_ARMS)}")
    if not arms or len(set(arms)) < len(arms):
        raise ConfigError(f"the arms are {', '.join(arms) or 'none'}; give at least one, and each once")
    if any(arm.endswith(("adwin", "page_hinkley")) for arm in arms):
        DetectorReset()  # fails now rather than after hours where the library is missing
    if not 0 < settings.validation < settings.test < 1:
        raise ConfigError(
            f"validation is {settings.validation} and test {settings.test}; they must rise within 0 and 1"
        )
    QuestionSettings(settings.ask, settings.pause)
    for name in ("users", "limit", "candidates", "retrain_days"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}; it must be at least 1")


def _results(
    log: Interactions, bases: Sequence[Base], arms: Sequence[str], settings: Settings, out: Path, say: Say
) -> tuple[dict[str, tuple[Bench, dict[str, ArmResult]]], dict[str, str]]:
    """Return the results of every base, and why bases refused the log."""
    results: dict[str, tuple[Bench, dict[str, ArmResult]]] = {}
    refused: dict[str, str] = {}
    for base in bases:
        bench = Bench(base, log, settings, out / "replays", say)
        if any(bench.stored(arm) is None for arm in arms):
            try:
                bench.prepare()
            except CapabilityError as error:
                refused[base.name] = str(error)
                say(f"{base.name} refuses {log.name}: {error}")
                continue
        results[base.name] = (bench, {arm: bench.result(arm) for arm in arms})
        bench.release()
    if not results:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise CapabilityError(f"every base refuses {log.name}: {reasons}")
    return results, refused


def _content(
    log: Interactions, benches: dict[str, tuple[Bench, dict[str, ArmResult]]], settings: Settings
) -> dict[str, Any]:
    first_bench, first_results = next(iter(benches.values()))
    replayed = next(iter(first_results.values())).replay
    users = np.unique(replayed.table["user_num"])
    before = events_before(log, first_bench.test_start)
    asked = log.every.select(np.isin(log.every.user_num, users))
    terciles = summary.drift_terciles(asked, before, users)
    entries: dict[str, Any] = {}
    for name, (bench, results) in benches.items():
        entries[name] = {
            "experiment": bench.base.experiment.to_dict()["model"],
            "arms": {arm: summary.arm_entry(result, log.clock) for arm, result in results.items()},
            "paired": summary.paired_over_users(results, settings.seed),
            "strata": summary.by_stratum(results, terciles, settings.seed),
            "histories": summary.by_history(results),
        }
        if summary.OURS in results:
            entries[name]["half_lives"] = results[summary.OURS].facts["half_lives"]
    summary.correct([pair for entry in entries.values() for pair in entry["paired"].values()])
    first = next(iter(entries))
    packages = ("recsys", "torch", "numpy", "scipy", "pandas", "implicit")
    return {
        "dataset": log.name,
        "fingerprint": log.fingerprint,
        "clock": log.clock,
        "events": len(log.every),
        "boundaries": {"validation": first_bench.validation_start, "test": first_bench.test_start},
        "questions": Questions.of(log.every, replayed, restricted=settings.came_back).to_dict(),
        "base": first,
        "arms": entries[first]["arms"],
        "paired": entries[first]["paired"],
        "bases": entries,
        "settings": asdict(settings),
        "seeds": [settings.seed],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }
