"""The loop: what is put in place, what is refused, what is taken back, and what the record says."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.processes.served_process import ServedProcess
from recsys.bundles.manifest import read_manifest
from recsys.errors import ConfigError, DataError
from recsys.events.addresses import open_store
from recsys.events.store import Event
from recsys.events.transfer import import_events
from recsys.experiments.configuration import Experiment, read_experiment
from recsys.experiments.registry import Attempt, Registry, RetrainSettings, RunningService, retrain, roll_back
from recsys.experiments.registry.run_checks import check_run
from recsys.experiments.run_log import DataSettings
from recsys.experiments.runs import load_model
from tests.serving.serving_run import ITEMS, START, STEP, USERS, write_log

QUICK = RetrainSettings(watch=0.0, matched=0.3)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    store = tmp_path / "events.db"
    with open_store(str(store)) as opened:
        import_events(opened, write_log(tmp_path / "log.csv"))
    return store


def _grow(store: Path, days: int = 100, users: int = USERS) -> None:
    """Let people use items of their own half, later than all before."""
    draw = np.random.default_rng(days)
    added = []
    for user in range(users):
        own = np.arange(ITEMS // 2) + (user % 2) * ITEMS // 2
        for place, item in enumerate(draw.permutation(own)[:4].tolist()):
            moment = START + STEP * (days + place) + user
            added.append(Event(f"{days}-{user}-{item}", f"u{user}", f"i{item}", 4.0, moment))
    with open_store(str(store)) as opened:
        opened.append(added)


def _experiment(name: str = "ease", **settings: str) -> Experiment:
    return read_experiment(name, list(settings.items()))


def _data(store: Path) -> DataSettings:
    return DataSettings(f"sqlite:///{store}")


def test_runs_follow_each_other_and_the_record_says_how(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    first = retrain(_experiment(), _data(events), registry, QUICK, config="ease")
    assert first is not None
    assert (first.run, first.outcome, first.former, first.findings) == ("0001", "in place", None, ())
    assert retrain(_experiment(), _data(events), registry, QUICK, config="renamed") is None  # nothing has come in
    assert first.experiment["model"]["class_path"] == "recsys.models.EASE"
    _grow(events)
    second = retrain(_experiment(), _data(events), registry, QUICK, config="ease")
    assert second is not None
    assert (second.run, second.outcome, second.former) == ("0002", "in place", "0001")
    assert second.events > first.events
    assert [finding.check for finding in second.findings] == ["metrics"]
    assert (tmp_path / "models" / "served").resolve().name == registry.in_place == "0002"
    assert load_model(tmp_path / "models" / "served").fitted_on.fingerprint
    assert Registry(tmp_path / "models").lineage == (first, second)
    back = roll_back(registry)
    assert (back.run, back.outcome, back.former, registry.in_place) == ("0001", "put back", "0002", "0001")
    with pytest.raises(DataError, match="no run before 0001"):
        roll_back(registry)


def test_another_experiment_of_the_same_name_learns_from_the_same_log(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    retrain(_experiment(), _data(events), registry, QUICK, config="mine")
    other = retrain(_experiment(regularization="77.0"), _data(events), registry, QUICK, config="mine")
    assert other is not None
    assert other.run == "0002"


def test_another_seed_or_split_learns_from_the_same_log(events: Path, tmp_path: Path) -> None:
    registry, data = Registry(tmp_path / "models"), _data(events)
    loose = replace(QUICK, tolerance=1.0)
    retrain(_experiment(), data, registry, loose)
    for other, seed, run in ((data, 7, "0002"), (replace(data, split="last_one"), 7, "0003")):
        made = retrain(_experiment(), other, registry, loose, seed=seed)
        assert made is not None
        assert (made.run, made.outcome) == (run, "in place")
        assert retrain(_experiment(), other, registry, loose, seed=seed) is None


def test_a_worse_model_and_a_policy_that_cannot_be_kept_are_refused(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    retrain(_experiment(), _data(events), registry, QUICK)
    _grow(events)
    worse = retrain(_experiment("popularity"), _data(events), registry, QUICK)
    assert worse is not None
    assert (worse.outcome, registry.in_place) == ("refused", "0001")
    assert not worse.findings[0].passed
    policy = tmp_path / "policy.yaml"
    rules = "[{id: some, at_least: 1, of: {item: i0}}, {id: none, at_most: 0, of: {item: i0}}]"
    policy.write_text(f"policy: 1\nname: shop\nlayers: [{{layer: law, rules: {rules}}}]\n")
    bound = retrain(_experiment(), _data(events), registry, RetrainSettings(watch=0.0, policy=policy))
    assert bound is not None
    assert (bound.run, bound.outcome) == ("0003", "refused")
    assert [finding.check for finding in bound.findings if not finding.passed] == ["policy"]
    policy.write_text("policy: 1\nnam: shop\n")
    with pytest.raises(ConfigError, match="has no 'nam'"):  # before anything is trained
        retrain(_experiment(), _data(events), registry, RetrainSettings(watch=0.0, policy=policy))


def test_a_log_that_was_cut_off_is_refused_and_one_with_a_few_events_less_is_not(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.csv")
    lines = log.read_text().splitlines()
    registry = Registry(tmp_path / "models")
    easy = RetrainSettings(tolerance=1.0, watch=0.0)
    retrain(_experiment("popularity"), DataSettings(str(log)), registry, easy)
    found = None
    for kept, passed in ((len(lines) - 3, True), (len(lines) // 3, False)):
        log.write_text("\n".join(lines[:kept]) + "\n")
        found = retrain(_experiment("popularity"), DataSettings(str(log)), registry, easy)
        assert found is not None
        assert (found.findings[0].check, found.findings[0].passed) == ("log", passed)
    assert found is not None
    assert (found.outcome, registry.in_place) == ("refused", "0002")


def test_the_tastes_of_a_model_with_personas_go_on(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    experiment = _experiment("ease_personas", **{"tastes.tastes": "4"})
    retrain(experiment, _data(events), registry, QUICK)
    _grow(events)
    found = retrain(experiment, _data(events), registry, QUICK)
    assert found is not None
    assert {finding.check: finding.passed for finding in found.findings} == {"metrics": True, "personas": True}
    strict = check_run(registry.run("0002"), registry.run("0001"), tolerance=0.0, matched=1.0)
    told = {finding.check: finding.found for finding in strict}
    assert "of a user's personas go on" in told["personas"]


def test_checked_against_itself_a_run_is_neither_better_nor_worse(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    retrain(_experiment("ease_personas", **{"tastes.tastes": "4"}), _data(events), registry, QUICK)
    metrics, personas = check_run(registry.run("0001"), registry.run("0001"), tolerance=0.0, matched=1.0)
    assert (metrics.passed, personas.passed) == (True, True)
    assert "difference +0.0000 [+0.0000, +0.0000]" in metrics.found
    assert personas.found.startswith("1.00 of")


def test_both_models_rank_the_same_items_where_a_split_has_candidates(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    data = DataSettings(f"sqlite:///{events}", "paper", threshold=0.0)
    made = retrain(_experiment(), data, registry, QUICK)
    assert made is not None
    (metrics,) = check_run(registry.run("0001"), registry.run("0001"), tolerance=0.0, matched=1.0)
    assert "difference +0.0000 [+0.0000, +0.0000]" in metrics.found


def test_old_runs_go_and_those_that_are_needed_stay(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    for turn in range(4):
        _grow(events, 100 * (turn + 1), users=30)
        found = retrain(_experiment(), _data(events), registry, RetrainSettings(tolerance=1.0, watch=0.0, keep=2))
        assert found is not None
        assert found.outcome == "in place", found
    assert sorted(path.name for path in (tmp_path / "models").glob("0*")) == ["0003", "0004"]
    assert roll_back(registry).run == "0003"


def test_one_at_a_time_and_only_in_a_registry(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    with registry.locked(), pytest.raises(DataError, match="another training is going on"):
        retrain(_experiment(), _data(events), registry, QUICK)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(DataError, match="is no registry of models"):
        Registry(tmp_path / "photos")
    retrain(_experiment(), _data(events), registry, QUICK)
    assert registry.next_name() == "0002"
    lineage = tmp_path / "models" / "lineage.jsonl"
    line = lineage.read_text()
    lineage.write_text("")  # somebody took out the line: the run in place is not written over
    assert registry.next_name() == "0002"
    lineage.write_text(line)
    lineage.write_text(lineage.read_text() + '{"run": 1\n')
    with pytest.raises(DataError, match=r"lineage.jsonl, line 2: no attempt can be read"):
        roll_back(registry)


def test_an_interrupted_training_leaves_what_was_in_place(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(tmp_path / "models")
    retrain(_experiment(), _data(events), registry, QUICK)
    _grow(events)
    with monkeypatch.context() as patched:
        patched.setattr("recsys.experiments.registry.retraining.check_run", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            retrain(_experiment(), _data(events), registry, QUICK)
    assert (registry.in_place, len(registry.lineage)) == ("0001", 1)
    found = retrain(_experiment(), _data(events), registry, QUICK)
    assert found is not None
    assert (found.run, found.outcome) == ("0002", "in place")


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_running_service_loads_what_is_put_in_place_and_what_is_put_back(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    retrain(_experiment(), _data(events), registry, QUICK)
    with ServedProcess(tmp_path / "models" / "served", str(events)) as process:
        service = RunningService(process.url)
        first = service.reload()
        _grow(events)
        found = retrain(_experiment(), _data(events), registry, RetrainSettings(watch=0.1), [service])
        assert found is not None
        assert found.outcome == "in place", found
        second = service.reload()
        assert roll_back(registry, [service]).run == "0001"
        assert (service.reload(), service.reload() != second) == (first, True)
        shutil.rmtree(registry.run("0002") / "model")  # what the service cannot load is not put in place
        registry.record(found)
        registry.put("0002")
        with pytest.raises(DataError, match="answered 409"):
            service.reload()


@contextmanager
def _replaying(answers: Callable[[str, int], tuple[int, str]]) -> Iterator[tuple[RunningService, list[str]]]:
    """Stand in for a service that is broken in a way that a real one cannot be told to be."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            code, text = answers(self.path, sum(self.path in one for one in asked))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield RunningService(f"http://127.0.0.1:{server.server_port}", "secret"), asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _line(status: int, count: int) -> str:
    return f'recsys_request_seconds_count{{method="GET",route="/v1/users/{{id}}",status="{status}"}} {count}.0\n'


def test_a_service_that_answers_with_defects_takes_the_run_back(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    retrain(_experiment(), _data(events), registry, QUICK)
    _grow(events)

    def answers(path: str, times: int) -> tuple[int, str]:
        if path == "/metrics":
            return 200, _line(200, 100 * times) + _line(500, 5 * times)
        loaded = (tmp_path / "models" / "served" / "model").resolve()
        return 200, json.dumps({"model": read_manifest(loaded).model_id})

    with _replaying(answers) as (service, asked):
        found = retrain(_experiment(), _data(events), registry, RetrainSettings(matched=0.3, watch=5.0), [service])
    assert found is not None
    assert (found.outcome, found.run, registry.in_place) == ("rolled back", "0002", "0001")
    assert "5 of 105 answers were defects" in found.reason
    assert [one for one in asked if "reload" in one] == ["POST /v1/admin/reload"] * 2
    assert [attempt.outcome for attempt in registry.lineage] == ["in place", "in place", "rolled back"]


def test_a_service_that_refuses_or_is_not_ready_or_away_is_told(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    heard: list[str] = []
    found = retrain(
        _experiment(), _data(events), registry, QUICK, [RunningService("http://127.0.0.1:9")], say=heard.append
    )
    assert found is not None
    assert (found.outcome, registry.in_place) == ("in place", "0001")
    assert "did not answer" in heard[-1]
    assert heard[-1].endswith("It loads what is in place when it starts")
    _grow(events)
    with _replaying(lambda *_: (409, "the new bundle is refused")) as (service, asked):
        refused = retrain(_experiment(), _data(events), registry, QUICK, [service])
    assert refused is not None
    assert (refused.outcome, registry.in_place, len(asked)) == ("refused", "0001", 2)
    assert "answered 409: the new bundle is refused" in refused.reason
    with _replaying(lambda path, _: (503, "busy") if path == "/readyz" else (200, _line(200, 1))) as (service, _):
        assert "answered 503: busy" in (service.alarm(1.0) or "")
    with _replaying(lambda *_: (200, _line(200, 1))) as (service, _):
        assert service.alarm(0.0) is None
    with pytest.raises(DataError, match="is no address of a service"):
        RunningService("file:///etc/passwd")
    with _replaying(lambda *_: (200, "<html>")) as (service, _), pytest.raises(DataError, match="names no model"):
        service.reload()


def test_a_service_of_another_run_is_refused(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    retrain(_experiment(), _data(events), registry, QUICK)
    _grow(events)
    with _replaying(lambda *_: (200, json.dumps({"model": "another"}))) as (service, _):
        found = retrain(_experiment(), _data(events), registry, QUICK, [service])
    assert found is not None
    assert (found.outcome, registry.in_place) == ("refused", "0001")
    assert "answers with the model another" in found.reason


def test_runs_that_are_refused_do_not_fill_the_disk(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    retrain(_experiment(), _data(events), registry, QUICK)
    _grow(events)
    for _ in range(3):
        found = retrain(_experiment("popularity"), _data(events), registry, RetrainSettings(watch=0.0, keep=2))
        assert found is not None
        assert found.outcome == "refused"
    assert sorted(path.name for path in (tmp_path / "models").glob("0*")) == ["0001", "0003", "0004"]


def test_the_oldest_runs_are_those_of_the_smallest_numbers(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    for name in ("9998", "9999", "10000"):
        (tmp_path / "models" / name).mkdir()
    assert registry.prune(2) == ["9998"]


def test_a_record_may_hold_any_text(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    made = registry.record(Attempt("0001", 0, "refused", None, "a\u2028b", {}, "", 0, (), "c\x85d\x0be"))
    assert registry.lineage == (made,)


def test_a_run_that_cannot_be_put_back_leaves_every_service_with_the_present_one(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    retrain(_experiment(), _data(events), registry, QUICK)
    _grow(events)
    retrain(_experiment(), _data(events), registry, QUICK)
    answering = ""

    def answers(*_: object) -> tuple[int, str]:
        nonlocal answering
        answering = read_manifest((tmp_path / "models" / "served" / "model").resolve()).model_id
        return 200, json.dumps({"model": answering})

    with (
        _replaying(answers) as (good, _),
        _replaying(lambda *_: (409, "refused")) as (bad, _),
        pytest.raises(DataError, match="0001 is not put back"),
    ):
        roll_back(registry, [good, bad])
    assert registry.in_place == "0002"
    assert answering == read_manifest(registry.run("0002") / "model").model_id


def test_an_interruption_while_services_load_changes_nothing(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(tmp_path / "models")
    retrain(_experiment(), _data(events), registry, QUICK)
    _grow(events)
    with monkeypatch.context() as patched:
        patched.setattr(RunningService, "reload", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            retrain(_experiment(), _data(events), registry, QUICK, [RunningService("http://127.0.0.1:9")])
    assert (registry.in_place, len(registry.lineage)) == ("0001", 1)


def test_something_else_at_the_address_of_a_service_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        with pytest.raises(DataError, match="did not answer"):
            RunningService(f"http://127.0.0.1:{port}").reload()
        thread.join()
    with pytest.raises(DataError, match="did not answer"):
        RunningService("http://127.0.0.1:eighty").reload()


def test_a_run_in_place_that_cannot_be_read_is_told_before_training(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    retrain(_experiment(), _data(events), registry, QUICK)
    (registry.run("0001") / "model" / "manifest.json").write_text("{}")
    _grow(events)
    with pytest.raises(DataError, match="remove the link"):
        retrain(_experiment(), _data(events), registry, QUICK)
    assert not registry.run("0002").exists()
    (tmp_path / "models" / "served").unlink()
    found = retrain(_experiment(), _data(events), registry, QUICK)
    assert found is not None
    assert (found.run, found.outcome, found.former) == ("0002", "in place", None)


def test_what_was_taken_back_is_not_trained_again_before_anything_comes_in(events: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    heard: list[str] = []
    retrain(_experiment(), _data(events), registry, QUICK, config="ease")
    _grow(events)
    retrain(_experiment(), _data(events), registry, QUICK, config="ease")
    roll_back(registry)
    assert retrain(_experiment(), _data(events), registry, QUICK, config="ease", say=heard.append) is None
    assert (heard[-1], registry.in_place) == (
        "nothing has come in since 0002 was trained, which was taken back; 0001 stays in place",
        "0001",
    )
    other = retrain(_experiment("ials"), _data(events), registry, RetrainSettings(1.0, 0.0, watch=0.0), config="ials")
    assert other is not None  # another experiment is something new
    assert other.run == "0003"
