"""The command line answers at once: what does not need a library does not import it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    *("numpy", "pandas", "pyarrow", "scipy", "sklearn", "torch", "pytorch_lightning", "matplotlib"),
    *("sqlalchemy", "fastapi", "uvicorn", "prometheus_client", "implicit", "faiss", "argcomplete"),
)
_PROGRAM = """
import json, sys
from recsys.cli.main import main
try:
    code = main(json.loads(sys.argv[1]))
except SystemExit as stop:
    code = stop.code
imported = {name.partition(".")[0] for name in sys.modules}
sys.stderr.write("\\n" + json.dumps([code or 0, sorted(imported)]))
"""


def imported_by(*arguments: str) -> tuple[int, set[str]]:
    """Run a command in a process of its own; return its exit code and the top-level packages it has imported."""
    command = [sys.executable, "-c", _PROGRAM, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, imported = json.loads(done.stderr.splitlines()[-1])
    return code, set(imported)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["train", "--help"], 0),
        (["benchmark", "drift", "--help"], 0),
        (["data", "list", "--json"], 0),
        (["recomend"], 2),
        (["recommend", "--user", "3"], 2),
        (["train", "--config", "ease", "--split", "randm"], 2),
        (["evaluate", "--run", "runs/x", "--bogus"], 2),
    ],
)
def test_help_lists_and_misuse_import_no_heavy_library(arguments: list[str], code: int) -> None:
    result, imported = imported_by(*arguments)
    assert result == code
    assert imported.isdisjoint({*HEAVY, "rich"})


def test_tables_need_rich_only() -> None:
    code, imported = imported_by("data", "list")
    assert code == 0
    assert "rich" in imported
    assert imported.isdisjoint(HEAVY)


def test_recommending_imports_no_trainer(runs: dict[str, Path]) -> None:
    code, imported = imported_by("recommend", "--run", str(runs["persona_ease"]), "--user", "3")
    assert code == 0
    assert "torch" in imported
    assert imported.isdisjoint({"pytorch_lightning", "jsonargparse", "fastapi", "uvicorn", "sqlalchemy", "sklearn"})
