"""`recsys benchmark drift`: its files, resuming an interrupted run, and its refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from recsys.cli.main import main
from recsys.data.interactions import Interactions
from recsys.errors import CapabilityError, ConfigError, DataError
from recsys.evaluation.prequential.result import Replay
from recsys.experiments.drift.arm_results import Settings
from recsys.experiments.drift.bases import Base
from recsys.experiments.drift.benchmark import run_drift
from recsys.experiments.drift.candidates import ALL_GLOBAL
from recsys.experiments.drift.constants import constants
from recsys.models.base import Recommender
from recsys.worlds.drift import DriftConfig, simulate_drift

BASES = ("ease", "itemknn")
ARMS = ("none", "global", "koren", "per_user", "retraining", "retraining_global", "hindsight")
SETTINGS = Settings(candidates=2, retrain_days=180)


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulate_drift(DriftConfig(n_users=50, n_items=300, events_per_user=60)).log


@pytest.fixture(scope="module")
def finished(log: Interactions, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("drift")
    return out, run_drift(log, BASES, ARMS, out, SETTINGS, command="recsys benchmark drift")


def _forbidden(base: Base, log: Interactions) -> Recommender:
    raise AssertionError(f"{base.name} was fitted again")


def _recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return a list that every fit is recorded in: the base, and how many events it saw."""
    fits: list[tuple[str, int]] = []
    fit = Base.fit

    def recorded(base: Base, log: Interactions) -> Recommender:
        fits.append((base.name, len(log)))
        return fit(base, log)

    monkeypatch.setattr(Base, "fit", recorded)
    return fits


def _without_seconds(content: dict[str, Any]) -> str:
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items() if key != "seconds"}
        return [clean(item) for item in value] if isinstance(value, list) else value

    return json.dumps(clean(content), sort_keys=True)


def test_drift_json_has_the_documented_content(finished: tuple[Path, dict[str, Any]], log: Interactions) -> None:
    out, content = finished
    stored = json.loads((out / "drift.json").read_text(encoding="utf-8"))
    assert stored == content
    assert (content["dataset"], content["fingerprint"], content["base"]) == (log.name, log.fingerprint, "ease")
    assert list(content["bases"]) == list(BASES)
    assert list(content["arms"]) == list(ARMS)
    assert content["arms"] == content["bases"]["ease"]["arms"]
    for entry in content["bases"].values():
        for values in entry["arms"].values():
            assert 0 < values["ndcg@10"] < values["hr@10"] < 1
            assert [row["days"] for row in values["by_days"]] == [0, 7, 30, 90, 180]
            assert {"choice", "users", "n", "bytes_per_user", "seconds", "fits"} <= set(values)
            assert values["seconds"]["fit"] > 0
        assert list(entry["paired"]) == [f"per_user-{arm}" for arm in ARMS if arm not in ("per_user", "hindsight")]
        for pair in entry["paired"].values():
            assert pair["low"] <= pair["diff"] <= pair["high"]
            assert 0 <= pair["p"] <= pair["p_holm"] <= 1
        assert sum(row["users"] for row in entry["strata"]) == entry["arms"]["none"]["users"]
        beliefs = entry["half_lives"]
        assert math.isclose(sum(beliefs["mean_belief"]), 1, rel_tol=1e-5)
        assert len(beliefs["names"]) == len(beliefs["mean_belief"])
        for medians in beliefs["medians"].values():
            assert math.isclose(sum(medians["shares"]), 1)
    assert content["arms"]["per_user"]["bytes_per_user"] <= 400
    assert content["arms"]["none"]["bytes_per_user"] == 0
    questions = content["questions"]
    assert (questions["ask"], questions["pause"], questions["refusals"]) == ("session", 12 * 3600, [])
    assert questions["median_gap"] >= questions["pause"]


def test_reported_numbers_equal_those_of_the_saved_replays(finished: tuple[Path, dict[str, Any]]) -> None:
    out, content = finished
    tables = {arm: Replay.load(out / "replays" / "itemknn" / f"{arm}.parquet").table for arm in ARMS}
    entry = content["bases"]["itemknn"]
    for arm, table in tables.items():
        assert entry["arms"][arm]["ndcg@10"] == pytest.approx(table["ndcg@10"].mean())
        assert entry["arms"][arm]["n"] == len(table)
        assert table["time"].min() >= content["boundaries"]["test"]
    users = {arm: table.groupby("user_num")["ndcg@10"].mean() for arm, table in tables.items()}
    for arm, means in users.items():
        assert entry["arms"][arm]["over_users"]["ndcg@10"] == pytest.approx(means.mean())
    arms = entry["arms"]
    gap = arms["per_user"]["over_users"]["ndcg@10"] - arms["global"]["over_users"]["ndcg@10"]
    assert entry["paired"]["per_user-global"]["diff"] == pytest.approx(gap)
    difference = (users["per_user"] - users["global"]).mean()
    assert entry["paired"]["per_user-global"]["diff"] == pytest.approx(difference)


def test_hindsight_is_no_worse_than_any_global_rule_on_the_questions_reported(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    for entry in finished[1]["bases"].values():
        arms = entry["arms"]
        assert len(arms["hindsight"]["tried"]) == 1 + ALL_GLOBAL
        best = max(score for _, score in arms["hindsight"]["tried"])
        assert arms["hindsight"]["over_users"]["ndcg@10"] == pytest.approx(best)
        for arm in ("none", "global"):
            assert best >= arms[arm]["over_users"]["ndcg@10"]


def test_histories_divide_the_questions_by_what_was_visible(finished: tuple[Path, dict[str, Any]]) -> None:
    out, content = finished
    table = Replay.load(out / "replays" / "itemknn" / "per_user.parquet").table
    histories = content["bases"]["itemknn"]["histories"]
    assert len(histories) > 1
    for row in histories:
        asked = table[table["n_visible"].between(row["least"], (row["below"] or np.inf) - 1)]
        assert row["users"] == asked["user_num"].nunique()
        mean = asked.groupby("user_num")["ndcg@10"].mean().mean()
        assert row["arms"]["per_user"] == pytest.approx(mean)


def test_only_retrained_arms_refit_on_schedule(finished: tuple[Path, dict[str, Any]]) -> None:
    out, content = finished
    start = content["boundaries"]["test"]
    trained = Replay.load(out / "replays" / "ease" / "retraining.parquet").table["trained_until"]
    assert content["arms"]["retraining"]["fits"] == trained.nunique() > 1
    assert set((trained - start) % (180 * 86_400)) == {0}
    assert content["arms"]["none"]["fits"] == 1
    assert content["arms"]["retraining"]["choice"] == content["arms"]["none"]["choice"]
    assert content["arms"]["retraining_global"]["choice"] == content["arms"]["global"]["choice"]


def test_report_and_pictures_are_written(finished: tuple[Path, dict[str, Any]]) -> None:
    out, content = finished
    report = (out / "report.md").read_text(encoding="utf-8")
    for name in ("paired.png", "half_lives.png", *(f"days_{base}.png" for base in BASES)):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
        assert f"({name})" in report
    assert "recsys benchmark drift" in report
    assert f"{content['arms']['per_user']['ndcg@10']:.4f}" in report
    assert f"{content['arms']['per_user']['over_users']['ndcg@10']:.4f}" in report
    assert "NDCG@10 over questions" in report
    for constant in constants():
        assert f"| {constant.name} | {constant.value} | {constant.chosen_on}" in report
    assert {"0.7", "2", "5", "6", "200", "1024"} <= {constant.value for constant in constants()}


def test_a_finished_run_is_read_back(
    finished: tuple[Path, dict[str, Any]], log: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, content = finished
    monkeypatch.setattr(Base, "fit", _forbidden)
    assert run_drift(log, BASES, ARMS, out, SETTINGS) == content
    with pytest.raises(AssertionError, match="fitted again"):
        run_drift(log, BASES, ARMS, out, replace(SETTINGS, candidates=3))


def test_finished_results_are_read_back(
    finished: tuple[Path, dict[str, Any]], log: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, content = finished
    monkeypatch.setattr(Base, "fit", _forbidden)
    fewer = run_drift(log, ["itemknn"], ["global", "per_user"], out, SETTINGS)
    assert fewer["arms"]["global"] == content["bases"]["itemknn"]["arms"]["global"]
    pairs = fewer["paired"]["per_user-global"], content["bases"]["itemknn"]["paired"]["per_user-global"]
    assert pairs[0]["diff"] == pairs[1]["diff"]
    again = run_drift(log, BASES, ARMS, out, SETTINGS, command="recsys benchmark drift")
    assert again == content


def test_an_interrupted_run_is_resumed(
    finished: tuple[Path, dict[str, Any]], log: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, content = finished
    messages: list[str] = []

    def interrupt(line: str) -> None:
        messages.append(line)
        if line.startswith("itemknn, koren: tuning"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_drift(log, BASES, ARMS, tmp_path, SETTINGS, say=interrupt)
    assert not (tmp_path / "drift.json").exists()
    fits = _recorded(monkeypatch)
    resumed = run_drift(log, BASES, ARMS, tmp_path, SETTINGS, command="recsys benchmark drift")
    assert _without_seconds(resumed) == _without_seconds(content)
    assert {name for name, _ in fits} == {"itemknn"}


def test_a_sample_of_users_is_queried_and_the_base_is_fitted_on_all(
    log: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = _recorded(monkeypatch)
    content = run_drift(log, ["itemknn"], ["none", "retraining"], tmp_path, replace(SETTINGS, users=10))
    assert content["arms"]["none"]["users"] <= 10
    table = Replay.load(tmp_path / "replays" / "itemknn" / "retraining.parquet").table
    boundaries = [content["boundaries"]["validation"], *np.unique(table["trained_until"])]
    assert [events for _, events in fits] == [int((log.time < boundary).sum()) for boundary in boundaries]


def test_equal_times_are_on_one_side_of_a_boundary(log: Interactions, tmp_path: Path) -> None:
    periods = replace(log, time=(log.time - log.time.min()) // (120 * 86_400), clock="period", name="periods")
    content = run_drift(periods, ["itemknn"], ["none", "global", "per_user", "retraining"], tmp_path, SETTINGS)
    start = content["boundaries"]["test"]
    asked = Replay.load(tmp_path / "replays" / "itemknn" / "none.parquet").table
    assert asked["time"].min() == start
    assert content["arms"]["none"]["by_days"] == []
    assert content["arms"]["retraining"]["fits"] == len(np.unique(asked["time"]))
    assert "2 events and 2 periods" in content["bases"]["itemknn"]["half_lives"]["names"]
    assert not (tmp_path / "days_itemknn.png").exists()


def _experiment(path: Path, name: str, **arguments: object) -> str:
    path.write_text(yaml.safe_dump({"model": {"class_path": f"recsys.models.{name}", "init_args": arguments}}))
    return str(path)


def test_a_base_that_refuses_the_log_is_reported_and_the_others_run(log: Interactions, tmp_path: Path) -> None:
    small = _experiment(tmp_path / "small.yaml", "EASE", memory_limit_gb=1e-6)
    content = run_drift(log, [small, "itemknn"], ["none"], tmp_path / "out")
    assert "memory_limit_gb" in content["refused"]["small"]
    assert (list(content["bases"]), content["base"], content["paired"]) == (["itemknn"], "itemknn", {})
    assert "small refuses" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    with pytest.raises(CapabilityError, match=r"every base refuses.*memory_limit_gb"):
        run_drift(log, [small], ["none"], tmp_path / "other")


def test_bases_that_cannot_fold_in_are_refused(log: Interactions, tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="BPR cannot fold in"):
        run_drift(log, ["bpr"], ["none"], tmp_path)
    with pytest.raises(CapabilityError, match="forgets already"):
        run_drift(log, ["ease_decay"], ["none"], tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'itemknn'"):
        run_drift(log, ["itemkn"], ["none"], tmp_path)


def test_logs_without_common_times_are_refused(log: Interactions, tmp_path: Path) -> None:
    for clock in ("order", "none"):
        with pytest.raises(DataError, match=f"clock '{clock}'.*column of times"):
            run_drift(replace(log, clock=clock), ["ease"], ["none"], tmp_path)


def _sittings(log: Interactions, users: int, place: int) -> Interactions:
    """The log with the events of the first users pressed into minutes after their first (0) or last one (-1)."""
    times = log.time.copy()
    for user in range(users):
        events = log.history_slice(user)
        times[events] = times[events][place] + 5 * np.arange(events.stop - events.start)
    return replace(log, time=times)


def test_users_of_one_visit_carry_no_claim_about_taste_unless_only_those_who_came_back_are_asked(
    log: Interactions, tmp_path: Path
) -> None:
    short = _sittings(log, 30, 0)
    settings = replace(SETTINGS, candidates=1)
    content = run_drift(short, ["itemknn"], ["none", "per_user"], tmp_path / "all", settings)
    (reason,) = content["questions"]["refusals"]
    assert reason.startswith("60% of the users with two events or more stay for less than a day")
    report = (tmp_path / "all" / "report.md").read_text(encoding="utf-8")
    assert "**No claim about taste.** 60%" in report
    assert "per_user is better than" not in report
    assert content["questions"]["users_per_span"]["less than a day"] == 30
    came_back = run_drift(
        short, ["itemknn"], ["none", "per_user"], tmp_path / "some", replace(settings, came_back=True)
    )
    assert came_back["questions"]["refusals"] == []
    assert came_back["arms"]["none"]["users"] <= 20
    report = (tmp_path / "some" / "report.md").read_text(encoding="utf-8")
    assert "Users who came back" in report
    assert "per_user is better than" in report


def test_asked_event_by_event_the_report_says_that_it_measures_the_sitting(log: Interactions, tmp_path: Path) -> None:
    short = _sittings(log, 40, -1)
    content = run_drift(short, ["itemknn"], ["none"], tmp_path, replace(SETTINGS, ask="event"))
    assert content["questions"]["within_hour"] > 0.5
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "It measures the sitting, not taste" in report
    assert "Asked before each event" in report
    apart = run_drift(log, ["itemknn"], ["none"], tmp_path / "apart", replace(SETTINGS, ask="event"))
    assert apart["questions"]["refusals"] == []


@pytest.mark.parametrize(
    ("arms", "options", "message"),
    [
        (["glbal"], {}, "did you mean 'global'"),
        (["none", "none"], {}, "each once"),
        (["none"], {"validation": 0.8, "test": 0.7}, "must rise"),
        (["none"], {"users": 0}, "users is 0"),
        (["none"], {"ask": "sesion"}, "did you mean 'session'"),
        (["none"], {"pause": 0}, "pause is 0"),
        (["none"], {"retrain_days": 0}, "retrain_days is 0"),
    ],
)
def test_invalid_arguments_are_refused(
    log: Interactions, tmp_path: Path, arms: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_drift(log, ["ease"], arms, tmp_path, Settings(**options))


@pytest.fixture(scope="module")
def log_file(log: Interactions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "bought.csv"
    frame = {"buyer": log.users.ids[log.user_num], "sku": log.items.ids[log.item_num], "at": log.time}
    pd.DataFrame(frame).to_csv(path, index=False)
    return path


def test_the_command_works_on_a_csv(log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["benchmark", "drift", "--data", str(log_file), "--columns", "user=buyer", "item=sku", "time=at"]
    call += ["--base", "itemknn", "--arms", "none", "global", "--candidates", "1", "--limit", "200"]
    call += ["--out", str(tmp_path)]
    assert main([*call, "--json"]) == 0
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert content == json.loads((tmp_path / "drift.json").read_text(encoding="utf-8"))
    assert (content["arms"]["none"]["n"], content["paired"]) == (200, {})
    assert "itemknn, global: tuning" in printed.err
    assert content["commands"][0].startswith(f"recsys benchmark drift --data {log_file}")
    assert main([*call, "--quiet"]) == 0
    printed = capsys.readouterr()
    assert "itemknn" in printed.out
    assert printed.err == ""


def test_an_error_on_the_command_line_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "drift", "--data", "simulated-drift", "--arms", "glob", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("recsys: no arm 'glob'")
