"""Questions to a run about a user's answers: which are preferences, and which to ask again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.explanations.external_ids import queries_by_id
from recsys.models.base import Recommender
from recsys.models.reliable import Reliable
from recsys.reliability import Reliability, ResponseMixture, Responses
from recsys.reliability.posterior import CLASSES
from recsys.types import Doubles, Floats, Ints, Items

_ASKED: Final = 20
"""Answers of the largest entropy, of which the effect on the list is computed."""
_LISTED: Final = 10


@final
@dataclass(frozen=True)
class DoubtedAnswer:
    """An answer, and how far it is a preference.

    Attributes:
        item: its number.
        value: what was answered.
        probabilities: of the classes, by name; None where constructed answers cannot be told apart.
        changed: items of the ten recommended that are others without this answer; None where it was not tried.
    """

    item: int
    value: float
    probabilities: dict[str, float | None]
    changed: int | None


@final
@dataclass(frozen=True)
class UserReliability:
    """How far the answers of a user are preferences.

    Attributes:
        answers: number of them.
        genuine: estimated share of preferences, with 90% interval; None where nothing is told apart.
        identified: whether anything is told apart.
        reason: what can be told apart, and why not more.
        doubted: answers that are least likely preferences, first.
        ask_again: those whose second answer would tell most: by entropy of the class times change of the list.
    """

    answers: int
    genuine: tuple[float, float, float] | None
    identified: bool
    reason: str
    doubted: tuple[DoubtedAnswer, ...]
    ask_again: tuple[DoubtedAnswer, ...]

    def to_dict(self, model: Recommender) -> dict[str, Any]:
        """Return it as plain values, with ids and titles."""
        fitted = model.fitted_on

        def described(answer: DoubtedAnswer) -> dict[str, Any]:
            return {
                "item_id": fitted.items.id_of(answer.item),
                "title": fitted.metadata.titles[answer.item],
                "value": answer.value,
                "probabilities": answer.probabilities,
                "changed": answer.changed,
            }

        share = None if self.genuine is None else dict(zip(("share", "low", "high"), self.genuine, strict=True))
        return {
            "answers": self.answers,
            "genuine": share,
            "identified": self.identified,
            "reason": self.reason,
            "doubted": [described(answer) for answer in self.doubted],
            "ask_again": [described(answer) for answer in self.ask_again],
        }


def user_reliability(model: Recommender, log: Interactions, user: str, n: int = 5) -> UserReliability:
    """Return how far a user's answers are preferences.

    A model that was trained as `Reliable` knows; for another the mixture is fitted on the log, which takes about a
    minute for 100,000 answers.

    Args:
        model: of a run.
        log: the run's.
        user: external id of a user of the log.
        n: most answers that are named.

    Raises:
        DataError: the log has one value only, or lacks the user.
    """
    queries, ids = queries_by_id(model, user, log=log)
    if isinstance(model, Reliable) and model.mixture is not None:
        found, place = model.reliability(queries)
        row = 0
    else:
        responses = Responses.of(log)
        _, every = ResponseMixture().fit(responses)
        row = int(log.users.numbers(ids)[0])
        mine = responses.user == row
        found = replace(every, probabilities=every.probabilities[mine])
        place = _places(queries, model.fitted_on.items.numbers(log.items.ids[responses.item[mine]]))
        known = place >= 0
        found, place = replace(found, probabilities=found.probabilities[known]), place[known]
    if not found.identified or len(place) == 0:
        return UserReliability(len(place), None, False, found.reason, (), ())
    genuine = (float(found.shares[row, 0]), *found.interval(row))
    entropy = _entropy(found.probabilities)
    asked = np.argsort(-entropy, kind="stable")[:_ASKED]
    changed = dict(zip(asked.tolist(), _changes(model, queries, place[asked]), strict=True))
    worth = [(entropy[number] * changed[number], number) for number in asked.tolist()]
    again = [number for value, number in sorted(worth, reverse=True)[:n] if value > 0]
    least = np.argsort(found.probabilities[:, 0], kind="stable")[:n].tolist()

    def answers(numbers: list[int]) -> tuple[DoubtedAnswer, ...]:
        return tuple(_answer(queries, place[one], found, one, changed.get(one)) for one in numbers)

    return UserReliability(len(place), genuine, True, found.reason, answers(least), answers(again))


def _answer(queries: Queries, place: int, found: Reliability, number: int, changed: int | None) -> DoubtedAnswer:
    row = found.probabilities[number].tolist()
    named = {name: None if np.isnan(value) else value for name, value in zip(CLASSES, row, strict=True)}
    return DoubtedAnswer(int(queries.history.items[place]), float(queries.values[place]), named, changed)


def _places(queries: Queries, items: Items) -> Ints:
    """Return the position of each item in the one history, -1 where it is not in it."""
    order = np.argsort(queries.history.items, kind="stable")
    place = np.minimum(np.searchsorted(queries.history.items[order], items), max(len(order) - 1, 0))
    found = order[place] if len(order) else np.zeros(len(items), np.int64)
    return np.where(queries.history.items[found] == items, found, -1) if len(order) else found - 1


def _entropy(probabilities: Doubles) -> Doubles:
    shares = np.nan_to_num(probabilities)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(-np.nansum(np.where(shares > 0, shares * np.log(shares), 0.0), 1))


def _changes(model: Recommender, queries: Queries, place: Ints) -> list[int]:
    """Return how many of the ten recommended items are others without each of some events."""
    usual = set(model.recommend(queries, _LISTED).items[0].tolist())
    several = queries.take(np.zeros(len(place), np.int64))
    weights: Floats = np.ones((len(place), len(queries.values)), np.float32)
    weights[np.arange(len(place)), place] = 0.0
    lists = model.recommend(several.with_weights(weights.ravel()), _LISTED).items
    return [len(set(row) - usual) for row in lists.tolist()]
