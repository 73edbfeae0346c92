"""One small Ray cluster for the tests of a module, and a log in parts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.data.partitions.writing import write_partitions
from recsys.worlds.simulation import simulated_log
from tests.log_file import write_log

PARTS = 5


@pytest.fixture(scope="session")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of a few hundred users, more than items, as a file."""
    log = simulated_log(seed=1, n_users=240, n_items=60, events_per_user=15)
    return write_log(log, tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="session")
def partitioned(tmp_path_factory: pytest.TempPathFactory, log_file: Path) -> Path:
    """The same log in parts."""
    out = tmp_path_factory.mktemp("partitioned") / "parts"
    write_partitions(str(log_file), out, PARTS)
    return out


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of two processors on this machine; engines use the one that is there."""
    pytest.importorskip("ray", reason="pip install 'recsys[scale]'")
    import recsys.scale.ray_engine  # noqa: F401 - it decides that nothing is reported to anybody

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of Ray itself, while it starts
        import ray

        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=100_000_000,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    yield
    ray.shutdown()
