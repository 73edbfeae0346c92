"""The benchmark of the audit: what is committed is enough for its tables, and no more."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.audit import command
from benchmarks.tools.report import REPORT_NAME
from recsys.audits.report import Audit
from recsys.audits.runs import audit
from recsys.worlds.loops import Moods


def test_tables_are_made_of_the_result_alone(tmp_path: Path) -> None:
    cells = audit([Moods()], command.arms_of_ease()[:3], [0, 1], rounds=2)
    kept = json.loads(json.dumps(command.by_seed(cells)))
    assert "series" not in json.dumps(kept)
    assert Audit(command.cells_of(kept)).markdown() == Audit(cells).markdown()


def test_the_committed_result_gives_the_tables_of_the_committed_report() -> None:
    folders = list((Path(command.__file__).parents[1] / "reports").glob("*-audit"))
    assert folders
    for folder in folders:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        text = (folder / REPORT_NAME).read_text(encoding="utf-8")
        made = command.report(Audit(command.cells_of(result)), result["chaney"])
        tables = [part for part in made if part.startswith(("|", "**"))]
        assert len(tables) > 3
        assert [part for part in tables if part not in text] == []
