"""The shelf of the present visit over HTTP: with a token that may only read, by GET and POST alike."""

from __future__ import annotations

import time

from recsys.data.sessions import PAUSE
from recsys.events.addresses import open_store
from recsys.models import EASE
from recsys.serving.run_answers import RunAnswers
from recsys.serving.service import Service
from recsys.worlds.simulation import simulated_log
from tests.serving.client import bearer, client_of, ids, token
from tests.serving.persona_answers import used

_PATH = "/v1/users/3/recommendations"


def test_somebody_who_may_only_read_sees_it_until_the_visit_is_over() -> None:
    log, store = simulated_log(n_users=60, n_items=60, events_per_user=20), open_store("memory:")
    model = EASE(20.0).fit(log)
    reader = client_of(Service(store, lambda: RunAnswers(model, "model", log, store)), token(store, ["read"], "3"))
    main = reader.get(_PATH).json()
    assert reader.get(f"{_PATH}?shelf=now").json()["items"] == []
    now = int(time.time()) - 60
    store.append(used("3", ids(main)[:1], now))
    shelf = reader.get(f"{_PATH}?shelf=now&n=5")
    assert shelf.status_code == 200, shelf.text
    assert ids(shelf.json())
    assert not set(ids(shelf.json())) & set(ids(reader.get(f"{_PATH}?n=5").json()))
    assert ids(reader.post(_PATH, json={"shelf": "now", "n": 5}).json()) == ids(shelf.json())
    assert ids(reader.get(f"{_PATH}?shelf=now&at={now + PAUSE}").json()) == []
    later = reader.get(f"{_PATH}?shelf=later")
    assert (later.status_code, "now" in later.json()["error"]["message"]) == (422, True)
    assert reader.get("/v1/users/4/recommendations?shelf=now").status_code == 403
    assert reader.get(f"{_PATH}?shelf=now", headers=bearer("wrong")).status_code == 401
