"""Fidelity of evidence to the model: an item must fall without its evidence, and keep its score with nothing else.

The metrics are those of Baklanov, Bogina and others, *Refining Fidelity Metrics for Explainable Recommendations*,
SIGIR 2025 (doi 10.1145/3726302.3730242), with the number of removed or kept items fixed at m = 1..5.
For a user with history H, the top recommendation i, and E_m the m strongest evidence items:

    POS@m   1 if rank(i | H \\ E_m) <= k, else 0                                           lower is better
    CDCG@m  1 / log2(1 + rank(i | H \\ E_m))                                               lower is better
    DEL@m   s_i(H \\ E_m), the item's score without the evidence                           lower is better
    INS@m   s_i(E_m), the item's score with nothing but the evidence                      higher is better

Ranks are among the items that were not excluded for the *whole* history: removed items do not become candidates. The
paper's text could not be read; the definitions follow the authors' published code. The unit of DEL and INS is
ours: there, scores are probabilities that are averaged as they are, while the scores of our models have no common unit,
hence

    DEL@m, INS@m:  ( s - s_i({}) ) / mean over users of | s_i(H) - s_i({}) |

so that 1 is about the effect of the whole history and 0 that of none; one constant per report cannot reorder methods.
For a linear model the m largest contributions are the best possible evidence for DEL and INS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, final

import numpy as np
import pandas as pd
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError, DataError, nearest
from recsys.explanations.methods import EvidenceMethod, standard_methods
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.types import Doubles, Ints, Items, Mask

METRICS: Final = ("pos", "cdcg", "del", "ins")
"""The metrics, in the order of the tables."""

ORIENTATION: Final[Mapping[str, Literal["lower", "higher"]]] = {
    "pos": "lower",
    "cdcg": "lower",
    "del": "lower",
    "ins": "higher",
}
"""Which values of each metric are better."""


@final
@dataclass(frozen=True, eq=False)
class FidelityReport:
    """Fidelity of several kinds of evidence on the same users and the same recommendations.

    Attributes:
        per_user: one row per user, method and m. Columns: `query` (row of the queries), `item` (number of the explained
            item), `method`, `m`, and the four metrics.
        k: cut-off of POS.
        eligible: how many queries had enough history; `users` of them were drawn and had a recommendation.
    """

    per_user: pd.DataFrame
    k: int
    eligible: int

    @property
    def users(self) -> int:
        """Number of users measured."""
        return int(self.per_user["query"].nunique())

    @property
    def summary(self) -> pd.DataFrame:
        """Mean of each metric over users and m; one row per method."""
        return self.per_user.groupby("method", sort=False)[list(METRICS)].mean()

    @property
    def by_m(self) -> pd.DataFrame:
        """Mean of each metric over users; one row per method and m."""
        return self.per_user.groupby(["method", "m"], sort=False)[list(METRICS)].mean()

    def mean(self, metric: str, method: str) -> float:
        """Return one cell of `summary`.

        Raises:
            ConfigError: an unknown metric or method.
        """
        self._check(metric, method)
        return float(self.per_user.loc[self.per_user["method"] == method, metric].mean())

    def paired(self, metric: str, method: str, against: str) -> tuple[Doubles, Doubles]:
        """Return the per-user means over m of two methods, aligned, negated where lower is better.

        For a paired test of whether `method` is better: larger is better in both arrays.

        Raises:
            ConfigError: an unknown metric or method.
        """
        self._check(metric, method, against)
        table = self.per_user.pivot_table(index="query", columns="method", values=metric, aggfunc="mean")
        sign = 1.0 if ORIENTATION[metric] == "higher" else -1.0
        return sign * table[method].to_numpy(dtype=np.float64), sign * table[against].to_numpy(dtype=np.float64)

    def _check(self, metric: str, *methods: str) -> None:
        if metric not in METRICS:
            raise ConfigError(f"unknown fidelity metric {metric!r}{nearest(metric, METRICS)}; one of {METRICS}")
        own = [str(name) for name in self.per_user["method"].unique()]
        for name in methods:
            if name not in own:
                raise ConfigError(f"no evidence method {name!r} in this report{nearest(name, own)}; it has {own}")


def fidelity(
    model: Recommender,
    queries: Queries,
    train: Interactions,
    *,
    methods: Mapping[str, EvidenceMethod] | None = None,
    m: Sequence[int] = (1, 2, 3, 4, 5),
    users: int = 500,
    seed: int = 0,
    k: int = 10,
) -> FidelityReport:
    """Measure how faithful evidence is to the model: explain each user's top item, change the history, score it again.

    Only users with more distinct known history items than the largest m are measured: with fewer, every method removes
    the same items.

    Args:
        model: a fitted model that folds in.
        queries: the users, usually those of a holdout.
        train: the log the model was fitted on, for popularity and cosine evidence.
        methods: evidence methods by name; model, random, popularity and cosine when None.
        m: numbers of removed or kept items, each at least 1.
        users: the most users to draw.
        seed: of the draw, and of random evidence.
        k: cut-off of POS.

    Raises:
        CapabilityError: the model does not fold in.
        ConfigError: no m, or one below 1.
        DataError: no user has enough history.
    """
    if not m or min(m) < 1:
        raise ConfigError(f"m = {tuple(m)}: give one or more numbers of removed items, each at least 1")
    as_fold_in(model, "fidelity, which changes the history,")
    compared = standard_methods(model, train, seed) if methods is None else methods
    rows, eligible = _draw(queries, max(m), users, seed)
    sample = queries.take(rows)
    items = model.recommend(sample, 1).items[:, 0]
    answered = items != UNKNOWN
    rows, sample, items = rows[answered], sample.take(np.flatnonzero(answered)), items[answered]
    if len(rows) == 0:
        raise DataError("no user has a recommendable item to explain; use other queries or exclude fewer items")
    # Items removed from the history must not become candidates, or they would push the explained item down.
    sample = replace(sample, exclude=sample.excluded)
    everything = np.ones(len(sample.history.items), dtype=np.bool_)
    full, _ = _scores_and_ranks(model, sample, everything, items)
    empty, _ = _scores_and_ranks(model, sample, ~everything, items)
    scale = float(np.abs(full - empty).mean()) or 1.0
    tables = []
    for name, method in compared.items():
        place = evidence_places(sample, method(sample, items))
        for count in sorted(set(m)):
            evidence = place < count
            without, rank = _scores_and_ranks(model, sample, ~evidence, items)
            only, _ = _scores_and_ranks(model, sample, evidence, items)
            columns = {
                "query": rows,
                "item": items,
                "method": name,
                "m": count,
                "pos": (rank <= k).astype(np.float64),
                "cdcg": 1.0 / np.log2(1.0 + rank),
                "del": (without - empty) / scale,
                "ins": (only - empty) / scale,
            }
            tables.append(pd.DataFrame(columns))
    return FidelityReport(pd.concat(tables, ignore_index=True), k, eligible)


def evidence_places(queries: Queries, strengths: Doubles) -> Ints:
    """Return the place of each event's item among the query's distinct items, strongest first, from 0.

    All events with one item share its place: to remove an item is to remove every event with it. The item's strength is
    the sum over its events, of which usually one counts (see `Queries.counted`). Equal strengths are ordered by the
    item's first event, latest first; unknown items come last.

    >>> evidence_places(Queries.from_history([[5, 6, 5], [8]]), np.array([1.0, 1.5, 1.0, 0.0])).tolist()
    [0, 1, 0, 0]
    """
    history = queries.history
    order = np.lexsort((np.arange(len(history.items)), history.items, history.rows))
    row, item = history.rows[order], history.items[order]
    starts = np.ones(len(order), dtype=np.bool_)
    starts[1:] = (row[1:] != row[:-1]) | (item[1:] != item[:-1])
    group = np.cumsum(starts) - 1
    strength = np.bincount(group, weights=strengths[order]).astype(np.float64)
    strength[item[starts] == UNKNOWN] = -np.inf
    first, owner = order[starts], row[starts]
    ranking = np.lexsort((-first, -strength, owner))
    place = np.empty(len(ranking), np.int64)
    counts = np.bincount(owner, minlength=len(queries))
    place[ranking] = np.arange(len(ranking)) - np.repeat(np.cumsum(counts) - counts, counts)
    result = np.empty(len(order), np.int64)
    result[order] = place[group]
    return result


def _draw(queries: Queries, most: int, users: int, seed: int) -> tuple[Ints, int]:
    """Return the rows of a seeded sample of the queries with enough history, ascending, and how many have enough."""
    enough = np.flatnonzero(queries.history.sum(queries.counted) > most)
    if len(enough) == 0:
        raise DataError(
            f"no user has more than {most} known history items, so that fidelity at {most} means nothing; lower m"
        )
    drawn = np.random.default_rng(seed).choice(enough, min(users, len(enough)), replace=False)
    return np.sort(drawn).astype(np.int64), len(enough)


@torch.inference_mode()
def _scores_and_ranks(model: Recommender, queries: Queries, keep: Mask, items: Items) -> tuple[Doubles, Ints]:
    """Return each item's score and its rank among the items that are not excluded, given only some events.

    Equal scores are ordered as `Recommender.recommend` orders them: by training events, then by number.
    """
    visible = queries.keep(keep)
    targets = torch.from_numpy(items.astype(np.int64))[:, None]
    scores, ranks, done = [], [], 0
    for batch in visible.batches(max(1, 64_000_000 // max(1, model.n_items))):
        # Single precision first, as `recommend` ranks, so that the same scores are equal.
        matrix = model.score(batch).float().to(torch.float64)
        target = targets[done : done + len(batch)].to(matrix.device)
        done += len(batch)
        score = matrix.gather(1, target)
        excluded = batch.excluded
        known = excluded.items != UNKNOWN
        cells = torch.from_numpy(excluded.rows[known]), torch.from_numpy(excluded.items[known].astype(np.int64))
        matrix[cells] = -torch.inf
        place = model.fitted_on.tie_rank.to(matrix.device)
        ahead = (matrix > score) | ((matrix == score) & (place[None, :] < place[target]))
        scores.append(score[:, 0].cpu().numpy())
        ranks.append(1 + ahead.sum(1).cpu().numpy())
    return np.concatenate(scores), np.concatenate(ranks)
