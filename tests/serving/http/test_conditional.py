"""Headers of answers: tags and 304, what is left of the rate, pages of other origins."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from recsys.errors import ConfigError
from recsys.events.addresses import open_store
from recsys.serving.access import Limits
from recsys.serving.http.app import create_app
from recsys.serving.server import Server
from recsys.serving.service import Service
from tests.serving.client import Client, bearer, client_of, service_of, token

LIST = "/v1/users/u0/recommendations"
SHOP = "https://shop.example"


@pytest.fixture(scope="module")
def service(run: Path) -> Service:
    return service_of(run, open_store("memory:"), Limits(rate=10.0, burst=500))


@pytest.fixture
def client(service: Service) -> Client:
    return client_of(service, token(service.store))


@pytest.mark.parametrize("path", [LIST, f"{LIST}?fields=score", "/v1/items?query=i1", "/v1/genres", "/v1/popular"])
def test_an_answer_that_is_the_same_is_not_sent_again(client: Client, path: str) -> None:
    first = client.get(path)
    tag = first.headers["etag"]
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in again.headers
    other = client.get(path, headers={"If-None-Match": '"other"'})
    assert (other.status_code, set(other.json())) == (200, set(first.json()))
    assert first.headers["cache-control"] == ("no-store" if path.startswith(LIST) else "private, no-cache")
    assert client.request("HEAD", path, headers={"If-None-Match": tag}).status_code == 304


def test_the_tag_is_another_when_the_list_is(client: Client) -> None:
    tags = [client.get(path).headers["etag"] for path in (LIST, f"{LIST}?n=3", f"{LIST}?fields=title", f"{LIST}?n=3")]
    assert len(set(tags)) == 3
    item = client.get(LIST).json()["items"][9]["item_id"]
    client.request("PATCH", f"/v1/items/{item}", json={"available": False})
    changed = client.get(LIST, headers={"If-None-Match": tags[0]})
    assert changed.status_code == 200
    client.request("PATCH", f"/v1/items/{item}", json={"available": True})
    assert client.get(LIST, headers={"If-None-Match": tags[0]}).status_code == 304


def test_a_compressed_answer_has_a_weak_tag(client: Client) -> None:
    for path in (f"{LIST}?n=20", "/openapi.json"):
        tag = client.get(path, headers={"Accept-Encoding": "gzip"}).headers["etag"]
        assert tag.startswith('W/"')
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_refusals_and_changes_have_no_tag(client: Client) -> None:
    assert "etag" not in client.get(f"{LIST}?n=0").headers
    assert "etag" not in client.put("/v1/items/i1", json={}).headers
    assert client.post(LIST, json={"n": 2}, headers={"If-None-Match": "*"}).status_code == 200


def test_every_answer_says_what_is_left_of_the_rate(client: Client) -> None:
    def left(answer: httpx.Response) -> int:
        assert answer.headers["ratelimit-limit"] == "500"
        return int(answer.headers["ratelimit-remaining"])

    first = left(client.get("/v1/genres"))
    assert left(client.post("/v1/users/recommendations", json={"user_ids": [f"n{k}" for k in range(60)]})) <= first
    after = client.get("/v1/genres")
    assert left(after) <= first - 30  # each user of a batch is counted
    assert 0 < int(after.headers["ratelimit-reset"]) <= 50
    assert left(client.get("/v1/nothing")) <= first


def test_web_pages_ask_where_their_origin_is_allowed(service: Service) -> None:
    secret = token(service.store)

    async def ask(method: str, origin: str, **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=create_app(service, [SHOP]))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, LIST, headers={"Origin": origin, **headers})

    before = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    preflight = asyncio.run(ask("OPTIONS", SHOP, **before))
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == SHOP
    answer = asyncio.run(ask("GET", SHOP, **bearer(secret)))
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, SHOP)
    assert "RateLimit-Remaining" in answer.headers["access-control-expose-headers"]
    assert asyncio.run(ask("GET", SHOP)).headers["access-control-allow-origin"] == SHOP  # a refusal can be read
    assert asyncio.run(ask("OPTIONS", "https://evil.example", **before)).status_code == 400
    other = asyncio.run(ask("GET", "https://evil.example", **bearer(secret)))
    assert "access-control-allow-origin" not in other.headers
    plain = client_of(service, secret).request("OPTIONS", LIST, headers={"Origin": SHOP, **before})
    assert plain.status_code == 405


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "*", "https://", "https://a b"])
def test_an_origin_that_is_none_is_refused(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ConfigError, match="give an origin without a path"):
        Server(tmp_path, "memory:", origins=(origin,))
    with pytest.raises(ConfigError, match="leave out one of the two"):
        Server(tmp_path, "memory:", origins=(SHOP,), authenticated=False)
