"""`recsys interview`: typed answers, skip, back, enough; a file of answers; a history that `recommend` reads."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Call


@pytest.fixture(scope="module")
def run(log_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from recsys.cli.main import main

    folder = tmp_path_factory.mktemp("interview") / "ease"
    assert main(["train", "--config", "configs/ease.yaml", "--data", str(log_file), "--out", str(folder)]) == 0
    return folder


def _typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_whole_interview_and_the_list_that_goes_on(
    call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "me.csv"
    _typed(monkeypatch, "llkd\nlxkd\nb\nL k l k\ns\ne\n")
    code, out, err = call("interview", "--run", run, "--save", saved)
    assert code == 0
    assert out.count("Screen 1") == 2
    assert "Screen 3" in out
    assert "new" in out
    assert "'lxkd' is not 4 of the letters" in err
    rows = saved.read_text().splitlines()
    assert rows[0] == "item,kind,rating"
    assert [row.split(",")[1] for row in rows[1:]] == ["like", "like"]
    code, out, _ = call("recommend", "--run", run, "--history", saved, "--json")
    assert code == 0
    known = {row.split(",")[0] for row in rows[1:]}
    assert not known & {str(item["item_id"]) for item in json.loads(out)}


def test_the_input_ends_or_the_questions_do(call: Call, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _typed(monkeypatch, "ll\n")
    code, out, _ = call("interview", "--run", run, "--screen", 2, "--questions", 2)
    assert code == 0
    assert out.count("Screen") == 1
    assert "─ Your list ─" in out
    _typed(monkeypatch, "")
    assert call("interview", "--run", run)[0] == 0


def test_answers_of_a_program(call: Call, run: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    answers.write_text("item,answer\n")
    first = json.loads(call("interview", "--run", run, "--answers", answers, "--json")[1])
    assert first["known"] == 0
    asked = [item["item_id"] for item in first["questions"]]
    answers.write_text(f"item,answer\n{asked[0]},like\n{asked[1]},dont_know\n{asked[2]},4.5\n{asked[0]},dislike\n")
    second = json.loads(call("interview", "--run", run, "--answers", answers, "--json", "-n", 3)[1])
    assert second["known"] > 0
    assert len(second["items"]) == 3
    assert asked[3] == second["questions"][0]["item_id"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("nothing,like", "does not know the item 'nothing'"),
        ("ITEM,lik", "did you mean 'like'"),
        ("ITEM,know", "is no rating, and not like, dislike or dont_know; did you mean 'dont_know'"),
        ("ITEM,99", "ratings go from"),
        (",like", "line 2"),
    ],
)
def test_answers_that_cannot_be_read(call: Call, run: Path, tmp_path: Path, rows: str, message: str) -> None:
    answers = tmp_path / "answers.csv"
    answers.write_text("item,answer\n")
    item = json.loads(call("interview", "--run", run, "--answers", answers, "--json")[1])["questions"][0]["item_id"]
    answers.write_text(f"item,answer\n{rows.replace('ITEM', str(item))}\n")
    code, _, err = call("interview", "--run", run, "--answers", answers)
    assert code == 2
    assert message in err


def test_no_history_is_written_of_nothing(
    call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _typed(monkeypatch, "kkkk\ne\n")
    code, _, err = call("interview", "--run", run, "--save", tmp_path / "me.csv")
    assert code == 2
    assert "no title is known" in err
    assert not (tmp_path / "me.csv").exists()


def test_titles_of_a_file_of_items_and_ids_with_commas(call: Call, tmp_path: Path) -> None:
    names = ["a,b", 'c "d"', *(f"i{number}" for number in range(10))]
    quoted = {name: '"{}"'.format(name.replace('"', '""')) for name in names}
    rows = [
        f"u{user},{quoted[name]},{1 + (user + place) % 5},{1_600_000_000 + 60 * user + place}"
        for user in range(20)
        for place, name in enumerate(names)
        if (user * 7 + place) % 3
    ]
    (tmp_path / "log.csv").write_text("user,item,rating,timestamp\n" + "\n".join(rows) + "\n")
    described = [f"{quoted[name]},Title {place},Drama" for place, name in enumerate(names)]
    (tmp_path / "items.csv").write_text("id,title,genres\n" + "\n".join(described) + "\n")
    run = tmp_path / "run"
    data = ("--data", tmp_path / "log.csv", "--items", tmp_path / "items.csv")
    assert call("train", "--config", "ease", *data, "--out", run)[0] == 0
    answers, saved = tmp_path / "answers.csv", tmp_path / "me.csv"
    answers.write_text('item,answer\n"a,b",like\n"c ""d""",dislike\n')
    asked = ("interview", "--run", run, "--answers", answers)
    told = json.loads(call(*asked, "--save", saved, "--json")[1])
    assert all(item["title"].startswith("Title") and item["genres"] == ["Drama"] for item in told["items"])
    assert "Screen 1" in call(*asked)[1]
    code, out, err = call("recommend", "--run", run, "--history", saved, "--json")
    assert (code, "unknown_items" in err) == (0, False)
    assert not {"a,b", 'c "d"'} & {item["item_id"] for item in json.loads(out)}


def test_ids_with_line_breaks_are_saved_and_read(call: Call, tmp_path: Path) -> None:
    names = ["a\nb", "line\r\nfeed", "c,d", '"q"', "007", *(f"i{number}" for number in range(10))]
    rows = [
        (f"u{user}", name, 1.0 + (user + place) % 5, 1_600_000_000 + 60 * user + place)
        for user in range(20)
        for place, name in enumerate(names)
        if (user * 7 + place) % 3
    ]
    pd.DataFrame(rows, columns=["user", "item", "rating", "timestamp"]).to_parquet(tmp_path / "log.parquet")
    run, answers = tmp_path / "run", tmp_path / "answers.csv"
    made = ("train", "--config", "ease", "--data", tmp_path / "log.parquet", "--split", "last_one", "--out", run)
    assert call(*made)[0] == 0
    answers.write_bytes(b'item,answer\n"a\nb",like\n"line\r\nfeed",4\n"c,d",dislike\n007,5\n')
    for saved in (tmp_path / "me.csv", tmp_path / "me.jsonl"):
        code, _, err = call("interview", "--run", run, "--answers", answers, "--save", saved)
        assert (code, "4 titles written" in err) == (0, True), err
        code, out, err = call("recommend", "--run", run, "--history", saved, "--json", "-n", "20")
        assert (code, "unknown" in err) == (0, False), err
        listed = {item["item_id"] for item in json.loads(out)}
        assert listed
        assert not listed & {"a\nb", "line\r\nfeed", "c,d", "007"}
    answers.write_bytes(b'item,answer\n"a\nb",like\nnone,like\n')
    assert "answers.csv, line 4: the model does not know" in call("interview", "--run", run, "--answers", answers)[2]


def test_a_place_that_cannot_be_written_is_told_before_any_question(
    call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _typed(monkeypatch, "llll\ne\n")
    code, out, err = call("interview", "--run", run, "--save", tmp_path / "none" / "me.csv")
    assert (code, out) == (2, "")
    assert "is no directory" in err
