"""`recsys interview --pairs`: pairs of texts that others chose between, and the texts that suit the person."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.data.pairs import read_pair_log
from recsys.elicitation import Answer
from recsys.errors import DataError
from recsys.experiments.answers.pair_interview import PairInterview
from recsys.types import Floats
from recsys.worlds.camps import topic_pairs
from tests.cli.conftest import Call


@pytest.fixture(scope="module")
def choices(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Floats]:
    """The options that name a log of two topics with texts, and the vectors of the texts."""
    folder = tmp_path_factory.mktemp("choices")
    made = topic_pairs(topics=2, users=60, pairs=10, noise=0.0).train
    assert made.vectors is not None
    pairs = {"user": made.pairs.user, "chosen": made.pairs.winner, "rejected": made.pairs.loser}
    pd.DataFrame(pairs).to_csv(folder / "choices.csv", index=False)
    np.save(folder / "vectors.npy", made.vectors)
    items = {"item": range(len(made.items)), "text": [f"Text, number {n}" for n in range(len(made.items))]}
    pd.DataFrame(items).to_csv(folder / "items.csv", index=False)
    told = ["--pairs", folder / "choices.csv", "--vectors", folder / "vectors.npy", "--items", folder / "items.csv"]
    return [*map(str, told), "--personas", "2"], made.vectors


@pytest.fixture(scope="module")
def asked(choices: tuple[list[str], Floats]) -> PairInterview:
    pairs, vectors, items = choices[0][1:6:2]
    return PairInterview.of(read_pair_log(pairs, vectors, items), personas=2)


def test_a_pair_is_one_of_the_log_and_what_is_said_of_it_moves_the_list(
    asked: PairInterview, choices: tuple[list[str], Floats]
) -> None:
    first = asked.progress([], 5)
    assert first.known == 0
    assert first.question is not None
    pair = first.question.first, first.question.second
    log = pd.read_csv(choices[0][1])
    assert frozenset(pair) in {frozenset(both) for both in zip(log.chosen, log.rejected, strict=True)}
    one, other = (asked.progress([Answer(a, "prefer", other=b)], 5) for a, b in (pair, pair[::-1]))
    assert one.known == pytest.approx(other.known, abs=0.1)
    assert min(one.known, other.known) > 0.02
    assert one.items != other.items
    assert not set(pair) & {*one.items, *other.items}
    unsaid = asked.progress([Answer(pair[0], "dont_know", other=pair[1])], 5)
    assert unsaid.known == 0
    assert unsaid.question != first.question
    assert asked.text(3) == "Text, number 3"


def test_answers_of_a_program_are_read_and_of_two_about_a_pair_the_later_counts(
    call: Call, asked: PairInterview, choices: tuple[list[str], Floats], tmp_path: Path
) -> None:
    answers = tmp_path / "answers.csv"
    answers.write_text("item,other,answer\n5,6,prefer\n1,2,same\n6,5,Prefer\n")
    code, out, err = call("interview", *choices[0], "--answers", answers, "--json", "-n", 5)
    assert code == 0, err
    expected = asked.progress([Answer(6, "prefer", other=5), Answer(1, "same", other=2)], 5)
    assert json.loads(out) == json.loads(json.dumps(asked.described(expected)))


def test_a_whole_interview_is_typed_and_saved_as_choices(
    call: Call, choices: tuple[list[str], Floats], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "mine.csv"
    monkeypatch.setattr("sys.stdin", io.StringIO("u\na\nb\nx\nu\nk\ns\nb\ne\n"))
    code, out, err = call("interview", *choices[0], "--save", saved)
    assert code == 0, err
    assert "this is the first pair" in err
    assert "'x' is none of the letters" in err
    assert out.count("Pair 2: which is better?") == 2
    assert "Text, number" in out
    assert "of how you differ from others is known" in out
    rows = list(csv.DictReader(io.StringIO(saved.read_text())))
    assert [row["user"] for row in rows] == ["you", "you"]
    assert all(row["chosen"] != row["rejected"] for row in rows)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2,prefers", "line 2: the answer 'prefers' is none of .*did you mean 'prefer'"),
        ("1,1,prefer", "line 2: a pair of one item"),
        ("1,999,same", "line 2: choices has no item '999'"),
        ("1,,same", "line 2: .*give all three in each row"),
    ],
)
def test_answers_that_cannot_be_read_are_named(asked: PairInterview, tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "answers.csv").write_text(f"item,other,answer\n{row}\n")
    with pytest.raises(DataError, match=message):
        asked.read_answers(tmp_path / "answers.csv")


def test_an_interview_is_of_a_run_or_of_choices(call: Call, choices: tuple[list[str], Floats]) -> None:
    for options, message in (
        ([], "give either --run DIR"),
        ([*choices[0], "--run", "run"], "give either --run DIR"),
        (["--run", "run", "--vectors", "vectors.npy"], "leave them out"),
        ([*choices[0], "--screen", 2], "leave it out"),
    ):
        code, _, err = call("interview", *options)
        assert code == 2
        assert message in err
