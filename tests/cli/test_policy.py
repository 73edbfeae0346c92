"""`recsys policy`: what it checks, explains and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Call

POLICY = """\
policy: 1
name: test
lists: {from: 5, until: 6}
layers:
  - layer: organisation
    rules:
      - {id: own, at_least: 2, of: {brand: own}, in_first: 5, why: "Our own first."}
  - layer: individual
    rules:
      - {id: never, deny: {item: ITEM}}
      - {id: private, no_profiling: {brand: own}, unless: {consent: all}}
"""


@pytest.fixture(scope="module")
def run(log_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from recsys.cli.main import main

    folder = tmp_path_factory.mktemp("policy") / "ease"
    assert main(["train", "--config", "configs/ease.yaml", "--data", str(log_file), "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def files(log_file: Path, tmp_path: Path) -> dict[str, Path]:
    log = pd.read_csv(log_file, dtype=str)
    items = sorted(log["item_id"].unique())
    brands = ["own" if place % 5 == 0 else "other" for place in range(len(items))]
    pd.DataFrame({"item": items, "brand": brands}).to_csv(tmp_path / "items.csv", index=False)
    (tmp_path / "policy.yaml").write_text(POLICY.replace("ITEM", f"'{items[1]}'"))
    return {"policy": tmp_path / "policy.yaml", "items": tmp_path / "items.csv"}


def test_a_list_under_a_policy_keeps_it_and_says_what_it_did(
    run: Path, files: dict[str, Path], log_file: Path, call: Call
) -> None:
    brands = pd.read_csv(files["items"], dtype=str).set_index("item")["brand"]
    user = str(pd.read_csv(log_file, dtype=str)["user_id"].iloc[0])
    asked = [
        "policy",
        "explain",
        files["policy"],
        "--run",
        run,
        "--attributes",
        files["items"],
        "--user",
        user,
        "-n",
        5,
    ]
    code, out, _ = call(*asked, "--json")
    told = json.loads(out)
    listed = [one["item_id"] for one in told["items"]]
    assert code == 0
    assert len(listed) == 5
    assert sum(brands[item] == "own" for item in listed) >= 2
    assert told["gap"] == 0
    for change in told["changes"]:
        assert (change["item_id"] in listed) == (change["change"] == "lifted")
        assert change["rules"][0]["id"] in {"own", "never"}
    scores = [one["score"] for one in told["items"]]
    code, out, _ = call(*asked, "--json", "--consent", "all")
    assert [one["score"] for one in json.loads(out)["items"]] != scores  # the history counts whole
    code, out, _ = call(*asked)
    assert code == 0
    assert ("Our own first." in out) == any(change["rules"][0]["id"] == "own" for change in told["changes"])


def test_a_check_tells_of_conflicts_and_warnings(run: Path, files: dict[str, Path], call: Call) -> None:
    asked = ["--run", run, "--attributes", files["items"]]
    code, out, _ = call("policy", "check", files["policy"], *asked)
    assert (code, "no conflicts" in out) == (0, True)
    more = "      - {id: few, at_most: 1, of: {brand: own}}\n"
    files["policy"].write_text(files["policy"].read_text() + more)
    code, out, err = call("policy", "check", files["policy"], *asked, "--json")
    assert code == 2
    assert "few" in json.loads(out)["conflicts"][0]["rules"]
    assert "wants from 0 to 1" in err


def test_what_differs_between_two_files_and_what_is_refused(run: Path, files: dict[str, Path], call: Call) -> None:
    other = files["policy"].with_name("other.yaml")
    other.write_text(files["policy"].read_text().replace("at_least: 2", "at_least: 3"))
    code, out, _ = call("policy", "diff", files["policy"], other, "--json")
    assert code == 0
    assert [row["rule"] for row in json.loads(out)] == ["own"]
    code, _, err = call("policy", "check", files["policy"], "--run", run)
    assert code == 2
    assert "items have no 'brand'" in err
    files["items"].write_text("item,brand\na,x\na,y\n")
    code, _, err = call("policy", "check", files["policy"], "--run", run, "--attributes", files["items"])
    assert code == 2
    assert "line 3: item 'a' was there already" in err
