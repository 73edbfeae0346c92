"""The user whom a demonstration shows: one whose tastes differ and share the list, chosen by measurement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from recsys.data.queries import Queries
from recsys.data.titles import readable_title
from recsys.experiments.runs import load_model, run_log
from recsys.explanations.explain import explain
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.health import FoundHealth
from recsys.models.personas.model import WithPersonas
from recsys.types import Mask

_EVENTS = 50
"""A user with fewer known events is shown only where nobody has as many."""

_LISTED, _EXPLAINED = 10, 10


def user_of_many_tastes(run: Path) -> str | None:
    """Return the user of a run's log whose list shows several tastes best; None where nobody has two of them.

    Of the users with 50 known events or more (or with the most, where nobody has as many) whose lists are, for the most
    part, under names that tell them something (of words, or with a title of the history), first the ten with the
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
        telling = (seats * _telling(model, queries, found)).sum(1)
        effective = np.where(telling < telling.max(), 0.0, effective)
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


def _telling(model: WithPersonas, queries: Queries, found: FoundPersonas) -> Mask:
    """Return "queries K": whether the name of a persona is of words, or has a title that the user has used."""
    numbered = {readable_title(title): item for item, title in enumerate(model.fitted_on.metadata.titles)}
    titled = np.asarray([name.kind == "titles" for name in model.names.names])
    shown = sp.lil_matrix((len(titled), model.n_items))
    for number in np.flatnonzero(titled).tolist():
        shown[number, [numbered[title] for title in model.name_of(number).labels if title in numbered]] = 1.0
    used = (queries.matrix(model.n_items) @ shown.T.tocsr()).toarray() > 0
    numbers = np.maximum(found.numbers, 0)
    return np.asarray(~titled[numbers] | np.take_along_axis(used, numbers, 1))
