"""Negative sampling with generators that depend only on (seed, epoch, step).

Nothing depends on how many numbers were drawn before, so a resumed run draws the same batches.
"""

from __future__ import annotations

from typing import Literal, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NegativeSampler = Literal["uniform", "popularity", "in_batch"]
"""The distribution of negatives: uniform; popularity ** 0.5; or the other positives of the batch."""

# Odd constants of the splitmix64 family spread (seed, epoch, step) over the generator's whole seed space.
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def generator(device: torch.device, seed: int, epoch: int, step: int = -1) -> torch.Generator:
    """Return a fresh generator for one step (or, with step -1, for one epoch)."""
    mixed = (seed + 1) * _MIX[0] ^ (epoch + 1) * _MIX[1] ^ (step + 2) * _MIX[2]
    return torch.Generator(device=device).manual_seed((mixed ^ mixed >> 31) & 0x7FFFFFFFFFFFFFFF)


@final
class Observed:
    """Membership test for (user, item) pairs, vectorised: a sorted list of keys and a binary search."""

    def __init__(self, users: Int[Tensor, " pairs"], items: Int[Tensor, " pairs"], n_items: int) -> None:
        self._keys = torch.unique(users.long() * n_items + items.long())
        self._n_items = n_items

    def contains(self, users: Int[Tensor, "*shape"], items: Int[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        """Return, for each pair, whether it was observed."""
        keys = users.long() * self._n_items + items.long()
        position = torch.searchsorted(self._keys, keys).clamp(max=len(self._keys) - 1)
        return torch.eq(self._keys[position], keys)

    def among(self, users: Int[Tensor, " examples"], items: Int[Tensor, " n"]) -> Bool[Tensor, "examples n"]:
        """Return `contains` for each user and each item of one list.

        Scans the users' own events instead of searching every pair, which is several times faster for lists longer than
        the logarithm of the log.
        """
        distinct, inverse = torch.unique(items, return_inverse=True)
        column = torch.full((self._n_items,), -1, device=items.device)
        column[distinct] = torch.arange(len(distinct), device=items.device)
        start, stop = torch.searchsorted(self._keys, torch.stack([users, users + 1]).long() * self._n_items)
        length = stop - start
        row = torch.repeat_interleave(torch.arange(len(users), device=items.device), length)
        first = start - (torch.cumsum(length, 0) - length)
        own = column[self._keys[torch.arange(len(row), device=items.device) + first[row]] % self._n_items]
        observed = torch.zeros(len(users), len(distinct), dtype=torch.bool, device=items.device)
        observed[row[own >= 0], own[own >= 0]] = True
        return observed[:, inverse]


def popularity_log_probability(counts: Float[Tensor, " items"], power: float) -> Float[Tensor, " items"]:
    """Log-probability of each item when drawn in proportion to count ** power (items never seen count as one)."""
    weights = counts.clamp(min=1.0).pow(power)
    return torch.log(weights / weights.sum())


def draw_items(
    cumulative: Float[Tensor, " items"] | None, n_items: int, shape: tuple[int, ...], source: torch.Generator
) -> Int[Tensor, "*shape"]:
    """Draw item numbers with replacement: uniform, or by a cumulative distribution (inverse transform)."""
    if cumulative is None:
        return torch.randint(n_items, shape, generator=source, device=source.device)
    uniform = torch.rand(shape, generator=source, device=source.device, dtype=cumulative.dtype)
    return torch.searchsorted(cumulative, uniform).clamp(max=n_items - 1)


def draw_unobserved(
    observed: Observed,
    users: Int[Tensor, " examples"],
    per_user: int,
    cumulative: Float[Tensor, " items"] | None,
    n_items: int,
    source: torch.Generator,
    tries: int = 10,
) -> Int[Tensor, "examples per_user"]:
    """Draw negatives for each example among the unobserved items of its user, by rejection.

    After `tries` rounds the remaining positives are kept, which affects only users of nearly all items.
    """
    owner = users.repeat_interleave(per_user)
    drawn = draw_items(cumulative, n_items, (len(owner),), source)
    wrong = torch.nonzero(observed.contains(owner, drawn))[:, 0]
    for _ in range(tries):
        if len(wrong) == 0:
            break
        drawn[wrong] = draw_items(cumulative, n_items, (len(wrong),), source)
        wrong = wrong[observed.contains(owner[wrong], drawn[wrong])]
    return drawn.view(len(users), per_user)
