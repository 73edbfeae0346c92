"""Every `python -m benchmarks.NAME` runs, names its purpose, and names the cure for a missing library."""

from __future__ import annotations

import doctest
import importlib
import runpy
import sys

import pytest

from benchmarks.tools import command

COMMANDS = (
    *("accuracy", "drift", "decay_cost", "large_catalogue", "paper", "placebo", "ratings", "readme", "retrieval"),
    *("scale", "screenshots", "serving", "serving_fuzz", "serving_kill", "serving_load", "serving_size", "speed"),
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
        ("speed.command", ["--quick"], "cornac", "benchmarks"),
        ("drift.command", ["--quick"], "river", "drift"),
        ("retrieval.command", ["--quick"], "faiss", "index"),
        ("serving.command", ["--quick"], "fastapi", "serving"),
        ("serving.size", ["--quick"], "fastapi", "serving"),
        ("serving.kill", ["--quick"], "psycopg", "serving"),
        ("serving.fuzz", ["--quick"], "schemathesis", "test"),
        ("serving.screenshots", ["--run", "none"], "fastapi", "serving"),
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
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == library else object())
    assert module.main(arguments) == 2
    expected = f"error: this benchmark needs {library}; pip install 'recsys[{extra}]'\n"
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    "name",
    ["readme", "drift.bars", "ratings.rated_events", "serving.report", "speed.scale", "tools.cells", "tools.report"],
)
def test_examples_in_docstrings(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"benchmarks.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
