"""What the rules of a policy cost: in NDCG on held-out questions, and in the scores of the lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import pandas as pd
import torch

from recsys.data.interactions import Interactions
from recsys.data.splits.holdout import Holdout
from recsys.evaluation.holdout import evaluate_lists
from recsys.evaluation.significance import compare
from recsys.experiments.configuration import read_filters
from recsys.experiments.policies import catalogue_of
from recsys.experiments.run_log import LogRecord, questions_again
from recsys.experiments.runs import CONFIG, load_model, read_metrics, run_data
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.policy.binding import bind
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.decide import decide
from recsys.policy.reading import read_policy
from recsys.policy.schema import Context, Policy
from recsys.types import Doubles, Mask

_BATCH = 200
"""Questions scored at a time."""


@final
@dataclass(frozen=True)
class Cost:
    """What some rules cost, as the difference between lists under the policy and lists without these rules.

    Attributes:
        rules: their ids.
        layer: theirs; "all" for all rules.
        score: mean relative change of the sum of scores of a list, negative where it is lower.
        changed: share of the lists that have other items.
        relaxed: share of the lists for which one of them had to give way.
        ndcg: mean NDCG without the rules.
        change: mean change of NDCG, negative where the rules cost something.
        low, high: its 95% interval, by resampling users.
        p: of Wilcoxon's signed-rank test, corrected after Holm over all rows.
        users: questions.
    """

    rules: tuple[str, ...]
    layer: str
    score: float
    changed: float
    relaxed: float
    ndcg: float
    change: float
    low: float
    high: float
    p: float
    users: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@final
@dataclass(frozen=True, eq=False)
class _Lists:
    """The lists of all questions: "questions n" items, and their sums of scores; whether a rule gave way, by rule."""

    items: np.ndarray[Any, np.dtype[np.int32]]
    value: Doubles
    relaxed: tuple[frozenset[str], ...]


def policy_costs(
    run: Path,
    file: str | Path,
    *,
    part: Literal["valid", "test"] = "test",
    n: int = 10,
    users: int = 1_000,
    context: Context | None = None,
    attributes: str | Path | None = None,
    source: str | None = None,
    columns: Mapping[str, Any] | None = None,
    allow: Iterable[type | str] = (),
) -> list[Cost]:
    """Return what each rule, each layer and the whole of a policy cost on a run's held-out questions.

    Args:
        run: directory of a finished run.
        file: the policy.
        part: which questions.
        n: length of the lists.
        users: the most questions, spread evenly over those that there are.
        context: who asks; None: nothing is known.
        attributes: as for `recsys.experiments.policies.catalogue_of`.
        source, columns, allow: as for `recsys.experiments.runs.evaluate_run`.

    Raises:
        DataError: the log is not the one that the run read.
        ConfigError: the policy contradicts itself for lists of this length.
        CapabilityError: the policy takes events out of histories, and the model cannot read a history without them.
    """
    policy, model = read_policy(file), load_model(run, allow)
    data = run_data(run, source, columns)
    recorded, filters = LogRecord.read(read_metrics(run)), read_filters(run / CONFIG)
    questions, train = questions_again(run, data, recorded, filters, part)
    chosen = np.unique(np.linspace(0, len(questions) - 1, min(len(questions), users)).astype(np.int64))
    return costs(policy, model, catalogue_of(model, attributes), questions.take(chosen), train, n, context or Context())


def costs(
    policy: Policy,
    model: Recommender,
    catalogue: PolicyCatalogue,
    questions: Holdout,
    train: Interactions,
    n: int,
    context: Context,
    *,
    alone: bool = False,
) -> list[Cost]:
    """Return what rules cost: each one, each layer with several, and all of them; see `policy_costs`.

    Args:
        policy: the policy.
        model: a fitted model.
        catalogue: its items.
        questions: held-out events of users.
        train: the log that the model was fitted on.
        n: length of the lists.
        context: who asks.
        alone: compare a rule by itself with plain lists; else the whole policy with the policy without the rule.
    """
    maker = _Maker(model, catalogue, questions, n, context)
    every = tuple(rule.id for _, rule in policy.rules)
    families: list[tuple[tuple[str, ...], str]] = [((rule.id,), layer) for layer, rule in policy.rules]
    families += [(tuple(rule.id for rule in each.rules), each.name) for each in policy.layers if len(each.rules) > 1]
    families += [(every, "all")] if len(policy.layers) > 1 else []
    whole, plain = maker.lists(policy), maker.lists(policy.without(frozenset(every)))
    pairs = []
    for rules, _ in families:
        rest = frozenset(every) - frozenset(rules) if alone else frozenset(rules)
        other = maker.lists(policy.without(rest))
        pairs.append((plain, other) if alone else (other, whole))
    tables = [[_ndcg(each, questions, train, n) for each in pair] for pair in pairs]
    names = [f"ndcg {place}" for place in range(len(pairs))]
    without, under = (
        pd.DataFrame({"user_id": tables[0][0]["user_id"]} | dict(zip(names, column, strict=True)))
        for column in ([pair[side][f"ndcg@{n}"] for pair in tables] for side in (0, 1))
    )
    compared = compare(without, under, names)
    found = []
    for (rules, layer), (first, second), row in zip(families, pairs, compared.to_dict("records"), strict=True):
        worth = np.maximum(np.abs(first.value), 1e-12)
        found.append(
            Cost(
                rules,
                layer,
                float(np.mean((second.value - first.value) / worth)),
                float(np.mean((np.sort(first.items, 1) != np.sort(second.items, 1)).any(1))),
                float(np.mean([bool(each & set(rules)) for each in second.relaxed])),
                float(row["mean_a"]),
                float(row["diff"]),
                float(row["low"]),
                float(row["high"]),
                float(row["p_holm"]),
                int(row["n"]),
            )
        )
    return found


def _ndcg(lists: _Lists, questions: Holdout, train: Interactions, n: int) -> pd.DataFrame:
    return evaluate_lists(lists.items, questions, train, metrics=["ndcg"], cutoffs=n).per_user


@final
class _Maker:
    """Makes the lists of all questions under a policy; scores depend on the policy only by what it takes out."""

    def __init__(
        self, model: Recommender, catalogue: PolicyCatalogue, questions: Holdout, n: int, context: Context
    ) -> None:
        self._model, self._catalogue, self._queries = model, catalogue, questions.queries
        self._n, self._context = n, context
        self._order = model.fitted_on.tie_rank.cpu().numpy()

    def lists(self, policy: Policy) -> _Lists:
        now = int(self._queries.now.max(initial=0)) if self._model.fitted_on.clock == "seconds" else 0
        bound = bind(policy, self._catalogue, self._context, now, self._n)
        if bound.unprofiled.any():
            as_fold_in(self._model, f"no_profiling in {policy.name}")
        items = np.full((len(self._queries), self._n), -1, np.int32)
        value, relaxed = np.zeros(len(items)), []
        for row, scores in enumerate(self._scores(bound.unprofiled)):
            decision = decide(bound, scores, self._order, self._n)
            items[row, : len(decision.items)] = decision.items
            value[row] = decision.value
            relaxed.append(frozenset(decision.relaxed))
        return _Lists(items, value, tuple(relaxed))

    def _scores(self, unprofiled: Mask) -> Iterator[Doubles]:
        """Yield the scores of each question's items, -inf for those that are excluded."""
        for start in range(0, len(self._queries), _BATCH):
            queries = self._queries.take(np.arange(start, min(start + _BATCH, len(self._queries))))
            if unprofiled.any():
                events = queries.history.items
                queries = queries.keep((events < 0) | ~unprofiled[np.maximum(events, 0)])
            with torch.inference_mode():
                batch = self._model.score(queries).double().cpu().numpy()
            for row, scores in enumerate(batch):
                excluded = queries.excluded.row(row)
                scores[excluded[excluded >= 0]] = -np.inf
                yield scores
