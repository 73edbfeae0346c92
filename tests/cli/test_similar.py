"""Items that go with items: one printed, all in a file, as the library and the service tell them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from recsys import load_model, similar_items
from recsys.experiments.lists import similar

Call = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("name", ["ease", "ampcf_paper_dot"])
def test_items_that_go_with_an_item(call: Call, runs: dict[str, Path], name: str) -> None:
    code, out, err = call("similar", "--run", runs[name], "--item", "3", "-k", "4", "--json")
    assert code == 0, err
    found = json.loads(out)
    expected = similar_items(load_model(runs[name]), "3", n=4)
    assert [one["item_id"] for one in found] == expected["similar_item_id"].tolist()
    assert set(found[0]) == {"item_id", "title", "score"}
    assert "3" not in [str(one["item_id"]) for one in found]
    assert "title" in call("similar", "--run", runs[name], "--item", "3")[1]


def test_all_items_in_a_file(
    call: Call, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similar, "_ITEMS", 16)
    ask = ("similar", "--run", runs["ease"], "--all", "-n", "3", "--out")
    for suffix in ("csv", "parquet", "jsonl"):
        assert call(*ask, tmp_path / f"similar.{suffix}")[0] == 0
    table = pd.read_parquet(tmp_path / "similar.parquet")
    flat = pd.read_csv(tmp_path / "similar.csv", dtype={"title": "str"})
    pd.testing.assert_frame_equal(flat, table, check_dtype=False, rtol=1e-5)
    model = load_model(runs["ease"])
    every = similar_items(model, model.fitted_on.items.ids.tolist(), n=3)
    assert table["similar_item_id"].tolist() == every["similar_item_id"].tolist()
    line = json.loads((tmp_path / "similar.jsonl").read_text().splitlines()[0])
    assert [item["item_id"] for item in line["items"]] == table["similar_item_id"].tolist()[:3]


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("ease", ("--item", "nothing"), "does not know the item 'nothing'"),
        ("ease", ("--all",), "--out"),
        ("ease", ("--item", "3", "--out", "similar.csv"), "--all and --out"),
        ("popularity", ("--item", "3"), "no similarity between items"),
        ("popularity", ("--all", "--out", "similar.csv"), "no similarity between items"),
    ],
)
def test_misuse_is_told(
    call: Call,
    runs: dict[str, Path],
    name: str,
    arguments: tuple[str, ...],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = call("similar", "--run", runs[name].resolve(), *arguments)
    assert code == 2
    assert told in err
    assert not list(tmp_path.iterdir())
