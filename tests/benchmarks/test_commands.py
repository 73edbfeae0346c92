"""Every `python -m benchmarks.NAME` runs, names its purpose, and names the cure for a missing library."""

from __future__ import annotations

import doctest
import importlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]

_BENCHMARKS = _ROOT / "benchmarks"
COMMANDS = sorted(
    [path.parent.name for path in _BENCHMARKS.glob("*/__main__.py")]
    + [path.stem for path in _BENCHMARKS.glob("*.py") if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]
)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")  # a test imports benchmarks.readme
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    assert ended.value.code == 0
    assert f"usage: python -m benchmarks.{name} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "arguments", "library", "extra"),
    [
        ("lists", ["--quick"], "cornac", "benchmarks"),
        ("speed.command", ["--quick"], "cornac", "benchmarks"),
        ("drift.command", ["--quick"], "river", "drift"),
        ("retrieval.command", ["--quick"], "faiss", "index"),
        ("serving.command", ["--quick"], "fastapi", "serving"),
        ("serving.size", ["--quick"], "fastapi", "serving"),
        ("serving.kill", ["--quick"], "psycopg", "serving"),
        ("serving.fuzz", ["--quick"], "schemathesis", "test"),
        ("serving.screenshots", ["--run", "none"], "fastapi", "serving"),
        ("serving.screenshots", ["--run", "none"], "playwright", "browser"),
    ],
)
def test_missing_library_is_named_with_its_cure_before_the_benchmark_begins(
    name: str,
    arguments: list[str],
    library: str,
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setitem(sys.modules, library, None)
    assert module.main(arguments) == 2
    shown = capsys.readouterr().out
    assert shown.startswith(f"error: this benchmark needs {library} ")
    assert shown.count("\n") == 1
    assert f"`make bench-setup`, or with pip install 'recsys[{extra}]'" in shown
    assert f"{extra} = [" in (_ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(("name", "library"), [("speed.command", "cornac"), ("retrieval.command", "faiss")])
def test_a_benchmark_whose_peer_was_never_installed_begins_with_the_cure(name: str, library: str) -> None:
    """In a process of its own, where nothing has imported the peer before."""
    code = (
        f"import sys; sys.modules[{library!r}] = None; from benchmarks.{name} import main; sys.exit(main(['--quick']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "")
    assert ended.stdout.startswith(f"error: this benchmark needs {library} ")


def test_every_optional_library_that_a_benchmark_imports_is_required_first() -> None:
    """Modules that import a peer belong to a package whose command requires it."""
    for path in (_ROOT / "benchmarks").glob("*/**/*.py"):
        text = path.read_text()
        for library in ("cornac", "faiss", "playwright", "river", "schemathesis"):
            if f"import {library}" in text or f"from {library}" in text:
                package = path.relative_to(_ROOT / "benchmarks").parts[0]
                commands = "".join(file.read_text() for file in (_ROOT / "benchmarks" / package).glob("*.py"))
                assert f', "{library}"' in commands, path


@pytest.mark.parametrize(
    "name",
    [
        "readme",
        "drift.bars",
        "personas.worlds",
        "ratings.rated_events",
        "serving.report",
        "speed.scale",
        "tools.cells",
        "tools.report",
    ],
)
def test_examples_in_docstrings(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"benchmarks.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
