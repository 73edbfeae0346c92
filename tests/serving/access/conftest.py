"""A service with small limits, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.events.addresses import open_store
from recsys.events.impressions.records import Impression
from recsys.events.store import Event, EventStore
from recsys.serving.access import Limits
from recsys.serving.service import Service
from tests.serving.access.refusals import SHOWN
from tests.serving.client import Client, client_of, service_of, token


@pytest.fixture(scope="module")
def service(run: Path) -> Service:
    store = open_store("memory:")
    store.append([Event("taken back", "u0", "i1", None, 5)])
    store.put_impressions([Impression(user, str(SHOWN["recommendation_id"]), "i3", 1, 5) for user in ("u0", "u1")])
    return service_of(run, store, Limits(body_bytes=20_000, batch=5, n=20, history=6, exclude=3))


@pytest.fixture
def store(service: Service) -> EventStore:
    return service.store


@pytest.fixture
def client(service: Service) -> Client:
    return client_of(service, token(service.store))
