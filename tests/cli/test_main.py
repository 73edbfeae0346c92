"""The command line as its users and other programs call it: results, exit codes, one clear line on misuse."""

from __future__ import annotations

import json
import math
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest

from recsys.data.catalogue.locations import shipped

Call = Callable[..., tuple[int, str, str]]
CONFIGS = shipped("configs")


def test_metrics_json_holds_what_other_programs_rely_on(runs: dict[str, Path]) -> None:
    for name, run in runs.items():
        metrics = json.loads((run / "metrics.json").read_text())
        assert {"dataset", "split", "leaks_time", "model", "seed", "valid", "test", "train", "personas"} <= set(metrics)
        wanted = {"ndcg@10", "recall@10", "hr@10", "mrr@10", "coverage@10", "tdd@10", "minority_recall@10"}
        assert wanted <= set(metrics["test"])
        assert set(metrics["train"]) == {"seconds", "examples_per_second", "peak_rss_mb", "epochs"}
        assert set(metrics["personas"]) == {"effective", "mean_cosine", "dead"}
        assert metrics["split"] == "last_one"
        assert metrics["leaks_time"] is True
        assert (metrics["personas"]["effective"] is None) == (name in {"ease", "popularity"})
        assert 0 <= metrics["test"]["ndcg@10"] <= 1
        assert (run / "model" / "manifest.json").exists()
        assert (run / "test.parquet").exists()


@pytest.mark.parametrize("name", ["persona_ease", "ease", "ampcf_latent", "popularity"])
def test_recommendations_for_a_user_are_explained(call: Call, runs: dict[str, Path], name: str) -> None:
    code, out, _ = call("recommend", "--run", runs[name], "--user", "3", "-n", "4", "--json")
    assert code == 0
    found = json.loads(out)
    assert len(found) == 4
    for entry in found:
        assert {"item_id", "title", "score", "personas", "evidence", "reason"} <= set(entry)
        assert entry["reason"].endswith(".")
        if name != "popularity":
            assert entry["evidence"]
    scores = [entry["score"] for entry in found]
    assert scores == sorted(scores, reverse=True)


def test_a_stranger_with_a_history_file_is_served(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    known = json.loads(call("recommend", "--run", runs["persona_ease"], "--user", "3", "--json")[1])
    ids = [str(entry["item_id"]) for entry in known[:3]]
    contents = {
        "lines.txt": "\n".join(ids),
        "table.csv": "itemId,timestamp\n" + "\n".join(f"{item},{k}" for k, item in enumerate(ids)),
        "list.json": json.dumps(ids),
        "objects.json": json.dumps([{"item": item, "time": k} for k, item in enumerate(ids)]),
    }
    answers = []
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
        code, out, err = call("recommend", "--run", runs["persona_ease"], "--history", tmp_path / name, "--json")
        assert code == 0, err
        answers.append([entry["item_id"] for entry in json.loads(out)])
    assert all(answer == answers[0] for answer in answers)
    assert not set(answers[0]) & {entry["item_id"] for entry in known[:3]}


def test_a_question_in_the_past_sees_only_the_past(call: Call, runs: dict[str, Path]) -> None:
    arguments = ("recommend", "--run", runs["ease"], "--user", "3", "--json", "--at")
    before_everything = json.loads(call(*arguments, "1970-01-02")[1])
    assert all(entry["score"] == 0 and not entry["evidence"] for entry in before_everything)
    code, _, err = call(*arguments, "yesterday-ish")
    assert code == 2
    assert "yesterday-ish" in err


def test_what_goes_with_a_visit_is_not_in_the_list(call: Call, runs: dict[str, Path], log_file: Path) -> None:
    log = pandas.read_csv(log_file)
    moment = log[log["user_id"] == 3]["timestamp"].iloc[12] + 60
    arguments = ("recommend", "--run", runs["ease"], "--user", "3", "-n", "3", "--json", "--at", str(moment))
    listed, visit = (json.loads(call(*arguments, *more)[1]) for more in ((), ("--visit",)))
    assert visit
    assert not {one["item_id"] for one in listed} & {one["item_id"] for one in visit}
    code, out, err = call(*arguments[:-1], str(moment + 300 * 86_400), "--visit")
    assert (code, json.loads(out)) == (0, [])
    assert "no visit is going on" in err


def test_personas_of_a_user(call: Call, runs: dict[str, Path]) -> None:
    code, out, _ = call("personas", "--run", runs["persona_ease"], "--user", "3", "--json")
    assert code == 0
    found = json.loads(out)
    assert len(found) == 4
    assert sum(entry["share"] for entry in found) == pytest.approx(1, abs=1e-3)
    assert [entry["share"] for entry in found] == sorted((entry["share"] for entry in found), reverse=True)


def test_activity_of_personas_without_decay(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    picture = tmp_path / "new" / "personas.png"
    code, out, err = call("personas", "--run", runs["persona_ease"], "--user", "3", "--json", "--picture", picture)
    assert code == 0
    assert str(picture) in err.replace("\n", "")
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(out)
    values = [entry["activity"]["values"] for entry in found]
    assert [sum(column) for column in zip(*values, strict=True)] == pytest.approx([1.0] * len(values[0]))
    for entry in found:
        assert "half_life" not in entry
        assert len(entry["activity"]["times"]) == len(entry["activity"]["values"])
        assert entry["share_now"] == entry["activity"]["values"][-1] == pytest.approx(entry["share_long_term"])


@pytest.mark.parametrize(
    ("half_life", "kind"),
    [((), "shared"), (("--rule", "{class_path: recsys.decay.GlobalHalfLife, init_args: {half_life: 2}}"), "shared")],
)
def test_half_life_and_activity_of_a_decayed_model(
    call: Call, log_file: Path, tmp_path: Path, half_life: tuple[str, ...], kind: str
) -> None:
    run = tmp_path / "run"
    settings = ("--regularization", "5", "--factors", "8", *half_life)
    source = CONFIGS / "persona_ease_decay.yaml"
    if not half_life:  # from so few events one may learn that nobody forgets
        settings += ("--calibration", "0", "--caution", "0")
    assert call("train", "--config", source, "--data", log_file, "--out", run, "--quiet", *settings)[0] == 0
    code, out, _ = call("personas", "--run", run, "--user", "3", "--json")
    assert code == 0
    found = json.loads(out)
    assert found[0]["half_life"]["kind"] == kind
    assert found[0]["half_life"]["events"]["low"] <= found[0]["half_life"]["events"]["median"]
    assert all(entry["half_life"] == found[0]["half_life"] for entry in found)
    assert sum(entry["share_now"] for entry in found) == pytest.approx(1)
    assert any(abs(entry["share_now"] - entry["share_long_term"]) > 0.01 for entry in found)
    text = call("personas", "--run", run, "--user", "3")[1]
    assert "Half-life: " in text
    assert ("the same for everybody" in text) == bool(half_life)
    shared = "shared: nothing of the user is learned" in " ".join(text.split())
    assert shared == (not half_life)  # without calibration
    assert "long-term" in text
    recommended = json.loads(call("recommend", "--run", run, "--user", "3", "-n", "3", "--json")[1])
    for entry in recommended:
        assert entry["recent"] + entry["long_term"] == pytest.approx(1)
        assert all(isinstance(fact["recent"], bool) for fact in entry["evidence"])
    assert "long-term)" in call("recommend", "--run", run, "--user", "3")[1]


def test_comparison_is_paired_and_refuses_other_logs(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    code, out, _ = call("compare", runs["popularity"], runs["ease"], "--metric", "ndcg@10", "hr@10", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["metric"] for row in rows] == ["ndcg@10", "hr@10"]
    one, two = (json.loads((runs[name] / "metrics.json").read_text()) for name in ("popularity", "ease"))
    difference = two["test"]["ndcg@10"] - one["test"]["ndcg@10"]
    assert rows[0]["diff"] == pytest.approx(difference)
    assert rows[0]["low"] <= rows[0]["diff"] <= rows[0]["high"]
    other = tmp_path / "other"
    arguments = ("train", "--config", CONFIGS / "popularity.yaml", "--data", "simulated", "--out", other, "--quiet")
    assert call(*arguments)[0] == 0
    code, _, err = call("compare", runs["ease"], other)
    assert code == 2
    assert "cannot be paired" in err


def test_evaluating_again_gives_the_same_numbers(call: Call, runs: dict[str, Path]) -> None:
    code, out, _ = call("evaluate", "--run", runs["persona_ease"], "--k", "3", "10", "--json")
    assert code == 0
    again = json.loads(out)
    metrics = json.loads((runs["persona_ease"] / "metrics.json").read_text())
    assert again["ndcg@10"] == pytest.approx(metrics["test"]["ndcg@10"])
    assert "ndcg@3" in again


def test_the_same_seed_gives_the_same_run(call: Call, runs: dict[str, Path], log_file: Path, tmp_path: Path) -> None:
    config = CONFIGS / "ampcf_latent.yaml"
    options = ["--epochs", "2", "--embedding_size", "8", "--split", "last_one", "--quiet"]
    assert call("train", "--config", config, "--data", log_file, "--out", tmp_path / "again", *options)[0] == 0
    one, two = (json.loads((run / "metrics.json").read_text()) for run in (runs["ampcf_latent"], tmp_path / "again"))
    assert one["test"] == two["test"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["recommend", "--run", "RUN", "--user", "nobody"], "no user 'nobody'"),
        (["recommend", "--run", "nowhere", "--user", "1"], "no finished run"),
        (["recommend", "--run", "RUN", "--user", "1", "-n", "0"], "at least 1"),
        (["recommend", "--run", "RUN"], "required"),
        (["train", "--config", "nope.yaml", "--data", "simulated", "--out", "x"], "no such experiment file"),
        (["train", "--config", "CONFIG", "--data", "ml-latest-smal", "--out", "OUT", "--quiet"], "did you mean"),
        (["train", "--config", "CONFIG", "--data", "simulated", "--out", "OUT", "--split", "randm"], "invalid choice"),
        (
            ["train", "--config", "CONFIG", "--data", "simulated", "--out", "OUT", "--regularizatoin", "3"],
            "did you mean",
        ),
        (["train", "--config", "CONFIG", "--data", "simulated", "--out", "OUT", "--regularization", "much"], "much"),
        (["train", "--config", "CONFIG", "--data", "simulated"], "--out is missing"),
        (["train", "--config", "CONFIG", "--data", "simulated", "--out", "RUN"], "finished run"),
        (["train", "--config", "CONFIG", "--data", "simulated", "--out", "OUT", "--columns", "item"], "ROLE=NAME"),
        (["compare", "RUN", "RUN", "--metric", "ndgc@10"], "ndgc@10"),
        (["data", "inspect", "missing.csv"], "missing.csv"),
        (["data", "fetch", "nothing"], "nothing"),
        (["evaluate", "--run", "RUN", "--bogus"], "unknown arguments"),
        (["frobnicate"], "invalid choice"),
        (["recomend"], "did you mean 'recommend'?"),
        (["train", "--config", "CONFIG", "--split", "radnom"], "did you mean 'random'?"),
        (["train", "--config", "PERSONA_EASE"], "did you mean 'persona_ease'?"),
        (["train", "--config", ""], "Is a directory"),
        (["train", "--config", "persona_ease", "--settings", "--personas", "{bad"], "not valid YAML"),
        (["train", "--config", "CONFIG", "--data", "simulated", "--out", "/dev/null/x", "--quiet"], "/dev/null"),
        (["evaluate", "--run", "RUN", "--metric", "os.system", "--k", "10"], "no function of ranked hits"),
        (
            ["train", "--config", "persona_aese"],
            "no experiment 'persona_aese'; did you mean 'persona_ease'?; there are ampcf",
        ),
    ],
)
def test_misuse_is_one_clear_line_and_exit_code_2(
    call: Call, runs: dict[str, Path], tmp_path: Path, arguments: list[str], text: str
) -> None:
    known = {"RUN": runs["ease"], "CONFIG": CONFIGS / "ease.yaml", "OUT": tmp_path / "out"}
    code, out, err = call(*(known.get(word, word) for word in arguments))
    assert code == 2
    assert text in err
    assert err.count("\n") == 1
    assert out == ""
    assert "Traceback" not in err
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_a_user_the_model_cannot_serve(call: Call, runs: dict[str, Path], tmp_path: Path) -> None:
    history = tmp_path / "items.txt"
    history.write_text("1\n2\n")
    code, _, err = call("recommend", "--run", runs["ampcf_paper_dot"], "--history", history)
    assert code == 2
    assert "users='history'" in err


def test_bad_rows_are_refused_or_set_aside(
    call: Call, log_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / "bad.csv"
    bad.write_text(log_file.read_text() + "7,8,not-a-number,1000000000\n")
    arguments = ("train", "--config", CONFIGS / "popularity.yaml", "--data", bad, "--out", tmp_path / "run", "--quiet")
    code, _, err = call(*arguments)
    assert code == 2
    assert "bad.csv" in err
    assert "not-a-number" in err
    assert call(*arguments, "--on-error", "skip")[0] == 0
    assert (tmp_path / "bad.csv.rejected.csv").exists()


def test_data_list_and_inspect(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("data", "list", "--json")
    assert code == 0
    assert {"ml-latest-small", "simulated", "epinions"} <= {row["name"] for row in json.loads(out)}
    picture = tmp_path / "log.png"
    code, out, _ = call("data", "inspect", "simulated", "--json", "--picture", picture)
    assert code == 0
    figures = json.loads(out)
    assert figures["events"] > 0
    assert math.isfinite(figures["density"])
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("command", [("data", "list", "--json"), ("data", "list"), ("--help",), ("train", "--help")])
def test_a_reader_that_stops_reading_ends_a_command_silently(command: tuple[str, ...]) -> None:
    code = "import sys; from recsys.cli.main import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", code, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 141)  # argparse forgives a broken pipe


def test_training_names_its_next_step(call: Call, log_file: Path, tmp_path: Path) -> None:
    options = ("--config", "popularity", "--data", log_file, "--out", tmp_path / "run", "--quiet")
    last = call("train", *options)[1].splitlines()[-1]
    assert last.startswith("Recommend for a user: ")
    assert call(*shlex.split(last.partition(": ")[2])[1:])[0] == 0
    json.loads(call("train", *options, "--overwrite", "--json")[1])


def test_listed_settings_are_options(call: Call) -> None:
    rows = json.loads(call("train", "--config", "ease_decay", "--settings", "--json")[1])
    assert {"--model.regularization", "--rule", "--filters.min_item_events"} <= {row["setting"] for row in rows}
    for row in rows:
        if row["setting"] in ("--model", "--rule"):
            continue
        code, out, err = call(
            "train", "--config", "ease_decay", "--settings", "--json", row["setting"], json.dumps(row["value"])
        )
        assert code == 0, err
        assert json.loads(out) == rows
    assert "filters.min_user_events" in call("train", "--config", "popularity", "--settings")[1]


@pytest.mark.parametrize("command", ["", "demo", "data", "train", "evaluate", "recommend", "personas", "compare"])
def test_every_command_has_help(call: Call, command: str) -> None:
    code, out, _ = call(*([command] if command else []), "--help")
    assert code == 0
    assert "usage: recsys" in out


def test_interrupting_training_keeps_what_is_complete(
    call: Call, log_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (
        "train",
        "--config",
        CONFIGS / "ampcf_latent.yaml",
        "--data",
        log_file,
        "--split",
        "last_one",
        "--quiet",
    )
    options = ("--epochs", "4", "--embedding_size", "8")
    assert call(*arguments, "--out", tmp_path / "whole", *options)[0] == 0
    from recsys.models.ampcf.training import HistoryTask

    loss = HistoryTask.loss

    def interrupted(self: HistoryTask, epoch: int, step: int) -> Any:
        if epoch == 2:
            raise KeyboardInterrupt
        return loss(self, epoch, step)

    with monkeypatch.context() as patch:
        patch.setattr(HistoryTask, "loss", interrupted)
        code, _, err = call(*arguments, "--out", tmp_path / "cut", *options)
    assert code == 130
    assert "`--resume` goes on" in err
    assert not (tmp_path / "cut" / "metrics.json").exists()
    assert call(*arguments, "--out", tmp_path / "cut", *options, "--resume")[0] == 0
    one, two = (tmp_path / run / "model" / "arrays.safetensors" for run in ("whole", "cut"))
    assert one.read_bytes() == two.read_bytes()


def test_interrupted_training_promises_nothing_without_a_checkpoint(
    call: Call, log_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recsys.models.linear.ease.EASE._fit", interrupted)
    code, _, err = call("train", "--config", "ease", "--data", log_file, "--out", tmp_path / "run", "--quiet")
    assert (code, err) == (130, "recsys: interrupted\n")


def test_numbers_of_a_comparison_stay_on_one_line_with_equal_digits(
    call: Call, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for metric in ("ndcg@10", "minority_recall@10"):
        out = call("compare", runs["popularity"], runs["ease"], "--metric", metric)[1]
        (row,) = json.loads(call("compare", runs["popularity"], runs["ease"], "--metric", metric, "--json")[1])
        p = "<.0001" if row["p_holm"] < 0.0001 else f"{row['p_holm']:.4f}".removeprefix("0")
        means = rf"{row['mean_a']:.4f} +{row['mean_b']:.4f}"
        interval = rf"{row['diff']:+.4f} {row['low']:+.4f} \.\. {row['high']:+.4f}".replace("+", r"\+")
        assert re.search(rf"{metric} +{means} +{interval} +{re.escape(p)} ", out)
    assert max(map(len, call("compare", runs["popularity"], runs["ease"])[1].splitlines())) <= 80
    table = call("evaluate", "--run", runs["ease"], "--k", "10")[1]
    digits = {len(number) for number in re.findall(r"\d\.(\d+)", table)}
    assert digits == {4}


def test_a_metric_without_a_value_is_not_defined_and_says_why(
    call: Call, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recsys.experiments import runs as experiments

    evaluate = experiments.evaluate_run

    def nobody(*arguments: Any, **settings: Any) -> Any:
        evaluation = evaluate(*arguments, **settings)
        evaluation.per_user["ndcg@10"] = math.nan
        return evaluation

    monkeypatch.setattr(experiments, "evaluate_run", nobody)
    asked = call("evaluate", "--run", runs["ease"], "--metric", "ndcg", "--k", "10")[1]
    assert "ndcg@10 is not defined: no user who is asked has what it measures." in asked
    assert not re.search(r"\bnan\b", asked)


def test_training_and_evaluating_say_who_is_asked(call: Call, tmp_path: Path) -> None:
    """Nine users from the beginning, and three who come in the last tenth of the time."""
    rows = [(f"u{user}", f"i{(item + user) % 12}", item * 100 + user) for user in range(9) for item in range(10)]
    rows += [(f"late{user}", f"i{item}", 2000 + user) for user in range(3) for item in range(3)]
    log, run = tmp_path / "log.csv", tmp_path / "run"
    log.write_text("user,item,time\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows))
    told = call("train", "--config", "popularity", "--data", log, "--out", run, "--quiet")[1]
    counts = json.loads((run / "metrics.json").read_text())["counts"]["test"]
    line = (
        f"{counts['users']} test users are asked: {counts['cold_users']} are cold (not in training), 3 have no history"
    )
    assert counts["cold_users"] == 3
    assert line in told
    asked = call("evaluate", "--run", run)[1]
    assert line in asked
    reason = "the log has no ratings that differ, no dislikes and no skips, so nothing tells what was regretted"
    assert f"regret is not defined: {reason}." in asked
    assert re.search(r"regret@10 +│? *not defined", asked)
    assert not re.search(r"\bnan\b", asked)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["regret@10"] is None
    assert metrics["undefined"]["test"]["regret"] == reason


def test_empty_list_says_why(call: Call, tmp_path: Path) -> None:
    rows = [(user, (item + user) % 8, item * 100 + user) for user in range(9) for item in range(8 if user == 0 else 6)]
    log, run = tmp_path / "log.csv", tmp_path / "run"
    log.write_text("user,item,time\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows))
    assert call("train", "--config", "ease", "--data", log, "--out", run, "--quiet")[0] == 0
    code, out, err = call("recommend", "--run", run, "--user", "0", "--json")
    assert (code, json.loads(out)) == (0, [])
    assert "nothing is left to recommend" in err
