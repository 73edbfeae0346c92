"""A service of a model with found personas, of the log that a module calls `LOG`."""

from __future__ import annotations

import pytest

from recsys.data.interactions import Interactions
from recsys.events.addresses import open_store
from recsys.events.store import EventStore
from recsys.models import EASE, WithPersonas
from recsys.serving.service import Service
from tests.serving.client import Client, client_of, token
from tests.serving.persona_answers import answers_of


@pytest.fixture(scope="module")
def served_log(request: pytest.FixtureRequest) -> Interactions:
    log: Interactions = request.module.LOG
    return log


@pytest.fixture(scope="module")
def model(served_log: Interactions) -> WithPersonas:
    return WithPersonas(EASE(20.0)).fit(served_log)


@pytest.fixture
def events() -> EventStore:
    return open_store("memory:")


@pytest.fixture
def client(model: WithPersonas, served_log: Interactions, events: EventStore) -> Client:
    return client_of(Service(events, lambda: answers_of(model, served_log, events)), token(events))
