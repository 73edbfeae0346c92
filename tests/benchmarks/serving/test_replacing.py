"""Nothing fails while catalogue, policy and bundle are replaced under load: the benchmark with few requests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.serving.replacing.measurement import measure, report


def test_nothing_fails_while_everything_is_replaced(tmp_path: Path) -> None:
    outcome = measure(250, tmp_path)
    assert outcome.defects == []
    assert outcome.requests == 250
    assert not any(status.startswith("5") for status in outcome.statuses)
    assert outcome.stale == 0
    assert outcome.changes > 2
    assert outcome.reloads + outcome.late > 0
    text = "\n".join(report(outcome, {"machine": "m"}))
    assert "answers of 5xx | 0 | 0 | met" in text
    assert "**missed**" in "\n".join(report(replace(outcome, statuses={"503": 1}), {"machine": "m"}))
