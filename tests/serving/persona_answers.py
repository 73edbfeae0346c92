"""Answers of a small model with found personas, and what a list shows of one."""

from __future__ import annotations

from collections.abc import Mapping

from recsys.data.interactions import Interactions
from recsys.events.store import Correction, Event, EventStore
from recsys.models import WithPersonas
from recsys.serving.records import RecommendationList
from recsys.serving.run_answers import RunAnswers


def answers_of(
    model: WithPersonas, log: Interactions, store: EventStore, *, cache: int = 50_000_000, repeats: bool = False
) -> RunAnswers:
    """Return answers a day after the last event of the log; the model is restored, so that its beliefs are its own."""
    now = float(log.time.max()) + 86_400
    own = model.unfitted().restore(model.fitted_on, model.arrays())
    return RunAnswers(own, "model", log, store, clock=lambda: now, cache_bytes=cache, repeats=repeats)


def control(
    answers: RunAnswers, store: EventStore, user: str, weights: Mapping[int, float], name: str | None = None
) -> None:
    """Store corrections as the service does."""
    for persona, weight in weights.items():
        correction = Correction(weight, name, answers.corrections_of)
        answers.check_correction(user, persona, correction)
        store.put_correction(user, persona, correction)


def seats(found: RecommendationList) -> dict[int | None, int]:
    """Return how many items each persona owns, by the items themselves; those that the shelves tell are the same."""
    counted: dict[int | None, int] = {}
    for item in found.items:
        counted[item.owner] = counted.get(item.owner, 0) + 1
    assert {shelf.persona: shelf.seats for shelf in found.shelves if shelf.seats} == counted
    return counted


def used(user: str, items: list[str], time: int, kind: str = "view", prefix: str = "e") -> list[Event]:
    """Return events of a user with some items, a minute apart."""
    return [
        Event(f"{prefix}{place}", user, item, None, time + 60 * place, kind)  # type: ignore[arg-type]
        for place, item in enumerate(items)
    ]
