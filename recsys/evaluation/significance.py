"""Significance of the difference between two models, paired on users, who differ more than models do.

For each metric: the mean difference B - A over users with its bootstrap interval, and the Wilcoxon signed-rank test,
corrected with Holm's method over the metrics that are compared together. A difference is established where both say so:
the mean may hang on a few users, and the ranks of a skewed difference differ from 0 though its mean is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata, wilcoxon

from recsys.errors import ConfigError, DataError, nearest
from recsys.evaluation.resampling import resamples
from recsys.types import Doubles, Mask

MINIMUM_OVERLAP = 0.95
"""Two tables are compared if at least this share of all their users is in both."""

_EXACT: Final = 50
"""Up to so many differences other than 0 have an exact test; the normal approximation is close beyond."""

LEVEL: Final = 0.05
"""A corrected p-value below it is one of the two conditions of an established difference."""


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    metrics: Sequence[str],
    *,
    bootstrap: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare two models on the users they share.

    Args:
        a: per-user table of the first model, the baseline, with `user_id` and the metrics.
        b: per-user table of the second model.
        metrics: columns to compare; together they are the family of Holm's correction.
        bootstrap: number of resamples of the users.
        seed: of the resamples.
        confidence: coverage of the interval.

    Returns:
        One row per metric: `metric`; `n`, users with a value in both; `mean_a`, `mean_b`; `diff` = mean_b - mean_a,
        positive where B is larger; `relative` = diff / |mean_a|; `low`, `high`, the percentile interval of diff;
        `rank_effect`, the direction of the ranks, see there; `p`, Wilcoxon; `p_holm`; `established`, see
        `established_sign`; `only_a`, `only_b`, users in one table only.

    Raises:
        ConfigError: a metric is not in both tables, or a number is out of range.
        DataError: a user occurs twice in a table, or fewer than 95% of all users are in both.
    """
    if bootstrap < 1 or not 0.0 < confidence < 1.0:
        raise ConfigError(f"bootstrap is {bootstrap} and confidence {confidence}; they must be >= 1 and within (0, 1)")
    _check_metrics(a, b, metrics)
    first, second, only_a, only_b = _paired(a, b, metrics)
    defined = np.isfinite(first) & np.isfinite(second)
    difference = np.where(defined, second - first, 0.0)
    means = _bootstrap_means(difference, defined, bootstrap, seed)
    tail = (1.0 - confidence) / 2
    rows = []
    for column, metric in enumerate(metrics):
        both = defined[:, column]
        n = int(both.sum())
        mean_a, mean_b = (float(table[both, column].mean()) if n else float("nan") for table in (first, second))
        drawn = means[np.isfinite(means[:, column]), column]
        low, high = np.quantile(drawn, [tail, 1.0 - tail]) if len(drawn) else (float("nan"), float("nan"))
        diff = mean_b - mean_a
        relative = diff / abs(mean_a) if mean_a else float("nan")
        values = difference[both, column]
        ranks = rank_effect(values), signed_rank_p(values)
        rows.append((metric, n, mean_a, mean_b, diff, relative, float(low), float(high), *ranks))
    names = ["metric", "n", "mean_a", "mean_b", "diff", "relative", "low", "high", "rank_effect", "p"]
    table = pd.DataFrame(rows, columns=names)
    table["p_holm"] = holm(table["p"].to_numpy())
    evidence = table[["low", "high", "rank_effect", "p_holm"]].to_numpy(np.float64)
    table["established"] = [established_sign(*row) for row in evidence]
    table["only_a"], table["only_b"] = only_a, only_b
    return table


def compare_seeds(
    a: Sequence[pd.DataFrame],
    b: Sequence[pd.DataFrame],
    metrics: Sequence[str],
    *,
    bootstrap: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare two models that were each trained with several seeds.

    A user's values are averaged over the seeds before the test: users, not runs, are the independent units, and
    pooling the runs would count every user several times. Each pair of runs is also compared, to show the spread.

    Args:
        a: per-user tables of the first model, one per seed; a single one (a model without randomness) is paired with
            every b.
        b: per-user tables of the second model, likewise.
        metrics, bootstrap, seed: see `compare`.

    Returns:
        The rows of `compare` with a first column `runs`: "average", then "1", "2", ... for the pairs.

    Raises:
        ConfigError: no table, or different numbers of tables of which neither is 1; else as `compare`.
        DataError: as `compare`.
    """
    if not a or not b or (len(a) != len(b) and 1 not in (len(a), len(b))):
        raise ConfigError(
            f"{len(a)} runs of A cannot be paired with {len(b)} of B; give the same number of seeds for both, or one "
            "run of a model without randomness"
        )
    for table in (*a, *b):
        _check_metrics(table, table, metrics)
    average = compare(_average(a, metrics), _average(b, metrics), metrics, bootstrap=bootstrap, seed=seed)
    tables = [average.assign(runs="average")]
    pairs = max(len(a), len(b))
    for number in range(pairs if pairs > 1 else 0):
        pair = a[number % len(a)], b[number % len(b)]
        tables.append(compare(*pair, metrics, bootstrap=bootstrap, seed=seed).assign(runs=str(number + 1)))
    whole = pd.concat(tables, ignore_index=True)
    return whole[["runs", *average.columns]]


def signed_rank_p(difference: Doubles) -> float:
    """Return the two-sided p-value of the Wilcoxon signed-rank test; 1 if all differences are 0, NaN without any.

    Zeros follow Pratt (1959): they are ranked with the rest, then left out. Most users tie at 0 in a top-k metric.
    Dropping zeros first ("wilcox") ignores how many there are; splitting their ranks between the signs ("zsplit")
    adds their ranks to the variance though they cannot vary, which hides real differences.

    With at most 50 differences other than 0 the test is exact: every sign of each of them is equally likely. The normal
    approximation is only as good as they are many, whatever the number of zeros.

    >>> signed_rank_p(np.array([1.0, 1.0, 1.0, 1.0, *np.zeros(996)]))
    0.125
    """
    if len(difference) == 0:
        return float("nan")
    changed = difference[difference != 0]
    if len(changed) <= _EXACT:
        return _sign_flip_p(changed, len(difference) - len(changed))
    return float(wilcoxon(difference, zero_method="pratt").pvalue)


def _sign_flip_p(changed: Doubles, zeros: int) -> float:
    """Return the two-sided p-value of the signed-rank statistic under all signs of the differences other than 0.

    The rank of each is its rank r among them plus the number of zeros, so that the statistic depends only on how many
    are positive and on the sum of their r; twice r is whole, also where ranks are tied. One step for each difference
    gives the probability of every such pair.
    """
    twice = np.rint(2 * rankdata(np.abs(changed))).astype(np.int64)
    odds = np.ones((1, 1))  # "positives, twice the sum of their r"
    for rank in twice.tolist():
        odds = (np.pad(odds, ((0, 1), (0, rank))) + np.pad(odds, ((1, 0), (rank, 0)))) / 2
    positives, total = np.indices(odds.shape)
    distance = np.abs(2 * (2 * zeros * positives + total) - (2 * zeros * len(twice) + twice.sum()))
    above = changed > 0
    return min(1.0, float(odds[distance >= distance[above.sum(), twice[above].sum()]].sum()))


def rank_effect(difference: Doubles) -> float:
    """Return the matched-pairs rank-biserial correlation (R+ - R-) / (R+ + R-); 0 if all are 0, NaN without any.

    R+ and R- are the sums of the ranks of |difference| over positive and negative differences, zeros ranked with the
    rest and left out, as in `signed_rank_p`. Kerby, *The simple difference formula*, 2014.

    >>> rank_effect(np.array([1.0, 2.0, -3.0, 0.0])), rank_effect(np.array([1.0, 2.0]))
    (0.1111111111111111, 1.0)
    """
    if len(difference) == 0:
        return float("nan")
    ranks = rankdata(np.abs(difference))
    above, below = float(ranks[difference > 0].sum()), float(ranks[difference < 0].sum())
    return (above - below) / (above + below) if above + below else 0.0


def established_sign(low: float, high: float, rank_effect: float, p: float, level: float = LEVEL) -> int:
    """Return 1 or -1, the sign of a difference that is established, or 0 for one that is not.

    Established is what both say: the bootstrap interval of the mean leaves out 0, and the rank test, corrected for its
    family, is below the level and points to the same side. 0 where anything is undefined.

    Args:
        low: lower end of the interval of the mean difference.
        high: upper end.
        rank_effect: direction of the ranks, see `rank_effect`.
        p: corrected p-value of the signed-rank test.
        level: of the test.

    >>> established_sign(0.1, 0.3, 0.5, 0.01), established_sign(-0.1, 0.3, 0.5, 0.01), established_sign(1, 2, -0.5, 0)
    (1, 0, 0)
    """
    if not p < level:
        return 0
    if low > 0 and rank_effect > 0:
        return 1
    return -1 if high < 0 and rank_effect < 0 else 0


def holm(p_values: npt.ArrayLike) -> Doubles:
    """Return p-values corrected for the size of their family: p~_(j) = max_{i<=j} min(1, (m - i + 1) p_(i)).

    NaN (no test) is not a member of the family. Holm, *A simple sequentially rejective multiple
    test procedure*, 1979.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(len(values), np.nan)
    tested = np.flatnonzero(np.isfinite(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    factor = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(factor * values[order]))
    return corrected


def _bootstrap_means(difference: Doubles, defined: Mask, draws: int, seed: int) -> Doubles:
    """Return "draws metrics": mean differences over users drawn with replacement, the same users for all metrics.

    Where a metric is undefined for some users, the mean is over the drawn users that have it.
    """
    if len(difference) == 0:
        return np.full((draws, difference.shape[1]), np.nan)
    means = []
    for times in resamples(len(difference), draws, seed):
        weight = times @ defined
        means.append(np.where(weight > 0, times @ difference / np.where(weight > 0, weight, 1.0), np.nan))
    return np.concatenate(means)


def _check_metrics(a: pd.DataFrame, b: pd.DataFrame, metrics: Sequence[str]) -> None:
    """Raise for metrics that a table does not have."""
    if not metrics:
        raise ConfigError("no metric to compare; give at least one, as in ndcg@10")
    for metric in metrics:
        for table in (a, b):
            known = [str(name) for name in table.select_dtypes("number").columns]
            if metric not in known:
                choices = ", ".join(name for name in known if "@" in name)
                stem = metric.partition("@")[0]
                near = [name for name in known if nearest(stem, [name.partition("@")[0]])]  # whatever the cutoff
                raise ConfigError(f"metric {metric!r} is not in the table{nearest(metric, near)}; it has: {choices}")


def _paired(a: pd.DataFrame, b: pd.DataFrame, metrics: Sequence[str]) -> tuple[Doubles, Doubles, int, int]:
    """Return "users metrics" of both tables on their common users, and the numbers of users in one table only."""
    index_a, index_b = _user_index(a, "A"), _user_index(b, "B")
    if index_a.dtype != index_b.dtype:
        index_a, index_b = index_a.astype(str), index_b.astype(str)
    position = index_b.get_indexer(index_a)
    shared = position >= 0
    common = int(shared.sum())
    only_a, only_b = len(index_a) - common, len(index_b) - common
    if common == 0 or common < MINIMUM_OVERLAP * (common + only_a + only_b):
        raise DataError(
            f"the models were not evaluated on the same users: {common} are in both tables, {only_a} only in A "
            f"{_examples(index_a, index_b)} and {only_b} only in B {_examples(index_b, index_a)}; evaluate both on "
            "the same data, split and seed"
        )
    values_a, values_b = (table[list(metrics)].to_numpy(np.float64) for table in (a, b))
    return values_a[shared], values_b[position[shared]], only_a, only_b


def _user_index(table: pd.DataFrame, name: str) -> pd.Index:
    index: pd.Index = pd.Index(table["user_id"])
    twice = index[index.duplicated()].tolist()
    if twice:
        raise DataError(f"user {twice[0]!r} occurs twice in table {name}; average each user's rows first")
    return index


def _examples(index: pd.Index, other: pd.Index) -> str:
    """Return a few ids that the other table lacks."""
    missing = index[~index.isin(other)][:3].tolist()
    return f"(such as {', '.join(map(repr, missing))})" if missing else "(none)"


def _average(tables: Sequence[pd.DataFrame], metrics: Sequence[str]) -> pd.DataFrame:
    """Return one table with the mean of each user's defined values; the tables must hold the same users."""
    for table in tables[1:]:
        _paired(tables[0], table, metrics)
    stacked = pd.concat([table[["user_id", *metrics]] for table in tables], ignore_index=True)
    return stacked.groupby("user_id", sort=True, as_index=False).mean()
