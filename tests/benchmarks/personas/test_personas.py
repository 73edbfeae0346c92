from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.personas import command, reported
from benchmarks.personas.worlds import adjusted_rand


def test_quick_trial_reports_every_claim(tmp_path: Path) -> None:
    assert command.main(["--quick", "--out", str(tmp_path)]) == 0
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    for claim in ("cosine between personas", "seats of a boosted persona", "placebo, shuffled", "adjusted Rand"):
        assert claim in report
    claims = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["logs"]["simulated"]
    assert claims["controlled"]["muted items"] == claims["controlled"]["muted evidence"] == 0
    assert claims["controlled"]["boost"] >= 1.8
    assert claims["meaningful"]["holds"] >= 0.85
    assert claims["personas, found"]["cosine"] < 0.2 < claims["personas, shuffled"]["cosine"]


def test_bars_see_placebos_that_pass(tmp_path: Path) -> None:
    command.main(["--quick", "--out", str(tmp_path)])
    claims = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["logs"]["simulated"]
    claims["personas, shuffled"] = claims["personas, found"]
    verdicts = {row[0]: row[-1] for row in reported.bars(claims)}
    assert verdicts["placebo, shuffled"] == "**missed**"
    assert verdicts["placebo, identical"] == "met"


def test_adjusted_rand_of_chance_is_near_0() -> None:
    rng = np.random.default_rng(0)
    scores = [adjusted_rand(rng.integers(3, size=200), rng.integers(4, size=200)) for _ in range(40)]
    assert abs(np.mean(scores)) < 0.01
    assert adjusted_rand(np.zeros(5, np.int64), np.zeros(5, np.int64)) == 1.0
