"""`recsys tune` and `recsys compare` of many runs, as their users call them."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from recsys.cli.main import main
from recsys.evaluation.result import Evaluation
from recsys.evaluation.significance import holm, signed_rank_p

Call = Callable[..., tuple[int, str, str]]


def test_a_search_ends_in_a_file_that_trains(call: Call, log_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="pip install 'recsys[tune]'")
    config, out = tmp_path / "mine.yaml", tmp_path / "tuned"
    config.write_text(
        "model: {class_path: recsys.models.EASE, init_args: {regularization: 20}}\n"
        "search: {regularization: {low: 1, high: 1000, log: true}}\n"
    )
    ask = ("tune", "--config", config, "--data", log_file, "--out", out, "--split", "last_one", "--trials", "3")
    code, said, err = call(*ask, "--memory_limit_gb", "2", "--json")
    assert code == 0, err
    found = json.loads(said)
    assert found["trials"] == 3
    assert found["best"]["value"] >= found["own"]
    assert "trial 3: regularization" in err
    again = ("train", "--config", out / "tuned.yaml", "--data", log_file, "--split", "last_one", "--quiet", "--json")
    code, said, err = call(*again, "--out", tmp_path / "run")
    assert code == 0, err
    assert json.loads(said)["valid"]["ndcg@10"] == pytest.approx(found["best"]["value"])
    code, said, _ = call(*ask, "--memory_limit_gb", "2")
    assert code == 0
    assert "recsys train --config" in said.replace("\n", " ")
    code, _, err = call(*ask)
    assert code == 2
    assert "differs in experiment" in err


def test_the_command_for_training_reads_the_same_log_with_the_same_seed(
    call: Call, log_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("optuna", reason="pip install 'recsys[tune]'")
    config, log = tmp_path / "mine.yaml", tmp_path / "log.csv"
    config.write_text(
        "model: {class_path: recsys.models.BPR, init_args: {epochs: 2, embedding_size: 4}}\n"
        "search: {learning_rate: {low: 0.01, high: 1, log: true}}\n"
    )
    header, _, rows = log_file.read_text().partition("\n")
    names = ["who", "what", *header.split(",")[2:]]
    log.write_text(",".join(names) + f"\n{rows}")
    how = ("--columns", "user=who", "item=what", "--split", "random", "--split-seed", "3", "--model-seed", "5")
    ask = ("tune", "--config", config, "--data", log, "--out", tmp_path / "tuned", "--trials", "2", *how)
    assert call(*ask)[0] == 0
    code, said, err = call(*ask)
    assert code == 0, err
    _, *command = shlex.split(" ".join(said.partition("Train it: ")[2].split()))
    code, said, err = call(*command[:-1], tmp_path / "run", "--quiet", "--json")
    assert code == 0, err
    assert json.loads(said)["valid"]["ndcg@10"] == pytest.approx(json.loads(call(*ask, "--json")[1])["best"]["value"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--config", "popularity", "--data", "ml-latest-small"), "search is missing"),
        (("--config", "ease"), "--data is missing"),
        (("--config", "ease", "--data", "x.csv", "--minutes", "0"), "not positive"),
        (("--config", "ease", "--data", "x.csv", "--trials", "0"), "at least 1"),
        (("--config", "ease", "--data", "x.csv", "--regularizatio", "3"), "did you mean --regularization"),
    ],
)
def test_misuse_of_tune_is_told(call: Call, tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    code, _, err = call("tune", "--out", tmp_path / "out", *arguments)
    assert code == 2
    assert told in err
    assert not (tmp_path / "out").exists()


def test_a_leaderboard_pairs_each_run_with_the_best(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    names = ["popularity", "ease", "persona_ease"]
    ask = ("compare", *(runs[name] for name in names), "--metric", "ndcg@10", "tdd@10")
    code, said, err = call(*ask, "--out", tmp_path / "board", "--json")
    assert code == 0, err
    boards = json.loads(said)
    assert [board["metric"] for board in boards] == ["ndcg@10", "tdd@10"]
    for board, sign in zip(boards, (1, -1), strict=True):
        means = [sign * row["mean"] for row in board["rows"]]
        assert means == sorted(means, reverse=True)
        assert [row["place"] for row in board["rows"]] == [1, 2, 3]
        assert len({row["mean"] for row in board["rows"]}) == 3
        leader, *others = board["rows"]
        assert leader["p_holm"] is None
        pair = json.loads(call("compare", leader["run"], others[0]["run"], "--metric", board["metric"], "--json")[1])[0]
        assert others[0]["diff"] == pytest.approx(pair["diff"])
        assert [others[0]["low"], others[0]["high"]] == pytest.approx([pair["low"], pair["high"]])
        assert others[0]["p_holm"] >= pair["p"]
    tables = [Evaluation.load(runs[name] / "test.parquet").per_user for name in names]
    shared = set.intersection(*(set(table["user_id"][table["served"] & (table["n_history"] > 0)]) for table in tables))
    assert boards[0]["users"] == len(shared)
    markdown, page = ((tmp_path / "board" / f"leaderboard.{suffix}").read_text() for suffix in ("md", "html"))
    for text in (markdown, page):
        assert all(f"{row['mean']:.4f}" in text for row in boards[0]["rows"])
    assert "data:image/png;base64," in page
    assert (tmp_path / "board" / "ndcg_10.png").exists()
    assert "best" in call(*ask)[1]


def test_runs_that_cannot_share_a_leaderboard(
    call: Call, runs: dict[str, Path], log_file: Path, tmp_path: Path
) -> None:
    code, _, err = call("compare", runs["ease"])
    assert (code, "give two or more" in err) == (2, True)
    code, _, err = call("compare", runs["ease"], runs["popularity"], runs["ease"])
    assert (code, "given twice" in err) == (2, True)
    three = ("compare", runs["ease"], runs["popularity"], runs["persona_ease"], "--metric")
    for metric, told in (("ndgc@10", "did you mean 'ndcg@10'"), ("user_id", "no metric"), ("n_history", "no metric")):
        code, _, err = call(*three, metric)
        assert code == 2
        assert told in err
    other = tmp_path / "other"
    arguments = ("train", "--config", "popularity", "--data", str(log_file), "--out", str(other), "--quiet")
    assert main([*arguments, "--split", "random"]) == 0
    code, _, err = call("compare", runs["ease"], runs["popularity"], other)
    assert code == 2
    assert "cannot be paired" in err


def test_a_run_as_good_as_the_best_is_not_behind(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    """The same lists under three names: nobody is behind, and a run of no hits is."""
    import shutil

    for name in ("one", "two", "none"):
        shutil.copytree(runs["ease"], tmp_path / name)
    worst = Evaluation.load(tmp_path / "none" / "test.parquet")
    worst.per_user["ndcg@10"] = 0.0
    worst.save(tmp_path / "none" / "test.parquet")
    ask = ("compare", *(tmp_path / name for name in ("none", "one", "two")), "--metric", "ndcg@10", "--json")
    (board,) = json.loads(call(*ask)[1])
    rows = pd.DataFrame(board["rows"])
    assert rows["behind"].tolist() == [False, False, True]
    assert rows["run"].tolist() == [str(tmp_path / name) for name in ("one", "two", "none")]
    assert rows["p_holm"].tolist()[1:] == pytest.approx([1.0, 0.0], abs=1e-6)
    assert rows["place"].tolist() == [1, 1, 3]
    undefined = Evaluation.load(tmp_path / "none" / "test.parquet")
    undefined.per_user["tdd@10"] = float("nan")
    undefined.save(tmp_path / "none" / "test.parquet")
    code, _, err = call(*ask[:4], "--metric", "tdd@10")
    assert (code, "tdd@10 is undefined" in err) == (2, True)


def test_the_family_is_all_pairs_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of ten equal runs was ahead of one of them in 13% of draws with a family of the nine others alone."""
    from recsys.experiments.leaderboard import board

    draw, names = np.random.default_rng(0), [Path(f"run{number}") for number in range(4)]
    users = pd.DataFrame({"user_id": range(60), "served": True, "n_history": 1})
    tables = [users.assign(**{"ndcg@10": draw.normal(0.3 * number, size=60)}) for number in range(4)]
    monkeypatch.setattr(board, "read_metrics", lambda _: {})
    monkeypatch.setattr(board, "evaluations_of", lambda _: [SimpleNamespace(per_user=table) for table in tables])
    (found,) = board.leaderboard(names, ["ndcg@10"])
    values = [table["ndcg@10"].to_numpy() for table in tables]
    leader = max(range(4), key=lambda number: float(values[number].mean()))
    pairs = list(itertools.combinations(range(4), 2))
    expected = dict(zip(pairs, holm([signed_rank_p(values[one] - values[two]) for one, two in pairs]), strict=True))
    for row in found.rows[1:]:
        number = names.index(Path(row.run))
        assert row.p_holm == pytest.approx(expected[min(number, leader), max(number, leader)])


def test_the_family_is_all_metrics_of_the_call(call: Call, runs: dict[str, Path]) -> None:
    ask = ("compare", runs["ease"], runs["popularity"], "--json", "--metric")
    from recsys.experiments.leaderboard.board import leaderboard

    pair = json.loads(call(*ask, "ndcg@10", "tdd@10")[1])
    boards = leaderboard([runs["ease"], runs["popularity"]], ["ndcg@10", "tdd@10"])
    served = [row["p_holm"] for row in pair if row["group"] == "served by all"]
    assert [board.rows[1].p_holm for board in boards] == pytest.approx(served)
