"""The user whom a demonstration shows: one whose tastes differ and share the list, chosen by measurement."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsys.experiments.runs import load_model, run_log
from recsys.explanations.explain import explain
from recsys.models.personas.health import FoundHealth
from recsys.models.personas.model import WithPersonas

_EVENTS = 50
"""A user with fewer known events is shown only where nobody has as many."""

_LISTED, _EXPLAINED = 10, 10


def user_of_many_tastes(run: Path) -> str | None:
    """Return the user of a run's log whose list shows several tastes best; None where nobody has two of them.

    Of the users with 50 known events or more (or with the most, where nobody has as many) first the ten with the
    largest

        effective number of owners in the list of ten . (1 - mean cosine between two of the user's personas)

    then the one of them with the most items that have events without which they would not be there; of equals the
    better one by the formula.

    Args:
        run: directory of a finished run.
    """
    model = load_model(run)
    if not isinstance(model, WithPersonas):
        return None
    queries = model.fitted_on.queries(run_log(run, model))
    found = model.found(queries)
    width = found.numbers.shape[1]
    health = FoundHealth.of(model.dictionary, queries, found.personas.of_events(model.dictionary, queries), width)
    owners = model.recommend(queries, _LISTED).owners
    if owners is None:  # the best scores, of which nobody owns any
        effective = np.nan_to_num(health.effective)
    else:
        seats = (owners[:, :, None] == np.arange(width)).sum(1)
        effective = seats.sum(1) ** 2 / np.maximum((seats**2).sum(1), 1)
    apart = np.where(np.isnan(health.cosine), 0.0, effective * (1.0 - health.cosine))
    events = found.personas.mass.sum(1)
    apart[events < min(_EVENTS, events.max(initial=0))] = 0.0
    best = np.argsort(-apart, kind="stable")[:_EXPLAINED]
    best = best[apart[best] > 0]
    if len(best) == 0:
        return None
    explained = explain(model, queries.take(best), _LISTED)
    because = [sum(one.reason_kind == "because" for one in each) for each in explained]
    user = int(queries.users[best[int(np.argmax(because))]])
    return str(model.fitted_on.users.id_of(user))
