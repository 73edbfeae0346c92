from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import readme
from benchmarks.accuracy import section
from benchmarks.accuracy.comparison import Result
from benchmarks.readme import (
    BEGIN,
    DRIFT_BEGIN,
    DRIFT_END,
    END,
    Numbers,
    block,
    drift_block,
    newest,
    personas_block,
    read_numbers,
    replaced,
)
from benchmarks.tools.grid import Budget, Outcome
from recsys.errors import DataError

_REPORT = """# Accuracy

## Bars

| claim | bar | measured | |
|:---|---:|---:|---:|
| EASE | .3 | .2 | **missed** |

## a, global_time

- **split**: global_time, seed none

| model | NDCG@10 | HR@10 |
|:---|---:|---:|
| ease | .3100 | .9 |
| mf ⏱ | .2500 ± .0010 | .8 |

| model | chosen |
|:---|---:|
| ease | lambda |

## b, random

- **split**: random, seed 0 — **leaks time**

| model | HR@10 | NDCG@10 |
|:---|---:|---:|
| ampcf | .9 | .3300 |
| ease | failed: too large | - |

## c, random

Not run: no such log
"""


def _reports(folder: Path) -> Path:
    for name, text in (
        ("2026-01-02-accuracy", _REPORT),
        ("2026-01-01-accuracy", "older"),
        ("2026-01-03-accuracy-quick", "a trial"),
        ("2026-01-01-paper", "# The authors' protocol"),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "report.md").write_text(text)
    (folder / "2026-01-04-accuracy").mkdir()
    return folder


def test_newest_finished_report_of_each_kind(tmp_path: Path) -> None:
    reports = newest(_reports(tmp_path))
    assert {kind: path.parent.name for kind, path in reports.items()} == {
        "accuracy": "2026-01-02-accuracy",
        "paper": "2026-01-01-paper",
    }


def test_numbers_are_read_from_the_tables_of_models() -> None:
    assert read_numbers(_REPORT) == [
        Numbers("a, global_time", False, {"ease": ".3100", "mf": ".2500 ± .0010 ⏱"}),
        Numbers("b, random", True, {"ampcf": ".3300", "ease": "not run"}),
    ]


def test_cold_users_have_a_column_of_their_own_and_the_fallback_is_marked() -> None:
    text = (
        "## a, global_time\n\n- **asked**: 20 users whom every model serves, 54 cold\n\n"
        "| model | NDCG@10 | cold NDCG@10 | popularity's list |\n|:---|---:|---:|---:|\n"
        "| ease | .1243 | .4184 | nobody |\n| mf ⏱ | .1100 | .3998 | 54 of 54 |\n| ials | failed: no | - | - |\n"
    )
    warm, cold = read_numbers(text)
    assert warm == Numbers("a, global_time: 20 users", False, {"ease": ".1243", "mf": ".1100 ⏱", "ials": "not run"})
    assert cold.title == "a, global_time: 54 cold users"
    assert cold.values == {"ease": ".4184", "mf": ".3998° ⏱", "ials": "not run"}


def test_tables_are_read_as_the_benchmark_writes_them() -> None:
    run = {"test": {"coverage@10": 0.5}, "seconds": 1.0, "epochs": 2, "capped": True, "parameters": 10, "counts": {}}
    runs = (run, run)
    users = pd.DataFrame({"user_id": [1, 2, 3], "n_history": [1, 1, 0], "n_relevant": 1, "served": [True, True, False]})
    tables = [users.assign(**dict.fromkeys(section.METRICS, value)) for value in (0.25, 0.35)]
    outcomes = {
        "ampcf": Outcome("ampcf", None, ({"capped": True, "changes": {}},), 0, None, runs, ()),
        "ease": Outcome("ease", "too large"),
    }
    result = Result("log", "random", None, Budget(), outcomes, None, "", {"ampcf": tables})
    text = f"## {result.title}\n\n- **asked**: {section.asked(result)}\n\n{section.models_table(result)}\n"
    assert read_numbers(text) == [
        Numbers("log, random: 2 users", False, {"ampcf": ".3000 ± .0707 ⏱", "ease": "not run"}),
        Numbers("log, random: 1 cold users", False, {"ampcf": ".3000 ± .0707° ⏱", "ease": "not run"}),
    ]


def test_only_the_block_is_rewritten(tmp_path: Path) -> None:
    reports = _reports(tmp_path / "reports")
    file = tmp_path / "README.md"
    file.write_text(f"above\n\n{BEGIN}\nold\n{END}\n\nbelow\n")
    assert readme.main(["--reports", str(reports), "--readme", str(file)]) == 0
    text = file.read_text()
    assert text.startswith(f"above\n\n{BEGIN}\n")
    assert text.endswith(f"\n{END}\n\nbelow\n")
    assert "\nold\n" not in text
    assert "Models are compared on the users whom every model serves" not in text  # an older report does not say it
    assert "| model | a, global_time | b, random † |" in text
    assert "| `ease` | .3100 | not run |" in text
    assert "| `ampcf` | - | .3300 |" in text
    for link in ("reports/2026-01-02-accuracy/report.md", "reports/2026-01-01-paper/report.md"):
        assert f"]({link})" in text
    assert readme.main(["--reports", str(reports), "--readme", str(file)]) == 0
    assert file.read_text() == text


def test_block_without_a_report_names_the_command(tmp_path: Path) -> None:
    assert "python -m benchmarks.accuracy" in block(newest(tmp_path), tmp_path)


def test_file_without_markers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="numbers:begin"):
        replaced("no markers", "new")
    file = tmp_path / "README.md"
    file.write_text(f"{END} {BEGIN}")
    assert readme.main(["--reports", str(tmp_path), "--readme", str(file)]) == 2
    assert "numbers:begin" in capsys.readouterr().out
    assert file.read_text() == f"{END} {BEGIN}"


_DRIFT = """# Drift

| claim | bar |
|:---|---:|
| no harm | .5% |

## Worlds with known truth

### mixed, ease

| arm | choice | NDCG@10 |
|:---|---:|---:|
| none | no decay | .9000 |

| arm | recovery | to the level | area |
|:---|---:|---:|---:|
| global | 29 [23, 38] | 24 [21, 28] | 1 |
| per_user | 10 [9, 19] | 20 [8, 24] | 0 |

## Real streams

### a

| ease | choice | NDCG@10 | HR@10 |
|:---|---:|---:|---:|
| none | no decay | .0100 | .1 |
| per_user | eta 1 | .0200 | .2 |
| population | eta 2 | .0300 | .3 |

| measured drift | none |
|:---|---:|
| low | .3 |

| titles of ten | kept after one event |
|---|---|
| none | 9.7 |
| per_user | 8.0 |

### b

| itemknn | choice | NDCG@10 |
|:---|---:|---:|
| none | no decay | .0300 |
| window | 3 events | .0400 |
"""


def test_streams_of_a_drift_report_are_copied_arm_by_arm(tmp_path: Path) -> None:
    report = tmp_path / "reports" / "2026-01-05-drift" / "report.md"
    report.parent.mkdir(parents=True)
    report.write_text(_DRIFT)
    text = drift_block(report, tmp_path)
    assert "](reports/2026-01-05-drift/streams.png)" in text
    assert "[drift, 2026-01-05](reports/2026-01-05-drift/report.md)" in text
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert table[2] == ["mixed, ease", "10 [9, 19]", "29 [23, 38]", "20 [8, 24]", "24 [21, 28]"]
    table = table[3:]
    assert table[0] == ["NDCG@10, next visit", "a, ease", "b, itemknn"]
    arms = [["`none`", ".0100", ".0300"], ["`per_user`", ".0200", "-"], ["`population`", ".0300", "-"]]
    assert table[2:6] == [*arms, ["`window`", "-", ".0400"]]
    assert table[6] == ["`per_user` (no decay), titles of ten", "kept after one event"]
    assert table[8:] == [["a", "8.0 (9.7)"]]
    marked = f"x\n{DRIFT_BEGIN}\nold\n{DRIFT_END}\ny"
    assert replaced(marked, text, (DRIFT_BEGIN, DRIFT_END)).count("\n| `per_user` |") == 1
    report.write_text("# Drift\n")
    with pytest.raises(DataError, match="no stream"):
        drift_block(report, tmp_path)


_PERSONAS = """# Personas

## Attention in the score, or seats

| log | read-out | NDCG@10 | against plain scores | interval, % | sharpness |
|:---|---:|---:|---:|---:|---:|
| a | EASE, plain scores | .1000 |  |  |  |
| a | EASE, seats | .1010 | +1.0% | [.1, 1.9] |  |
| a | AMP-CF: attention, seats | .0990 | -1.0% | [-2.0, .0] |  |
| b | EASE, plain scores | .2000 |  |  |  |
| b | EASE, seats | .2000 | +0.0% | [-.1, .1] |  |
| b | AMP-CF: attention, seats | .2020 | +1.0% | [.2, 1.8] |  |
"""


def test_where_attention_loses_is_copied_from_the_report_on_personas(tmp_path: Path) -> None:
    report = tmp_path / "reports" / "2026-01-06-personas" / "report.md"
    report.parent.mkdir(parents=True)
    report.write_text(_PERSONAS)
    text = personas_block(report, tmp_path)
    assert "is below `ease_personas`, with seats alone, on 1 of 2 logs: a.\n" in text
    assert "| EASE, seats | .1010 +1.0% [.1, 1.9] | .2000 +0.0% [-.1, .1] |" in text
    assert "| EASE, plain scores | .1000 | .2000 |" in text
    assert "](reports/2026-01-06-personas/report.md)" in text
    report.write_text("# Personas\n")
    with pytest.raises(DataError, match="not compared"):
        personas_block(report, tmp_path)
