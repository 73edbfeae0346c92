"""The fast route: its answers, refusals and metrics are those of the framework's route."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import httpx
import pytest

from recsys.events.addresses import open_store
from recsys.serving.access import Limits
from recsys.serving.http.fast_route import FastRoute
from recsys.serving.service import Service
from tests.serving.client import Client, client_of, ids, service_of, token

_ROUTE = "/v1/users/{user_id:path}/recommendations"


@pytest.fixture
def service(run: Path) -> Service:
    return service_of(run, open_store("memory:"), Limits(n=50))


@pytest.fixture
def client(service: Service) -> Client:
    return client_of(service, token(service.store))


def _through_the_route(client: Client, path: str) -> tuple[int, bytes, dict[str, str]]:
    async def past(self: FastRoute, scope: object, receive: object, send: object) -> None:
        await self._app(scope, receive, send)  # type: ignore[arg-type]

    with mock.patch.object(FastRoute, "__call__", past):
        answer = client.get(path)
    return _same(answer)


def _same(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """What is the same of two answers: all but the id of the request."""
    name = answer.headers.pop("x-request-id")
    answer.headers.pop("ratelimit-remaining")
    return answer.status_code, answer.content.replace(name.encode(), b""), dict(answer.headers)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/users/u0/recommendations",
        "/v1/users/u0/recommendations?n=3",
        "/v1/users/u0/recommendations?n=50",
        "/v1/users/u0/recommendations?n=51",
        "/v1/users/u0/recommendations?n=0",
        "/v1/users/u0/recommendations?n=03",
        "/v1/users/u0/recommendations?n=3&n=4",
        "/v1/users/u0/recommendations?n=",
        "/v1/users/u0/recommendations?m=3",
        "/v1/users/%20u0/recommendations",
        "/v1/users/%E2%80%AE/recommendations",
        "/v1/users/a%2Fb/recommendations?n=2",
        "/v1/users/" + "x" * 2000 + "/recommendations",
        "/v1/users/somebody%20new/recommendations?n=4",
        "/v1/users//recommendations",
    ],
)
def test_it_answers_as_the_route_does(client: Client, path: str) -> None:
    with mock.patch.object(client.service.answers, "_clock", return_value=1.9e9):
        assert _same(client.get(path)) == _through_the_route(client, path)


def test_it_bypasses_the_framework(client: Client) -> None:
    with mock.patch("fastapi.routing.APIRouter.__call__", side_effect=AssertionError):
        assert client.get("/v1/users/u0/recommendations?n=3").status_code == 200
        assert client.get("/v1/users/u0/recommendations?n=3&exclude=i1").status_code == 500


def test_it_needs_the_token_that_the_route_needs(service: Service) -> None:
    for scopes, user in ((["write"], None), (["read"], "u1")):
        narrow = client_of(service, token(service.store, scopes, user))  # type: ignore[arg-type]
        path = "/v1/users/u0/recommendations"
        assert narrow.get(path).status_code == 403
        assert _same(narrow.get(path)) == _through_the_route(narrow, path)
    assert client_of(service, token(service.store, ["read"], "u0")).get("/v1/users/u0/recommendations").json()["items"]


def test_metrics_count_both_as_one(client: Client) -> None:
    client.get("/v1/users/u0/recommendations?n=3")
    client.get("/v1/users/u0/recommendations?n=3&exclude=i1")
    counted = [line for line in client.get("/metrics").text.splitlines() if _ROUTE in line and "_count" in line]
    assert len(counted) == 1
    assert counted[0].endswith(" 2.0")


def test_a_list_has_ten_items_unless_asked_otherwise(client: Client) -> None:
    assert len(ids(client.get("/v1/users/u0/recommendations").json())) == 10
