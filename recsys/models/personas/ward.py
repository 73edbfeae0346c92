"""Ward's clustering of the few tastes of each of many users at once."""

from __future__ import annotations

import numpy as np

from recsys.types import Doubles, Ints

_SHRUNK = 0.75
"""What has merged away is left out once this part of the points is left."""


def ward(mass: Doubles, products: Doubles, most: int) -> Ints:
    """Return the cluster of each point, "users points", when `most` are left: the number of one of its points.

    In each round all pairs of mutual nearest neighbours merge, of all users at once. Ward's rule is reducible, so the
    tree is that of merging the cheapest pair at a time (Murtagh, *A survey of recent advances in hierarchical
    clustering algorithms*, 1983); leaving its `most - 1` most expensive merges out gives the clusters.

    Args:
        mass: "users points", 0 where there is no point.
        products: "users points points", inner products of the points' weighted sums.
        most: number of clusters at which merging stops.
    """
    users, width = mass.shape
    rounds: list[tuple[Ints, Ints, Ints, Doubles]] = []
    rows = np.flatnonzero((mass > 0).sum(1) > most)
    mass, products, height = mass[rows], products[rows], np.zeros((len(rows), width))  # height: of the last merge
    point = np.tile(np.arange(width), (len(rows), 1))  # by which the result names a cluster
    while len(going := np.flatnonzero((mass > 0).sum(1) > 1)):
        alive = mass[going] > 0
        widest = int(alive.sum(1).max())
        if len(going) < len(rows) or widest <= _SHRUNK * mass.shape[1]:
            rows, place = rows[going], going[:, None]
            kept = np.argsort(~alive, axis=1, kind="stable")[:, :widest]
            mass, height, point = mass[place, kept], height[place, kept], point[place, kept]
            products = products[place[:, :, None], kept[:, :, None], kept[:, None, :]]
        cost = _costs(mass, products)
        nearest = cost.argmin(2)
        own = np.arange(mass.shape[1])
        mutual = (nearest[np.arange(len(rows))[:, None], nearest] == own) & (own < nearest) & (mass > 0)
        user, one = np.nonzero(mutual)
        other = nearest[user, one]
        level = np.maximum(cost[user, one, other], np.maximum(height[user, one], height[user, other]))
        rounds.append((rows[user], point[user, one], point[user, other], level))
        products[user, one] += products[user, other]
        products[user, :, one] += products[user, :, other]
        mass[user, one] += mass[user, other]
        mass[user, other] = 0.0
        height[user, one] = level
    return _cut(rounds, users, width, most)


def _cut(rounds: list[tuple[Ints, Ints, Ints, Doubles]], users: int, width: int, most: int) -> Ints:
    """Return the cluster of each point without the most expensive merges of each user."""
    label = np.tile(np.arange(width), (users, 1))
    if not rounds:
        return label
    user, one, other, level = (np.concatenate(each) for each in zip(*rounds, strict=True))
    # Most expensive first; of equals the later, which is above.
    order = np.lexsort((-np.arange(len(user)), -level, user))
    start = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=users))])
    kept = np.zeros(len(user), np.bool_)
    kept[order] = np.arange(len(user)) - start[user[order]] >= most - 1
    label[user[kept], other[kept]] = one[kept]  # a point merges into another once
    while not np.array_equal(further := np.take_along_axis(label, label, 1), label):  # and that one, later
        label = further
    return label


def _costs(mass: Doubles, products: Doubles) -> Doubles:
    """Return m_a m_b / (m_a + m_b) |c_a - c_b|^2, "users clusters clusters"; inf for oneself and without mass."""
    alive = mass > 0
    inverse = 1.0 / np.where(alive, mass, 1.0)
    square = np.einsum("uii->ui", products) * inverse**2
    cost = products * (-2.0 * inverse[:, :, None] * inverse[:, None, :])
    cost += square[:, :, None]
    cost += square[:, None, :]
    cost /= inverse[:, :, None] + inverse[:, None, :]
    lost = np.where(alive, 0.0, np.inf)
    cost += lost[:, :, None]
    cost += lost[:, None, :]
    np.einsum("uii->ui", cost)[:] = np.inf
    return cost
