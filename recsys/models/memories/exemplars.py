"""A few of the user's own titles that say what all of them say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import positive, whole
from recsys.data.queries import Queries
from recsys.models.base import Recommender
from recsys.models.capabilities import LinearRows, as_fold_in
from recsys.models.memories.contract import EventMemory, counted_weights
from recsys.models.memories.pursuit import pursue
from recsys.types import Floats, Ints, Items, Mask

_ENTRIES = 24_000_000
"""Of the atoms of a batch of users: 96 MB."""

_MOST = 1_024
"""Events of a user among which titles are sought: those with the largest weights, of equals the newest."""

_RANK = 10


@final
class Exemplars(EventMemory):
    """k of the user's own events with weights, which give nearly the scores of the whole history: 3 k bytes.

        s   = sum_j w_j R_j                                 R_j: what event j alone adds to the scores
        a*  = argmin_a sum_i (1 + c max(s_i, 0) / s_(10)) (s_i - sum_j a_j R_ji)^2,   a >= 0, k of them above 0

    s_(10) is the tenth-best score: what could be listed counts more (ours; without it, c = 0, 8 titles of ml-1m keep
    .89 of the accuracy of a random fifth, with it .92). Of a model of rows (EASE) all items count, of others a sample.

    Args:
        events: k.
        emphasis: c.

    Raises:
        ConfigError: it holds no event, or the emphasis is below 0.
    """

    def __init__(self, events: int = 8, emphasis: float = 1.0) -> None:
        whole("events", events)
        positive("emphasis", emphasis, zero=True)
        self.events = events
        self.emphasis = emphasis

    def choose(self, model: Recommender, queries: Queries) -> tuple[Ints, Floats | None]:
        return pursued(model, queries, self.events, self.emphasis)


def pursued(
    model: Recommender,
    queries: Queries,
    k: int,
    emphasis: float,
    everybody: Float[Tensor, " items"] | None = None,
) -> tuple[Ints, Floats]:
    """Return the positions of the events that say what a history says, ascending, and their weights.

    Args:
        model: that scores.
        queries: with the event weights that it sees.
        k: events of each user, at most.
        emphasis: see `Exemplars`.
        everybody: what is added to each row of a linear model before it is fitted.
    """
    weights = counted_weights(queries)
    positions, found = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for rows, events, usable in _batches(queries, weights, model.n_items):
        gram, target = _products(model, queries.take(rows), queries.history.items[events], usable, emphasis, everybody)
        places, each = pursue(gram, target, torch.from_numpy(usable), min(k, events.shape[1]))
        chosen, kept = np.take_along_axis(events, places.numpy(), 1), each.numpy() > 0
        positions.append(chosen[kept])
        found.append(each.numpy()[kept])
    chosen = np.concatenate(positions)
    order = np.argsort(chosen, kind="stable")
    return chosen[order], np.concatenate(found)[order]


def _batches(queries: Queries, weights: Floats, n_items: int) -> Iterator[tuple[Ints, Ints, Mask]]:
    """Yield users of about equal length, the positions of their events, "users events", and which there are."""
    order = np.lexsort((np.arange(len(weights)), weights, queries.history.rows))  # by weight, then the newest last
    counted = order[weights[order] > 0]
    rows = queries.history.rows[counted]
    count = np.bincount(rows, minlength=len(queries))
    ends = np.cumsum(count)
    counted = counted[ends[rows] - np.arange(len(rows)) <= _MOST]
    count = np.minimum(count, _MOST)
    starts = np.concatenate([[0], np.cumsum(count)])
    users = np.argsort(count, kind="stable")
    users = users[count[users] > 0]
    begin = 0
    while begin < len(users):
        stop = begin + 1
        while stop < len(users) and (stop + 1 - begin) * int(count[users[stop]]) * n_items <= _ENTRIES:
            stop += 1
        batch = users[begin:stop]
        width = int(count[batch[-1]])
        place = starts[batch][:, None] + np.arange(width)
        usable = np.arange(width) < count[batch][:, None]
        yield batch, counted[np.minimum(place, len(counted) - 1)], usable
        begin = stop


@torch.inference_mode()
def _products(
    model: Recommender,
    users: Queries,
    events: Items,
    usable: Mask,
    emphasis: float,
    everybody: Float[Tensor, " items"] | None,
) -> tuple[Float[Tensor, "users events events"], Float[Tensor, "users events"]]:
    """Return the inner products of what events add to scores, and of these with the scores of the whole history."""
    if isinstance(model, LinearRows) and model.sums_rows:
        atoms = model.rows()[torch.from_numpy(events.astype(np.int64))]  # "users events items"
        if everybody is not None:
            atoms += everybody
        share = torch.ones(atoms.shape[2])
        scores = model.score(users)
    else:
        atoms, share, scores = _sampled(model, events, users)
    best = torch.topk(scores, min(_RANK, scores.shape[1])).values[:, -1:].clamp(min=1e-6)
    matters = share * (1.0 + emphasis * (scores.clamp(min=0) / best).clamp(max=1.0))
    weighed = atoms * matters[:, None, :]
    gram = torch.bmm(weighed, atoms.transpose(1, 2))
    target = torch.bmm(weighed, scores[:, :, None])[:, :, 0]
    there = torch.from_numpy(usable)
    return gram * (there[:, :, None] & there[:, None, :]), target * there


def _sampled(
    model: Recommender, events: Items, users: Queries
) -> tuple[Float[Tensor, "users events sample"], Float[Tensor, " sample"], Float[Tensor, "users sample"]]:
    """Return what each event alone adds to the scores of an item sample, how many items each stands for, the scores."""
    sample = model.fitted_on.item_sample
    alone = Queries.from_history([[item] for item in events.reshape(-1).tolist()])
    asked = np.broadcast_to(sample.items, (len(alone), len(sample.items)))
    atoms = as_fold_in(model, "a memory").contributions(alone, asked).reshape(*events.shape, len(sample.items))
    scores = model.score(users)[:, torch.from_numpy(sample.items.astype(np.int64))]
    return atoms, torch.from_numpy(sample.stands_for), scores
