"""Whether a new run may take the place of another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.splits.holdout import Holdout
from recsys.data.vocabulary import UNKNOWN
from recsys.evaluation.holdout import evaluate_lists
from recsys.evaluation.ranking import rank
from recsys.evaluation.significance import compare
from recsys.experiments.configuration import read_filters
from recsys.experiments.policies import check_policy
from recsys.experiments.registry.models import Finding
from recsys.experiments.run_log import LogRecord, questions_again
from recsys.experiments.runs import CONFIG, load_model, read_metrics, run_data
from recsys.models.base import FittedOn, Recommender
from recsys.models.personas.model import WithPersonas
from recsys.types import Items

_METRIC: Final = "ndcg@10"
_LENGTH: Final = 10
_LEAST_LOG: Final = 0.5
_USERS: Final = 500
"""Whose personas are compared."""


def check_run(
    new: Path,
    former: Path | None,
    *,
    tolerance: float,
    matched: float,
    policy: Path | None = None,
    attributes: Path | None = None,
    allow: Iterable[type | str] = (),
) -> tuple[Finding, ...]:
    """Return what the checks of a new run find.

    log: where it has become smaller, whether half of it is still there, as a log that was cut off must not take the
    place of a whole one unseen; erasures take out little. metrics: both models answer the test questions of the new
    run, of which neither has seen the answers as long as the log grows at its end; the former with the items that it
    knows. personas: whether people find their personas again, by number. policy: whether the norms can be kept with
    the new items.

    Args:
        new: directory of the new run.
        former: that of the run in place; None: there is nothing to compare with.
        tolerance: by how much of NDCG@10 the new one may be worse, as a share.
        matched: least mean Jaccard coefficient of a user's personas before and after.
        policy: file of the norms.
        attributes: facts that they ask for.
        allow: classes from elsewhere that the bundles may name.
    """
    model = load_model(new, allow)
    findings = []
    if former is not None:
        earlier = load_model(former, allow)
        findings += _smaller(LogRecord.read(read_metrics(new)), LogRecord.read(read_metrics(former)))
        questions, train = questions_again(
            new, run_data(new), LogRecord.read(read_metrics(new)), read_filters(new / CONFIG)
        )
        findings.append(_metrics(model, earlier, questions, train, tolerance))
        if isinstance(model, WithPersonas) and isinstance(earlier, WithPersonas):
            findings.append(_personas(model, earlier, questions, matched))
    if policy is not None:
        conflicts = check_policy(new, policy, attributes, allow).conflicts
        told = "; ".join(one.fault for one in conflicts) or f"{policy} can be kept with the items of the run"
        findings.append(Finding("policy", not conflicts, told))
    return tuple(findings)


def _smaller(log: LogRecord | None, before: LogRecord | None) -> list[Finding]:
    if log is None or before is None or log.events >= before.events:
        return []
    text = f"the log has {log.events} events; of {before.events} the run in place was trained"
    if passed := log.events >= _LEAST_LOG * before.events:
        return [Finding("log", passed, text)]
    return [Finding("log", passed, f"{text}. Look whether it was cut off; if not, begin a new registry")]


def _metrics(
    model: Recommender, earlier: Recommender, questions: Holdout, train: Interactions, tolerance: float
) -> Finding:
    if not len(questions):
        return Finding("metrics", True, "there is no test question, so the models are not compared")
    questions = replace(questions, candidates=None)  # both rank all items that they know
    tables = [
        evaluate_lists(top, questions, train, metrics=("ndcg",), cutoffs=_LENGTH).per_user
        for top in (_lists_of_former(earlier, model.fitted_on, questions), rank(model, questions, _LENGTH)[0])
    ]
    found = compare(tables[0], tables[1], [_METRIC]).iloc[0]
    before, after, low, high = (float(found[name]) for name in ("mean_a", "mean_b", "low", "high"))
    passed = not (high < 0 or after < before * (1 - tolerance))
    told = (
        f"{_METRIC} {after:.4f}, and {before:.4f} by the run in place, on {int(found['n'])} users; difference "
        f"{after - before:+.4f} [{low:+.4f}, {high:+.4f}]"
    )
    return Finding("metrics", passed, told)


def _lists_of_former(former: Recommender, fitted: FittedOn, questions: Holdout) -> Items:
    """Return the lists of an earlier model for the questions of a later one, in the numbers of the later."""
    asked = replace(questions, queries=_translated(former, fitted, questions))
    top, _ = rank(former, asked, _LENGTH)
    top = np.append(fitted.items.numbers(former.fitted_on.items.ids), np.int32(UNKNOWN))[top]
    order = np.argsort(top == UNKNOWN, axis=1, kind="stable")  # items that are no more leave no gap
    return np.asarray(np.take_along_axis(top, order, 1), np.int32)


def _translated(former: Recommender, fitted: FittedOn, questions: Holdout) -> Queries:
    """Return the queries of a later model in the numbers of an earlier one."""
    items = np.append(former.fitted_on.items.numbers(fitted.items.ids), np.int32(UNKNOWN))
    queries = questions.queries

    def rows(ragged: Ragged) -> Ragged:
        return Ragged(ragged.indptr, items[ragged.items])

    return replace(
        queries,
        users=former.fitted_on.users.numbers(questions.user_ids),
        history=rows(queries.history),
        exclude=None if queries.exclude is None else rows(queries.exclude),
    )


def _personas(model: WithPersonas, earlier: WithPersonas, questions: Holdout, matched: float) -> Finding:
    """Compare the numbers of the personas of users who have a history that both models know."""
    some = questions.take(np.flatnonzero(questions.queries.history.lengths > 0)[:_USERS])
    after = model.found(some.queries).numbers
    before = earlier.found(_translated(earlier, model.fitted_on, some)).numbers
    shares = []
    for one, other in zip(before.tolist(), after.tolist(), strict=True):
        mine, theirs = set(one) - {UNKNOWN}, set(other) - {UNKNOWN}
        if mine and theirs:
            shares.append(len(mine & theirs) / len(mine | theirs))
    if not shares:
        return Finding("personas", True, "no user has personas in both, so they are not compared")
    mean = float(np.mean(shares))
    return Finding("personas", mean >= matched, f"{mean:.2f} of a user's personas go on (Jaccard, {len(shares)} users)")
