"""`recsys disagree`: what it prints, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from recsys.data.pairs import Splits
from recsys.events.addresses import open_store
from recsys.experiments.runs import SPLITS, load_model, run_log
from tests.cli.conftest import Call
from tests.serving.client import Client, service_of


def test_tables_and_json_of_both_protocols(call: Call, runs: dict[str, Path]) -> None:
    for protocol in ("masked", "held_out"):
        asked = ("disagree", "--run", runs["ease"], "--protocol", protocol, "--raters", 5)
        code, out, _ = call(*asked)
        assert code == 0
        assert "minority right" in out
        assert "one rule for all" in out
        code, out, _ = call(*asked, "--json")
        told = json.loads(out)
        assert (code, told["protocol"], len(told["bins"])) == (0, protocol, 6)
        assert (told["bins"][0]["bound"] is None) == (protocol == "held_out")


def test_where_no_pair_is_judged_by_enough_users_it_says_so(call: Call, runs: dict[str, Path]) -> None:
    code, out, told = call("disagree", "--run", runs["ease"], "--raters", 5000)
    assert (code, out) == (0, "")
    assert "no pair of items is judged by 5000 users or more" in told
    assert "give a smaller --raters" in told
    assert "no pair of items" not in call("disagree", "--run", runs["ease"], "--raters", 5)[2]


def test_models_without_fold_in_are_refused(call: Call, runs: dict[str, Path]) -> None:
    code, _, told = call("disagree", "--run", runs["popularity"])
    assert code == 2
    assert "Popularity cannot fold in a history, which the protocol 'masked' needs" in told


@pytest.mark.parametrize("name", ["ease", "persona_ease"])
def test_items_tell_how_split_people_are_once_that_is_kept(
    call: Call, runs: dict[str, Path], tmp_path: Path, name: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs[name], run)
    asked = ("recommend", "--run", run, "--user", "1", "--json")
    plain = json.loads(call(*asked)[1])
    code, _, said = call("disagree", "--run", run, "--keep", "--raters", 5)
    assert (code, "people or more rated differently" in said, (run / SPLITS).is_file()) == (0, True, True)
    model = load_model(run)
    Splits.of(run_log(run, model), model.fitted_on.items, raters=3).save(run / SPLITS, model.fitted_on.items)
    told = json.loads(call(*asked)[1])
    assert [{key: value for key, value in one.items() if key != "split"} for one in told] == plain
    split = next(one["split"] for one in told if "split" in one)
    assert split["sentence"].startswith(f"{split['preferred']} of {split['raters']} people")
    assert split["item_id"] in [one["item_id"] for one in told]
    assert split["sentence"] in call(*asked[:-1])[1].replace("\n", " ").replace("       ", "").replace("      ", "")
    with open_store("memory:") as store:
        served = Client(service_of(run, store, authenticated=False), {}).get("/v1/users/1/recommendations").json()
    assert [one["split"] and one["split"]["sentence"] for one in served["items"]] == [
        one.get("split", {}).get("sentence") for one in told
    ]


def test_camps_have_a_known_truth(call: Call, runs: dict[str, Path]) -> None:
    code, out, _ = call("disagree", "--run", runs["ease"], "--protocol", "camps", "--json")
    worlds = json.loads(out)["worlds"]
    assert (code, [(one["p"], one["topics"]) for one in worlds][:2]) == (0, [(0.51, 1), (0.6, 1)])
    for one in worlds:
        assert one["pooled"] >= one["bound"] - 1e-9
        assert abs(one["bound"] - (1 - one["p"])) < 0.08
    assert "least for one rule" in call("disagree", "--run", runs["ease"], "--protocol", "camps")[1]


def test_choices_between_answers_are_told_best_by_personas(call: Call) -> None:
    code, out, _ = call("disagree", "--pairs", "simulated-pairs", "--json")
    rows = {one["reward"]: one for one in json.loads(out)["rewards"]}
    assert code == 0
    assert rows["4 personas"]["low"] > 0.1
    assert rows["4 personas"]["right"] > max(one["right"] for name, one in rows.items() if name != "4 personas") + 0.05
    code, out, _ = call("disagree", "--pairs", "simulated-pairs", "--seed", 1)
    assert (code, "one for all" in out) == (0, True)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ((), "give either --run DIR"),
        (("--pairs", "simulated-pairs", "--run", "x"), "give either --run DIR"),
        (("--run", "x", "--vectors", "v.npy"), "--vectors and --items go with --pairs"),
        (("--pairs", "nowhere.csv"), "there is no file nowhere.csv"),
    ],
)
def test_a_run_or_choices_and_not_both(call: Call, asked: tuple[str, ...], told: str) -> None:
    code, _, said = call("disagree", *asked)
    assert (code, told in said) == (2, True), said


def test_choices_without_vectors_or_with_one_each_are_refused(call: Call, tmp_path: Path) -> None:
    choices = tmp_path / "choices.csv"
    choices.write_text("user,chosen,rejected\n1,a,b\n2,b,a\n")
    assert "reads item vectors, and it has none" in call("disagree", "--pairs", choices)[2]
    vectors = tmp_path / "vectors.safetensors"
    save_file({"vectors": np.eye(2, dtype=np.float32)}, vectors)
    items = tmp_path / "items.csv"
    items.write_text("item\na\nb\n")
    code, _, said = call("disagree", "--pairs", choices, "--vectors", vectors, "--items", items)
    assert (code, "no user has 2 choices" in said) == (2, True)
    code, _, said = call("train", "--config", "ease", "--data", "simulated-pairs", "--out", tmp_path / "run")
    assert (code, "log of choices between two items" in said) == (2, True)
