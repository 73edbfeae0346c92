"""What is found by name, and what is printed to be tried next, works in any folder and for an installed library."""

from __future__ import annotations

import io
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from recsys.cli.demo import _METRICS, _MODELS, ATTENDING, SEATED, next_steps, print_comparison, verdict
from recsys.cli.main import build_parser, main
from recsys.cli.render import print_personas, print_shelves, program
from recsys.data.catalogue import locations
from recsys.experiments.configuration import read_experiment
from recsys.experiments.shipped import experiment_file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run as a wheel does: no checkout, configs and cards in the environment, in an empty working directory."""
    prefix, empty = tmp_path / "environment", tmp_path / "empty"
    for folder in ("configs", "datasets"):
        shutil.copytree(ROOT / folder, prefix / "share" / "recsys" / folder)
    empty.mkdir()
    monkeypatch.setattr(locations, "_CHECKOUT", prefix / "lib")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.chdir(empty)
    return prefix


def test_an_installed_library_finds_its_experiments_by_name(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert experiment_file("persona_ease") == installed / "share" / "recsys" / "configs" / "persona_ease.yaml"
    assert main(["train", "--config", "ease", "--settings"]) == 0
    assert "--regularization" in capsys.readouterr().out
    assert main(["data", "list"]) == 0
    assert "ml-latest-small" in capsys.readouterr().out


def test_a_path_is_taken_as_it_is(installed: Path) -> None:
    Path("mine").write_text((ROOT / "configs" / "ease.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    assert read_experiment("mine").to_dict() == read_experiment("ease").to_dict()
    assert experiment_file("configs/ease.yaml") == Path("configs/ease.yaml")
    assert experiment_file("ease.yaml") == Path("ease.yaml")


def test_the_next_steps_of_the_demonstration_can_be_taken(installed: Path) -> None:
    steps = next_steps(Path("runs/demo/ease_with_personas"), "u 1", {"persona": 94})
    assert "make " not in steps
    assert "configs/" not in steps
    commands = [line for line in steps.splitlines() if line.startswith("  ")]
    assert len(commands) == 3
    assert max(map(len, steps.splitlines())) <= 80
    for command in commands:
        words = shlex.split(command)
        assert words[0] == program()
        options = build_parser().parse_args(words[1:])
        if options.command == "train":
            assert experiment_file(options.config).is_file()


def test_the_program_is_called_as_the_reader_can_call_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin" / "recsys"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bin/recsys", "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == "bin/recsys"
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "recsys"
    monkeypatch.setattr(sys, "argv", ["-c"])
    assert program() == "recsys"


def test_the_comparison_of_the_demonstration_fits_in_80_columns() -> None:
    result = {
        "dataset": "ml-latest-small",
        "split": "last_one",
        "leaks_time": True,
        "counts": {"test": {"users": 610, "cold_users": 7}},
        "test": dict.fromkeys(_METRICS, 0.12345),
        "train": {"seconds": 1234.56},
    }
    console = Console(width=80, file=io.StringIO(), record=True)
    print_comparison({title: result for title, _ in _MODELS}, console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    assert "610 test users are asked, 7 of them cold" in (text := " ".join(" ".join(lines).split()))
    assert "The split leaks time: models also learn from what other users did after the event" in text
    for title, _ in _MODELS:
        (row,) = [line for line in lines if line.split("  ")[0].strip() == title]
        assert row.split()[-7:] == ["0.1235"] * 6 + ["1234.6"]


@pytest.mark.parametrize(
    ("difference", "established", "text"),
    [(0.01, 1, "is better than"), (-0.01, -1, "is worse than"), (0.01, 0, "cannot be told apart from")],
)
def test_the_verdict_of_the_demonstration(difference: float, established: int, text: str) -> None:
    results = {
        title: {"test": {"ndcg@10": score}} for title, score in (("EASE", 0.3), (SEATED, 0.25), (ATTENDING, 0.2))
    }
    row = {"n": 9, "diff": difference, "low": -0.1, "high": 0.1, "p": 0.01, "established": established}
    sentence = verdict(results, row)
    assert sentence.startswith("Highest NDCG@10: EASE (0.3000). AMP-CF, where attention")
    assert f"decides the score, {text} EASE with personas" in sentence
    assert sentence.rstrip().endswith(f"What follows is of {ATTENDING if established > 0 else SEATED}.")
    results["iALS"] = {"test": {"ndcg@10": 0.30004}}
    assert verdict(results, row).startswith("Highest NDCG@10: EASE and iALS (0.3000). ")


@pytest.mark.parametrize(("now", "shares"), [(0.37, "37% now and in the long term"), (0.5, "50% now, 37% long-term")])
def test_boxes_of_personas_keep_the_share_and_say_equal_ones_once(now: float, shares: str) -> None:
    persona = {
        "name": "Comedy of the nineties that is loved by very many people of the whole wide world",
        "share": 0.37,
        "share_now": now,
        "share_long_term": 0.37,
        "items": [{"title": "Clerks"}],
        "genres": [],
        "activity": {"values": [0.0, 1.0]},
    }
    console = Console(width=80, file=io.StringIO(), record=True)
    print_personas([persona], console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert "...: 37% of the history" in lines[0]
    assert shares in " ".join(lines)


def test_shelves_show_every_item_once_with_its_rank_and_reason_under_who_owns_it() -> None:
    def item(title: str, owner: int | None, **more: object) -> dict[str, Any]:
        known = {} if owner is None else {"owner": owner, "owner_name": "x"}
        return {"title": title, "reason": f"Why {title}.", "genres": ["Crime", "Drama"], **known, **more}

    items = [
        item("Matrix, The (1999)", 7, certainty_word="weak"),
        item("Heat (1995)", 3),
        item("i16", None),
        item("Alien (1979)", 7),
    ]
    shelf = {"weight": 1.0, "muted": False}
    shelves: list[dict[str, Any]] = [
        {"persona": 7, "name": "1990s & Sci-Fi", "share": 0.4, "seats": 2, **shelf, "weight": 2.0},
        {"persona": 3, "name": "like Heat and Ran", "share": 0.3, "seats": 1, **shelf},
        {"persona": None, "name": None, "share": 0.0, "seats": 1, **shelf},
        {"persona": 5, "name": "Horror", "share": 0.2, "seats": 0, **shelf, "muted": True},
        {"persona": 6, "name": "War", "share": 0.1, "seats": 0, **shelf},
    ]
    console = Console(width=60, file=io.StringIO(), record=True)
    print_shelves(items, shelves, console)
    text = console.export_text()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 60
    order = ["1990s & Sci-Fi", "  1. The Matrix (1999)", "  4. Alien (1979)", "Like Heat and Ran", "  2. Heat (1995)"]
    order += ["For nearly everybody", "  3. i16", "Not in this list: Horror (muted); War (10% of the history)."]
    places = [text.index(each) for each in order]
    assert places == sorted(places)
    assert "Crime, Drama · weak reason" in text
    assert "40% of the history, 2 of 4 places; boosted" in text
    assert [text.count(f"Why {entry['title']}.") for entry in items] == [1] * 4


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_printed_for_a_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", shell])
    assert end.value.code == 0
    assert "recsys" in capsys.readouterr().out
