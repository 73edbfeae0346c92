"""The user whom a demonstration shows: one whose tastes differ and have names, chosen by measurement."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsys.data.vocabulary import UNKNOWN
from recsys.experiments.runs import load_model, run_log
from recsys.models.personas.health import FoundHealth
from recsys.models.personas.model import WithPersonas

_EVENTS = 50
"""A user with fewer known events is shown only where nobody has as many."""


def user_of_many_tastes(run: Path) -> str | None:
    """Return the user of a run's log whose tastes are most and farthest apart; None where no personas are found.

        effective number of personas . (1 - mean cosine between two of them) . (1 + share under a name of words) / 2

    is largest, among the users with 50 known events or more, or with the most where nobody has as many; of equals the
    first of the log. Names of words are those of genres, decades and the like, and not of two titles.

    Args:
        run: directory of a finished run.
    """
    model = load_model(run)
    if not isinstance(model, WithPersonas):
        return None
    queries = model.fitted_on.queries(run_log(run, model))
    found = model.found(queries)
    of_event = found.personas.of_events(model.dictionary, queries)
    health = FoundHealth.of(model.dictionary, queries, of_event, found.numbers.shape[1])
    events = found.personas.mass.sum(1)
    apart = np.where(np.isnan(health.cosine), 0.0, health.effective * (1.0 - health.cosine))
    words = np.asarray([name.kind == "labels" for name in model.names.names])
    named = (found.numbers != UNKNOWN) & words[np.maximum(found.numbers, 0)]
    apart *= (1.0 + (found.personas.shares * named).sum(1)) / 2
    eligible = (events >= min(_EVENTS, events.max(initial=0))) & (apart > 0)
    if not eligible.any():
        return None
    user = int(queries.users[np.where(eligible, apart, 0.0).argmax()])
    return str(model.fitted_on.users.id_of(user))
