"""Every kind of event store, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.serving.events import EventStore
from recsys.serving.stores import open_store
from tests.serving.serving_run import train, write_log
from tests.serving.store_addresses import KINDS, address_of


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a store of each kind."""
    with address_of(request.param, tmp_path) as found:
        yield found


@pytest.fixture(params=KINDS[1:])
def shared_address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a store that several processes can use."""
    with address_of(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def store(address: str) -> Iterator[EventStore]:
    """An empty store of each kind."""
    with open_store(address) as opened:
        yield opened


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log that the small run was trained on."""
    return write_log(tmp_path_factory.mktemp("log") / "log.csv")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Path:
    """A small run of personas whose past fades."""
    return train(tmp_path_factory.mktemp("runs") / "decayed", log, per_user__calibration=0.3, per_user__caution=0.0)
