"""A model, a rule, a metric and a reader of a second distribution, `tests/outside`, which `.ci/run` installs."""

from __future__ import annotations

import json
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys.bundles.bundle import load, read_manifest, save
from recsys.checks import object_named
from recsys.cli.main import main
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import BundleError, ConfigError
from recsys.events.addresses import open_store
from recsys.experiments.configuration import check_experiment
from recsys.experiments.runs import DataSettings, evaluate_run, load_model, train_run
from recsys.models import EASE, Decayed
from recsys.serving.opening import open_answers
from recsys.testing import check_forgetting, check_metric, check_recommender
from recsys.worlds.blocks import block_log

MODEL = "recsys_outside_example.model.CoUsers"
RULE = "recsys_outside_example.rule.PowerLaw"


@pytest.fixture(autouse=True)
def installed() -> None:
    """Skip without the package, or fail where `RECSYS_TEST_OUTSIDE` is `required`, as it is in `.ci/run`."""
    try:
        version("recsys-outside-example")
    except PackageNotFoundError:
        reason = "recsys-outside-example is not installed; pip install --no-deps ./tests/outside"
        if os.environ.get("RECSYS_TEST_OUTSIDE") == "required":
            pytest.fail(f"{reason}, and RECSYS_TEST_OUTSIDE is required")
        pytest.skip(reason)


@pytest.fixture
def not_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package without its entry points."""
    monkeypatch.setattr("recsys.bundles.classes.entry_points", lambda group: ())


@pytest.fixture(scope="module")
def baskets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 30 users with two tastes, in the format that only the outside reader knows."""
    source = np.random.default_rng(0)
    lines = [
        f"u{user} " + " ".join(f"{'ab'[user % 2]}{item}" for item in source.permutation(12)[:4])
        for _ in range(3)
        for user in source.permutation(30)
    ]
    path = tmp_path_factory.mktemp("baskets") / "shop.txt"
    path.write_text("\n".join(lines))
    return path


def trained(out: Path, log: Path, class_path: str = "co-users") -> Path:
    experiment = check_experiment(
        {"model": {"class_path": class_path, "init_args": {"damping": 0.4}}, "validation": {"metric": "first-hit@5"}}
    )
    train_run(experiment, DataSettings(str(log), columns={"reader": "baskets"}), out, cutoffs=[5])
    return out


def test_contract_suites() -> None:
    check_recommender(object_named("model", "co-users", "recsys.models"))
    check_forgetting(object_named("rule", "power-law", "recsys.rules")())
    check_metric(object_named("metric", "first-hit", "recsys.metrics"))


@pytest.mark.parametrize("class_path", [MODEL, "co-users"])
def test_model_is_trained_by_dotted_path_and_by_short_name(class_path: str, baskets: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", baskets, class_path)
    manifest = read_manifest(run / "model")
    assert (manifest.model, manifest.parameters) == (MODEL, {"damping": 0.4})
    assert json.loads((run / "metrics.json").read_text())["counts"]["test"]["users"] > 0
    assert type(load_model(run)).__name__ == "CoUsers"
    assert recsys.train(block_log(), class_path, damping=0.3).parameters_of_constructor() == {"damping": 0.3}


def test_bundle_is_refused_unless_its_class_is_allowed(
    not_registered: None, baskets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path / "run", baskets)
    with pytest.raises(BundleError, match=f"--allow-model {MODEL}"):
        load(run / "model")
    with pytest.raises(ConfigError, match="recsys_outside_example"):
        load(run / "model", ["recsys_outside_example.model.NoModel"])
    by_name, by_class = load(run / "model", [MODEL]), load(run / "model", [object_named("model", MODEL, "")])
    query = Queries.from_history([[1, 2]])
    np.testing.assert_array_equal(by_name.recommend(query, 5).items, by_class.recommend(query, 5).items)
    command = ["recommend", "--run", str(run), "--user", "u1", "--json"]
    assert main(command) == 2
    assert f"--allow-model {MODEL}" in capsys.readouterr().err
    assert main([*command, "--allow-model", MODEL]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 10


def test_bundle_imports_nothing_that_it_names(tmp_path: Path) -> None:
    path = save(object_named("model", MODEL, "")().fit(block_log()), tmp_path / "model")
    content = read_manifest(path).content() | {"model": "recsys_outside_example.never_imported.Model"}
    from recsys.bundles.manifest import canonical

    (path / "manifest.json").write_bytes(canonical(content))
    with pytest.raises(BundleError, match="is not a model of this library"):
        load(path)


def test_run_is_evaluated_with_the_outside_metric(baskets: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", baskets)
    summary = evaluate_run(
        run, cutoffs=[5], metrics=["first-hit", "recsys_outside_example.metric.first_hit", "ndcg"]
    ).summary
    assert 0 < summary["first_hit@5"] <= 1
    assert summary["first-hit@5"] == summary["first_hit@5"]
    assert summary["ndcg@5"] > 0
    by_path = evaluate_run(run, cutoffs=[5], metrics=["recsys_outside_example.metric.first_hit"]).summary
    assert by_path["first_hit@5"] == summary["first_hit@5"]


def test_run_is_served(baskets: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", baskets)
    with open_store("memory:") as store:
        answer = open_answers(run, store, "memory:").recommend("u1", 3, 100 * 86_400, [])
    assert len(answer.items) == 3
    assert {str(item.item_id)[0] for item in answer.items} == {"b"}


def decayed(rule: str) -> Decayed:
    model = {"class_path": "recsys.models.EASE", "init_args": {"regularization": 10}}
    arguments: dict[str, Any] = {"model": model, "rule": {"class_path": rule, "init_args": {"exponent": 0.3}}}
    built = check_experiment({"model": {"class_path": "recsys.models.Decayed", "init_args": arguments}}).build()
    assert isinstance(built, Decayed)
    return built


@pytest.mark.parametrize("rule", [RULE, "power-law"])
def test_rule_decays_a_model_and_is_saved_with_it(rule: str, tmp_path: Path) -> None:
    log = block_log()
    model = decayed(rule).fit(log)
    path = save(model, tmp_path / "model")
    assert read_manifest(path).parameters["rule"] == {"class_path": RULE, "init_args": {"exponent": 0.3}}
    queries = Queries.from_interactions(log)
    scores = load(path).score(queries)
    np.testing.assert_array_equal(scores, model.score(queries))
    assert not np.allclose(scores, EASE(10.0).fit(log).score(queries))


def test_rule_is_refused_unless_it_is_allowed(not_registered: None, tmp_path: Path) -> None:
    path = save(decayed(RULE).fit(block_log()), tmp_path / "model")
    with pytest.raises(BundleError, match=f"rule of forgetting of this library.*--allow-model {RULE}"):
        load(path)
    assert isinstance(load(path, [RULE]), Decayed)


def test_reader_reads_what_no_other_can(baskets: Path) -> None:
    log: Interactions = DataSettings(str(baskets), columns={"reader": "baskets"}).load()
    assert (len(log.users), len(log.items), len(log), log.name) == (30, 24, 360, "shop.txt")
