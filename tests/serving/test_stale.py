"""Lists while the store does not answer: of known users, marked; nobody else's, no write, and all again by itself."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from benchmarks.serving.processes.postgresql_server import Death, PostgresqlServer
from recsys.cli.main import main
from recsys.errors import ConfigError
from recsys.events.addresses import open_store
from recsys.events.store import StoreError, user_hash
from recsys.serving.access import Limits
from recsys.serving.users.settings import UserSettings
from tests.events.store_addresses import OWN_SERVER
from tests.serving.client import Client, client_of, event, ids, service_of, token
from tests.serving.norms.normed_run import service_under
from tests.serving.serving_run import train
from tests.serving.titled_run import write_titled

KNOWN, UNKNOWN = "/v1/users/u0/recommendations", "/v1/users/u7/recommendations"
QUICK = Limits(token_seconds=0.0)
"""Tokens are read at each request, so that the store is missed at once."""


@contextmanager
def _away(file: Path) -> Iterator[None]:
    """Move the files of a store away for some time."""
    names = [path.name for path in file.parent.glob(f"{file.name}*")]
    (file.parent / "away").mkdir(exist_ok=True)
    for name in names:
        (file.parent / name).rename(file.parent / "away" / name)
    yield
    for name in names:
        (file.parent / "away" / name).rename(file.parent / name)


def _until_fresh(client: Client, path: str = KNOWN) -> dict[str, object]:
    """Ask for a list until it is not stale: a store that failed is asked again after a moment."""
    for _ in range(600):
        answer = client.get(path)
        if answer.status_code == 200 and not answer.json()["stale"]:
            return dict(answer.json())
        time.sleep(0.1)
    raise AssertionError(answer.text)


def _refused(client: Client, method: str, path: str, **body: object) -> None:
    answer = client.request(method, path, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable"), (path, answer.text)
    assert int(answer.headers["retry-after"]) >= 1


@OWN_SERVER
def test_known_users_have_marked_lists_while_postgresql_is_away(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    with PostgresqlServer() as server, open_store(server.address) as store:
        client = client_of(service_of(run, store, QUICK), token(store))
        before = client.get(KNOWN).json()
        assert (before["stale"], before["stale_seconds"]) == (False, None)
        deaths: dict[Death, str] = {"kill": UNKNOWN, "immediate": "/v1/users/u9/recommendations"}
        for death, unknown in deaths.items():
            server.die(death)
            for path in (KNOWN, f"{KNOWN}?n=5", f"{KNOWN}?exclude={ids(before)[0]}"):
                stale = client.get(path)
                assert (stale.status_code, stale.json()["stale"]) == (200, True), stale.text
                assert stale.headers["warning"] == '110 - "Response is Stale"'
                assert int(stale.headers["age"]) == stale.json()["stale_seconds"] >= 0
            assert ids(client.get(KNOWN).json()) == ids(before)
            assert client.get(KNOWN, headers={"If-None-Match": client.get(KNOWN).headers["etag"]}).status_code == 304
            _refused(client, "GET", unknown)
            _refused(client, "GET", "/v1/users/somebody/recommendations")
            _refused(client, "GET", "/v1/users/u0/data")
            _refused(client, "POST", "/v1/events", json={"events": [event(death, item="i29")]})
            _refused(client, "PUT", "/v1/users/u0/personas/0", json={"weight": 0})
            _refused(client, "DELETE", "/v1/users/u0/data")
            _refused(client, "PUT", "/v1/items/i1", json={})
            server.start()
            fresh = _until_fresh(client)
            assert fresh["model"] == before["model"]
            assert client.get(unknown).json()["stale"] is False
            sent = client.post("/v1/events", json={"events": [event(death, item="i29")]})
            assert sent.json() == {"accepted": 1, "repeated": 0}  # what was refused was not kept either
            assert "i29" not in ids(_until_fresh(client))
        metrics = client.get("/metrics").text
    (counted,) = re.findall(r"^recsys_stale_lists_total (.+)$", metrics, re.MULTILINE)
    assert float(counted) >= 2 * 6
    assert caplog.text.count("lists are stale") == caplog.text.count("answers again") == 2
    assert "u0" not in caplog.text


def test_known_users_have_marked_lists_while_the_file_is_away(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.db"
    with open_store(str(file)) as store:
        client = client_of(service_of(run, store, QUICK), token(store))
        answers = client.service.answers
        client.post("/v1/events", json={"events": [event("e1")]})
        assert client.get(KNOWN).status_code == 200
        now = time.time()
        with _away(file):
            for later, status in ((200, 200), (299, 200), (300, 503), (0, 200)):
                with mock.patch.object(answers, "_clock", return_value=now + later):
                    answer = client.get(KNOWN)
                assert answer.status_code == status, later
                if status == 200:
                    assert later - 2 <= answer.json()["stale_seconds"] <= later
            _refused(client, "POST", "/v1/events", json={"events": [event("e2")]})
        assert client.post("/v1/events", json={"events": [event("e2")]}).json()["accepted"] == 1
        assert _until_fresh(client)["known_events"] == 14


def test_a_token_holds_as_long_as_it_was_seen_of_late_and_for_lists_alone(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.db"
    with open_store(str(file)) as store:
        service = service_of(run, store, QUICK)
        client = client_of(service, token(store))
        own, never = (client_of(service, token(store, ["read"], user)) for user in ("u0", "u0"))
        writer = client_of(service, token(store, ["write"]))
        assert (client.get(KNOWN).status_code, own.get(KNOWN).status_code) == (200, 200)
        assert (own.get(UNKNOWN).status_code, writer.get(KNOWN).status_code) == (403, 403)
        with _away(file):
            assert (own.get(KNOWN).status_code, own.get(UNKNOWN).status_code) == (200, 403)
            assert writer.get(KNOWN).status_code == 403
            _refused(never, "GET", KNOWN)  # nobody knows whether it is one
            _refused(client_of(service, "recsys_wrong"), "GET", KNOWN)
            _refused(own, "GET", "/v1/users")
            with mock.patch.object(service.tokens, "_clock", return_value=time.time() + 301):
                _refused(own, "GET", KNOWN)


@pytest.mark.parametrize("about", [{"history": [{"item_id": "i1"}, {"item_id": "i2"}]}, {"summary": "Mostly like i1."}])
def test_who_brings_a_history_or_a_text_has_a_marked_list(run: Path, tmp_path: Path, about: dict[str, object]) -> None:
    file = tmp_path / "events.db"
    with open_store(str(file)) as store:
        client = client_of(service_of(run, store, QUICK), token(store))
        fresh = client.post("/v1/recommendations", json=about).json()
        assert fresh["stale"] is False
        with _away(file):
            found = client.post("/v1/recommendations", json=about)
            assert (found.status_code, found.json()["stale"]) == (200, True)
            assert found.headers["warning"] == '110 - "Response is Stale"'
            assert ids(found.json()) == ids(fresh)
            with mock.patch.object(client.service.answers, "_clock", return_value=time.time() + 301):
                _refused(client, "POST", "/v1/recommendations", json=about)


def test_a_change_of_somebody_else_takes_nobodys_list(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.db"
    with open_store(str(file)) as store:
        client = client_of(service_of(run, store, QUICK), token(store))
        before = client.get(UNKNOWN).json()
        client.put("/v1/users/u0/summary", json={"text": "Mostly like i1."}).raise_for_status()
        written = client.get(KNOWN).json()
        client.put("/v1/items/i1", json={"title": "Another title"}).raise_for_status()
        client.post("/v1/events", json={"events": [event("e1", user="u9")]}).raise_for_status()
        client.get("/v1/users").raise_for_status()
        with _away(file):
            for path, list_of_before in ((UNKNOWN, before), (KNOWN, written)):
                stale = client.get(path).json()
                assert (stale["stale"], ids(stale)) == (True, ids(list_of_before))
            _refused(client, "GET", "/v1/users/u9/recommendations")  # what u9 wrote was never read


def test_lists_of_several_users_are_given_where_all_are_known(run: Path, tmp_path: Path) -> None:
    file, path = tmp_path / "events.db", "/v1/users/recommendations"
    with open_store(str(file)) as store:
        client = client_of(service_of(run, store, QUICK), token(store))
        users = {"user_ids": ["u0", "u7"]}
        fresh = [one["recommendations"] for one in client.post(path, json=users).json()["lists"]]
        with _away(file):
            stale = [one["recommendations"] for one in client.post(path, json=users).json()["lists"]]
            assert [(one["stale"], ids(one)) for one in stale] == [(True, ids(one)) for one in fresh]
            _refused(client, "POST", path, json={"user_ids": ["u0", "u9"]})


def test_an_erased_user_has_no_stale_list(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.db"
    with open_store(str(file)) as store:
        client = client_of(service_of(run, store, QUICK), token(store))
        client.post("/v1/events", json={"events": [event("e1")]})
        assert client.get(KNOWN).status_code == 200
        client.delete("/v1/users/u0/data").raise_for_status()
        with _away(file):
            _refused(client, "GET", KNOWN)


def test_zero_gives_no_stale_list(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.db"
    with open_store(str(file)) as store:
        client = client_of(service_of(run, store, Limits(stale_seconds=0.0)), token(store))
        assert client.get(KNOWN).status_code == 200
        with _away(file):
            _refused(client, "GET", KNOWN)


def test_a_stale_list_keeps_the_policy_as_the_person_was_last_known(tmp_path: Path) -> None:
    run = train(tmp_path / "run", write_titled(tmp_path), "ease")
    policy = (
        "policy: 1\nname: cinema\nlists: {from: 5, until: 12}\nlayers:\n  - layer: law\n    rules:\n"
        "      - {id: adult, deny: {genre: Crime}, when: {age_below: 18}}\n"
    )
    file = tmp_path / "events.db"
    with open_store(str(file)) as store:
        store.put_setting("3", "circumstances", '{"age": 30}')
        client = client_of(service_under(run, store, policy, tmp_path))
        path = "/v1/users/3/recommendations"
        grown = client.get(path).json()
        assert not grown["policy"]["acted"]
        with _away(file):
            stale = client.get(path).json()
            assert (stale["stale"], ids(stale)) == (True, ids(grown))
            assert client.get(f"{path}?age=12").json()["policy"]["acted"]


def test_what_a_person_said_outlives_a_read_that_failed(tmp_path: Path) -> None:
    file = tmp_path / "events.db"
    with open_store(str(file)) as store:
        store.put_setting("u", "circumstances", '{"age": 30}')
        settings = UserSettings(store)
        said = settings.of("u")
        with _away(file):
            for version in (None, 1):
                with pytest.raises(StoreError):
                    settings.of("u", version)
            assert settings.of("u", stale=True) == said
            settings.forget(user_hash("u"))
            with pytest.raises(StoreError):
                settings.of("u", stale=True)
        assert settings.of("u", 1) == said
        store.put_setting("u", "circumstances", '{"age": 31}')
        assert settings.of("u", 1) == said
        assert settings.of("u", 2) == settings.of("u") == {"circumstances": '{"age": 31}'}


def test_the_setting_is_a_length_of_time(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("five", "5 m", "-1", "1w"):
        with pytest.raises(SystemExit):
            main(["serve", "--run", "nowhere", "--stale", wrong])
        assert "give 90s, 5m" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="stale_seconds"):
        Limits(stale_seconds=-1)
