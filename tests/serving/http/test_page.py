"""The page's files and how they are sent, and the routes that were made for it. What it does: tests/serving/page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys.events.addresses import open_store
from recsys.serving.http.page import page_files
from recsys.serving.service import Service
from tests.serving.client import Client, client_of, event, service_of, token
from tests.serving.titled_run import EVENTS, HOSTILE, train_titled

FILES = pytest.mark.parametrize("path", sorted(page_files()))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return service_of(train_titled(tmp_path_factory.mktemp("titled")), open_store("memory:"))


@pytest.fixture
def client(service: Service) -> Client:
    return client_of(service, token(service.store, ["read", "write"]))


def _found(client: Client, query: str, n: int = 10) -> list[str]:
    answer = client.get("/v1/items", params={"query": query, "n": n})
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


@FILES
def test_a_file_needs_no_token_and_is_sent_once(service: Service, path: str) -> None:
    nobody = client_of(service)
    first = nobody.get(path)
    assert first.status_code == 200
    assert first.content == page_files()[path].content
    assert first.headers["cache-control"] == "no-cache"
    assert nobody.request("HEAD", path).headers["etag"] == first.headers["etag"]
    again = nobody.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert nobody.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_etags_differ_between_files() -> None:
    assert len({file.headers["etag"] for file in page_files().values()}) == len(page_files())


@FILES
def test_a_file_may_run_what_is_from_here_and_nothing_else(service: Service, path: str) -> None:
    headers = client_of(service).get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["img-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers.get_list("content-security-policy") == [headers["content-security-policy"]]
    assert headers["referrer-policy"] == "no-referrer"


def test_answers_of_the_api_keep_their_own_policy(service: Service, client: Client) -> None:
    for answer in (client.get("/v1/users"), client_of(service).get("/v1/users"), client.get("/page/none.js")):
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/page/none.js", "/page/", "/page/../app.py", "/page/%2e%2e%2fapp.py", "/static/main.js"]
)
def test_there_are_no_other_files(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


@FILES
def test_a_file_holds_no_style_script_or_address_of_elsewhere(path: str) -> None:
    text = page_files()[path].content.decode()
    addresses = set(re.findall(r"https?://[^\s\"'`<>)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    if path == "/":
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)


def test_every_file_is_used() -> None:
    text = "".join(file.content.decode() for file in page_files().values())
    for path in page_files():
        assert path == "/" or f"page/{Path(path).name}" in text or f"./{Path(path).name}" in text


def test_titles_are_found_as_somebody_types_them(client: Client) -> None:
    assert _found(client, "silent har") == _found(client, "HAR Silent") == ["Silent Harbour (1967)"]
    assert _found(client, "img") == [HOSTILE]
    assert len(_found(client, "harbour", 4)) == 4
    assert _found(client, "nothing like it") == _found(client, " ") == []


@pytest.mark.parametrize(
    "parameters", [{"query": ""}, {"query": "x" * 201}, {"query": "x", "n": 0}, {"query": "x", "n": 101}]
)
def test_a_search_has_bounds(client: Client, parameters: dict[str, str]) -> None:
    answer = client.get("/v1/items", params=parameters)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")


def test_known_users_are_few_and_those_with_most_to_show(client: Client, service: Service) -> None:
    client.post("/v1/events", json={"events": [event("k1", "7", "3"), event("k2", "7", "4")]})
    users = client.get("/v1/users?n=20").json()["users"]
    assert users[0] == {"user_id": "7", "events": EVENTS + 2}
    assert [user["events"] for user in users] == sorted((user["events"] for user in users), reverse=True)
    assert len(users) == 20
    assert len(client.get("/v1/users?n=3").json()["users"]) == 3
    client.delete("/v1/users/7/data")
    assert "7" not in {user["user_id"] for user in client.get("/v1/users?n=20").json()["users"]}
    assert client.get("/v1/users?n=21").status_code == 422


def test_a_token_of_one_user_is_told_of_that_user_alone(service: Service) -> None:
    for user, events in (("5", EVENTS), ("somebody new", 0)):
        own = client_of(service, token(service.store, ["read"], user))
        assert own.get("/v1/users").json()["users"] == [{"user_id": user, "events": events}]
