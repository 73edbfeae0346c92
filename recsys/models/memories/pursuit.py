"""Orthogonal matching pursuit with weights of at least 0, for many users at once."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_SWEEPS, _LAST_SWEEPS = 6, 40
"""Of coordinate descent: after each step from the weights of the step before, and at the end."""


def pursue(
    gram: Float[Tensor, "users events events"],
    target: Float[Tensor, "users events"],
    usable: Bool[Tensor, "users events"],
    k: int,
) -> tuple[Int[Tensor, "users k"], Float[Tensor, "users k"]]:
    """Return k atoms of each user, and weights a >= 0 with which they come near to a target.

        minimise || s - sum_j a_j R_j ||^2,    a >= 0, at most k of them above 0

    Each step adds the atom with the largest cosine to what is left, then all weights are fitted again by coordinate
    descent. Pati, Rezaiifar and Krishnaprasad, *Orthogonal matching pursuit*, 1993; with weights of at least 0
    Bruckstein, Elad and Zibulevsky, 2008.

    Args:
        gram: R R', the inner products of the atoms.
        target: R s.
        usable: which atoms there are.
        k: atoms; at most "events".

    Returns:
        Places of atoms, and weights; 0 where a user has fewer, or where a further one helps nothing.
    """
    users, events = target.shape
    length = gram.diagonal(dim1=1, dim2=2).clamp(min=1e-12).sqrt()
    rows = torch.arange(users)
    free = usable.clone()
    places = torch.zeros(users, 0, dtype=torch.long)
    weights = torch.zeros(users, 0)
    alive = torch.zeros(users, 0)
    left = target
    for step in range(k):
        gain = (left / length).masked_fill(~free, -torch.inf)
        best = gain.argmax(1)
        alive = torch.cat([alive, free[rows, best][:, None].float()], 1)  # 0: this user has no more atoms
        free[rows, best] = False
        places = torch.cat([places, best[:, None]], 1)
        chosen = gram.gather(1, places[:, :, None].expand(-1, -1, events)) * alive[:, :, None]
        among = chosen.gather(2, places[:, None, :].expand(-1, step + 1, -1)) * alive[:, None, :]
        weights = _fitted(
            among,
            target.gather(1, places) * alive,
            torch.cat([weights, torch.zeros(users, 1)], 1),
            _LAST_SWEEPS if step == k - 1 else _SWEEPS,
        )
        left = target - torch.bmm(weights[:, None, :], chosen)[:, 0]
    return places, weights * alive


def _fitted(
    gram: Float[Tensor, "users k k"], target: Float[Tensor, "users k"], weights: Float[Tensor, "users k"], sweeps: int
) -> Float[Tensor, "users k"]:
    """Return the weights of least squares, none below 0."""
    own = gram.diagonal(dim1=1, dim2=2).clamp(min=1e-12)
    for _ in range(sweeps):
        for place in range(weights.shape[1]):
            left = target[:, place] - (gram[:, place] * weights).sum(1)
            weights[:, place] = (weights[:, place] + left / own[:, place]).clamp(min=0)
    return weights
