"""One list for all, chosen in four ways: Borda, maximal lottery, Nash welfare, egalitarian.

A lottery over lists of n items is q with 0 <= q_i <= 1/n and sum q_i = 1; user u gets U_u(q) = sum_i q_i u_ui.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog
from scipy.stats import rankdata

from recsys.checks import share, whole
from recsys.data.interactions import Interactions
from recsys.data.pairs.pairs import rated
from recsys.errors import ConfigError, DataError
from recsys.types import Doubles, Ints

_STEPS: Final = 400
_FLOOR: Final = 1e-6


@final
@dataclass(frozen=True, eq=False)
class Lottery:
    """A lottery over items.

    Attributes:
        weights: "items", q_i.
        name: of the rule.
    """

    weights: Doubles
    name: str

    def utilities(self, electorate: Electorate) -> Doubles:
        """Return U_u(q), "users"."""
        return np.asarray(electorate.utility @ self.weights)


@final
@dataclass(frozen=True, eq=False)
class Electorate:
    """Users who rated enough of some items.

    Attributes:
        items: "items", numbers in the log.
        users: "users", numbers in the log.
        utility: "users items": the mid-rank of an item's rating among the user's own ratings of these items, from 0 to
            1, so that nobody counts more for using the ends of the scale; .5 where it is unrated.
        rated: "users items", 1 where it is rated.
    """

    items: Ints
    users: Ints
    utility: Doubles
    rated: Doubles

    @classmethod
    def of(cls, log: Interactions, items: int = 150, least: int = 40) -> Electorate:
        """Take the most rated items, and the users who rated at least `least` of them.

        Raises:
            DataError: no two ratings differ, or nobody rated so many.
        """
        whole("items", items, least=2)
        whole("least", least)
        log = log.select(rated(log))
        counts = np.bincount(log.item_num, minlength=log.n_items)
        chosen = np.sort(np.argsort(-counts, kind="stable")[:items])
        place = np.full(log.n_items, -1)
        place[chosen] = np.arange(len(chosen))
        inside = place[log.item_num] >= 0
        user, item, value = log.user_num[inside], place[log.item_num[inside]], log.value[inside]
        users = np.flatnonzero(np.bincount(user, minlength=log.n_users) >= least)
        if len(users) == 0:
            raise DataError(f"{log.name}: nobody rated {least} of the {items} most rated items; lower `least`")
        row = np.full(log.n_users, -1)
        row[users] = np.arange(len(users))
        kept = row[user] >= 0
        table = np.full((len(users), len(chosen)), np.nan)
        table[row[user[kept]], item[kept]] = value[kept]
        has = np.isfinite(table)
        ranks = rankdata(table, axis=1, nan_policy="omit")
        utility = np.where(has, (ranks - 0.5) / has.sum(1, keepdims=True), 0.5)
        return cls(chosen, users, utility, has.astype(np.float64))

    def preferring(self) -> Doubles:
        """Return "items items": how many users who rated both prefer the first; ties count a half."""
        count = np.zeros((len(self.items), len(self.items)))
        for begin in range(0, len(self.users), 64):
            block = slice(begin, begin + 64)
            value, has = self.utility[block], self.rated[block] > 0
            both = has[:, :, None] & has[:, None, :]
            difference = value[:, :, None] - value[:, None, :]
            count += (both * ((difference > 0) + 0.5 * (difference == 0))).sum(0)
        return count


def shares(preferring: Doubles) -> Doubles:
    """Return "items items": the share that prefers the first of those who compare both; .5 where nobody does."""
    total = preferring + preferring.T
    return np.where(total > 0, preferring / np.where(total > 0, total, 1), 0.5)


def borda(preferring: Doubles, n: int = 1) -> Lottery:
    """Return the n items with the largest Borda score, the mean share that prefers the item to another.

    >>> borda(np.array([[0, 6, 6], [4, 0, 9], [4, 1, 0.0]])).weights.tolist()
    [0.0, 1.0, 0.0]
    """
    _check(len(preferring), n)
    of_others = shares(preferring)
    np.fill_diagonal(of_others, 0)
    return Lottery(_best(of_others.sum(1), n), "Borda")


def maximal_lottery(preferring: Doubles, n: int = 1) -> Lottery:
    """Return the lottery that no item beats on average: max_q min_j sum_i q_i M_ij, with M the margins of majorities.

    With n = 1 it is von Neumann's optimal strategy of the symmetric game M (Fishburn 1984); a Condorcet winner, which
    a majority prefers to each other item, gets all. Nash learning from human feedback approximates it (Maura-Rivero et
    al., arXiv 2501.19266). A linear program.

    >>> maximal_lottery(np.array([[0, 6, 6], [4, 0, 9], [4, 1, 0.0]])).weights.tolist()
    [1.0, 0.0, 0.0]
    """
    items = len(preferring)
    _check(items, n)
    margin = 2 * shares(preferring) - 1
    np.fill_diagonal(margin, 0)
    cost = np.zeros(items + 1)
    cost[-1] = -1
    above = np.hstack([-margin.T, np.ones((items, 1))])  # v - sum_i q_i M_ij <= 0
    equal = np.append(np.ones(items), 0)[None]
    bounds = [(0, 1 / n)] * items + [(-1, 1)]
    solved = linprog(cost, A_ub=above, b_ub=np.zeros(items), A_eq=equal, b_eq=[1], bounds=bounds)
    return Lottery(np.asarray(solved.x, np.float64)[:-1], "maximal lottery")


def nash_welfare(electorate: Electorate, n: int = 1) -> Lottery:
    """Return the lottery with the largest product of utilities, max_q sum_u log U_u(q).

    Frank and Wolfe's method: the linear step is the list of the n items with the largest gradient; steps 2 / (t + 2).
    """
    utility = electorate.utility
    _check(utility.shape[1], n)
    weights = np.full(utility.shape[1], 1 / utility.shape[1])
    for step in range(_STEPS):
        gradient = (1 / np.maximum(utility @ weights, _FLOOR)) @ utility
        weights = weights + 2 / (step + 2) * (_best(gradient, n) - weights)
    return Lottery(weights, "Nash")


def egalitarian(electorate: Electorate, n: int = 1, worst: float = 0.1) -> Lottery:
    """Return the lottery that is best for those who fare worst: the largest mean utility of the lowest share of users.

        max_{q, t, z >= 0}  t - sum_u z_u / (worst m)    subject to  z_u >= t - U_u(q)

    the conditional value at risk as a linear program (Rockafellar and Uryasev 2000).
    """
    utility = electorate.utility
    users, items = utility.shape
    _check(items, n)
    share("worst", worst)
    if worst == 0:
        raise ConfigError("worst is 0; it must be a share of the users above 0")
    cost = np.concatenate([np.zeros(items), [-1], np.full(users, 1 / (worst * users))])
    above = sp.hstack([-sp.csr_matrix(utility), sp.csr_matrix(np.ones((users, 1))), -sp.eye(users)])
    equal = sp.csr_matrix(np.concatenate([np.ones(items), np.zeros(users + 1)])[None])
    bounds = [(0, 1 / n)] * items + [(0, 1)] + [(0, None)] * users
    solved: Any = linprog(cost, A_ub=above, b_ub=np.zeros(users), A_eq=equal, b_eq=[1], bounds=bounds)  # type: ignore[call-overload]
    return Lottery(np.asarray(solved.x, np.float64)[:items], "egalitarian")


def _best(values: Doubles, n: int) -> Doubles:
    weights = np.zeros(len(values))
    weights[np.argsort(-values, kind="stable")[:n]] = 1 / n
    return weights


def _check(items: int, n: int) -> None:
    whole("n", n)
    if n > items:
        raise ConfigError(f"n is {n}, and there are {items} items; a list cannot be longer")
