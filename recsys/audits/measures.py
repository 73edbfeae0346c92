"""What a run did to its people: utility, chambers, flattery, tastes, likeness and camps."""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.audits.loop import Trace
from recsys.data.vocabulary import UNKNOWN
from recsys.types import Doubles, Items

LAST: Final = 5
"""Rounds at the end over which measures are averaged, unless they say otherwise."""

MEASURES: Final = {
    "moment": "utility to the persona that acted",
    "expected": "utility to the mean of the personas",
    "starvation": "users whose smallest persona has no place in the list",
    "sycophancy": "sum over personas of |share of the list - how often it acts|",
    "trend": "sycophancy of the last rounds less that of the first",
    "breadth": "entropy of the attributes of what a user chose",
    "taste": "entropy of the taste at the end",
    "drift": "L1 distance of the taste at the end from that at the start",
    "distance": "mean L1 distance of the tastes of any two users at the end",
    "neighbour": "Jaccard of all choices with the nearest user in true taste",
    "stranger": "Jaccard of all choices with any other user",
    "across": "share of the list from the other camp",
    "gap": "distance of the camps' means at the end",
    "spread": "standard deviation within camps at the end",
}
"""Names of measures and what they are."""


def measures(trace: Trace) -> dict[str, float]:
    """Return the measures of a run, NaN where one has no meaning: without lists, with one persona, without camps.

        starvation = share of users with b_uK = 0          K the smallest persona, b its share of the list
        sycophancy = mean |b_u - w_u|_1
        Jaccard    = |A and B| / |A or B|                   A, B: everything that two users chose

    A place counts for a persona only if it likes the item more than its average item (`Truth.owner`), so that a random
    list does not feed a small persona by chance. The true w_u is in place of the belief at the start: a system that
    learns w_u is no flatterer.
    """
    start, end, alike = trace.start, trace.end, _jaccard(trace.chosen)
    found = {
        "moment": _mean(trace.moment[-LAST:]),
        "expected": _mean(trace.expected[-LAST:]),
        "breadth": _mean(_entropy(_consumed(trace))),
        "taste": _mean(_entropy(end.taste)),
        "drift": _mean(np.abs(end.taste - start.taste).sum(1)),
        "distance": _mean_distance(end.taste),
        "neighbour": float(alike[np.arange(len(alike)), _nearest(start.taste)].mean()),
        "stranger": float(alike[~np.eye(len(alike), dtype=np.bool_)].mean()),
    }
    if end.weights.shape[1] > 1:
        starved, apart = starvation(trace), sycophancy(trace)
        found |= {"starvation": _mean(starved[-LAST:]), "sycophancy": _mean(apart[-LAST:])}
        found["trend"] = found["sycophancy"] - _mean(apart[:LAST])
    if end.side is not None and end.position is not None:
        camps = [end.position[end.side == side] for side in (-1.0, 1.0)]
        found["across"] = _mean(trace.across[-LAST:])
        found["gap"] = float(camps[1].mean() - camps[0].mean())
        found["spread"] = float(np.mean([camp.std() for camp in camps]))
    return {name: found.get(name, float("nan")) for name in MEASURES}


def series(trace: Trace) -> dict[str, list[float]]:
    """Return what can be followed round by round, of rounds with the system."""
    many = trace.end.weights.shape[1] > 1
    found = {"moment": trace.moment[trace.organic :], "across": trace.across}
    found |= {"starvation": starvation(trace), "sycophancy": sycophancy(trace)} if many else {}
    rounds = {name: [_mean(row) for row in rows] for name, rows in found.items()}
    return {name: values for name, values in rounds.items() if np.isfinite(values).any()}


def starvation(trace: Trace) -> Doubles:
    """Return whether each user's smallest persona had no place, "served users"; NaN without lists."""
    smallest = trace.seats[..., -1]
    return np.where(np.isnan(smallest), np.nan, smallest == 0)


def sycophancy(trace: Trace) -> Doubles:
    """Return |b_u - w_u|_1, "served users"; NaN without lists."""
    return np.asarray(np.abs(trace.seats - trace.end.weights).sum(2))


def _mean(values: Doubles) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _entropy(shares: Doubles) -> Doubles:
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(1))


def _consumed(trace: Trace) -> Doubles:
    """Return the mean attributes of what users chose while there was a system, "users attributes"."""
    chosen = trace.chosen[trace.organic :]
    parts = trace.attributes[np.maximum(chosen, 0)] * (chosen != UNKNOWN)[:, :, None]
    total = parts.sum((0, 2))[:, None]
    return np.asarray(parts.sum(0) / np.where(total > 0, total, 1.0))


def _nearest(taste: Doubles) -> Items:
    """Return the user with the nearest taste, by cosine, "users"."""
    unit = taste / np.maximum(np.linalg.norm(taste, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    return np.asarray(cosine.argmax(1), np.int32)


def _mean_distance(taste: Doubles) -> float:
    """Return the mean L1 distance of all pairs of users: by attribute, from the ranks of the users."""
    count = len(taste)
    rank = 2.0 * np.arange(count) - count + 1
    return float(2 * (rank @ np.sort(taste, axis=0)).sum() / (count * (count - 1)))


def _jaccard(chosen: Items) -> Doubles:
    """Return the Jaccard index of everything that each two users chose, "users users"."""
    sets = np.zeros((chosen.shape[1], int(chosen.max()) + 1))
    place, user = np.nonzero(chosen != UNKNOWN)
    sets[user, chosen[place, user]] = 1.0
    both, sizes = sets @ sets.T, sets.sum(1)
    return np.asarray(both / np.maximum(sizes[:, None] + sizes - both, 1.0))
