"""Requests that are refused with a stable code, and errors that reveal no internals."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from recsys.events.store import EventStore
from recsys.serving.access import CODES, Code
from tests.serving.access.refusals import INVALID, NO_JSON, VALUE, code_of
from tests.serving.client import Client, client_of, event
from tests.serving.serving_run import ROOT


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/v1/users/u0/recommendations?n=21", None, INVALID),
        ("GET", "/v1/users/u0/recommendations?n=0", None, INVALID),
        ("GET", "/v1/users/u0/recommendations?n=many", None, INVALID),
        ("GET", "/v1/users/u0/recommendations?at=yesterday", None, VALUE),
        ("GET", "/v1/users/u0/recommendations?at=99999999999999", None, VALUE),
        ("GET", "/v1/users/u0/recommendations?exclude=1&exclude=2&exclude=3&exclude=4", None, VALUE),
        ("GET", "/v1/items/i3/similar?n=21", None, INVALID),
        ("GET", f"/v1/users/{'u' * 257}/recommendations", None, VALUE),
        ("GET", "/v1/users/u%00/personas", None, VALUE),
        ("GET", "/v1/users/%20u0/data", None, VALUE),
        ("DELETE", "/v1/users//data", None, VALUE),
        ("GET", f"/v1/items/{'i' * 257}/similar", None, VALUE),
        ("POST", "/v1/recommendations", {"history": [{"item_id": "i1"}] * 7}, VALUE),
        ("POST", "/v1/recommendations", {"history": [], "n": 21}, VALUE),
        ("POST", "/v1/recommendations", {"history": [], "exclude": ["a", "b", "c", "d"]}, VALUE),
        ("POST", "/v1/recommendations", {"history": [{"item_id": "a"}, {"item_id": "b", "time": 1}]}, VALUE),
        ("POST", "/v1/recommendations", {"history": [{"item_id": 1}]}, INVALID),
        ("POST", "/v1/recommendations", {"history": [{"item_id": "i1", "when": 1}]}, INVALID),
        ("POST", "/v1/events", {"events": []}, INVALID),
        ("POST", "/v1/events", {"events": [event(f"e{k}") for k in range(6)]}, VALUE),
        ("POST", "/v1/events", {"events": [event("e", time=10**13)]}, VALUE),
        ("POST", "/v1/events", {"events": [event("e", time=True)]}, INVALID),
        ("POST", "/v1/events", {"events": [event("e", time="1")]}, INVALID),
        ("POST", "/v1/events", {"events": [event("e", kind="stole")]}, INVALID),
        ("POST", "/v1/events", {"events": [event("e", value=1e300)]}, VALUE),
        ("POST", "/v1/events", [event("e")], INVALID),
        ("PUT", "/v1/users/u0/personas/1", {"weight": -1}, INVALID),
        ("PUT", "/v1/users/u0/personas/1", {"weight": 11}, INVALID),
        ("PUT", "/v1/users/u0/personas/1", {"name": "x" * 81}, VALUE),
        ("PUT", "/v1/users/u0/personas/1000", {}, INVALID),
        ("PUT", "/v1/users/u0/personas/one", {}, INVALID),
        ("GET", "/v1/nothing", None, (404, "not_found")),
        ("GET", "/docs", None, (404, "not_found")),
        ("PATCH", "/v1/events", None, (405, "method_not_allowed")),
    ],
)
def test_bad_input_is_refused_with_a_stable_code(
    client: Client, store: EventStore, method: str, path: str, body: Any, expected: tuple[int, str]
) -> None:
    before = store.last_sequence()
    assert code_of(client.request(method, path, **({} if body is None else {"json": body}))) == expected
    assert store.last_sequence() == before


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", NO_JSON),
        (b"", NO_JSON),
        (b"hello", NO_JSON),
        (b"\xff\xfe", NO_JSON),
        (b'{"events": [{"event_id": "e", "user_id": "\\ud800", "item_id": "i", "time": 1}]}', VALUE),
        (b'{"events": [{"event_id": "e", "user_id": "u", "item_id": "i", "time": 1, "value": NaN}]}', VALUE),
        (b"[" * 15_000, (400, "invalid_request")),
        (b'{"events": ' + b"1" * 6_000 + b"}", None),
        (b'{"events": "' + b"x" * 20_000 + b'"}', (413, "body_too_large")),
    ],
)
def test_hostile_bodies(client: Client, content: bytes, expected: tuple[int, str] | None) -> None:
    code = code_of(client.post("/v1/events", content=content, headers={"Content-Type": "application/json"}))
    assert code == expected if expected is not None else code[0] in (400, 422)


def test_a_body_without_a_length_is_counted(client: Client) -> None:
    async def endless() -> Any:
        for _ in range(1000):
            yield b" " * 1000

    refused = client.post("/v1/events", content=endless(), headers={"Content-Type": "application/json"})
    assert code_of(refused) == (413, "body_too_large")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_only_json_is_read(client: Client, kind: str) -> None:
    refused = client.post("/v1/events", content=b'{"events": []}', headers={"Content-Type": kind})
    assert code_of(refused) == (415, "wrong_content_type")


def test_a_whole_number_may_be_written_with_a_point(client: Client) -> None:
    assert client.post("/v1/events", json={"events": [event("point", time=1_500_000_000.0)]}).status_code == 200
    question = {"history": [{"item_id": "i3", "time": 5.0}], "n": 3.0, "at": 10.0}
    assert client.post("/v1/recommendations", json=question).json()["now"] == 10
    for wrong in (5.5, 1e300, True, [5]):
        assert code_of(client.post("/v1/recommendations", json=question | {"at": wrong})) == VALUE


@pytest.mark.parametrize(
    ("at", "now"),
    [
        ("-5", -5), ("1500000000", 1_500_000_000), ("99999999999", None), ("9999-12-31", None),
        ("2017-07-14T02:40:00Z", 1_500_000_000), ("2017-07-14T04:40:00+02:00", 1_500_000_000),
        ("1_0", None), ("+5", None), (" 5", None), ("٣", None), ("5.0", None), ("1e3", None), ("2017-13-01", None),
        ("100000000000", None), ("", None), ("2017-07-14T02:40:00Z" + "0" * 40, None),
    ],
)  # fmt: skip
def test_moments(client: Client, at: str, now: int | None) -> None:
    answer = client.get("/v1/users/u0/recommendations", params={"at": at})
    assert answer.json().get("now") == now
    assert answer.status_code == (200 if now is not None else 422)


def test_a_path_that_is_not_utf_8_is_refused(client: Client) -> None:
    for bad in ("%FF", "%C0%AF", "%ED%A0%80", "u0%FE"):
        assert code_of(client.get(f"/v1/users/{bad}/data")) == (400, "invalid_request")


def test_405_names_the_allowed_methods(client: Client) -> None:
    for path, methods in (
        ("/v1/users/u0/data", "DELETE, GET, HEAD"),
        ("/v1/events", "POST"),
        ("/healthz", "GET, HEAD"),
    ):
        for method in ("TRACE", "OPTIONS", "PATCH", "MADEUP"):
            refused = client.request(method, path)
            assert (refused.status_code, refused.headers["allow"]) == (405, methods)
    assert client_of(client.service).request("TRACE", "/v1/events").status_code == 401


def test_error_codes_agree_in_page_and_schema(client: Client) -> None:
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8").split("## Errors", 1)[1]
    rows = re.findall(r"^\| ([\d, ]+) \| (.*) \|$", page, re.MULTILINE)
    told = {(int(status), code) for statuses, codes in rows for status in statuses.split(", ")
            for code in re.findall(r"`([a-z_]+)`", codes)}  # fmt: skip
    meant = {(status, code) for status, codes in CODES.items() for code in codes}
    assert {code for _, code in told} == {code for _, code in meant} == set(get_args(Code))
    assert meant <= told
    schema = client.get("/openapi.json").json()
    assert set(schema["components"]["schemas"]["ErrorDetail"]["properties"]["code"]["enum"]) == set(get_args(Code))
    for method in (method for path in schema["paths"].values() for method in path.values()):
        for status, answer in method["responses"].items():
            if status not in ("200", "204"):
                assert answer["description"] == ", ".join(CODES[int(status)])


def test_every_answer_has_the_security_headers(client: Client) -> None:
    for response in (client.get("/healthz"), client.get("/v1/nothing"), client_of(client.service).get("/metrics")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert response.headers["referrer-policy"] == "no-referrer"
