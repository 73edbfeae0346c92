"""Two machines, simulated: the numbers are those of one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from recsys.data.partitions.log import PartitionedLog
from recsys.data.partitions.splitting import PartitionedSplit
from recsys.models import AMPCF, EASE, LinearNextItem, PersonaEASE, WithPersonas
from recsys.models.capabilities import SummedFit
from recsys.scale.engine import Engine, InProcess
from recsys.scale.engines import engine_of
from recsys.scale.training import fitted_on_parts
from recsys.scale.users import PartUsers
from recsys.training.session import Session
from recsys.training.trainable import Optimization


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[None]:
    """A cluster of two nodes of two processors each, on this machine; most of its time is that of starting workers."""
    pytest.importorskip("ray", reason="pip install 'recsys[scale]'")
    import recsys.scale.ray_engine  # noqa: F401 - it decides that nothing is reported to anybody

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of Ray itself, while it starts
        import ray
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 2, "object_store_memory": 100_000_000, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        cluster.add_node(num_cpus=2, object_store_memory=100_000_000)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
    cluster.shutdown()


def _where(number: int) -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _arrays(model: SummedFit, log: PartitionedLog, engine: Engine) -> dict[str, npt.NDArray[Any]]:
    parts = range(len(log))
    split, facts = PartitionedSplit.of(log, lambda function: engine.map(function, parts))
    train = fitted_on_parts(log, split, facts)
    return model.fit_sums(train, PartUsers(train, split, len(log), facts.events, engine)).arrays()


@pytest.mark.usefixtures("two_nodes")
def test_pieces_are_done_on_both_nodes() -> None:
    with engine_of("ray", 4) as engine:
        assert len(set(engine.map(_where, range(12)))) == 2


@pytest.mark.usefixtures("two_nodes")
@pytest.mark.parametrize(
    "model",
    [
        EASE(20.0),
        LinearNextItem(regularization=5.0),
        PersonaEASE(regularization=20.0, factors=8),
        WithPersonas(EASE(20.0), sharpness=None),
    ],
    ids=repr,
)
def test_four_workers_on_two_nodes_learn_what_one_process_learns(partitioned: Path, model: SummedFit) -> None:
    log = PartitionedLog.open(partitioned)
    with engine_of("ray", 4) as engine:
        alone, together = _arrays(model.unfitted(), log, InProcess()), _arrays(model.unfitted(), log, engine)
    assert alone.keys() == together.keys()
    for name, array in alone.items():
        np.testing.assert_array_equal(together[name], array)


def _trained(folder: Path, mark: Path, engine: Engine) -> dict[str, npt.NDArray[Any]]:
    """Train by gradient, leave a file for this process's machine, and return what was learned."""
    log = PartitionedLog.open(folder)
    split, facts = PartitionedSplit.of(log, lambda function: engine.map(function, range(len(log))))
    train = fitted_on_parts(log, split, facts)
    session = Session(accelerator="cpu", devices=engine.workers)
    model = AMPCF(8, optimization=Optimization(epochs=3, batch_size=63))
    model.fit_sums(train, PartUsers(train, split, len(log), facts.events, engine), session)
    if engine.workers > 1:
        (mark / _where(0)).touch()
    return model.arrays()


@pytest.mark.usefixtures("two_nodes")
def test_four_processes_on_two_nodes_train_what_one_process_trains(partitioned: Path, tmp_path: Path) -> None:
    train = partial(_trained, partitioned, tmp_path)
    with engine_of("ray", 4) as engine:
        alone, together = train(InProcess()), engine.together(train, 4, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert alone.keys() == together.keys()
    for name, array in alone.items():
        np.testing.assert_array_equal(together[name], array)
