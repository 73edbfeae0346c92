"""Ranking metrics, per query, as pure functions of which ranks of a list are hits.

Notation, for one query: R the set of relevant items, h_r = 1 if the item at rank r (from 1) is in R, else 0; k the
cutoff. Relevance is binary. Items that the model does not know (`UNKNOWN` in the relevant row) count in |R|: no model
could return them, and leaving them out would flatter every model. A list may end in `UNKNOWN` where fewer than k items
may be recommended; those ranks are misses. A query without relevant items has no metric: NaN. What the user made of the
relevant items counts in two metrics alone, `liked_ndcg` and `regret`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.checks import object_named
from recsys.data.queries import Ragged, membership
from recsys.data.splits.verdicts import Verdict, Verdicts
from recsys.errors import ConfigError, nearest
from recsys.types import Doubles, Ints, Items, Mask

PerQuery = Doubles
""" "queries", NaN where the metric is not defined."""


@final
@dataclass(frozen=True, eq=False)
class RankedHits:
    """Lists compared with the relevant items, once for all metrics and cutoffs.

    Attributes:
        hits: "queries n", float64: 1 where the item at that rank is relevant, else 0.
        n_relevant: "queries", int64: |R|, unknown items included.
        top: "queries n", int32, the lists, best first; `UNKNOWN` padding.
        relevant: "queries" rows of relevant items.
        verdicts: what the users made of the relevant items; None where it is not known.
    """

    hits: Doubles
    n_relevant: Ints
    top: Items
    relevant: Ragged
    verdicts: Verdicts | None = None

    @classmethod
    def of(cls, top: Items, relevant: Ragged, verdicts: Verdicts | None = None) -> RankedHits:
        """Compare lists with relevant items.

        Args:
            top: "queries n", item numbers, best first; `UNKNOWN` padding. An item occurs at most once in a list.
            relevant: "queries" rows of distinct item numbers; `UNKNOWN` for items the model does not know.
            verdicts: aligned with `relevant.items`.

        >>> RankedHits.of(np.array([[4, 2, -1]], np.int32), Ragged.of([[2, 9, -1]])).hits
        array([[0., 1., 0.]])
        """
        return cls(membership(top, relevant).astype(np.float64), relevant.lengths, top, relevant, verdicts)

    def among(self, chosen: Mask) -> RankedHits:
        """Return the same lists compared with some of the relevant items, a mask aligned with `relevant.items`."""
        return RankedHits.of(self.top, self.relevant.select(chosen))

    def per_relevant(self, total: Doubles, denominator: Doubles) -> PerQuery:
        """Return total / denominator, NaN for queries without relevant items."""
        defined = self.n_relevant > 0
        return np.where(defined, total / np.where(defined, denominator, 1.0), np.nan)

    def at(self, k: int) -> Doubles:
        """Return the hits of the first k ranks; the lists must be at least that long."""
        if not 1 <= k <= self.hits.shape[1]:
            raise ValueError(f"cutoff {k} is outside 1..{self.hits.shape[1]}, the length of the lists")
        return self.hits[:, :k]


MetricFunction = Callable[[RankedHits, int], PerQuery]
"""From lists and a cutoff to one value per query.

A metric of one's own is a function, or an object with `__call__` and perhaps a `name`. `evaluate(metrics=[...])` takes
it as it is, by its dotted path, or by the name of an entry point of the group `recsys.metrics`; an experiment file
names it in `validation: {metric: my_package.my_metric@10}`.
"""


Metrics = str | MetricFunction | Sequence[str | MetricFunction]
"""One ranking metric or several; see `metrics_by_name`."""


def ndcg_at(ranked: RankedHits, k: int) -> PerQuery:
    """Normalised discounted cumulative gain: (sum_{r<=k} h_r / log2(r+1)) / (sum_{r<=min(k,|R|)} 1 / log2(r+1)).

    The ideal list holds as many relevant items as fit, so that a perfect list scores 1 at every cutoff.
    Järvelin and Kekäläinen, *Cumulated gain-based evaluation of IR techniques*, 2002, with the log2(r+1) discount.
    """
    hits = ranked.at(k)
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    return ranked.per_relevant(hits @ discount, ideal[np.minimum(ranked.n_relevant, k)])


def recall_at(ranked: RankedHits, k: int) -> PerQuery:
    """Recall: (sum_{r<=k} h_r) / |R|. The denominator stays |R| where |R| > k, so a perfect list may score below 1."""
    return ranked.per_relevant(ranked.at(k).sum(1), ranked.n_relevant.astype(np.float64))


def precision_at(ranked: RankedHits, k: int) -> PerQuery:
    """Precision: (sum_{r<=k} h_r) / k. The empty ranks of a list shorter than k are misses."""
    return ranked.per_relevant(ranked.at(k).sum(1), np.full(len(ranked.hits), float(k)))


def hit_rate_at(ranked: RankedHits, k: int) -> PerQuery:
    """Hit rate (success): 1 if any of the first k items is relevant, else 0."""
    return ranked.per_relevant(ranked.at(k).max(1), np.ones(len(ranked.hits)))


def mrr_at(ranked: RankedHits, k: int) -> PerQuery:
    """Reciprocal rank: 1 / (rank of the first relevant item), 0 where none is within k. Its mean is MRR.

    Voorhees, *The TREC-8 question answering track report*, 1999.
    """
    hits = ranked.at(k)
    first = hits.argmax(1)
    return ranked.per_relevant(hits[np.arange(len(hits)), first] / (first + 1), np.ones(len(hits)))


def map_at(ranked: RankedHits, k: int) -> PerQuery:
    """Average precision: (sum_{r<=k} h_r * precision@r) / min(k, |R|). Its mean is MAP.

    The denominator is the largest number of hits a list of k can have (trec_eval's `map_cut` divides by |R|), so that
    a perfect list scores 1 at every cutoff. Manning, Raghavan and Schütze, *Introduction to Information Retrieval*,
    2008, section 8.4, cut at k.
    """
    hits = ranked.at(k)
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return ranked.per_relevant((hits * precision).sum(1), np.minimum(ranked.n_relevant, k).astype(np.float64))


def liked_ndcg_at(ranked: RankedHits, k: int) -> PerQuery:
    """NDCG with only the answers that the user liked as relevant items; see `Verdicts.liked`.

    NaN for a user who liked none of the answers, and for everybody where the log does not tell what was liked.
    """
    if ranked.verdicts is None or ranked.verdicts.liked is None:
        return np.full(len(ranked.top), np.nan)
    return ndcg_at(ranked.among(ranked.verdicts.liked), k)


def regret_at(ranked: RankedHits, k: int) -> PerQuery:
    """Regret: the share of a user's hits that the user regrets. Smaller is better.

    A hit is a held-out item within the first k: a relevant one, or one that the user disliked or skipped; see
    `Verdicts`. NaN for a user without a hit, who has nothing to regret (the counts of an evaluation say how many there
    are), and for everybody where the log does not tell what was regretted.
    """
    if ranked.verdicts is None or ranked.verdicts.regretted is None:
        return np.full(len(ranked.top), np.nan)
    hits = ranked.at(k).sum(1)
    regretted = ranked.among(ranked.verdicts.regretted).at(k).sum(1)
    if ranked.verdicts.rejected is not None:
        rejected = RankedHits.of(ranked.top, ranked.verdicts.rejected).at(k).sum(1)
        hits, regretted = hits + rejected, regretted + rejected
    return np.where(hits > 0, regretted / np.maximum(hits, 1.0), np.nan)


RANKING_METRICS: Final[Mapping[str, MetricFunction]] = {
    "ndcg": ndcg_at,
    "recall": recall_at,
    "precision": precision_at,
    "hr": hit_rate_at,
    "mrr": mrr_at,
    "map": map_at,
    "liked_ndcg": liked_ndcg_at,
    "regret": regret_at,
}
"""The metrics of this module by the short name that tables use before the "@"."""

ASKS: Final[Mapping[str, Verdict]] = {"liked_ndcg": "liked", "regret": "regretted"}
"""What metrics must know beside the relevant items; without it they are NaN for everybody."""

SMALLER_IS_BETTER: Final = ("regret",)
"""The ranking metrics of which a smaller value is better."""

DESCRIBED: Final = ("tdd", "tdd_excess", "ckl", "minority_recall", "novelty", "ild")
"""What every evaluation has of each user's list beside the ranking metrics."""

OVERALL: Final = ("coverage", "gini")
"""What every evaluation has of all lists together."""


def metrics_by_name(metrics: Metrics) -> dict[str, MetricFunction]:
    """Return ranking metrics by the name before the "@".

    Args:
        metrics: keys of `RANKING_METRICS`, dotted paths or entry points, or functions. A metric of one's own is called
            as its entry point, or by its `name`, or else its `__name__`.

    Raises:
        ConfigError: an unknown name, a function without one, or one name for two metrics.

    >>> list(metrics_by_name(["ndcg", hit_rate_at]))
    ['ndcg', 'hit_rate_at']
    """
    functions: dict[str, MetricFunction] = {}
    for metric in [metrics] if isinstance(metrics, str) or not isinstance(metrics, Iterable) else metrics:
        function = metric_named(metric) if isinstance(metric, str) else metric
        name = getattr(function, "name", getattr(function, "__name__", None)) or type(function).__name__
        if isinstance(metric, str) and "." not in metric:  # built in, or an entry point
            name = metric
        if name == "<lambda>":
            raise ConfigError("a metric is a lambda, which has no name for the results; define it with def")
        if functions.get(name, RANKING_METRICS.get(name, function)) != function:
            raise ConfigError(f"two metrics have the name {name!r}; rename the one of your own")
        functions[str(name)] = function
    return functions


def ranking_metrics(
    top: Items,
    relevant: Ragged,
    cutoffs: Sequence[int],
    metrics: Metrics = (*RANKING_METRICS,),
    verdicts: Verdicts | None = None,
) -> dict[str, PerQuery]:
    """Return every metric at every cutoff, as `{"ndcg@10": "queries", ...}`.

    Args:
        top: "queries n", item numbers, best first, `UNKNOWN` padding; n >= max(cutoffs).
        relevant: "queries" rows of distinct item numbers, `UNKNOWN` for items the model does not know.
        cutoffs: list lengths.
        metrics: see `metrics_by_name`.
        verdicts: what the users made of the relevant items, for the metrics that ask.

    Raises:
        ConfigError: an unknown name, or a metric that does not return one number per query.

    >>> ranking_metrics(np.array([[4, 2]], np.int32), Ragged.of([[2]]), [1, 2], ["mrr"])
    {'mrr@1': array([0.]), 'mrr@2': array([0.5])}
    """
    ranked = RankedHits.of(top, relevant, verdicts)
    columns = {}
    for name, function in metrics_by_name(metrics).items():
        for k in cutoffs:
            try:
                values = np.asarray(function(ranked, k), dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise ConfigError(f"metric {name!r} is no function of ranked hits and a cutoff: {error}") from error
            if values.shape != (len(top),):
                shape = f"an array of shape {values.shape}"
                raise ConfigError(
                    f"metric {name!r} returned {shape}; give one value for each of the {len(top)} queries"
                )
            columns[f"{name}@{k}"] = values
    return columns


def parse_metric(metric: str) -> tuple[str, int]:
    """Split a ranking metric with its cutoff into the two.

    Raises:
        ConfigError: not of the form NAME@K with a known name and a positive K.

    >>> parse_metric("ndcg@10")
    ('ndcg', 10)
    """
    name, _, cutoff = metric.partition("@")
    metric_named(name)
    if not (cutoff.isascii() and cutoff.isdigit() and int(cutoff) > 0):
        raise ConfigError(f"metric {metric!r} needs a positive cutoff after @, as in {name}@10")
    return name, int(cutoff)


def metric_named(name: str) -> MetricFunction:
    """Return the ranking metric of a name, a dotted path or an entry point.

    Raises:
        ConfigError: there is none.
    """
    if name in RANKING_METRICS:
        return RANKING_METRICS[name]
    if "@" in name:
        raise ConfigError(f"metric {name!r}: give its name alone, as in ndcg, and the list lengths as cutoffs=[10]")
    if name in (*DESCRIBED, *OVERALL):
        raise ConfigError(
            f"metric {name!r} is in every evaluation, as {name}@10, so it is not chosen; leave it out, or name ranking "
            f"metrics: {', '.join(RANKING_METRICS)}"
        )
    try:
        function = object_named("metric", name, "recsys.metrics")
    except ConfigError as error:
        known = f"the metrics of this library are {', '.join(RANKING_METRICS)}"
        raise ConfigError(f"{error}; {known}{nearest(name, RANKING_METRICS)}") from error
    if not callable(function):
        raise ConfigError(f"metric {name!r} is not a function of ranked hits and a cutoff")
    metric: MetricFunction = function() if isinstance(function, type) else function
    return metric
