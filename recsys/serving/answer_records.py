"""From what the library explains to the records that a service answers with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from recsys.events.store import Correction
from recsys.explanations import PersonaDescription, Records, text
from recsys.explanations.half_life import Interval, Unit, UserHalfLife
from recsys.models.base import Recommender
from recsys.serving import answers as told


def served_records(model: Recommender) -> Records[str, told.PersonaShare, told.Reason, told.Recommended]:
    """Return what explanations of a model are written down as."""
    ids = [str(item) for item in model.fitted_on.items.ids.tolist()]
    return Records(ids, told.PersonaShare, told.Reason, told.Recommended)


def aged(found: told.Recommended, seconds: int) -> told.Recommended:
    """Return a recommendation as it is told some seconds later."""
    evidence = [
        told.Reason(
            fact.item_id,
            fact.title,
            fact.contribution,
            fact.share,
            fact.rating,
            None if fact.age is None else fact.age + seconds,
            fact.recent,
        )
        for fact in found.evidence
    ]
    return told.Recommended(
        found.item_id,
        found.title,
        found.score,
        found.personas,
        tuple(evidence),
        found.evidence_kind,
        found.certainty,
        found.reason,
        found.recent,
    )


def as_corrected(
    found: told.Recommended, described: Sequence[PersonaDescription], corrections: Mapping[int, Correction]
) -> told.Recommended:
    """Return a recommendation as the user calls and weighs the personas.

    a'_uik = c_k a_uik / sum_l c_l a_uil
    """
    given = [corrections.get(one.persona, Correction()) for one in found.personas]
    heard = [one.weight * correction.weight for one, correction in zip(found.personas, given, strict=True)]
    total = sum(heard)
    shares = sorted(
        (
            told.PersonaShare(
                one.persona,
                correction.name or described[one.persona].name,
                weight / total if total > 0 else one.weight,
            )
            for one, correction, weight in zip(found.personas, given, heard, strict=True)
        ),
        key=lambda share: -share.weight,
    )
    given_to = replace(found, personas=tuple(shares))
    if not (found.evidence and shares):
        return given_to
    leading = shares[0].persona
    phrase: str | None = None
    if len(shares) > 1:
        own = corrections.get(leading, Correction()).name
        telling = described[leading].named_by != "number"
        phrase = f"your {own} side" if own is not None else described[leading].phrase if telling else None
    titles, rated = [fact.title for fact in found.evidence], [fact.rating is not None for fact in found.evidence]
    if found.evidence_kind == "contribution":
        return replace(given_to, reason=text.because(titles, rated, phrase, found.recent))
    return replace(given_to, reason=text.resembles(titles, rated, phrase))


def persona_record(
    found: PersonaDescription, correction: Correction, now: float, long_term: float, activity: npt.NDArray[np.float64]
) -> told.Persona:
    """Return a persona as its user calls and weighs it, with its share now, long-term and over time."""
    return told.Persona(
        found.persona,
        correction.name or found.name,
        correction.name is not None,
        correction.weight,
        correction.muted,
        float(now),
        float(long_term),
        tuple(told.PersonaItem(str(item.item), item.title, item.weight) for item in found.items),
        tuple(told.PersonaGenre(genre.genre, genre.share, genre.lift) for genre in found.genres),
        tuple(activity.tolist()),
    )


def half_life_record(found: UserHalfLife) -> told.HalfLife:
    """Return what is believed of a user's half-life; infinite is None."""
    return told.HalfLife(
        found.kind,
        tuple(_interval(unit, one) for unit, one in found.clocks.items()),
        found.never,
        found.learned_from,
        None if found.lasted is None else _interval("events", found.lasted),
    )


def _interval(unit: Unit, found: Interval) -> told.HalfLifeInterval:
    return told.HalfLifeInterval(
        unit, _finite(found.median), _finite(found.low), _finite(found.high), found.probability
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
