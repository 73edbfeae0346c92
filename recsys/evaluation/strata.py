"""Strata: groups of users for which means are reported beside those of all users.

    taste_entropy   quartiles of the entropy of P_u: users of one taste ... users of many
    activity        quartiles of the length of the visible history
    user            warm: the model was trained on the user; cold: it was not

A stratum is a column of labels in the per-user table; any other one (measured drift, country) is another column.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.types import Doubles

STRATA = ("taste_entropy_quartile", "activity_quartile", "user_kind")
"""The columns of labels that `evaluate` makes."""

UNDEFINED = "undefined"
"""The label of users without the property, such as the taste entropy of an empty history."""


def quartiles(values: Doubles) -> npt.NDArray[np.object_]:
    """Return the labels "Q1" (lowest) to "Q4" of values, `UNDEFINED` for NaN.

    Cuts are the quartiles of the defined values. Equal values get the same label, so groups may differ in size.

    >>> quartiles(np.array([1.0, 2.0, 3.0, 4.0, np.nan])).tolist()
    ['Q1', 'Q2', 'Q3', 'Q4', 'undefined']
    """
    defined = np.isfinite(values)
    labels = np.full(len(values), UNDEFINED, dtype=object)
    if defined.any():
        cuts = np.quantile(values[defined], [0.25, 0.5, 0.75])
        names = np.array(["Q1", "Q2", "Q3", "Q4"], dtype=object)
        labels[defined] = names[np.searchsorted(cuts, values[defined], side="left")]
    return labels


def summarise_strata(per_user: pd.DataFrame, metrics: Sequence[str], strata: Sequence[str] = STRATA) -> pd.DataFrame:
    """Return the mean of each metric in each group, over the users for whom it is defined.

    Args:
        per_user: one row per user.
        metrics: columns to average.
        strata: columns of labels.

    Returns:
        One row per stratum and group, with columns `stratum`, `group`, `users` and the metrics.
    """
    tables = []
    for stratum in strata:
        groups = per_user.groupby(stratum, sort=True)
        table = groups[list(metrics)].mean()
        table.insert(0, "users", groups.size())
        table.insert(0, "group", table.index.astype(str))
        table.insert(0, "stratum", stratum)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
