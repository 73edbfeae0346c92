"""`recsys retrain`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recsys.events.addresses import open_store
from recsys.events.store import Event
from tests.cli.conftest import Call
from tests.serving.serving_run import write_log


def test_a_model_is_put_in_place_listed_and_taken_back(call: Call, tmp_path: Path) -> None:
    events, registry = tmp_path / "events.db", tmp_path / "models"
    call("events", "import", write_log(tmp_path / "log.csv"), "--events", events)
    asked = ("retrain", "--registry", registry, "--config", "ease", "--data", f"sqlite:///{events}", "--watch", "0")
    code, out, _ = call(*asked)
    assert (code, out) == (0, "0001: in place\n")
    assert call(*asked)[1] == "nothing new\n"
    with open_store(str(events)) as opened:
        opened.append([Event(f"e{user}", f"u{user}", "i3", 5.0, 1_500_000_000 + user) for user in range(9)])
    code, out, _ = call(*asked, "--json", "--tolerance", "1")
    assert (code, json.loads(out)["former"], json.loads(out)["outcome"]) == (0, "0001", "in place")
    code, out, _ = call("recommend", "--run", registry / "served", "--user", "u1", "--json")
    assert (code, len(json.loads(out))) == (0, 10)
    assert "0001 is in place again, before it 0002" in call("retrain", "--registry", registry, "--rollback")[1]
    rows = json.loads(call("retrain", "--registry", registry, "--list", "--json")[1])
    assert [row["outcome"] for row in rows] == ["in place", "in place", "put back"]
    assert "put back" in call("retrain", "--registry", registry, "--list")[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--config is missing"),
        (("--config", "ease"), "--data is missing"),
        (("--config", "ease", "--data", "x", "--every", "0"), "--every is 0; give hours above 0"),
        (("--config", "ease", "--data", "x", "--tolerance", "2"), "tolerance"),
        (("--config", "ease", "--data", "x"), "no data set 'x'"),
        (("--rollback",), "no registry of models"),
    ],
)
def test_what_is_missing_or_wrong_is_told(call: Call, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    code, _, said = call("retrain", "--registry", tmp_path / "models", *words)
    assert (code, told in said) == (2, True), said
