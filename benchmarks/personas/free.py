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
from recsys.models.personas.content import systematic_distortion
from recsys.types import Doubles, Items

LENGTHS = (1, 3, 6, 10, LONG)
"""Lengths of histories at which those of the table begin."""

SIDES = ("plain", "seats")

_BOUNDED = 1500
"""Users for whom the nearest list is sought, at most."""

_BATCH = 256
_SWEEPS = 2
_SEED = 0


def compared(subjects: Iterable[Subject], seed: int) -> tuple[Figures, dict[str, Figures]]:
    """Return NDCG, and excess of the taste distance and systematic distortion, of seats against plain scores.

    All are means over the questions of all splits, the lists of the same user, candidates and scores beside each other.
    For the interval of NDCG a user's values are averaged first.

    Args:
        subjects: of one log under one or several splits, consumed one by one.
        seed: of the interval.

    Returns:
        the figures, and for each range of lengths of histories those of the distance.
    """
    measured = [_measured(subject, bounded=number == 0) for number, subject in enumerate(subjects)]
    table = pd.concat([per_question for per_question, _ in measured], ignore_index=True)
    figures: Figures = {name: float(np.mean([own[name] for _, own in measured])) for name in measured[0][1]}
    users = table[["user_id", *SIDES]].groupby("user_id", as_index=False).mean()
    one, other = (users[["user_id", side]].rename(columns={side: "ndcg"}) for side in SIDES)
    row = compare(one, other, ["ndcg"], seed=seed).iloc[0]
    bounded = table[np.isfinite(table["excess, nearest"])]
    figures |= {
        "plain": float(row["mean_a"]),
        "seats": float(row["mean_b"]),
        "relative": float(row["relative"]),
        "low": float(row["low"] / row["mean_a"]),
        "high": float(row["high"] / row["mean_a"]),
        "users": float(row["n"]),
        "questions": float(len(table)),
        "splits": float(len(measured)),
        "ndcg, nearest": float(bounded["nearest"].mean() / bounded["plain"].mean() - 1),
    }
    return figures | _excesses(table), _by_length(table)


def _by_length(table: pd.DataFrame) -> dict[str, Figures]:
    ends = [following - 1 for following in LENGTHS[1:]]
    labels = [*(f"{least} to {most}" for least, most in zip(LENGTHS, ends, strict=False)), f"{LENGTHS[-1]} or more"]
    place = np.searchsorted(LENGTHS, table["length"], side="right") - 1
    return {
        label: {"questions": float((place == number).sum()), **_excesses(table[place == number])}
        for number, label in enumerate(labels)
        if (place == number).any()
    }


def _excesses(table: pd.DataFrame) -> Figures:
    names = [str(name) for name in table.columns]
    return {name: float(table[name].mean()) for name in names if name.startswith("excess, ")}


def _ndcg(subject: Subject, items: Items) -> Doubles:
    return ranking_metrics(items, subject.questions.relevant, [N], ["ndcg"])[f"ndcg@{N}"]


def _measured(subject: Subject, *, bounded: bool) -> tuple[pd.DataFrame, Figures]:
    """Return NDCG and excess of the lists of each question, and the systematic distortion of each kind of list.

    "nearest" are the lists out of the same pool whose distance is least, whatever they are worth; "own next events" are
    the held-out events themselves: a list that is nearer to the history than these is nearer than the person is.

    Args:
        subject: a split of a log.
        bounded: whether the nearest lists of some users are sought.
    """
    tastes, histories = Tastes.of(subject.train), subject.queries.history
    tasted = tastes.tasted(histories)
    p = tastes.distributions(tasted)
    plain, seats = subject.model.recommend(subject.queries, N).items, subject.lists.items
    closest = np.full_like(seats, UNKNOWN)
    if bounded:
        some = np.unique(np.linspace(0, len(p) - 1, min(len(p), _BOUNDED)).astype(np.int64))
        closest[some] = nearest(tastes, p[some], replace(subject, questions=subject.questions.take(some)).pool)
    lists = {"plain": plain, "seats": seats, "nearest": closest, "own next events": _first(subject)}
    columns = {
        "user_id": subject.questions.user_ids,
        "length": histories.lengths,
        **{name: _ndcg(subject, lists[name]) for name in (*SIDES, "nearest")},
        **{f"excess, {name}": _excess(tastes, tasted, p, top) for name, top in lists.items()},
    }
    distortions = {
        f"systematic, {name}": systematic_distortion(p, tastes.of_lists(lists[name], [N])[0]) for name in SIDES
    }
    return pd.DataFrame(columns), distortions | {"calibration": subject.weights["calibration"]}


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
