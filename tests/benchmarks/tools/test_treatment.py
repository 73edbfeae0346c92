from __future__ import annotations

import json
from pathlib import Path

from benchmarks.tools.cells import Cells, identity
from benchmarks.tools.environment import environment
from benchmarks.tools.treatment import treatment


def test_cells_of_one_process_were_run_alike(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    for name in ("a", "b"):
        cells.save(name, identity(name), {})
    facts = treatment(cells, ["a", "b"])
    assert facts["cells"] == "2, all run alike"
    assert facts["run"] == environment()["date"]
    assert {fact: facts[fact] for fact in ("commit", "machine")} == {
        fact: environment()[fact] for fact in ("commit", "machine")
    }
    assert treatment(cells, []) == {}


def test_a_table_of_cells_of_other_commits_or_threads_is_marked(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    for name, commit, machine in (("a", "1234567", "1 threads"), ("b", "1234567", "2 threads"), ("c", "89abcde", "-")):
        cells.save(name, identity(name), {})
        path = cells.path(name, "json")
        made = json.loads(path.read_text())
        made["environment"] |= {"commit": commit, "machine": machine}
        path.write_text(json.dumps(made))
    facts = treatment(cells, ["a", "b", "c"])
    assert facts["cells"] == "3, **not run alike**, commit and machine differ"
    assert facts["commit"] == "1234567 (2 cells); 89abcde (1 cells)"
    assert "2 threads (1 cells)" in facts["machine"]
    old = cells.path("c", "json")
    old.write_text(json.dumps({"identity": "x", "content": {}}))
    assert "not stored (1 cells)" in treatment(cells, ["a", "c"])["commit"]
