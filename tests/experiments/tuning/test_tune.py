"""The search: settings come from validation alone, and a killed search ends as one that was never interrupted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from recsys.data.splits.holdout import Holdout
from recsys.errors import ConfigError, DataError
from recsys.evaluation.ranking import validator
from recsys.experiments.configuration import read_experiment
from recsys.experiments.run_log import DataSettings
from recsys.experiments.runs import train_run
from recsys.experiments.tuning.space import SearchSpace
from recsys.models.base import Recommender
from recsys.worlds.simulation import simulated_log
from tests.log_file import write_log

optuna = pytest.importorskip("optuna", reason="pip install 'recsys[tune]'")

from recsys.experiments.tuning import tune as tuning  # noqa: E402
from recsys.experiments.tuning.study import Study, Trial  # noqa: E402
from recsys.experiments.tuning.tune import TuneSettings, tune  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    log = simulated_log(seed=1, n_users=60, n_items=40, events_per_user=15)
    return DataSettings(str(write_log(log, tmp_path_factory.mktemp("log"))), "random")


def _ease() -> SearchSpace:
    search = {"regularization": {"low": 1, "high": 2000, "log": True}}
    return SearchSpace.of(search, read_experiment("ease", [("feedback", "events")]), "ease")


def _mf() -> SearchSpace:
    search = {"optimization.learning_rate": {"low": 0.00001, "high": 0.1, "log": True}}
    small = [("epochs", "4"), ("embedding_size", "4"), ("patience", "9")]
    return SearchSpace.of(search, read_experiment("mf", small), "mf")


def _trials(out: Path, space: SearchSpace) -> list[Trial]:
    (name,) = optuna.get_all_study_names(f"sqlite:///{out}/study.db")
    with Study(f"sqlite:///{out}/study.db", name, space.settings, "tpe", 0) as study:
        return study.trials()


def _known(trials: list[Trial]) -> list[object]:
    return [(trial.number, trial.settings, trial.value, trial.state, trial.curve) for trial in trials]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_an_interrupted_search_ends_as_an_uninterrupted_one(
    data: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: Any
) -> None:
    settings, space = TuneSettings(trials=14, sampler=sampler), _ease()
    whole = tune(space, data, tmp_path / "whole", settings)
    asked: list[int] = []

    def interrupt(*arguments: Any) -> Any:
        asked.append(1)
        if len(asked) == 12:
            raise KeyboardInterrupt
        return validator(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "validator", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tune(space, data, tmp_path / "parts", settings)
    assert len(_trials(tmp_path / "parts", space)) == 11
    parts = tune(space, data, tmp_path / "parts", settings)
    first, second = (_trials(tmp_path / name, space) for name in ("whole", "parts"))
    assert _known(first) == _known(second)
    assert len({trial.settings["regularization"] for trial in first}) == 14
    different = ("seconds", "tuned")
    assert {key: parts[key] for key in parts if key not in different} == {
        key: whole[key] for key in whole if key not in different
    }
    assert (tmp_path / "parts" / "tuned.yaml").read_text() == (tmp_path / "whole" / "tuned.yaml").read_text()


def test_a_killed_process_leaves_a_trial_that_is_made_again(data: DataSettings, tmp_path: Path) -> None:
    """The process is killed within its third trial, and leaves it as running."""
    program = f"""
import os, signal
from pathlib import Path
from recsys.experiments.run_log import DataSettings
from recsys.experiments.tuning import tune as tuning
from tests.experiments.tuning.test_tune import _ease
made, asked = tuning.validator, []
def kill(*arguments, **named):
    asked.append(1)
    if len(asked) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return made(*arguments, **named)
tuning.validator = kill
data, out = DataSettings({data.source!r}, "random"), Path({str(tmp_path / "killed")!r})
tuning.tune(_ease(), data, out, tuning.TuneSettings(5))
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, env=os.environ, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    tune(_ease(), data, tmp_path / "killed", TuneSettings(trials=5))
    tune(_ease(), data, tmp_path / "whole", TuneSettings(trials=5))
    killed, whole = (_known(_trials(tmp_path / name, _ease())) for name in ("killed", "whole"))
    assert killed == whole


def test_bad_trials_of_a_network_are_ended_early(data: DataSettings, tmp_path: Path) -> None:
    found = tune(_mf(), data, tmp_path / "out", TuneSettings(trials=10))
    trials = _trials(tmp_path / "out", _mf())
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert found["pruned"] == len(pruned) > 0
    assert all(len(trial.curve) > 1 for trial in pruned)
    assert min(len(trial.curve) for trial in pruned) < 4
    complete = [trial for trial in trials if trial.state == "complete"]
    assert {len(trial.curve) for trial in complete} == {4}
    assert found["best"]["value"] == max(trial.value or 0.0 for trial in complete)
    # The best epoch counts, whose parameters the model has in the end.
    assert all(trial.value == pytest.approx(max(trial.curve.values())) for trial in complete)


def test_only_validation_is_asked_and_the_best_settings_are_ready_for_training(
    data: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def noting(holdout: Holdout, *rest: Any) -> Any:
        asked.append(len(holdout))
        return validator(holdout, *rest)

    monkeypatch.setattr(tuning, "validator", noting)
    space, out = _ease(), tmp_path / "out"
    found = tune(space, data, out, TuneSettings(trials=12))
    assert set(asked) == {len(data.cut(data.load(), space.base.filters).valid)}
    best = max(_trials(out, space), key=lambda trial: trial.value or 0.0)
    assert found["best"] == {"value": best.value, "trial": best.number, "settings": best.settings}
    assert found["own"] == _trials(out, space)[0].value
    assert found["importances"] == {"regularization": pytest.approx(1.0)}
    tuned = read_experiment(out / "tuned.yaml")
    assert tuned.arguments["regularization"] == best.settings["regularization"]
    assert "search" not in yaml.safe_load((out / "tuned.yaml").read_text())
    report = (out / "report.md").read_text()
    assert f"{best.value:.4f}" in report
    assert (out / "search.png").read_bytes().startswith(b"\x89PNG")
    # More trials go on from there; another search is refused.
    assert tune(space, data, out, TuneSettings(trials=13))["trials"] == 13
    with pytest.raises(DataError, match="differs in seed"):
        tune(space, data, out, TuneSettings(trials=13, seed=1))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "text").touch()
    with pytest.raises(DataError, match="holds no search"):
        tune(space, data, tmp_path / "mine", TuneSettings())


def test_settings_that_cannot_be_used_together_are_told_and_counted(
    data: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = _ease()
    build = type(space.base).build

    def refuse(experiment: Any, seed: int | None = None) -> Recommender:
        if experiment.arguments["regularization"] < 100:
            raise ConfigError("too small for this log")
        return build(experiment, seed)

    monkeypatch.setattr(type(space.base), "build", refuse)
    found = tune(space, data, tmp_path / "out", TuneSettings(trials=8, sampler="random"))
    assert found["trials"] == 8
    assert found["failed"] > 0
    assert "too small for this log" in (tmp_path / "out" / "report.md").read_text()
    monkeypatch.setattr(type(space.base), "build", lambda *_: refuse(space.experiment({"regularization": 1.0})))
    with pytest.raises(ConfigError, match="none of the 2 trials could be made: too small"):
        tune(space, data, tmp_path / "none", TuneSettings(trials=2))


def test_a_log_that_the_filters_of_a_trial_empty_ends_the_trial_alone(data: DataSettings, tmp_path: Path) -> None:
    base = read_experiment("ease", [("feedback", "events")])
    space = SearchSpace.of({"filters.min_item_events": {"low": 1, "high": 100_000}}, base, "ease")
    found = tune(space, data, tmp_path / "out", TuneSettings(trials=3, sampler="random"))
    assert (found["trials"], found["failed"]) == (3, 2)
    assert "none is left" in (tmp_path / "out" / "report.md").read_text()


def test_a_reading_that_is_chosen_on_validation_is_measured_as_it_is_trained(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [(user, item, 1 + (user + item) % 5) for user in range(30) for item in range(20) if (user * item) % 3]
    log.write_text("user,item,rating\n" + "".join(f"{user},{item},{rating}\n" for user, item, rating in rows))
    settings = DataSettings(str(log), "random")
    space = SearchSpace.of({"feedback": ["auto", "signed"]}, read_experiment("ease"), "ease")
    tune(space, settings, tmp_path / "out", TuneSettings(trials=4, sampler="random"))
    value = next(one.value for one in _trials(tmp_path / "out", space) if one.settings["feedback"] == "auto")
    made = train_run(space.experiment({"feedback": "auto"}), settings, tmp_path / "run", seed=0)
    assert made["feedback"]["feedback"] != "events"
    assert made["valid"]["ndcg@10"] == pytest.approx(value)


def test_a_metric_of_which_less_is_better_has_a_minus_in_its_name(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [(user, item, 1 + (user + item) % 5) for user in range(30) for item in range(20) if (user * item) % 3]
    log.write_text("user,item,rating\n" + "".join(f"{user},{item},{rating}\n" for user, item, rating in rows))
    space = SearchSpace.of({"regularization": [1, 1000]}, read_experiment("ease", [("metric", "regret@10")]), "ease")
    found = tune(space, DataSettings(str(log), "random"), tmp_path / "out", TuneSettings(trials=2))
    assert found["metric"] == "-regret@10"
    assert found["best"]["value"] < 0


def test_a_directory_that_no_address_can_name_is_refused(data: DataSettings, tmp_path: Path) -> None:
    """Its study would be in another directory."""
    for name in ("a?b", "a%20b", "a{b}"):
        with pytest.raises(ConfigError, match="choose another directory"):
            tune(_ease(), data, tmp_path / name, TuneSettings(trials=1))
    tune(_ease(), data, tmp_path / "a b#c", TuneSettings(trials=1))
    assert [path.name for path in tmp_path.iterdir()] == ["a b#c"]
    assert (tmp_path / "a b#c" / "study.db").exists()


def test_two_searches_in_one_directory(data: DataSettings, tmp_path: Path) -> None:
    def second(_: str) -> None:
        with pytest.raises(DataError, match="another search is going on"):
            tune(_ease(), data, tmp_path / "out", TuneSettings(trials=2))

    assert tune(_ease(), data, tmp_path / "out", TuneSettings(trials=2), say=second)["trials"] == 2


def test_no_trial_begins_when_time_is_over(data: DataSettings, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(ConfigError, match="there was no time"):
        tune(_ease(), data, tmp_path / "out", TuneSettings(minutes=0.0), say=said.append)
    assert "0 minutes are over" in said[-1]


def test_a_study_in_postgresql(data: DataSettings, tmp_path: Path) -> None:
    address = os.environ.get("RECSYS_TEST_POSTGRESQL")
    if address is None:
        pytest.skip("RECSYS_TEST_POSTGRESQL is not set")
    settings = TuneSettings(trials=2, storage=address, seed=int.from_bytes(os.urandom(3)))
    found = tune(_ease(), data, tmp_path / "out", settings)
    assert not (tmp_path / "out" / "study.db").exists()
    again = tune(_ease(), data, tmp_path / "again", settings)  # the study is known by its question
    assert found["best"] == again["best"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_searches_in_one_study_from_two_directories(data: DataSettings, tmp_path: Path, kind: str) -> None:
    address = os.environ.get("RECSYS_TEST_POSTGRESQL")
    if kind == "postgresql" and address is None:
        pytest.skip("RECSYS_TEST_POSTGRESQL is not set")
    storage = address if kind == "postgresql" else f"sqlite:///{tmp_path / 'studies.db'}"
    settings = TuneSettings(trials=2, storage=storage, seed=int.from_bytes(os.urandom(3)))
    refused: list[str] = []

    def second(_: str) -> None:
        with pytest.raises(DataError, match="going on from another folder") as error:
            tune(_ease(), data, tmp_path / "other", settings)
        refused.append(str(error.value))
        tune(_ease(), data, tmp_path / f"apart{len(refused)}", replace(settings, seed=settings.seed + len(refused)))

    assert tune(_ease(), data, tmp_path / "out", settings, say=second)["trials"] == 2
    assert refused
    assert tune(_ease(), data, tmp_path / "other", settings)["trials"] == 2  # it is free again


def test_a_database_that_cannot_be_used(data: DataSettings, tmp_path: Path) -> None:
    storage = "postgresql://ada:secret@127.0.0.1:1/none"
    with pytest.raises(ConfigError, match="cannot hold a study") as error:
        tune(_ease(), data, tmp_path / "out", TuneSettings(storage=storage))
    assert "secret" not in str(error.value)


def test_without_the_library(data: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "recsys.experiments.tuning.study", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'recsys\[tune\]'"):
        tune(_ease(), data, tmp_path / "out", TuneSettings())
    assert not (tmp_path / "out").exists()


def test_a_damaged_record_is_another_search(data: DataSettings, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "search.json").write_text(json.dumps({"seed": 0})[:-1])
    with pytest.raises(DataError, match="differs in experiment"):
        tune(_ease(), data, out, TuneSettings())
