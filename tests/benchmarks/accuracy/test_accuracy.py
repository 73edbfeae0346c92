from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.accuracy import command as accuracy
from benchmarks.accuracy.command import Plan
from benchmarks.tools import fitting, grid
from benchmarks.tools.cells import Cells, Progress
from benchmarks.tools.grid import Arena, Budget, Grid
from benchmarks.tools.report import REPORT_NAME
from benchmarks.tools.search import shipped_experiment, with_settings
from recsys.data.catalogue import locations
from recsys.data.splits.standard import split
from recsys.evaluation.holdout import evaluate, validator
from recsys.evaluation.tastes import Tastes
from recsys.experiments import shipped
from recsys.experiments.configuration import check_experiment, read_experiment
from recsys.experiments.runs import DataSettings, train_run
from recsys.models import EASE
from recsys.worlds.simulation import simulated_log

_CONFIGS = ("popularity", "ease", "ampcf_latent_twin", "ampcf_latent", "persona_ease_twin", "persona_ease")
_EASE = {"model": {"class_path": "recsys.models.EASE", "init_args": {"regularization": 20.0}}}
_BUDGET = Budget(trials=2, seconds=60.0, seeds=(0, 1), validation_users=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished report on the simulated log."""
    out = tmp_path_factory.mktemp("accuracy")
    plans = (Plan("simulated", "random", 60.0, fidelity=True), Plan("no-such-log", "random", 60.0))
    accuracy.run(plans, _CONFIGS, _BUDGET, out, epochs=1)
    return out


def test_report_has_every_part_and_fact(folder: Path) -> None:
    text = (folder / REPORT_NAME).read_text()
    for part in ("## Bars", "## What lost", "Chosen settings", "Who gains", "### Personas", "### Fidelity"):
        assert part in text
    for fact in ("**date**", "**commit**", "**machine**", "**versions**", "fingerprint", "seeds 0, 1", "leaks time"):
        assert fact in text
    assert "Not run: no data set 'no-such-log'" in text
    for name in _CONFIGS:
        assert f"\n| {name} |" in text
    assert (folder / "ndcg.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "twin.png").exists()
    assert not (folder / "partial.md").exists()


def test_interrupted_benchmark_computes_nothing_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / REPORT_NAME).read_text()
    plan = Plan("simulated", "random", 60.0, fidelity=True)
    cell = folder / "cells" / "simulated-random" / "ease" / "seed-0.json"
    cell.unlink()
    fits: list[str] = []
    fit_within = fitting.fit_within

    def counted(*arguments: object, **named: object) -> object:
        fits.append(type(arguments[0]).__name__)
        return fit_within(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(grid, "fit_within", counted)
    accuracy.run((plan,), _CONFIGS, _BUDGET, folder, epochs=1)
    assert len(fits) == 1
    rows = [line.rsplit("|", 4)[0] for line in before.splitlines() if line.startswith("| ease |")]
    after = (folder / REPORT_NAME).read_text()
    assert rows
    assert all(row in after for row in rows)


def _grid(folder: Path, budget: Budget = _BUDGET, users: int = 40, items: int = 40, events: int = 10) -> Grid:
    """A grid on a random split of a simulated log."""
    cut = split(simulated_log(n_users=users, n_items=items, events_per_user=events), "random")
    return Grid(Arena("log-random", cut, Tastes.of(cut.train)), budget, Cells(folder), Progress(1.0))


def test_best_setting_on_validation_is_tested(tmp_path: Path) -> None:
    grid = _grid(tmp_path, users=80, items=60, events=15)
    cut, tastes = grid.arena.split, grid.arena.tastes
    outcome = grid.run("ease", shipped_experiment("ease"))
    valid = [trial["valid"] for trial in outcome.trials]
    assert len(valid) == 2
    assert valid[outcome.chosen] == max(valid)
    assert outcome.experiment is not None
    model = EASE(**outcome.experiment.arguments).fit(cut.train)
    expected = evaluate(model, cut.test, cut.train, cutoffs=(10,), tastes=tastes).summary
    assert outcome.values("ndcg@10") == [pytest.approx(expected["ndcg@10"])]


def test_the_first_seed_is_the_trial_itself(tmp_path: Path) -> None:
    grid = _grid(tmp_path)
    cut, tastes = grid.arena.split, grid.arena.tastes
    changes = {"optimization.epochs": 2, "embedding_size": 8}
    outcome = grid.run("ampcf_latent", with_settings(shipped_experiment("ampcf_latent"), changes))
    assert outcome.experiment is not None
    assert outcome.runs[0]["valid"] == outcome.trials[outcome.chosen]["valid"]
    model = outcome.experiment.build(1).fit(cut.train, validator(cut.valid, "ndcg@10", 100))
    expected = evaluate(model, cut.test, cut.train, cutoffs=(10,), tastes=tastes).summary
    assert outcome.values("ndcg@10")[1] == pytest.approx(expected["ndcg@10"])
    assert grid.cells.arrays("log-random/ampcf_latent/trial-0") is None


def test_no_further_trial_after_the_time_is_used_up(tmp_path: Path) -> None:
    grid = _grid(tmp_path, replace(_BUDGET, trials=3, seconds=1e-9))
    outcome = grid.run("ease", shipped_experiment("ease"))
    assert len(outcome.trials) == 1
    assert len(outcome.runs) == 1


def test_failure_of_a_model_has_its_reason(tmp_path: Path) -> None:
    content = {"model": {"class_path": "recsys.models.EASE", "init_args": {"memory_limit_gb": 1e-9}}}
    outcome = _grid(tmp_path).run("ease", check_experiment(content))
    assert outcome.runs == ()
    assert outcome.failure is not None
    assert "GB" in outcome.failure


def test_tuned_settings_repeat_the_number_of_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `recsys train --config tuned/LOG-SPLIT/NAME` does, by the name under which they are written."""
    folders = {"configs": tmp_path / "configs", "datasets": locations.shipped("datasets")}
    monkeypatch.setattr(locations, "shipped", folders.__getitem__)
    monkeypatch.setattr(shipped, "shipped", folders.__getitem__)
    monkeypatch.setattr(accuracy, "shipped_experiment", lambda name: check_experiment(_EASE))
    out = tmp_path / "report"
    accuracy.run([Plan("simulated", "global_time", 9.0)], ["ease"], _BUDGET, out, update_configs=True)
    file = shipped.experiment_file("tuned/simulated-global_time/ease")
    assert file == tmp_path / "configs" / "tuned" / "simulated-global_time" / "ease.yaml"
    cell = json.loads((out / "cells" / "simulated-global_time" / "ease" / "seed-0.json").read_text())["content"]
    data = DataSettings("simulated", "global_time")
    metrics = train_run(read_experiment(file), data, tmp_path / "run", seed=0)
    assert metrics["test"]["ndcg@10"] == pytest.approx(cell["test"]["ndcg@10"], rel=1e-6)
    text = (out / REPORT_NAME).read_text()
    command = "recsys train --config tuned/simulated-global_time/ease --data simulated --split global_time --seed 0"
    assert command in text
    assert f"NDCG@10 {cell['test']['ndcg@10']:.4f}".replace(" 0.", " .") in text


def test_the_facts_of_a_report_are_those_of_its_cells(folder: Path) -> None:
    """A report written later, from cells on disk, names the commit and the machine of the cells."""
    path = folder / "cells" / "simulated-random" / "ease" / "seed-0.json"
    made = json.loads(path.read_text())
    path.write_text(json.dumps({**made, "environment": {**made["environment"], "commit": "fedcba9"}}))
    accuracy.run((Plan("simulated", "random", 60.0, fidelity=True),), _CONFIGS, _BUDGET, folder, epochs=1)
    text = (folder / REPORT_NAME).read_text()
    assert text.count("**not run alike**, commit differs") == 2
    assert "fedcba9 (1 cells)" in text
    path.write_text(json.dumps(made))
