"""What a policy file means for a run: checks, and the list of one user with what the policy did to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recsys.experiments.questions import queries_of_run
from recsys.experiments.runs import load_model
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.policy.attributes import read_attributes
from recsys.policy.binding import bind
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.conflicts import Report, check
from recsys.policy.decide import Effect, decide, effects
from recsys.policy.reading import read_policy
from recsys.policy.schema import Context, Policy


def catalogue_of(model: Recommender, attributes: str | Path | None = None) -> PolicyCatalogue:
    """Return the items of a fitted model as policies see them.

    Args:
        model: fitted.
        attributes: a table with more facts about items; see `recsys.policy.attributes.read_attributes`.
    """
    fitted = model.fitted_on
    ids = tuple(str(one) for one in fitted.items.ids.tolist())
    return PolicyCatalogue(ids, fitted.metadata, {} if attributes is None else read_attributes(attributes, ids))


def check_policy(
    run: Path, file: str | Path, attributes: str | Path | None = None, allow: Iterable[type | str] = ()
) -> Report:
    """Check a policy file against the items of a run; see `recsys.policy.conflicts.check`."""
    policy = read_policy(file)
    return check(policy, catalogue_of(load_model(run, allow), attributes), int(time.time()))


def explain_policy(
    run: Path,
    file: str | Path,
    *,
    user: str | None = None,
    history: Path | None = None,
    n: int = 10,
    context: Context | None = None,
    attributes: str | Path | None = None,
    at: str | None = None,
    source: str | None = None,
    columns: Mapping[str, Any] | None = None,
    allow: Iterable[type | str] = (),
) -> dict[str, Any]:
    """Return the list of a user under a policy, and which rules removed or lifted what, as plain values.

    The list is the best by the scores of the model: a slate of the model, such as seats of personas, does not act.

    Args:
        run: directory of a finished run.
        file: the policy.
        user, history, at, source, columns, allow: as for `recsys.experiments.questions.recommend`.
        n: length of the list.
        context: who asks; None: nothing is known.
        attributes: as for `catalogue_of`.

    Raises:
        CapabilityError: the policy takes events out of histories, and the model cannot read a history without them.
        ConfigError: the policy contradicts itself for lists of this length.
    """
    policy = read_policy(file)
    model = load_model(run, allow)
    catalogue = catalogue_of(model, attributes)
    queries = queries_of_run(model, run, user, history, at, source, columns)
    now = int(queries.now[0]) if model.fitted_on.clock == "seconds" else int(time.time())
    bound = bind(policy, catalogue, context or Context(), now, n)
    if bound.unprofiled.any():
        as_fold_in(model, f"no_profiling in {file}")
        events = queries.history.items
        queries = queries.keep((events < 0) | ~bound.unprofiled[np.maximum(events, 0)])
    with torch.inference_mode():
        scores = model.score(queries)[0].double().cpu().numpy()
    excluded = queries.excluded.items
    scores[excluded[excluded >= 0]] = -np.inf
    order = model.fitted_on.tie_rank.cpu().numpy()
    decision = decide(bound, scores, order, n)
    told = [_told(effect.item, catalogue) | _effect(effect, policy) for effect in effects(bound, scores, order, n)]
    return {
        "policy": policy.name,
        "version": policy.version,
        "items": [_told(item, catalogue) | {"score": float(scores[item])} for item in decision.items],
        "gap": decision.gap,
        "relaxed": list(decision.relaxed),
        "changes": told,
    }


def _told(item: int, catalogue: PolicyCatalogue) -> dict[str, Any]:
    return {"item_id": catalogue.ids[item], "title": catalogue.metadata.titles[item]}


def _effect(effect: Effect, policy: Policy) -> dict[str, Any]:
    rules = {rule.id: rule for _, rule in policy.rules}
    told = [
        {"id": name, "layer": layer, "rule": str(rules[name]), "why": rules[name].why}
        for name, layer in zip(effect.rules, effect.layers, strict=True)
    ]
    return {"change": effect.change, "rules": told, "price": effect.price}
