"""Measured drift: how much the tastes of each user moved, from the log alone, for strata."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions
from recsys.data.queries import Ragged
from recsys.errors import ConfigError, DataError
from recsys.evaluation.calibration import taste_distance
from recsys.evaluation.tastes import Tastes
from recsys.types import Doubles, Items

_BLOCK = 2048


def measured_drift(
    log: Interactions, tastes: Tastes, *, draws: int = 20, min_events: int = 8, seed: int = 0
) -> Doubles:
    """Return how much the tastes of each user moved, without any model.

        drift_u = JSD(P_first, P_second) - mean over random splits of JSD(P_one, P_other)

    P_first and P_second are the taste distributions of the earlier and the later half of the user's distinct items
    that have a taste (in the order of first use; of an odd number, the middle one is in the later half), JSD the
    Jensen-Shannon distance (`calibration.taste_distance`). Two halves of one taste differ by chance, the more
    the shorter they are; random splits of the same items estimate by how much. 0 is chance level. The measure is ours.
    `strata.quartiles` makes labels of it.

    Args:
        log: holds the histories.
        tastes: of the log's items.
        draws: random splits per user.
        min_events: users with fewer such items have no measured drift.
        seed: of the splits.

    Returns:
        "users", NaN for users with too few items.

    Raises:
        ConfigError: no draws.
        DataError: the tastes are not those of the log's items.
    """
    if draws < 1:
        raise ConfigError(f"measured drift: draws is {draws}; it must be at least 1")
    if len(tastes.shares) != log.n_items:
        raise DataError(f"tastes of {len(tastes.shares)} items cannot describe {log.n_items} of {log.name!r}")
    result = np.full(log.n_users, np.nan)
    for begin in range(0, log.n_users, _BLOCK):
        end = min(begin + _BLOCK, log.n_users)
        events = slice(int(log.indptr[begin]), int(log.indptr[end]))
        user, item = log.user_num[events].astype(np.int64) - begin, log.item_num[events]
        _, first = np.unique(user * log.n_items + item, return_index=True)
        first = np.sort(first[tastes.has_taste[item[first]]])
        user, item = user[first], item[first]
        count = np.bincount(user, minlength=end - begin)
        generator = np.random.default_rng([seed, begin])
        chance = np.zeros(end - begin)
        for _ in range(draws):
            shuffled = item[np.lexsort((generator.random(len(user)), user))]
            chance += _distance_of_halves(tastes, shuffled, count)
        drift = _distance_of_halves(tastes, item, count) - chance / draws
        result[begin:end] = np.where(count >= max(2, min_events), drift, np.nan)
    return result


def _distance_of_halves(tastes: Tastes, items: Items, count: npt.NDArray[np.intp]) -> Doubles:
    """ "users": the taste distance of the halves of each user's row of items."""
    half = count // 2
    # Rows of halves, one after the other: first and later half of user 0, of user 1, ...
    lengths = np.stack([half, count - half], axis=1).ravel()
    halves = Ragged(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), items)
    distributions = tastes.of_histories(halves)
    return taste_distance(distributions[0::2], distributions[1::2])
