"""`recsys reliability`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Call


def test_tables_and_json(call: Call, runs: dict[str, Path], log_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "reliable"
    arguments = ("--config", "ease_reliable", "--data", log_file, "--out", run, "--quiet", "--mixture.rounds", 3)
    assert call("train", *arguments)[0] == 0
    user = log_file.read_text(encoding="utf-8").splitlines()[1].split(",")[0]
    for asked in (run, runs["ease"]):
        code, out, _ = call("reliability", "--run", asked, "--user", user, "--json")
        assert code == 0
        told = json.loads(out)
        assert set(told) == {"answers", "genuine", "identified", "reason", "doubted", "ask_again"}
        assert told["identified"] == (told["genuine"] is not None)
        for answer in told["doubted"]:
            assert set(answer["probabilities"]) == {"genuine", "non-attitude", "constructed"}
            assert answer["why"]
        for answer in told["ask_again"]:
            assert answer["bits"] > 0
    code, out, _ = call("reliability", "--run", run, "--user", user)
    assert code == 0
    assert "preferences" in out or "nothing is told apart" in out


def test_unknown_users_are_named(call: Call, runs: dict[str, Path]) -> None:
    code, _, told = call("reliability", "--run", runs["ease"], "--user", "nobody")
    assert code == 2
    assert "nobody" in told
