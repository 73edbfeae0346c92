"""The routes of interviews: stateless or of a user, within the policy of titles, with errors that name their cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recsys.events.addresses import open_store
from recsys.serving.service import Service
from tests.serving.client import client_of, service_of, token


@pytest.fixture(scope="module")
def service(run: Path) -> Service:
    return service_of(run, open_store("memory:"))


def _ask(service: Service, **body: Any) -> Any:
    response = client_of(service, token(service.store, ["read"])).post("/v1/interview", json=body)
    assert response.is_success, response.text
    return response.json()


def test_the_same_answers_get_the_same_screen_and_nothing_is_kept(service: Service) -> None:
    first = _ask(service)
    assert len(first["questions"]) == 4
    assert len(first["items"]) == 10
    assert (first["known"], first["leanings"], first["notes"]) == (0, [], [])
    answers = [{"item_id": item["item_id"], "answer": "like"} for item in first["questions"]]
    second = _ask(service, answers=answers, n=5)
    assert second == _ask(service, answers=answers, n=5)
    assert first == _ask(service)
    assert second["known"] > 0
    asked = {item["item_id"] for item in first["questions"]}
    assert not asked & {item["item_id"] for item in second["questions"] + second["items"]}
    assert service.store.count() == 0


def test_likes_of_one_half_bring_that_half(service: Service) -> None:
    def own(items: list[dict[str, Any]]) -> int:
        return sum(int(item["item_id"][1:]) < 15 for item in items)

    asked = _ask(service, screen=20)["questions"]
    found = []
    for half in (True, False):
        says = {True: "like", False: "dislike"}
        answers = [{"item_id": i["item_id"], "answer": says[(int(i["item_id"][1:]) < 15) == half]} for i in asked]
        found.append(own(_ask(service, answers=answers, n=5)["items"]))
    assert found[0] > found[1]


def test_what_is_skipped_is_not_asked_again_and_the_later_answer_counts(service: Service) -> None:
    first = _ask(service)
    skipped = [item["item_id"] for item in first["questions"]]
    second = _ask(service, skipped=skipped)
    assert not set(skipped) & {item["item_id"] for item in second["questions"]}
    item = skipped[0]
    twice = _ask(service, answers=[{"item_id": item, "answer": "like"}, {"item_id": item, "answer": "dislike"}])
    once = _ask(service, answers=[{"item_id": item, "answer": "dislike"}])
    assert twice["items"] == once["items"]
    assert "twice" in twice["notes"][0]


def test_the_answers_of_a_user_become_events_and_the_later_one_counts(service: Service) -> None:
    client = client_of(service, token(service.store))

    def ask(*answers: tuple[str, str]) -> dict[str, Any]:
        body = {"answers": [{"item_id": item, "answer": answer} for item, answer in answers]}
        response = client.post("/v1/users/somebody/interview", json=body)
        assert response.is_success, response.text
        found: dict[str, Any] = response.json()
        return found

    def kept() -> dict[str, str]:
        events = client.get("/v1/users/somebody/data").json()["events"]
        assert len({event["item_id"] for event in events}) == len(events)
        return {event["item_id"]: event["kind"] for event in events}

    first = ask()
    assert first == _ask(service)
    one, other, third = (item["item_id"] for item in first["questions"][:3])
    second = ask((one, "like"), (other, "dislike"), (third, "dont_know"))
    assert kept() == {one: "like", other: "dislike"}
    assert ask((one, "like"), (other, "dislike"), (third, "dont_know")) == second
    assert kept() == {one: "like", other: "dislike"}
    again = ask()  # what was done is known, without saying it again
    assert not {one, other} & {item["item_id"] for item in again["questions"] + again["items"]}
    assert third in {item["item_id"] for item in again["questions"]}
    assert again["known"] > 0
    ask((one, "dislike"), (other, "dont_know"))
    assert kept() == {one: "dislike"}
    client.delete("/v1/users/somebody/data")


def test_a_user_of_the_log_is_not_asked_about_what_is_known(service: Service) -> None:
    client = client_of(service, token(service.store))
    known = {event["item_id"] for event in client.get("/v1/users/u0/data").json()["logged"]}
    found = client.post("/v1/users/u0/interview", json={"screen": 20, "n": 5}).json()
    assert found["known"] > _ask(service)["known"]
    assert len(found["items"]) == 5
    assert not known & {item["item_id"] for item in found["questions"] + found["items"]}
    own = client.post("/v1/users/u0/interview", json={"n": 5, "answers": [{"item_id": "i99", "answer": "like"}]})
    assert own.status_code == 404
    assert client.get("/v1/users/u0/data").json()["events"] == []


def test_the_answers_of_a_user_need_the_right_to_write_and_are_only_ones_own(service: Service) -> None:
    reading = client_of(service, token(service.store, ["read"]))
    assert reading.post("/v1/users/u1/interview", json={}).status_code == 403
    other = client_of(service, token(service.store, ["read", "write"], "u2"))
    assert other.post("/v1/users/u1/interview", json={}).status_code == 403
    assert other.post("/v1/users/u2/interview", json={}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"answers": [{"item_id": "i99", "answer": "like"}]}, 404, "did you mean"),
        ({"skipped": ["nothing like it"]}, 404, "finds ids by title"),
        ({"answers": [{"item_id": "i1", "answer": "rating", "value": 9}]}, 422, "ratings go from 1 to 5"),
        ({"answers": [{"item_id": "i1", "answer": "rating"}]}, 422, "no value"),
        ({"answers": [{"item_id": "i1", "answer": "like", "value": 3}]}, 422, "leave it out"),
        ({"answers": [{"item_id": "i1", "answer": "prefer"}]}, 422, "answer"),
        ({"answers": [{"item_id": "i1", "answer": "like"}] * 201}, 422, "200"),
        ({"screen": 0}, 422, "screen"),
        ({"n": 0}, 422, "n"),
        ({"questions": 3}, 422, "questions"),
    ],
)
def test_bad_answers_are_refused(service: Service, body: dict[str, Any], status: int, message: str) -> None:
    response = client_of(service, token(service.store, ["read"])).post("/v1/interview", json=body)
    assert response.status_code == status
    assert message in response.json()["error"]["message"]
