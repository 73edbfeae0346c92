"""Query parameters: every route refuses those it does not take, and names the nearest one that it does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from recsys.events.addresses import open_store
from recsys.events.checks import MOST_AHEAD
from recsys.serving.access import Limits
from tests.serving.client import Client, client_of, event, ids, service_of, token


@pytest.fixture(scope="module")
def client(run: Path) -> Client:
    service = service_of(run, open_store("memory:"), Limits(exclude=1_000))
    return client_of(service, token(service.store))


def _refusal(answer: Any) -> str:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid_request"), answer.text
    message: str = error["message"]
    return message


def test_no_route_takes_a_parameter_that_its_schema_does_not_name(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for template, methods in paths.items():
        for method in methods:
            path = template.format(user_id="u0", item_id="i3", persona=1, event_id="e1", audit_id="0-0")
            answer = client.request(method.upper(), path, params={"category": "Horror"}, json={"events": [event("e1")]})
            assert "'category'" in _refusal(answer), (method, path)
    assert "'category'" in _refusal(client.get("/openapi.json?category=Horror"))
    assert client.service.store.last_sequence() == 0


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("limit=5", "n, at, exclude, genre, from_year, to_year, persona, details"),
        ("excluded=i1", "did you mean 'exclude'?"),
        ("n=3&exlcude=i1", "did you mean 'exclude'?"),
        ("N=5", "did you mean 'n'?"),
        ("n=5&", None),
        ("n=5&=", "''"),
        ("n=3&n=4", "given 2 times"),
        ("n=3&n=3", "given 2 times"),
        ("at=1&at=2&at=3", "given 3 times"),
        ("exclude=i1&exclude=i2", None),
        ("%6e=3", None),  # the same name
        ("n%5B%5D=3", "'n[]'"),
        ("x" * 3_000, "'xxx"),
    ],
)
def test_the_nearest_right_name_is_told(client: Client, query: str, hint: str | None) -> None:
    answer = client.get(f"/v1/users/u0/recommendations?{query}")
    if hint is None:
        assert answer.status_code == 200, answer.text
    else:
        assert hint in _refusal(answer)
        assert len(answer.text) < 400


def test_a_route_without_parameters_says_so(client: Client) -> None:
    assert "it takes none" in _refusal(client.get("/v1/users/u0/data?n=3"))


@pytest.mark.parametrize(
    ("path", "body", "hint"),
    [
        ("/v1/events", {"events": [event("e1") | {"tme": 1}]}, "there is no field 'tme' here; did you mean 'time'?"),
        ("/v1/events", {"event": [event("e1")]}, "there is no field 'event' here; did you mean 'events'?"),
        ("/v1/recommendations", {"history": [], "excludes": []}, "did you mean 'exclude'?"),
        ("/v1/recommendations", {"history": [], "limit": 3}, "it has history, summary, n, at, exclude"),
        ("/v1/users/u0/recommendations", {"excluded": ["i1"]}, "did you mean 'exclude'?"),
    ],
)
def test_bodies_name_the_nearest_right_field(client: Client, path: str, body: Any, hint: str) -> None:
    assert hint in _refusal(client.post(path, json=body))


def test_a_query_that_is_not_utf_8_is_refused(client: Client) -> None:
    answer = client.get("/v1/users/u0/recommendations?exclude=%FF")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "parameters",
    [{}, {"n": 3}, {"at": "2020-01-01"}, {"n": 7, "at": 1_500_000_000, "exclude": ["i1", "i2", "i29"]}],
)
def test_a_list_asked_for_with_a_body_is_that_of_get(client: Client, parameters: dict[str, Any]) -> None:
    path = "/v1/users/u1/recommendations"
    fixed = {"at": "2021-05-05T12:00:00Z"} | parameters
    assert client.post(path, json=fixed).json() == client.get(path, params=fixed).json()
    assert ids(client.post(path, json=parameters).json()) == ids(client.get(path, params=parameters).json())


@pytest.mark.parametrize("at", [1_600_010_000_000, "1600010000000", "2100-01-01", 10**400])
def test_a_moment_too_far_ahead_is_refused_alike_in_paths_and_bodies(client: Client, at: int | str) -> None:
    path = "/v1/users/u0/recommendations"
    answers = [client.post(path, json={"at": at}), client.post("/v1/recommendations", json={"history": [], "at": at})]
    if at != 10**400:  # a parameter has 40 characters
        answers += [client.get(f"{path}?at={at}"), client.get(f"/v1/users/u0/personas?at={at}")]
    for answer in answers:
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (422, "invalid_value")
        assert "more than 366 days ahead; divide milliseconds by 1000" in error["message"]
        assert "body" not in error["message"]


def test_the_list_of_tomorrow_may_be_asked_for(client: Client) -> None:
    tomorrow = int(time.time()) + 86_400
    for asked in ({"at": tomorrow}, {"at": str(tomorrow)}):
        assert client.post("/v1/users/u0/recommendations", json=asked).json()["now"] == tomorrow
        assert client.post("/v1/recommendations", json={"history": [], **asked}).json()["now"] == tomorrow
        assert client.get("/v1/users/u0/recommendations", params=asked).json()["now"] == tomorrow


@pytest.mark.parametrize(
    ("moment", "told"),
    [(-5, "is -5, before 1970"), (10**11, "divide milliseconds by 1000"), (None, "in the future; correct it")],
)
def test_no_event_is_of_the_future_or_before_1970(client: Client, moment: int | None, told: str) -> None:
    when = int(time.time()) + 2 * MOST_AHEAD if moment is None else moment
    bodies = [("/v1/events", "events[0]", {"events": [event("e1", time=when)]})]
    bodies += [("/v1/recommendations", "history[0]", {"history": [{"item_id": "i3", "time": when}]})]
    for path, place, body in bodies:
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_value")
        assert answer.json()["error"]["message"].startswith(f"{place}: time is ")
        assert told in answer.json()["error"]["message"]
    assert client.service.store.count() == 0


def test_a_body_holds_a_thousand_exclusions(client: Client) -> None:
    path = "/v1/users/u0/recommendations"
    everything = ids(client.get(path, params={"n": 100}).json())
    long = [f"{'nothing' * 20}-{k}" for k in range(1_000 - len(everything) + 1)]
    left = client.post(path, json={"n": 100, "exclude": [*everything[1:], *long]})
    assert ids(left.json()) == everything[:1]
    assert client.post(path, json={"exclude": ["i"] * 1_001}).status_code == 422
    assert client.post(path, json={"n": 101}).status_code == 422
    assert client.post(path, json={"at": "yesterday"}).status_code == 422
