"""Audits as a whole: cells that go on, differences from no system, pictures, the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.audits.arms import Alone, Popular, Random
from recsys.audits.report import Audit, paired_interval, write_audit
from recsys.audits.runs import Cell, audit, world_named
from recsys.cli.main import main
from recsys.errors import ConfigError, DataError
from recsys.worlds.loops import Moods

SMALL = Moods(users=30, items=60, organic=3)


def test_an_interrupted_audit_goes_on_and_says_the_same(tmp_path: Path) -> None:
    ran: list[Cell] = []
    first = audit(
        [SMALL], [Alone(), Random()], [0, 1], rounds=2, out=tmp_path, progress=lambda done, all_, cell: ran.append(cell)
    )
    assert len(ran) == 4
    again = audit(
        [SMALL],
        [Alone(), Random(), Popular()],
        [0, 1],
        rounds=2,
        out=tmp_path,
        progress=lambda done, all_, cell: ran.append(cell),
    )
    assert [cell["arm"] for cell in ran[4:]] == ["popularity", "popularity"]
    np.testing.assert_equal(
        [cell["measures"] for cell in again if cell["arm"] != "popularity"], [c["measures"] for c in first]
    )
    other = replace(SMALL, noise=2.0)
    assert audit([other], [Random()], [0], rounds=2, out=tmp_path)[0]["measures"] != first[1]["measures"]


def test_differences_are_paired_and_intervals_need_five_seeds() -> None:
    found = Audit(audit([SMALL], [Alone(), Random()], range(5), rounds=2))
    moment = found.difference("moods", "random", "moment")
    paired = [
        found.values("moods", "random", "moment")[seed] - found.values("moods", "none", "moment")[seed]
        for seed in range(5)
    ]
    assert moment.difference == pytest.approx(np.mean(paired))
    assert moment.half is not None
    few = Audit([cell for cell in found.cells if cell["seed"] < 4])
    assert few.difference("moods", "random", "moment").half is None
    assert "±" in found.markdown()
    assert "±" not in few.markdown()
    assert "about models of people" in few.markdown()
    with pytest.raises(DataError, match="was not run"):
        found.difference("moods", "none", "moment", "EASE")


def test_intervals_hold_their_level() -> None:
    rng = np.random.default_rng(0)
    samples = [paired_interval(rng.normal(0, 1, 10)) for _ in range(2000)]
    outside = np.mean([abs(mean) > half for mean, half in samples if half is not None])
    assert 0.035 < outside < 0.065


def test_reports_have_a_picture_for_each_world(tmp_path: Path) -> None:
    found = Audit(audit([SMALL, world_named("camps")], [Alone(), Random()], [0], rounds=6))
    written = write_audit(found, tmp_path)
    assert {path.name for path in written} == {"report.md", "moods.png", "camps.png"}
    assert all(path.stat().st_size > 1000 for path in written[1:])


def test_misuse_names_the_cure() -> None:
    with pytest.raises(ConfigError, match="moods"):
        world_named("mods")
    with pytest.raises(ConfigError, match="two arms are called 'random'"):
        audit([SMALL], [Random(), Random()], [0])


def test_the_command_prints_what_it_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["audit", "--config", "ease", "--set", "regularization=15", "--worlds", "chaney", "--seeds", "1"]
    arguments += ["--rounds", "1", "--processes", "1", "--mitigate", "seats", "--out", str(tmp_path), "--json"]
    assert main(arguments) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["arm"] for row in rows} >= {"none", "ease", "ease + seats"}
    assert all(row["half_interval"] is None for row in rows)
    assert (tmp_path / "chaney.png").exists()
    assert main([*arguments[:3], "--mitigate", "seets", "--out", str(tmp_path)]) == 2
    assert "seats" in capsys.readouterr().err
