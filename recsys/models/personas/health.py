"""Health of personas that were found: how many, how different, how coherent, what they own. Placebos must fail it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from recsys.data.clusters import unit_rows
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.ownership import ownership
from recsys.types import Doubles, Items, Mask


@final
@dataclass(frozen=True, eq=False)
class FoundHealth:
    """Figures of each user, NaN where they are not defined.

    Attributes:
        effective: "users", exp of the entropy of the shares: the effective number of personas; NaN without events.
        cosine: "users", mean cosine between the mean vectors of two personas; NaN with fewer than two.
        separation: "users", mean over events of the cosine with the mean vector of the own persona's other events (0
            where there is none), less the largest with another persona's; NaN with fewer than two.
    """

    effective: Doubles
    cosine: Doubles
    separation: Doubles

    @classmethod
    def of(cls, dictionary: TasteDictionary, queries: Queries, of_event: Items, width: int) -> FoundHealth:
        """Measure some personas.

        Args:
            dictionary: the tastes.
            queries: the users.
            of_event: "events", the persona of each event; `UNKNOWN` where it has none.
            width: K, above every number of a persona.
        """
        events = np.flatnonzero((of_event != UNKNOWN) & queries.counted)
        users, persona = queries.history.rows[events], of_event[events]
        vectors = dictionary.vectors[queries.history.items[events]].astype(np.float64)
        place, shape = users * width + persona, (len(queries), width)
        mass = np.bincount(place, minlength=len(queries) * width).reshape(shape)
        sums = np.zeros((mass.size, vectors.shape[1]))
        np.add.at(sums, place, vectors)
        centres = unit_rows(sums).reshape(*shape, sums.shape[1])
        count = (mass > 0).sum(1)
        share = mass / np.maximum(mass.sum(1, keepdims=True), 1)
        entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(1)
        pairs = count * (count - 1)
        between = ((centres @ centres.transpose(0, 2, 1)).sum((1, 2)) - count) / np.maximum(pairs, 1)
        fit = np.einsum("ed,ekd->ek", vectors, centres[users])
        own = np.einsum("ed,ed->e", vectors, unit_rows(sums[place] - vectors))
        fit[np.arange(len(events)), persona] = -np.inf
        fit[mass[users] == 0] = -np.inf
        ahead = np.where(count[users] > 1, own - fit.max(1, initial=-np.inf), 0.0)
        separation = np.bincount(users, ahead, len(queries)) / np.maximum(mass.sum(1), 1)
        return cls(_where(count > 0, np.exp(entropy)), _where(pairs > 0, between), _where(pairs > 0, separation))


@final
@dataclass(frozen=True)
class HealthSummary:
    """Health of a model's personas over users with a history; NaN where nobody has what is measured.

    Attributes:
        effective: mean effective number of personas.
        cosine: mean cosine between two personas of a user.
        separation: mean of how much nearer events are to their own persona than to another.
        lift: median lift of the names of personas that are named by labels.
        ownership: median share of the owner in the positive evidence of a recommended item.
    """

    effective: float
    cosine: float
    separation: float
    lift: float
    ownership: float

    @classmethod
    def of(cls, model: WithPersonas, queries: Queries, n: int = 10) -> HealthSummary:
        """Measure a fitted model.

        Args:
            model: the model.
            queries: users; those without a history are left out.
            n: length of the lists whose owners are measured.
        """
        queries = queries.take(np.flatnonzero(queries.history.lengths > 0))
        found, dictionary = model.found(queries), model.dictionary
        width = found.personas.mass.shape[1]
        health = FoundHealth.of(dictionary, queries, found.personas.of_events(dictionary, queries), width)
        means = (_middle(np.nanmean, each) for each in (health.effective, health.cosine, health.separation))
        effective, cosine, separation = means
        names = [model.name_of(number) for number in found.numbers[found.numbers != UNKNOWN].tolist()]
        lifts = np.asarray([name.lift for name in names if name.kind == "labels"], np.float64)
        listed = model.recommend(queries, n).items
        owned = ownership(model, queries, listed, dictionary, found.personas)
        evidence = owned.evidence[(listed != UNKNOWN) & (owned.owner != UNKNOWN)]
        lift, owner = _middle(np.nanmedian, lifts), _middle(np.nanmedian, evidence)
        return cls(effective, cosine, separation, lift, owner)

    def to_dict(self) -> dict[str, float | None]:
        """Return plain values, None instead of NaN."""
        return {name: None if np.isnan(value) else value for name, value in vars(self).items()}


def _middle(middle: Callable[[Doubles], np.floating[Any]], values: Doubles) -> float:
    return float(middle(values)) if np.isfinite(values).any() else float("nan")


def _where(defined: Mask, values: Doubles) -> Doubles:
    return np.where(defined, values, np.nan)
