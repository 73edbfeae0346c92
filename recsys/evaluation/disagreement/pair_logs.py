"""The question asked of choices between answers with vectors, as preference data for reward models come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from recsys.checks import seed_of_draws, share, whole
from recsys.data.pairs import PairLog
from recsys.errors import DataError
from recsys.evaluation.disagreement.judgements import right
from recsys.evaluation.significance import compare
from recsys.models.preference.network import Kind
from recsys.models.preference.reward import PersonaReward
from recsys.types import Mask

SIZES: Final[tuple[tuple[Kind, int], ...]] = (("pooled", 1), ("vector", 1), ("vector", 4), ("mixture", 4))
"""Rewards beside that of personas, with their coordinates of a user."""

_LEAST = 2


def pair_rewards(log: PairLog, personas: int = 4, held_out: float = 0.3, seed: int = 0) -> list[dict[str, Any]]:
    """Return how many of everybody's held-out choices each kind of reward tells.

    A random share of each user's choices is held out; of a user with a single choice nothing is. One reward for all
    ("pooled"), one vector per user, a mixture of prototypes and personas are trained on the rest, with equal budgets.

    Args:
        log: with item vectors.
        personas: K.
        held_out: share of the choices of each user.
        seed: of the draw and the models.

    Raises:
        DataError: the log has no vectors, or no user has two choices.

    Returns:
        Rows with `reward`, `right` (mean over users), `below_half` (share of users of whose choices it tells less than
        a half), `users`, and `diff`, `low`, `high`, `p`: against one reward for all, see `compare`.
    """
    share("held_out", held_out)
    whole("personas", personas)
    seed_of_draws(seed)
    test = _held_out(log, held_out, seed)
    if log.vectors is None:
        raise DataError(f"{log.name}: a reward reads item vectors, and it has none; give them with --vectors FILE")
    if not test.any():
        raise DataError(f"{log.name}: no user has {_LEAST} choices, of which one could be held out; give more of each")
    train, judged = replace(log, pairs=log.pairs.take(~test)), log.pairs.take(test)
    users, row = np.unique(judged.user, return_inverse=True)
    count = np.bincount(row)
    tables: dict[str, pd.DataFrame] = {}
    for kind, size in (*SIZES, ("persona", 1)):
        model = PersonaReward(kind, size, personas, seed=seed).fit(train)
        told = np.bincount(row, right(model.margins(log.vectors, judged, model.users))) / count
        tables[_named(kind, size, personas)] = pd.DataFrame({"user_id": users, "right": told})
    pooled, *_ = tables.values()
    rows = []
    for name, table in tables.items():
        against = {} if table is pooled else compare(pooled, table, ["right"], seed=seed).to_dict("records")[0]
        rows.append(
            {
                "reward": name,
                "right": float(table["right"].mean()),
                "below_half": float((table["right"] < 0.5).mean()),
                "users": len(users),
                **{key: against.get(key) for key in ("diff", "low", "high", "p")},
            }
        )
    return rows


def _held_out(log: PairLog, held_out: float, seed: int) -> Mask:
    """Return which choices are held out: a share of each user's, rounded up, never all."""
    user = log.pairs.user
    order = np.lexsort((np.random.default_rng(seed).random(len(user)), user))
    count = np.bincount(user, minlength=len(log.users))
    start = np.r_[0, np.cumsum(count)[:-1]]
    place = np.empty(len(user), np.int64)
    place[order] = np.arange(len(user)) - start[user[order]]
    most = np.minimum(np.ceil(held_out * count), count - 1)
    return np.asarray(place < most[user])


def _named(kind: Kind, size: int, personas: int) -> str:
    return {
        "pooled": "one for all",
        "vector": f"one vector a user, d = {size}",
        "mixture": f"mixture of {size}",
        "persona": f"{personas} personas",
    }[kind]
