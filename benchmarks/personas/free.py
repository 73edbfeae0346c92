"""What seats cost in NDCG, and what they bring: lists that are as mixed as histories, and that distort less."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from benchmarks.personas.subject import LONG, Figures, N, Subject
from recsys.data.vocabulary import UNKNOWN
from recsys.evaluation.calibration import chance_distance, taste_distance
from recsys.evaluation.metrics import ranking_metrics
from recsys.evaluation.significance import compare
from recsys.evaluation.tastes import Tastes, entropy
from recsys.models.personas.distortion import systematic_distortion
from recsys.types import Doubles, Items

_LENGTHS = (1, 3, 6, 10, LONG)
"""Lengths of histories at which those of the table begin."""

_BOUNDED = 1500
"""Users for whom the nearest list is sought, at most."""

_BATCH = 256
_SWEEPS = 2
_SEED = 0


def compared(subjects: Iterable[Subject], seed: int) -> tuple[Figures, dict[str, Figures]]:
    """Return NDCG, and excess of the taste distance and systematic distortion, of seats against plain scores.

    NDCG is that of every question of every split, the lists of the same user, candidates and scores beside each other;
    a user's values are averaged. The others are those of the first split.

    Args:
        subjects: of one log under one or several splits, consumed one by one.
        seed: of the interval.

    Returns:
        the figures, and for each range of lengths of histories those of the distance.
    """
    tables: list[pd.DataFrame] = []
    figures: Figures = {}
    by_length: dict[str, Figures] = {}
    for number, subject in enumerate(subjects):
        plain, seats = subject.model.recommend(subject.queries, N).items, subject.lists.items
        tables.append(
            pd.DataFrame(
                {"user_id": subject.questions.user_ids, "plain": _ndcg(subject, plain), "seats": _ndcg(subject, seats)}
            )
        )
        figures |= {f"calibration, split {number + 1}": subject.weights["calibration"]}
        if number == 0:
            distances, by_length = _distances(subject, plain)
            figures |= distances
    users = pd.concat(tables, ignore_index=True).groupby("user_id", as_index=False).mean()
    one, other = (users[["user_id", side]].rename(columns={side: "ndcg"}) for side in ("plain", "seats"))
    row = compare(one, other, ["ndcg"], seed=seed).iloc[0]
    row_figures = {
        "plain": float(row["mean_a"]),
        "seats": float(row["mean_b"]),
        "relative": float(row["relative"]),
        "low": float(row["low"] / row["mean_a"]),
        "high": float(row["high"] / row["mean_a"]),
        "users": float(row["n"]),
        "questions": float(sum(map(len, tables))),
        "splits": float(len(tables)),
    }
    return row_figures | figures, by_length


def _ndcg(subject: Subject, items: Items) -> Doubles:
    return ranking_metrics(items, subject.questions.relevant, [N], ["ndcg"])[f"ndcg@{N}"]


def _distances(subject: Subject, plain: Items) -> tuple[Figures, dict[str, Figures]]:
    """Return excess and systematic distortion, and the excess by length of history beside what bounds it.

    "nearest" are the lists out of the same pool whose distance is least, whatever they are worth; "own next events" are
    the held-out events themselves: a list that is nearer to the history than these is nearer than the person is.
    """
    tastes, histories = Tastes.of(subject.train), subject.queries.history
    tasted = tastes.tasted(histories)
    p = tastes.distributions(tasted)
    seats, next_events = subject.lists.items, _first(subject)
    some = np.unique(np.linspace(0, len(p) - 1, min(len(p), _BOUNDED)).astype(np.int64))
    closest = np.full_like(seats, UNKNOWN)
    closest[some] = nearest(tastes, p[some], replace(subject, questions=subject.questions.take(some)).pool)
    lists = {"plain": plain, "seats": seats, "nearest": closest, "own next events": next_events}
    excess = {name: _excess(tastes, tasted, p, top) for name, top in lists.items()}
    figures = {f"excess, {name}": float(np.nanmean(values)) for name, values in excess.items()}
    figures |= {
        f"systematic, {name}": systematic_distortion(p, tastes.of_lists(lists[name], [N])[0])
        for name in ("plain", "seats")
    }
    figures["ndcg, nearest"] = float(_ndcg(subject, closest)[some].mean() / _ndcg(subject, plain)[some].mean() - 1)
    by_length = {}
    for least, most in zip(_LENGTHS, (*(following - 1 for following in _LENGTHS[1:]), None), strict=True):
        own = histories.lengths >= least
        if most is not None:
            own &= histories.lengths <= most
        if own.any():
            label = f"{least} or more" if most is None else f"{least} to {most}"
            by_length[label] = {"users": float(own.sum())} | {
                name: float(np.nanmean(values[own])) for name, values in excess.items()
            }
    return figures, by_length


def _excess(tastes: Tastes, tasted: sp.csr_matrix, p: Doubles, top: Items) -> Doubles:
    chance = chance_distance(tastes, tasted, p, top, (N,), (_SEED,))[0]
    return np.asarray(taste_distance(p, tastes.of_lists(top, (N,))[0]) - chance)


def _first(subject: Subject) -> Items:
    """Return the first held-out events of each user as if they were a list, "queries 10"."""
    relevant = subject.questions.relevant
    top = np.full((len(relevant), N), UNKNOWN, np.int32)
    place = np.arange(len(relevant.items)) - np.repeat(relevant.indptr[:-1], relevant.lengths)
    listed = place < N
    top[relevant.rows[listed], place[listed]] = relevant.items[listed]
    return top


def nearest(tastes: Tastes, p: Doubles, pool: Items) -> Items:
    """Return the lists out of a pool with about the least taste distance to histories, "queries 10".

    One item after the other is taken that brings the list nearest, then each is twice exchanged for the best: what no
    list of this pool does much better, at any price.

    Args:
        tastes: the tastes that are measured.
        p: "queries tastes", of the histories.
        pool: "queries pool".
    """
    parts = [np.zeros((0, N), np.int32)]
    for start in range(0, len(p), _BATCH):
        batch = slice(start, start + _BATCH)
        parts.append(_nearest(tastes.padded_shares[pool[batch]], p[batch], pool[batch]))
    return np.concatenate(parts)


def _nearest(shares: Doubles, p: Doubles, pool: Items) -> Items:
    users = np.arange(len(p))
    unused = np.asarray(shares.any(2))
    size = min(N, pool.shape[1])
    chosen = np.zeros((len(p), size), np.int64)
    held = np.zeros_like(p)
    for step in range(size * (1 + _SWEEPS)):
        place, count = step % size, min(step + 1, size)
        if step >= size:  # the item gives its place up
            before = chosen[:, place]
            held -= shares[users, before]
            unused[users, before] = True
        mixed = (held[:, None] + shares) / count
        divergence = entropy((mixed + p[:, None]) / 2) - entropy(mixed) / 2
        divergence[~unused] = np.inf
        best = divergence.argmin(1)
        chosen[:, place] = best
        unused[users, best] = False
        held += shares[users, best]
    return np.asarray(np.take_along_axis(pool, chosen, 1))
