"""How far each event of a person counts for a model, why, and which answers to ask for again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.data.feedback import is_rated
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.models.base import Recommender
from recsys.models.personas.model import WithPersonas
from recsys.models.reliable import Reliable
from recsys.models.slated import Slated
from recsys.reliability import Reliability
from recsys.reliability.asking import told_by_asking_again
from recsys.reliability.posterior import CLASSES, Judged
from recsys.types import Floats, Items

_TRIED: Final = 20
"""Answers that would tell most, of which the effect on the list is computed."""
_LISTED: Final = 10
_LEAST_BITS: Final = 0.01


@final
@dataclass(frozen=True)
class EventReliability:
    """How far an event counts.

    Attributes:
        item: its number; `UNKNOWN` where the model does not know it.
        value: the rating; None without one.
        time: of the event.
        weight: how far it counts, from 0 to 1.
        probabilities: of the classes, by name; None where nothing is told, and within where that class is not.
        expected: the rating that the person's other ratings foretell; None where nothing is told.
        meant: whether the person has confirmed it.
        why: the weight in words.
    """

    item: int
    value: float | None
    time: int
    weight: float
    probabilities: dict[str, float | None] | None
    expected: float | None
    meant: bool
    why: str


@final
@dataclass(frozen=True)
class Repeat:
    """A question that was answered before, and what a second answer is worth.

    Attributes:
        item: its number.
        value: the last answer.
        bits: by which the entropy of its class is expected to fall.
        changed: items of the ten recommended that are others without the answer.
        probabilities: of the classes, by name.
    """

    item: int
    value: float
    bits: float
    changed: int
    probabilities: dict[str, float | None]


@final
@dataclass(frozen=True)
class PersonReliability:
    """How far the events of one person count.

    Attributes:
        answers: number of ratings of items that the model knows.
        genuine: estimated share of preferences, with 90% interval; None where nothing is told apart.
        identified: whether anything is told apart.
        reason: what can be told apart, and why not more.
        events: oldest first.
    """

    answers: int
    genuine: tuple[float, float, float] | None
    identified: bool
    reason: str
    events: tuple[EventReliability, ...]


def reliable_within(model: Recommender) -> Reliable:
    """Return what weighs answers in a model.

    Raises:
        CapabilityError: nothing does.
    """
    within = model.base if isinstance(model, WithPersonas | Slated) else model
    if not isinstance(within, Reliable):
        raise CapabilityError(
            f"{type(within).__name__} counts all answers alike; train with configs/ease_reliable.yaml, or wrap the "
            "model in Reliable"
        )
    return within


def weighs_answers(model: Recommender) -> bool:
    """Return whether something in a model weighs answers."""
    return isinstance(model.base if isinstance(model, WithPersonas | Slated) else model, Reliable)


def person_reliability(model: Reliable, queries: Queries) -> PersonReliability:
    """Return how far the events of one query count.

    Args:
        model: fitted.
        queries: one.
    """
    weights = model.weights(queries)
    if model.mixture is None:
        reason = (
            "there are no ratings to tell apart; an event counts by how well the rest of the history agrees with it"
        )
        return PersonReliability(0, None, False, reason, _events(queries, weights, {}))
    fitted = model.fitted_mixture
    judged, place = model.judged(queries)
    found = Reliability.of(fitted, judged.responses, judged.gamma, judged.shares)
    if not fitted.identified or len(place) == 0:
        reason = fitted.reason if not fitted.identified else "there is no rating of an item that the model knows"
        return PersonReliability(len(place), None, False, reason, _events(queries, weights, {}))
    share = (float(found.shares[0, 0]), *found.interval(0))
    told = dict(zip(place.tolist(), _told(judged, found, fitted.scale.ends), strict=True))
    return PersonReliability(len(place), share, True, fitted.reason, _events(queries, weights, told))


def ask_again(model: Reliable, queries: Queries, n: int) -> tuple[Repeat, ...]:
    """Return the questions whose repeat tells most that the list depends on: bits times change of the list first.

    Answers that the person has confirmed are not asked about again.

    Args:
        model: fitted, with a mixture.
        queries: one.
        n: most questions.

    Raises:
        CapabilityError: the model tells no answers apart.
    """
    fitted = model.fitted_mixture
    judged, place = model.judged(queries)
    bits = told_by_asking_again(fitted, judged)
    last = np.zeros(len(bits), np.int64)
    last[judged.responses.pair] = place  # of several answers the last
    asked = np.argsort(-bits, kind="stable")
    asked = asked[bits[asked] >= _LEAST_BITS]
    if queries.meant is not None:
        asked = asked[~queries.meant[last[asked]]]
    asked = asked[:_TRIED]
    found = Reliability.of(fitted, judged.responses, judged.gamma, judged.shares)
    changed = _changes(model, queries, queries.history.items[last[asked]])
    first = judged.responses.first
    repeats = [
        Repeat(
            int(queries.history.items[last[pair]]),
            float(queries.values[last[pair]]),
            float(bits[pair]),
            others,
            named(found.probabilities[first[pair]].tolist()),
        )
        for pair, others in zip(asked.tolist(), changed, strict=True)
    ]
    return tuple(sorted(repeats, key=lambda one: (-one.bits * one.changed, -one.bits))[:n])


def named(row: Sequence[float]) -> dict[str, float | None]:
    """Return probabilities by the name of the class; None of one that is not told apart."""
    return {name: None if np.isnan(value) else value for name, value in zip(CLASSES, row, strict=True)}


def _told(
    judged: Judged, found: Reliability, ends: tuple[float, float]
) -> list[tuple[dict[str, float | None], float, str]]:
    """Return of each answer its probabilities, the rating on the scale that others foretell, and these in words."""
    counts = judged.responses.counts[judged.responses.pair].tolist()
    expected = np.clip(judged.mean, *ends)[judged.responses.pair].tolist()
    return [
        (named(row), mean, _in_words(row, mean, count))
        for row, mean, count in zip(found.probabilities.tolist(), expected, counts, strict=True)
    ]


def _in_words(row: Sequence[float], expected: float, count: int) -> str:
    best = int(np.nanargmax(row))
    others = f"your other ratings, which foretell about {expected:.1f}"
    if row[best] < 0.5:
        return "cannot be told: it may be a preference, thrown in, or made by how it was asked"
    if best == 0:
        return f"your {count} ratings of it agree" if count > 1 else f"fits {others}"
    if best == 2:
        return "follows how it was asked"
    return f"your {count} ratings of it differ" if count > 1 else f"unlike {others}"


def _events(
    queries: Queries, weights: Floats, told: dict[int, tuple[dict[str, float | None], float, str]]
) -> tuple[EventReliability, ...]:
    rated = is_rated(queries.values, queries.kinds)
    events = []
    for place, item in enumerate(queries.history.items.tolist()):
        meant = queries.meant is not None and bool(queries.meant[place])
        usual = "counts as all do" if weights[place] == 1 else "by how well the rest of the history agrees with it"
        probabilities, expected, why = told.get(place, (None, None, usual))
        if meant:
            why = "you said that you meant it"
        elif item == UNKNOWN:
            why = "the model does not know it"
        elif not rated[place] and weights[place] == 1:
            why = "no rating"
        value = float(queries.values[place]) if rated[place] else None
        weight = round(float(weights[place]), 4)
        events.append(
            EventReliability(item, value, int(queries.times[place]), weight, probabilities, expected, meant, why)
        )
    return tuple(events)


def _changes(model: Reliable, queries: Queries, items: Items) -> list[int]:
    """Return how many of the ten recommended items are others without the events of each of some items."""
    usual = set(model.recommend(queries, _LISTED).items[0].tolist())
    several = queries.take(np.zeros(len(items), np.int64))
    weights = model.weights(queries) * (queries.history.items[None, :] != np.asarray(items)[:, None])
    lists = model.base.recommend(several.with_weights(weights.astype(np.float32).ravel()), _LISTED).items
    return [len(set(row) - usual) for row in lists.tolist()]
