"""One of two processes that share batches: `python two_processes.py RANK FOLDER` writes how far each loss is off alone.

Not a test: `test_shares` starts it twice.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from recsys.data.interactions import Interactions
from recsys.models import AMPCF, LinearNextItem, SequentialAMPCF
from recsys.models.ampcf.settings import HistoryPooling, Objective
from recsys.models.ampcf.training import EmbeddingTask, HistoryTask
from recsys.models.feedback import FeedbackReader
from recsys.models.sequential.expert import SequenceExpert, cross_fitted
from recsys.models.sequential.settings import SequenceObjective
from recsys.models.sequential.training import SequenceTask
from recsys.training.session import Session
from recsys.training.shares import Share
from recsys.training.trainable import Trainable
from recsys.worlds.simulation import simulated_log

BATCH = 8
USERS = 5 * BATCH + 1
"""So that the last batch of users has one row, and the second process none of it."""

_ALL = Objective(ce_weight=0.5, entropy_positive=0.1, entropy_negative=0.2, balance=0.3)
_SAMPLED = replace(_ALL, loss="sampled_softmax")
OBJECTIVES = {
    "full softmax": Objective(balance=0.1, ce_weight=1.0),
    "full softmax, entropy": _ALL,
    "softmax, own negatives": replace(_SAMPLED, sampler="popularity", log_q=True),
    "softmax, shared negatives": replace(_SAMPLED, shared_negatives=True),
    "softmax, in batch": replace(_SAMPLED, sampler="in_batch", exclude_observed=False),
    "bpr, summed entropy": replace(_ALL, loss="bpr", entropy_reduction="sum"),
}
SEQUENCES = {
    "sequences, full softmax": SequenceObjective("full_softmax", dropout=0.3),
    "sequences, sampled": SequenceObjective("sampled_softmax", negatives=8, dropout=0.3),
}


def _history(objective: Objective, train: Interactions) -> Trainable:
    held_out = HistoryPooling(target="held_out")
    model = AMPCF(6, personas=3, users="history", objective=objective, history=held_out)
    return _personas(model, HistoryTask, train)


def _embedding(objective: Objective, train: Interactions) -> Trainable:
    return _personas(AMPCF(6, personas=3, users="embedding", objective=objective), EmbeddingTask, train)


def _personas(model: AMPCF, kind: type[HistoryTask] | type[EmbeddingTask], train: Interactions) -> Trainable:
    model._build(train.n_users, train.n_items)
    feedback = FeedbackReader.of("events", train, "AMPCF")
    return kind(model._reader, model._scorer, model.objective, train, feedback, BATCH, 0)


def _sequences(objective: SequenceObjective, train: Interactions) -> Trainable:
    expert = LinearNextItem((1.0, 4.0), 1.0)
    model = SequentialAMPCF(embedding_size=6, half_lives=(1.0, 4.0), expert=expert, objective=objective)
    model._build(train.n_items)
    weights, fold = cross_fitted(expert, train, 2, Session())
    fitted = SequenceExpert(weights, expert.half_lives), fold
    return SequenceTask(model._network, objective, model._memories, train, fitted, BATCH, 0)


CASES: dict[str, Callable[[Interactions], Trainable]] = {
    **{f"history, {name}": partial(_history, one) for name, one in OBJECTIVES.items()},
    **{f"embedding, {name}": partial(_embedding, one) for name, one in OBJECTIVES.items()},
    **{name: partial(_sequences, one) for name, one in SEQUENCES.items()},
}


def gradients(task: Trainable, share: Share, step: int) -> torch.Tensor:
    """Return the loss of a batch and its gradient, all in one vector; the mean over the processes that share it."""
    task.share = share
    task.zero_grad()
    loss, _ = task.loss(0, step)
    loss.backward()  # type: ignore[no-untyped-call]
    parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in task.parameters()]
    found = torch.cat([loss.detach().reshape(1), *(part.reshape(-1) for part in parts)])
    if share.count > 1:
        torch.distributed.all_reduce(found)
    return found / share.count


def main(rank: int, folder: Path) -> None:
    """Write the largest difference of each case, in parts of its largest gradient."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    train = simulated_log(seed=0, n_users=USERS, n_items=30, events_per_user=8)
    off = {}
    for name, make in CASES.items():
        task = make(train)
        worst = 0.0
        for step in (0, task.steps_per_epoch - 1):
            alone, shared = (gradients(task, share, step) for share in (Share(), Share(rank, 2)))
            worst = max(worst, float((shared - alone).abs().max() / alone.abs().max()))
        off[name] = worst
    (folder / f"{rank}.json").write_text(json.dumps(off), encoding="utf-8")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
