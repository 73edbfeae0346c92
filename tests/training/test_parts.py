"""A network trained on parts has the loss and the gradient of the whole log, whoever holds which part."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.errors import RecsysError
from recsys.models import AMPCF
from recsys.models.ampcf.settings import HistoryPooling, Objective
from recsys.models.ampcf.training import HistoryTask, PersonaTask
from recsys.models.feedback import FeedbackReader
from recsys.training.parts import Parts, seed_of_part, units
from recsys.training.shares import Share
from recsys.training.trainable import Trainable
from recsys.worlds.simulation import simulated_log
from tests.training.two_processes import CASES, OBJECTIVES

USERS = 41
HISTORIES = [name for name in CASES if name.startswith("history")]


@pytest.fixture(scope="module")
def train() -> Interactions:
    return simulated_log(seed=0, n_users=USERS, n_items=30, events_per_user=8)


def _gradient(task: Trainable, step: int = 0) -> torch.Tensor:
    task.zero_grad()
    loss, _ = task.loss(0, step)
    loss.backward()  # type: ignore[no-untyped-call]
    found = [each.grad for each in task.parameters() if each.grad is not None]
    return torch.cat([loss.detach().reshape(1), *(each.reshape(-1) for each in found)])


@pytest.mark.parametrize("case", HISTORIES)
def test_one_part_has_the_gradient_of_its_log(train: Interactions, case: str) -> None:
    task = CASES[case](train)
    assert isinstance(task, PersonaTask)
    expected = [_gradient(task, step) for step in (0, task.steps_per_epoch - 1)]
    parts = Parts({0: task}, 1, [task.scorer, task.users], task.batch_size)
    task.steps = None  # batches of the same rows
    found = [_gradient(parts, step) for step in (0, parts.steps_per_epoch - 1)]
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-7)


def _in_parts(train: Interactions, objective: Objective, of: list[list[int]]) -> tuple[HistoryTask, Parts]:
    """Return the task of a log, whose batch is everybody, and the same network on these users of it, part by part."""
    model = AMPCF(6, personas=3, objective=objective, history=HistoryPooling(dropout=0.0))
    model._build(train.n_users, train.n_items)
    network, reader = (model._reader, model._scorer), FeedbackReader("events")

    def task(log: Interactions, seed: int = 0) -> HistoryTask:
        return HistoryTask(*network, objective, log, reader, USERS, seed)

    logs = [train.select(np.isin(train.user_num, users)).compact(np.arange(train.n_items)) for users in of]
    tasks = {number: task(log, seed_of_part(0, number)) for number, log in enumerate(logs)}
    return task(train), Parts(tasks, len(tasks), network[::-1], USERS)


@pytest.mark.parametrize("name", ["full softmax", "full softmax, entropy"])
def test_several_parts_have_the_gradient_of_the_log(train: Interactions, name: str) -> None:
    """One part has nobody."""
    whole, parts = _in_parts(train, OBJECTIVES[name], [list(range(5)), list(range(5, 30)), list(range(30, USERS)), []])
    assert parts.steps_per_epoch == whole.steps_per_epoch == 1
    assert parts.examples_per_epoch == whole.examples_per_epoch
    torch.testing.assert_close(_gradient(parts), _gradient(whole), rtol=1e-5, atol=1e-7)


def test_every_row_of_every_part_is_in_one_batch_of_an_epoch(train: Interactions) -> None:
    task = CASES["history, full softmax"](train)
    task.steps = 7
    batches = [task.batch(2, step, torch.device("cpu")) for step in range(task.steps_per_epoch)]
    assert sorted(torch.cat(batches).tolist()) == list(range(USERS))
    assert {len(batch) for batch in batches} == {USERS // 7, USERS // 7 + 1}


def test_units_add_up_to_the_same_in_any_order() -> None:
    gradients = torch.randn(64, 500, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(reduce(torch.add, gradients.flip(0)), reduce(torch.add, gradients))
    whole = units(gradients, 64)
    assert torch.equal(whole.flip(0).sum(0), whole.sum(0))
    expected = gradients.double().sum(0)
    torch.testing.assert_close(whole.sum(0).double() * 2.0**-36, expected, rtol=0, atol=64 * 2.0**-37)


@pytest.mark.parametrize("entry", [float("nan"), float("inf"), 2.0**25])
def test_a_training_that_diverged_is_told(entry: float) -> None:
    with pytest.raises(RecsysError, match=r"training diverged; lower the learning_rate"):
        units(torch.tensor([0.0, entry]), 2)


def test_nobody_has_no_rows() -> None:
    from recsys.training.parts import _NOBODY

    rows = torch.arange(5)
    assert len(rows[_NOBODY.rows]) == 0
    assert not _NOBODY.has(rows).any()
    assert replace(_NOBODY, add=torch.neg).total is torch.neg
    assert Share().total is None
