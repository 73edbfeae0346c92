from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.personas import command, free, people, reported
from benchmarks.personas.people import Person
from benchmarks.personas.worlds import adjusted_rand
from recsys.evaluation.tastes import Tastes
from recsys.worlds.simulation import WorldConfig, simulate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("personas")
    (out / reported.JUDGEMENT).write_text("The list of the first user looks like a person's.\n", encoding="utf-8")
    assert command.main(["--quick", "--out", str(out)]) == 0
    return out


@pytest.fixture
def claims(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))["logs"]["simulated"]
    return content


def test_quick_trial_reports_every_claim(folder: Path, claims: dict[str, Any]) -> None:
    report = (folder / "report.md").read_text(encoding="utf-8")
    for claim in (
        "cosine between personas",
        "seats of a boosted persona",
        "placebo, shuffled",
        "adjusted Rand",
        "AMP-CF",
    ):
        assert claim in report
    assert report.count("### User ") == 10
    assert "The list of the first user" in report
    assert claims["controlled"]["muted items"] == claims["controlled"]["muted evidence"] == 0
    assert claims["controlled"]["boost"] >= 1.8
    assert claims["names, own"]["events"] >= 0.85
    assert claims["names, own"]["told apart"] > 0.9 > 0.45 > claims["names, another persona's"]["told apart"]
    assert claims["names, after an event"]["the same"] > 0.85
    assert claims["personas, found"]["cosine"] < 0.2 < claims["personas, shuffled"]["cosine"]
    assert claims["planted"]["one of 15"] >= 0.9
    assert claims["planted"]["two of 10 each, several found"] >= 0.9
    assert claims["read-out, attention"]["sharpness"] > 0
    assert claims["free"]["splits"] == 2
    assert claims["free"]["questions"] > claims["free"]["users"]  # of several splits, averaged by user
    assert claims["free"]["excess, nearest"] < min(claims["free"][f"excess, {name}"] for name in ("plain", "seats"))
    assert "30 or more events" in report


def test_splits_of_last_events_go_back_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    log = simulate(WorldConfig(n_users=40, n_items=60, events_per_user=30)).log
    monkeypatch.setattr(command.Plan, "load", lambda _: log)
    plan = command.Plan("simulated", "last_n", 50.0, n=3)
    tested = [plan.parts(number).test for number in range(3)]
    for number, holdout in enumerate(tested):
        for row, user in enumerate(holdout.user_ids.tolist()):
            own = log.item_num[log.history_slice(int(log.users.numbers([user])[0]))]
            due = own[len(own) - 3 * (number + 1) :][:3]
            names = plan.parts(number).train.items.numbers(log.items.ids[due])
            assert sorted(holdout.relevant.row(row).tolist()) == sorted(names.tolist())


def test_the_nearest_lists_are_nearer_than_any_other() -> None:
    rng = np.random.default_rng(0)
    shares = np.eye(4)[rng.integers(4, size=60)]
    tastes = Tastes(shares, tuple("abcd"), shares, "clusters")
    p = np.asarray([[0.5, 0.3, 0.2, 0.0], [0.1, 0.1, 0.1, 0.7]])
    pool = np.tile(rng.permutation(60).astype(np.int32), (2, 1))
    closest = free.nearest(tastes, p, pool)
    assert all(len(set(row)) == 10 for row in closest.tolist())
    np.testing.assert_allclose(tastes.of_lists(closest, (10,))[0], p)


def test_bars_see_placebos_that_pass(claims: dict[str, Any]) -> None:
    claims["personas, shuffled"] = claims["personas, found"]
    verdicts = {row[0]: row[-1] for row in reported.bars(claims)}
    claims["names, another persona's"] = claims["names, own"]
    assert {row[0]: row[-1] for row in reported.bars(claims)}["placebo, names of another persona"] == "**missed**"
    assert verdicts["placebo, shuffled"] == "**missed**"
    assert verdicts["placebo, identical"] == "met"


def test_a_worse_interval_and_no_names_are_told(claims: dict[str, Any]) -> None:
    claims["free"] |= {"relative": 0.01, "low": -0.006}
    claims["names, own"] |= {"lift": float("nan"), "items": float("nan")}
    verdicts = {row[0]: row[-1] for row in reported.bars(claims)}
    assert verdicts["NDCG@10 of seats, lower end"] == "**missed**"
    assert verdicts["lift of names of labels, median"] == "not measured"


def test_a_person_is_shown_as_stored() -> None:
    personas = (("Horror", 0.6, ("Alien", "The Thing")),)
    person = Person("7", 12, personas, (("Heat", "", "Popular."), ("It", "Horror", "Because.")), ("popular",), (2,))
    text = people.shown(Person.from_dict(json.loads(json.dumps(vars(person)))))
    assert text.splitlines()[2] == "- **Horror** (60%): Alien, The Thing"
    assert text.splitlines()[-2:] == ["1. Heat - Popular.", "2. It [Horror] - Because."]


def test_adjusted_rand_of_chance_is_near_0() -> None:
    rng = np.random.default_rng(0)
    scores = [adjusted_rand(rng.integers(3, size=200), rng.integers(4, size=200)) for _ in range(40)]
    assert abs(np.mean(scores)) < 0.01
    assert adjusted_rand(np.zeros(5, np.int64), np.zeros(5, np.int64)) == 1.0
