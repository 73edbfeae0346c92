"""`recsys index`: what it keeps, what it refuses, and who answers afterwards."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.bundles.bundle import load, read_manifest
from recsys.cli.main import main
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.events.addresses import open_store
from recsys.models import BPR
from recsys.serving.opening import open_answers
from recsys.serving.records import HistoryEvent
from tests.serving.serving_run import train, write_log

pytest.importorskip("faiss", reason="the index is an extra")

from recsys.experiments.index_settings import IndexSettings
from recsys.experiments.indexing import answerable_users, index_run

SMALL = IndexSettings(n=3, depth=8, cells=5, questions=10, recall=0.5, force=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return train(folder / "latent", write_log(folder / "log.csv"), "ampcf_latent", epochs=3, embedding_size=8)


@pytest.fixture(scope="module")
def indexed(run: Path) -> Path:
    index_run(run, SMALL)
    return run


def test_the_command_keeps_what_it_measured(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["index", "--run", str(run), "-n", "3", "--depth", "8", "--cells", "5", "--recall", "0.5", "--force"]
    assert main([*asked, "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err.splitlines() == ["making cells of 30 items", "tuning on 20 questions", "measuring on 20 others"]
    index = read_manifest(run / "model").index
    assert index is not None
    assert found == {**index, "bytes": (run / "model" / index["file"]).stat().st_size}
    assert found["tuned"]["low"] >= 0.5
    assert found["measured"]["recall"]["questions"] == 20
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"recall@3 {found['measured']['recall']['mean']:.4f} of the exact lists, on 20 questions; ")
    assert str(run / "model") in told


def test_where_there_is_nothing_to_gain_the_index_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = read_manifest(run / "model").index
    assert main(["index", "--run", str(run), "-n", "3", "--depth", "8", "--cells", "5", "--recall", "0.5"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "with 30 items there is little to gain; stay with the exact lists, or keep the index with --force" in told
    assert "ms through the index and" in told
    assert read_manifest(run / "model").index == before


def test_a_model_without_item_vectors_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ease = train(tmp_path / "ease", write_log(tmp_path / "log.csv"), "ease")
    assert main(["index", "--run", str(ease)]) == 2
    assert "EASE cannot be indexed: its scores are not inner products" in capsys.readouterr().err


@pytest.mark.parametrize("settings", [{"recall": 1.0}, {"recall": 0.0}, {"n": 0}, {"cells": 0}, {"questions": -1}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    (name,) = settings
    with pytest.raises(ConfigError, match=name):
        IndexSettings(**settings)  # type: ignore[arg-type]


def test_questions_are_those_of_the_whole_log(run: Path) -> None:
    model = load(run / "model")
    log = datasets.load(str(run.parent / "log.csv"))
    users = answerable_users(model, log)
    assert users.tolist() == list(range(log.n_users))
    asked = model.fitted_on.queries(log, users[[5, 2]])
    for row, user in enumerate((5, 2)):
        history = asked.history.row(row)
        used = log.items.ids[log.item_num[log.history_slice(user)]]
        assert len(history) == len(used)
        known = history != UNKNOWN
        assert model.fitted_on.items.ids[history[known]].tolist() == used[known].tolist()
    assert model.fitted_on.users.numbers(log.users.ids[[5, 2]]).tolist() == asked.users.tolist()


def test_learned_users_ask_for_themselves_only(run: Path) -> None:
    log = datasets.load(str(run.parent / "log.csv"))
    model = BPR(4, epochs=1).fit(Interactions.from_columns(["u7", "u3", "u7"], ["i1", "i2", "i3"]))
    assert sorted(log.users.ids[answerable_users(model, log)].tolist()) == ["u3", "u7"]


def test_a_history_without_a_known_item_is_no_question(run: Path) -> None:
    model = load(run / "model")
    log = datasets.load(str(run.parent / "log.csv"))
    known = model.fitted_on.items.numbers(log.items.ids)[log.item_num] != UNKNOWN
    unknown = log.select(~known | (log.user_num != 3))
    assert 3 not in answerable_users(model, unknown)


def test_recommendations_go_through_the_index_unless_told_otherwise(
    indexed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recsys.models.retrieval.index import PersonaIndex

    asked: list[int] = []
    recommend = PersonaIndex.recommend

    def counted(self, queries, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        asked.append(n)
        return recommend(self, queries, n)

    monkeypatch.setattr(PersonaIndex, "recommend", counted)
    command = ["recommend", "--run", str(indexed), "--user", "u3", "-n", "4", "--json"]
    assert main(command) == 0
    through = json.loads(capsys.readouterr().out)
    assert asked == [4]
    assert main([*command, "--exact"]) == 0
    exact = json.loads(capsys.readouterr().out)
    assert asked == [4]
    assert [item.keys() for item in through] == [item.keys() for item in exact]
    scores = {item["item_id"]: item["score"] for item in exact}
    common = [item for item in through if item["item_id"] in scores]
    assert len(common) >= 2
    for item in common:
        assert item["score"] == pytest.approx(scores[item["item_id"]], rel=1e-5)
        assert item["evidence"]
        assert item["reason"]


def test_the_service_answers_through_the_index_and_says_so(indexed: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        through = open_answers(indexed, open_store("memory:"), "memory:")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"model {through.model} recommends through an index: recall@3 ")
    caplog.clear()
    exactly = open_answers(indexed, open_store("memory:"), "memory:", exact=True)
    assert not caplog.records
    for answers in (through, exactly):
        answers.check()
        found = answers.recommend_for([HistoryEvent("i3"), HistoryEvent("i20")], 5, None, ["i4"])
        assert len(found.items) == 5
        assert not {"i3", "i20", "i4"} & {item.item_id for item in found.items}
        assert all(np.isfinite(item.score) for item in found.items)
        assert len(answers.similar("i3", 4).items) == 4


def test_the_faded_history_of_a_decayed_model_reaches_the_index(tmp_path: Path) -> None:
    rule = "{class_path: recsys.decay.GlobalHalfLife, init_args: {half_life: 5.0}}"
    run = train(tmp_path / "run", write_log(tmp_path / "log.csv"), "ials_decay", embedding_size=4, rule=rule)
    index_run(run, replace(SMALL, depth=18, recall=0.9))
    user, n = "u3", 5
    through, exact = (
        open_answers(run, open_store("memory:"), "memory:", exact=exact).recommend(user, n, None, ()).items
        for exact in (False, True)
    )
    scores = {item.item_id: item.score for item in exact}
    common = [item for item in through if item.item_id in scores]
    assert len(common) >= n - 1
    for item in common:
        assert item.score == pytest.approx(scores[item.item_id], rel=1e-4)
        assert item.recent is not None
