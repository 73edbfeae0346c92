"""Which metrics are better when they are smaller. No library is imported."""

from __future__ import annotations

from typing import Final

_SMALLER: Final = ("regret", "tdd", "tdd_excess", "ckl", "gini")


def smaller_is_better(metric: str) -> bool:
    """Return whether less of a metric is better.

    >>> smaller_is_better("regret@10"), smaller_is_better("ndcg@10")
    (True, False)
    """
    return metric.partition("@")[0] in _SMALLER
