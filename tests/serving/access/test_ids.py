"""Hostile ids are no more than ids."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import DataError
from recsys.events.addresses import open_store
from recsys.events.checks import check_id
from recsys.serving.http.schemas import EventIn
from tests.events.store_addresses import users_of
from tests.serving.access.refusals import VALUE, code_of
from tests.serving.client import ALL, client_of, event, service_of, token

HOSTILE = (
    "'; DROP TABLE recsys_events; --",
    '" OR 1=1 --',
    "x' UNION SELECT token_hash FROM recsys_tokens --",
    "%(user_id)s :user_id ? $1 %s {0} {text}",
    "...",
    "../../../etc/passwd",
    "..\\..\\boot.ini",
    "/",
    "u0/personas/1",
    "u0/data?x=1#y",
    "%27",
    "%00",
    "%2e%2e%2f",
    "&lt;script&gt;",
    "<script>alert(1)</script>",
    "{{7*7}} ${7*7}",
    "$(id) `id` | id",
    "ünï\u202ecode\u200b",
    "e\u0301",
    "\u00e9",  # the same to the eye, and another id
    "\ufffd",
    "\ufeffx",
    "👩‍👩‍👧" * 32,
    "x" * 256,
    "\U0010ffff" * 256,
    "null",
    "0",
    "-1e999",
)
"""Ids that are allowed, and must be no more than ids."""


REFUSED = (
    "a\x00b", "a\r\nSet-Cookie: a=b", "a\nb", "\t", "\x1b[31m", "\x7f", "\x85", "a\u2028b", " a", "a ",
    "\u3000a", "x" * 257,
)  # fmt: skip
"""Ids that are refused wherever one stands."""


def _id_of(text: str) -> str:
    return quote(text, safe="")


def test_ids_are_only_ever_ids(run: Path, address: str) -> None:
    with open_store(address) as store:
        client = client_of(service_of(run, store), token(store))
        of_u0 = client_of(client.service, token(store, ALL, "u0"))
        assert client.post("/v1/events", json={"events": [event("other")]}).status_code == 200
        sent = [
            one
            for hostile in HOSTILE
            for one in (event(hostile, user=hostile, item=hostile), event(f"2{hostile[:255]}", user=hostile, item="i3"))
        ]
        assert client.post("/v1/events", json={"events": sent}).json() == {"accepted": len(sent), "repeated": 0}
        assert client.post("/v1/events", json={"events": sent}).json() == {"accepted": 0, "repeated": len(sent)}
        for hostile in HOSTILE:
            path = f"/v1/users/{_id_of(hostile)}"
            data = client.get(f"{path}/data").json()
            assert data["user_id"] == hostile
            assert sorted(one["item_id"] for one in data["events"]) == sorted([hostile, "i3"]), hostile
            found = client.get(f"{path}/recommendations", params={"n": 100, "exclude": hostile}).json()
            assert found["known_events"] == 1, hostile
            assert client.get(f"/v1/items/{_id_of(hostile)}/similar").status_code == 404
            assert client.get("/v1/items", params={"query": hostile[:200]}).status_code == 200
            named = client.put(f"{path}/personas/0", json={"name": hostile[:80]})
            seen = not any(invisible in hostile for invisible in ("\u202e", "\ufeff", "\U000e0000", "\U0010ffff"))
            assert (named.status_code, named.json().get("name")) == ((200, hostile[:80]) if seen else (422, None))
            history = {"history": [{"item_id": hostile}], "exclude": [hostile]}
            assert client.post("/v1/recommendations", json=history).json()["unknown_items"] == [hostile]
            assert of_u0.get(f"{path}/data").status_code == 403, hostile
        assert set(users_of(store)) == {"u0", *HOSTILE}
        for left, hostile in enumerate(HOSTILE, start=1):
            assert client.delete(f"/v1/users/{_id_of(hostile)}/data").status_code == 200
            assert len(users_of(store)) == 1 + len(HOSTILE) - left, hostile
        assert users_of(store) == ["u0"]


def test_ids_with_controls_or_without_end_are_refused_wherever_one_stands(run: Path, address: str) -> None:
    with open_store(address) as store:
        client = client_of(service_of(run, store), token(store))
        before = store.last_sequence()
        for refused in REFUSED:
            path, persona = f"/v1/users/{_id_of(refused)}", {"weight": 0.5}
            asked = [client.get(f"{path}/{what}") for what in ("recommendations", "personas", "data")]
            asked += [client.put(f"{path}/personas/0", json=persona), client.delete(f"{path}/data")]
            asked += [client.get(f"/v1/items/{_id_of(refused)}/similar")]
            asked += [client.put("/v1/users/u0/personas/0", json={"name": refused})]
            asked += [client.post("/v1/recommendations", json={"history": [{"item_id": refused}]})]
            for field in ("event_id", "user_id", "item_id"):
                asked += [client.post("/v1/events", json={"events": [event("e") | {field: refused}]})]
            for answer in asked:
                assert code_of(answer) == VALUE, (refused, answer.url)
        for step in (".", ".."):  # which clients take out of a path
            for field in ("event_id", "user_id", "item_id"):
                assert code_of(client.post("/v1/events", json={"events": [event("e") | {field: step}]})) == VALUE
        assert store.last_sequence() == before


def test_the_schema_describes_the_allowed_ids() -> None:
    told = EventIn.model_json_schema()["properties"]["user_id"]
    pattern = re.compile(told["pattern"])

    @settings(max_examples=500, deadline=None)
    @given(
        st.text(
            st.sampled_from("ab \x00\x1f\x20\x7f\x85\x9f\xa0\xad\u1680\u200a\u200b\u2028\u202f\u3000\ufeff"), max_size=4
        )
    )
    def agree(text: str) -> None:
        try:
            check_id("user_id", text)
        except DataError:
            assert pattern.search(text) is None
        else:
            assert pattern.search(text) is not None

    agree()
    assert (told["minLength"], told["maxLength"], told["not"]) == (1, 256, {"enum": [".", ".."]})
    spaces = [character for character in map(chr, range(0x10000)) if character.isspace()]
    assert not any(pattern.search(space) for space in spaces)
