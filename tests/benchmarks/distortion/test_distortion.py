"""The benchmark of distortion: what is committed is enough for its report."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.distortion import command
from benchmarks.distortion.report import report
from benchmarks.tools.report import REPORT_NAME


def test_the_committed_result_gives_the_tables_of_the_committed_report() -> None:
    folders = list((Path(command.__file__).parents[1] / "reports").glob("*-distortion"))
    assert folders
    for folder in folders:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        text = (folder / REPORT_NAME).read_text(encoding="utf-8")
        tables = [part for part in report(command.__doc__, result) if part.startswith("|")]
        assert len(tables) > 10
        assert [part for part in tables if part not in text] == []
