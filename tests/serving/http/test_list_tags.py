"""Tags of lists: another one for whatever the answer says, the same one while only its moment is another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import httpx
import pytest

from recsys.events.addresses import open_store
from recsys.serving.access import Limits
from tests.serving.client import Client, bearer, client_of, event, ids, service_of, token
from tests.serving.norms.normed_run import service_under
from tests.serving.serving_run import START, STEP, train, write_log
from tests.serving.titled_run import write_titled

LIST = "/v1/users/u0/recommendations"
NOW = START + 500 * STEP


@pytest.fixture
def client(run: Path) -> Client:
    service = service_of(run, open_store("memory:"), Limits(rate=10.0, burst=500))
    return client_of(service, token(service.store))


def _first(client: Client) -> str:
    return ids(client.get(LIST).json())[0]


def _changed(client: Client, path: str, change: Callable[[], object]) -> tuple[httpx.Response, httpx.Response]:
    """Return an answer before a change, and the one to its tag after it."""
    answers = client.service.answers
    with mock.patch.object(answers, "_clock", return_value=NOW):
        before = client.get(path)
        change()
        return before, client.get(path, headers={"If-None-Match": before.headers["etag"]})


@pytest.mark.parametrize("path", [LIST, f"{LIST}?exclude=nothing", f"{LIST}?fields=title"])
@pytest.mark.parametrize(
    "change",
    [
        lambda client, item: client.patch(f"/v1/items/{item}", json={"year": 1905}),
        lambda client, item: client.patch(f"/v1/items/{item}", json={"genres": ["Opera"]}),
        lambda client, item: client.patch(f"/v1/items/{item}", json={"title": "Another"}),
        lambda client, item: client.patch(f"/v1/items/{item}", json={"available": False}),
        lambda client, item: client.delete(f"/v1/items/{item}"),
        lambda client, item: client.post("/v1/events", json={"events": [event("e1", item=item, time=NOW - 9)]}),
        lambda client, _: client.post("/v1/events", json={"events": [event("e1", item="new", time=NOW - 9)]}),
        lambda client, _: client.put("/v1/users/u0/personas/0", json={"weight": 0}),
        lambda client, _: client.put("/v1/users/u0/personas/0", json={"name": "Mine"}),
    ],
    ids=["year", "genres", "title", "unavailable", "deleted", "event", "unknown", "muted", "renamed"],
)
def test_what_the_answer_says_is_in_its_tag(
    client: Client, path: str, change: Callable[[Client, str], httpx.Response]
) -> None:
    item = _first(client)
    before, after = _changed(client, path, lambda: change(client, item).raise_for_status())
    with mock.patch.object(client.service.answers, "_clock", return_value=NOW):
        now = client.get(path).json()
    assert (after.status_code == 304) == (now == before.json())
    if after.status_code == 200:
        assert after.headers["etag"] != before.headers["etag"]


@pytest.mark.parametrize("name", ["metadata", "added_at", "available", "genres", "year"])
def test_fields_of_the_catalogue_are_in_the_tag(client: Client, name: str) -> None:
    values = {"metadata": {"age": 7}, "added_at": 1_500_000_000, "available": False, "genres": ["Opera"], "year": 1905}
    path = f"{LIST}?fields={name}"
    _, after = _changed(
        client, path, lambda: client.patch(f"/v1/items/{_first(client)}", json={name: values[name]}).raise_for_status()
    )
    assert after.status_code == 200
    client.patch(f"/v1/items/{_first(client)}", json={"metadata": {"age": 8}}).raise_for_status()
    assert (client.get(path, headers={"If-None-Match": after.headers["etag"]}).status_code == 304) == (
        name != "metadata"
    )


def test_another_moment_is_the_same_list_with_an_id_of_its_own(client: Client) -> None:
    for path in (LIST, f"{LIST}?fields=evidence", f"{LIST}?exclude=nothing"):
        with mock.patch.object(client.service.answers, "_clock", return_value=NOW):
            first = client.get(path)
        with mock.patch.object(client.service.answers, "_clock", return_value=NOW + 3):
            second = client.get(path)
            again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert first.json()["recommendation_id"] != second.json()["recommendation_id"]
        assert first.json()["items"][0]["evidence"][0]["age"] + 3 == second.json()["items"][0]["evidence"][0]["age"]
        assert (again.status_code, again.headers["etag"]) == (304, first.headers["etag"])
        # What is shown of it now is of the list of now, as the id of the body would have said.
        assert again.headers["x-recommendation-id"] == second.json()["recommendation_id"]
        assert second.headers["x-recommendation-id"] == second.json()["recommendation_id"]


def test_another_day_has_other_scores_and_another_tag(client: Client) -> None:
    with mock.patch.object(client.service.answers, "_clock", return_value=NOW):
        first = client.get(LIST)
    with mock.patch.object(client.service.answers, "_clock", return_value=NOW + 90 * STEP):
        later = client.get(LIST, headers={"If-None-Match": first.headers["etag"]})
    assert later.status_code == 200
    assert [one["score"] for one in later.json()["items"]] != [one["score"] for one in first.json()["items"]]


def test_an_earlier_moment_has_a_tag_of_its_own(client: Client) -> None:
    tags = [client.get(f"{LIST}?at={START + days * STEP}").headers["etag"] for days in (1, 30, 60, 60)]
    assert len(set(tags)) == 3


def test_a_reloaded_bundle_answers_with_another_tag(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.csv")
    run = train(tmp_path / "run", log, "ease")
    service = service_of(run, open_store("memory:"))
    client = client_of(service, token(service.store))
    tag = client.get(LIST).headers["etag"]
    train(tmp_path / "other", log, "ease", model__regularization=900)
    run.rename(tmp_path / "former")
    (tmp_path / "other").rename(run)
    client.post("/v1/admin/reload").raise_for_status()
    assert client.get(LIST, headers={"If-None-Match": tag}).status_code == 200


def test_what_a_policy_did_is_in_the_tag(tmp_path: Path) -> None:
    run = train(tmp_path / "run", write_titled(tmp_path), "ease")
    policy = (
        "policy: 1\nname: cinema\nlists: {from: 5, until: 12}\nlayers:\n  - layer: law\n    rules:\n"
        "      - {id: adult, deny: {genre: Crime}, when: {age_below: 18}}\n"
    )
    service = service_under(run, open_store("memory:"), policy, tmp_path)
    client = client_of(service)
    path = "/v1/users/3/recommendations"
    child = client.get(path)
    assert child.json()["policy"]["acted"]
    own = {"rules": [{"id": "less", "at_most": "0%", "of": {"genre": "Crime"}}]}
    client.put("/v1/users/3/policy", json=own)
    after = client.get(path, headers={"If-None-Match": child.headers["etag"]})
    assert (after.status_code == 304) == (client.get(path).json()["policy"] == child.json()["policy"])
    told = client.get(f"{path}?decisions=true", headers={"If-None-Match": child.headers["etag"]})
    assert told.status_code == 200


def test_a_304_has_the_headers_of_the_answer(client: Client) -> None:
    for path in (f"{LIST}?n=20", "/v1/items?n=30", "/openapi.json"):
        for encoding in ("gzip", "identity"):
            first = client.get(path, headers={"Accept-Encoding": encoding})
            again = client.get(path, headers={"Accept-Encoding": encoding, "If-None-Match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            for name in ("etag", "vary", "cache-control"):
                assert again.headers.get(name) == first.headers.get(name), (path, encoding, name)
            assert again.headers["vary"] == "accept-encoding"
            assert not {"content-encoding", "content-length", "content-type"} & set(again.headers)


def test_tags_may_come_in_several_lines(client: Client) -> None:
    tag = client.get(LIST).headers["etag"]
    for lines in ([tag, '"other"'], ['"other"', tag], ['"a", "b"', f'W/"c", {tag}']):
        headers = [("If-None-Match", one) for one in lines]
        assert client.request("GET", LIST, headers=headers).status_code == 304


def test_a_star_is_no_part_of_a_list_of_tags(client: Client) -> None:
    assert client.get(LIST, headers={"If-None-Match": "*"}).status_code == 304
    assert client.get(LIST, headers={"If-None-Match": '"other", *'}).status_code == 200
    assert client.get("/v1/users/u0/recommendations?n=0", headers={"If-None-Match": "*"}).status_code == 422


def test_a_tag_of_somebody_else_lets_nobody_in(client: Client) -> None:
    tag = client.get(LIST).headers["etag"]
    narrow = client_of(client.service, token(client.service.store, ["read"], "u1"))
    assert narrow.get(LIST, headers={"If-None-Match": tag}).status_code == 403
    assert narrow.get(LIST, headers={"If-None-Match": "*"}).status_code == 403
    nobody = client_of(client.service)
    assert nobody.get(LIST, headers={"If-None-Match": tag}).status_code == 401
    other = client_of(client.service, token(client.service.store))
    assert other.get(LIST, headers={"If-None-Match": tag} | bearer(token(client.service.store))).status_code == 304


def test_a_head_is_conditional_too(client: Client) -> None:
    first = client.request("HEAD", LIST)
    assert (first.status_code, first.content) == (200, b"")
    assert first.headers["etag"] == client.get(LIST).headers["etag"]
    again = client.request("HEAD", LIST, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.headers["etag"]) == (304, first.headers["etag"])
