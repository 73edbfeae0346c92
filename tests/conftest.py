"""Shared fixtures. Tests on real logs find them through RECSYS_DATA and skip, with a reason, where they are missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from recsys.events.addresses import open_store
from recsys.events.store import EventStore
from tests.events.store_addresses import KINDS, address_of
from tests.serving.serving_run import train, write_log

collect_ignore = ["outside"]  # a distribution of its own, which test_outside.py finds installed

# No test fails because the machine is busy: how long an example takes is nobody's promise.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Tests run in parallel processes; threads of their own would only get into each other's way.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_log_path() -> Callable[[str], Path]:
    """Return a function that finds a file of the real logs, or skips the test."""
    root = Path(os.environ.get("RECSYS_DATA", Path(__file__).parents[2] / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"{name} is not in RECSYS_DATA ({root}); set RECSYS_DATA to the folder that holds it")
        return path

    return find


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
    return train(tmp_path_factory.mktemp("runs") / "decayed", log, calibration=0.3, caution=0.0)
