"""How far events of a person count, and what to ask again, as records of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recsys.data.vocabulary import UNKNOWN
from recsys.experiments.answers.event_reliability import PersonReliability, Repeat
from recsys.reliability import FittedMixture
from recsys.serving.items.catalogue import Catalogue
from recsys.serving.records import (
    PersonsReliability,
    Probabilities,
    QuestionAgain,
    QuestionsAgain,
    ShareOfPreferences,
    WeighedEvent,
)


def reliability_of(model: str, catalogue: Catalogue, found: PersonReliability, n: int) -> PersonsReliability:
    """Return how far the n newest events count."""
    events = [
        WeighedEvent(
            catalogue.ids[one.item],
            catalogue.titles[one.item],
            one.value,
            one.time,
            one.weight,
            None if one.probabilities is None else _probabilities(one.probabilities),
            one.expected,
            one.meant,
            one.why,
        )
        for one in reversed(found.events)
        if one.item != UNKNOWN
    ]
    share = None if found.genuine is None else ShareOfPreferences(*found.genuine)
    return PersonsReliability(model, found.answers, share, found.identified, found.reason, tuple(events[:n]))


def questions_of(model: str, catalogue: Catalogue, fitted: FittedMixture, found: Sequence[Repeat]) -> QuestionsAgain:
    """Return questions whose repeat tells something."""
    questions = [
        QuestionAgain(
            catalogue.ids[one.item],
            catalogue.titles[one.item],
            one.value,
            one.bits,
            one.changed,
            _probabilities(one.probabilities),
        )
        for one in found
    ]
    levels = fitted.scale.levels
    return QuestionsAgain(model, fitted.reason, () if levels is None else tuple(levels.tolist()), tuple(questions))


def _probabilities(named: Mapping[str, float | None]) -> Probabilities:
    genuine, random = named["genuine"], named["non-attitude"]
    assert genuine is not None
    assert random is not None
    return Probabilities(genuine, random, named["constructed"])
