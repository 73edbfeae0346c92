"""Around all routes: headers that must be there once, pages of other origins, HEAD, compression, ids of requests."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from recsys.events.addresses import open_store
from recsys.serving.http.app import create_app
from recsys.serving.http.compression import SMALLEST
from recsys.serving.service import Service
from tests.serving.access.test_routes import RULES
from tests.serving.client import Client, client_of, event, ids, service_of, token


@pytest.fixture(scope="module")
def service(run: Path) -> Service:
    return service_of(run, open_store("memory:"))


@pytest.fixture(scope="module")
def client(service: Service) -> Client:
    return client_of(service, token(service.store))


@pytest.fixture(scope="module")
def open_client(run: Path) -> Client:
    return client_of(service_of(run, open_store("memory:"), authenticated=False), host="http://localhost:8000")


def _raw(
    service: Service, headers: Sequence[tuple[bytes, bytes]], path: str = "/healthz", version: str = "1.1"
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Ask with exactly these headers, which no client library sends."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": version, "method": "GET", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": list(headers),
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip
    asyncio.run(create_app(service)(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:])


HOST = (b"host", b"localhost")


def test_http_1_1_needs_a_host_and_1_0_does_not(service: Service) -> None:
    status, _, content = _raw(service, [])
    assert (status, json.loads(content)["error"]["code"]) == (400, "invalid_request")
    assert "`Host` is missing" in json.loads(content)["error"]["message"]
    assert _raw(service, [], version="1.0")[0] == 200
    assert _raw(service, [HOST])[0] == 200


@pytest.mark.parametrize(
    "header", [HOST, (b"authorization", b"Bearer x"), (b"content-type", b"application/json"), (b"origin", b"null")]
)
def test_what_counts_once_may_not_come_twice(service: Service, header: tuple[bytes, bytes]) -> None:
    name = header[0].decode().title()
    others = [] if header == HOST else [HOST]
    status, _, content = _raw(service, [*others, header, header])
    assert (status, json.loads(content)["error"]["code"]) == (400, "invalid_request")
    assert f"`{name}` comes twice" in json.loads(content)["error"]["message"]
    assert _raw(service, [*others, (b"x-other", b"1"), (b"x-other", b"2"), header])[0] != 400


def test_of_two_tokens_none_counts(service: Service) -> None:
    good = (b"authorization", f"Bearer {token(service.store)}".encode())
    assert _raw(service, [HOST, good], "/v1/users")[0] == 200
    assert _raw(service, [HOST, good, (b"authorization", b"Bearer wrong")], "/v1/users")[0] == 400
    assert _raw(service, [HOST, (b"authorization", b"Bearer wrong"), good], "/v1/users")[0] == 400


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.method != "GET"], ids=lambda rule: rule.template)
def test_no_page_of_another_origin_changes_anything_without_tokens(open_client: Client, rule: Any) -> None:
    body = {} if rule.body is None else {"json": rule.body}
    store = open_client.service.store
    before = store.last_sequence()
    for origin in ("https://evil.example", "http://localhost:3000", "https://localhost:8000", "null"):
        refused = open_client.request(rule.method, rule.path, headers={"Origin": origin}, **body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "wrong_origin"), origin
    for site in ("cross-site", "same-site"):
        refused = open_client.request(rule.method, rule.path, headers={"Sec-Fetch-Site": site}, **body)
        assert refused.status_code == 403
    assert store.last_sequence() == before
    own = {"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}
    assert open_client.request(rule.method, rule.path, headers=own, **body).status_code in (rule.accepted[0], 204, 404)


def test_a_link_from_elsewhere_opens_the_page(open_client: Client) -> None:
    assert open_client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_with_tokens_the_token_decides_and_not_the_origin(client: Client) -> None:
    assert client.get("/v1/users", headers={"Origin": "https://shop.example"}).status_code == 200


_READ = [rule.path for rule in RULES if rule.method == "GET" and rule.accepted[0] == 200]


@pytest.mark.parametrize("path", [*_READ, "/", "/page/main.js", "/healthz", "/readyz", "/openapi.json"])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_head_has_the_headers_of_get_and_no_body(client: Client, path: str, coding: str) -> None:
    of_each = ("x-request-id", "content-length", "ratelimit-remaining", "ratelimit-reset")

    def headers(answer: Any) -> dict[str, str]:
        return {name: value for name, value in answer.headers.items() if name not in of_each}

    get, head = (client.request(method, path, headers={"Accept-Encoding": coding}) for method in ("GET", "HEAD"))
    assert get.status_code == head.status_code == 200
    assert headers(head) == headers(get)
    if path != "/metrics":  # which counts what was asked in between
        assert head.headers["content-length"] == get.headers["content-length"]
    assert head.content == b""


def test_head_of_a_route_that_only_takes_post_is_refused(client: Client) -> None:
    assert client.request("HEAD", "/v1/events").status_code == 405
    refused = client_of(client.service).request("HEAD", "/v1/users")
    assert (refused.status_code, refused.content) == (401, b"")


@pytest.mark.parametrize("path", ["/v1/users/u0/recommendations?n=5", "/v1/users/u0/personas", "/", "/page/page.css"])
def test_large_answers_are_compressed_for_those_who_accept_it(client: Client, path: str) -> None:
    plain = client.get(path, headers={"Accept-Encoding": "br"})
    assert len(plain.content) >= SMALLEST
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "accept-encoding"
    packed = client.get(path, headers={"Accept-Encoding": "br, gzip;q=0.8"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "accept-encoding"
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    if "users" not in path:
        assert packed.content == plain.content
    etag = plain.headers.get("etag")
    if etag:  # another sequence of bytes
        assert packed.headers["etag"] == f"W/{etag.removeprefix('W/')}"
        again = client.get(path, headers={"If-None-Match": packed.headers["etag"], "Accept-Encoding": "gzip"})
        assert (again.status_code, again.content) == (304, b"")


def test_a_compressed_list_is_the_list(service: Service) -> None:
    path, own = "/v1/users/u3/recommendations", (b"authorization", f"Bearer {token(service.store)}".encode())
    _, plain, expected = _raw(service, [HOST, own], path)
    _, packed, content = _raw(service, [HOST, own, (b"accept-encoding", b"gzip")], path)
    unpacked = json.loads(gzip.decompress(content))
    assert ids(unpacked) == ids(json.loads(expected))
    assert len(gzip.decompress(content)) == pytest.approx(len(expected), abs=20)  # ages in seconds, by now
    assert plain[b"content-length"] == str(len(expected)).encode()
    assert packed[b"content-length"] == str(len(content)).encode()


def test_small_answers_are_not_compressed(client: Client) -> None:
    small = client.get("/healthz", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers
    assert "vary" not in small.headers


def test_every_answer_has_an_id_of_its_own(client: Client) -> None:
    found = [client.get("/healthz").headers["x-request-id"] for _ in range(3)]
    refused = client.post("/v1/events", json={"events": [event("e", time=True)]})
    assert refused.json()["error"]["request_id"] == refused.headers["x-request-id"]
    assert len({*found, refused.headers["x-request-id"]}) == 4


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Even\u200bings", "U+200B (ZERO WIDTH SPACE)"),
        ("\u202esgninevE", "U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("Evenings\u2066", "U+2066"),
        ("\ufeffEvenings", "U+FEFF"),
        ("\u200d", "U+200D"),
        ("a\u200db", "U+200D"),
        ("\u3164", "U+3164"),
        ("Evenings\U000e0041", "U+E0041"),
        ("a\u034fb", "U+034F (COMBINING GRAPHEME JOINER)"),
        ("\u17b4", "U+17B4"),
        ("a\ufe00", "U+FE00 (VARIATION SELECTOR-1)"),
        ("a\ufe0f", "U+FE0F"),
        ("❤\ufe0f\ufe0f", "U+FE0F"),
        ("1\ufe0f", "U+FE0F"),
        ("\ufdd0", "U+FDD0"),
        ("a\U0005ffff", "U+5FFFF"),
        ("\ue000", "U+E000"),
        ("👩‍👩‍👧 Family", None),
        ("1\ufe0f\u20e3 ☀\ufe0e 🙂‍↔️ ‼️", None),
        ("❤️‍🔥 Nights", None),
        ("Soirées d'été, Ж, 夜, ليل, क्ष", None),
    ],
)
def test_names_that_people_see_hold_nothing_that_they_cannot_see(client: Client, name: str, told: str | None) -> None:
    answer = client.put("/v1/users/u5/personas/0", json={"name": name})
    if told is None:
        assert (answer.status_code, answer.json()["name"]) == (200, name)
    else:
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (422, "invalid_value")
        assert told in error["message"]
