"""Questions to a run about a user's answers: which are preferences, and which to ask again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.vocabulary import UNKNOWN
from recsys.experiments.answers.event_reliability import (
    EventReliability,
    PersonReliability,
    Repeat,
    ask_again,
    person_reliability,
)
from recsys.explanations.external_ids import queries_by_id
from recsys.models.base import Recommender
from recsys.models.personas.model import WithPersonas
from recsys.models.reliable import Reliable
from recsys.models.slated import Slated
from recsys.reliability import ResponseMixture, Responses


@final
@dataclass(frozen=True)
class UserReliability:
    """How far the answers of a user are preferences.

    Attributes:
        person: of all events.
        doubted: answers that are least likely preferences, first.
        ask_again: those whose repeat tells most.
    """

    person: PersonReliability
    doubted: tuple[EventReliability, ...]
    ask_again: tuple[Repeat, ...]

    def to_dict(self, model: Recommender) -> dict[str, Any]:
        """Return it as plain values, with ids and titles."""
        fitted = model.fitted_on

        def item(number: int) -> dict[str, Any]:
            return {"item_id": fitted.items.id_of(number), "title": fitted.metadata.titles[number]}

        share = self.person.genuine
        return {
            "answers": self.person.answers,
            "genuine": None if share is None else dict(zip(("share", "low", "high"), share, strict=True)),
            "identified": self.person.identified,
            "reason": self.person.reason,
            "doubted": [
                item(one.item)
                | {"value": one.value, "probabilities": one.probabilities, "expected": one.expected, "why": one.why}
                for one in self.doubted
            ],
            "ask_again": [
                item(one.item)
                | {"value": one.value, "probabilities": one.probabilities, "bits": one.bits, "changed": one.changed}
                for one in self.ask_again
            ],
        }


def user_reliability(
    model: Recommender,
    log: Interactions,
    user: str,
    n: int = 5,
    progress: Callable[[int, int], None] = lambda _done, _rounds: None,
) -> UserReliability:
    """Return how far a user's answers are preferences; answers that a later one replaced count, too.

    A model that was trained as `Reliable` knows; for another the mixture is fitted on the log, which takes about a
    minute for 100,000 answers.

    Args:
        model: of a run.
        log: the run's.
        user: external id of a user of the log.
        n: most answers that are named.
        progress: called with the rounds of the fit that are done, and all.

    Raises:
        DataError: the log has one value only, or lacks the user.
    """
    queries, _ = queries_by_id(model, user, log=log.every)
    within = model.base if isinstance(model, WithPersonas | Slated) else model
    knows = within if isinstance(within, Reliable) and within.mixture is not None else _fitted(within, log, progress)
    person = person_reliability(knows, queries)
    if not person.identified:
        return UserReliability(person, (), ())
    told = [event for event in person.events if event.probabilities is not None]
    least = sorted(told, key=lambda event: event.probabilities["genuine"] or 0.0)  # type: ignore[index]
    return UserReliability(person, tuple(least[:n]), ask_again(knows, queries, n))


def _fitted(model: Recommender, log: Interactions, progress: Callable[[int, int], None]) -> Reliable:
    """Return a model with a mixture of the answers of the log about items that the model knows."""
    responses = Responses.of(log)
    items = model.fitted_on.items.numbers(log.items.ids)[responses.item]
    known = np.flatnonzero(items != UNKNOWN)
    answers = replace(responses.take(known), item=items[known].astype(np.int32), n_items=model.n_items)
    return Reliable.around(model, ResponseMixture().fit(answers, progress)[0])
