"""Bundles, a run and an event store that version 0.1 wrote before its modules moved: they load and answer equally."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.bundles.bundle import load, read_manifest
from recsys.bundles.index import load_index
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.events.addresses import open_store
from recsys.experiments.configuration import read_experiment
from recsys.experiments.questions import personas, recommend
from recsys.experiments.runs import evaluate_run, load_model, read_metrics, run_log
from recsys.models.base import Recommendations
from recsys.serving.opening import open_answers
from recsys.worlds.simulation import simulated_log

ARCHIVE = Path(__file__).with_name("written_by_0_1.zip")
FILES = zipfile.ZipFile(ARCHIVE).namelist()
NAMES = sorted({name.split("/")[1] for name in FILES if name.startswith("bundles/") and "." not in name.split("/")[1]})
"""The bundles, one for each kind of model."""
_REASONS = ("text", "reason", "evidence", "certainty", "low_certainty")
_RTOL = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written_by_0_1")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(path)
    return path


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulated_log(3, n_users=40, n_items=60, events_per_user=20)


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "bundles" / "expected.json").read_text())
    return content


def assert_equal(recommendations: Recommendations, items: object, scores: object = None) -> None:
    np.testing.assert_array_equal(recommendations.items, items)
    if scores is not None:
        np.testing.assert_allclose(recommendations.scores, np.asarray(scores, np.float32), rtol=_RTOL)


def todays_words(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record of a list with the keys that have had other names since version 0.2."""
    renamed = {"item": "item_id", "text": "reason"}
    return {renamed.get(key, key): value for key, value in record.items()}


def assert_alike(answer: object, former: object) -> None:
    """Check that plain values are as they were: numbers but for the last digits, in which processors differ.

    Records may have new fields, reasons are those that are true of the list (0.1 named the largest contributions,
    whatever they carried), and the half-life shown is that of the moment; 0.1 showed the one of an average moment.
    """
    if isinstance(former, dict):
        assert isinstance(answer, dict)
        assert answer.keys() >= former.keys()
        for key in former.keys() - {"half_life", *_REASONS}:
            assert_alike(answer[key], former[key])
    elif isinstance(former, list):
        assert isinstance(answer, list)
        assert len(answer) == len(former)
        for value, other in zip(answer, former, strict=True):
            assert_alike(value, other)
    elif isinstance(former, float):
        assert answer == pytest.approx(former, rel=_RTOL, abs=_RTOL)
    else:
        assert answer == former


@pytest.mark.parametrize("name", NAMES)
def test_bundles_load_and_recommend_equally(
    name: str, folder: Path, log: Interactions, expected: dict[str, Any]
) -> None:
    path = folder / "bundles" / name
    manifest = read_manifest(path)
    assert json.loads((path / "manifest.json").read_text())["format_version"] == 1
    assert manifest.format_version == 2
    model = load(path)
    assert manifest.model == f"recsys.models.{type(model).__name__}"
    users = np.arange(6, dtype=np.int32)
    now = np.full(len(users), log.time.max() + 1)
    known = model.recommend(Queries.from_interactions(log, users, now), 5)
    assert_equal(known, expected[f"{name}.items"], expected[f"{name}.scores"])
    if f"{name}.new.items" in expected:
        assert_equal(model.recommend(Queries.from_history([[1, 2, 3], [], [7]]), 5), expected[f"{name}.new.items"])


def test_every_kind_of_model_is_there() -> None:
    assert len(NAMES) == 16


@pytest.mark.parametrize("user", ["1", "7", "100"])
def test_run_recommends_and_describes_personas_equally(user: str, folder: Path) -> None:
    log = run_log(folder / "run", load_model(folder / "run"))
    at = str(log.time[log.user_num == log.users.numbers([user])[0]].max() + 1)  # when 0.1 asked
    for name, answer in (
        ("recommend", recommend(folder / "run", user=user, at=at).items),
        ("personas", personas(folder / "run", user, at=at)),
    ):
        former = json.loads((folder / f"run-{name}-{user}.json").read_text(), object_hook=todays_words)
        assert_alike(json.loads(json.dumps(answer)), former)


def test_run_is_evaluated_equally(folder: Path) -> None:
    summary = evaluate_run(folder / "run", cutoffs=[5, 10, 20]).summary
    recorded = read_metrics(folder / "run")["test"]
    later = {f"{name}@{cutoff}" for name in ("liked_ndcg", "regret") for cutoff in (5, 10, 20)}
    assert set(summary) == set(recorded) | later
    # Its draws are of another generator since each cutoff has its own.
    names = [name for name in recorded if not name.startswith("tdd_excess")]
    assert len(names) == len(recorded) - 3
    np.testing.assert_allclose([summary[name] for name in names], [recorded[name] for name in names], rtol=_RTOL)


def test_experiment_of_the_run_is_that_of_its_bundle(folder: Path) -> None:
    experiment = read_experiment(folder / "run" / "config.yaml")
    model = load(folder / "run" / "model")
    assert experiment.build(0).parameters_of_constructor() == model.parameters_of_constructor()


def test_index_of_the_run_is_read(folder: Path) -> None:
    index = load_index(folder / "run" / "model", load(folder / "run" / "model"))
    assert index is not None


def test_run_is_served_equally_with_its_event_store(folder: Path) -> None:
    address = f"sqlite:///{folder / 'store.db'}"
    expected = json.loads((folder / "store-recommend.json").read_text())
    with open_store(address) as store:
        assert store.last_sequence() == 26
        answers = open_answers(folder / "run", store, address)
        for user, items in expected.items():
            if user == "u1":  # dismissed an item, which today counts against what is like it
                continue
            answer = answers.recommend(user, 5, 2_000_000_000, [])
            assert_alike([[item.item_id, item.score] for item in answer.items], [item[:2] for item in items])
