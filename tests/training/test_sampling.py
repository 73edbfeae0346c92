"""Negatives and the generators behind them."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.training import sampling

CPU = torch.device("cpu")


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_generators_depend_on_seed_epoch_and_step_alone(seed: int, epoch: int, step: int) -> None:
    first = torch.randint(1 << 30, (4,), generator=sampling.generator(CPU, seed, epoch, step))
    again = torch.randint(1 << 30, (4,), generator=sampling.generator(CPU, seed, epoch, step))
    other = torch.randint(1 << 30, (4,), generator=sampling.generator(CPU, seed, epoch, step + 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 19)), min_size=1, max_size=80))
def test_observed_agrees_with_a_set(pairs: set[tuple[int, int]]) -> None:
    table = torch.tensor(sorted(pairs))
    observed = sampling.Observed(table[:, 0], table[:, 1], 20)
    users, items = torch.meshgrid(torch.arange(10), torch.arange(20), indexing="ij")
    expected = torch.tensor([[(u, i) in pairs for i in range(20)] for u in range(10)])
    assert torch.equal(observed.contains(users, items), expected)
    drawn = torch.tensor([19, 0, 3, 3, 7])
    assert torch.equal(observed.among(torch.tensor([4, 0, 9, 4]), drawn), expected[[4, 0, 9, 4]][:, drawn])


def test_unobserved_negatives_are_unobserved_and_cover_the_rest() -> None:
    users = torch.arange(5).repeat_interleave(10)
    items = torch.arange(10).repeat(5)
    observed = sampling.Observed(users, items, 12)
    users = torch.arange(5).repeat(200)
    drawn = sampling.draw_unobserved(observed, users, 4, None, 12, sampling.generator(CPU, 0, 0, 0), tries=200)
    assert drawn.shape == (1000, 4)
    assert set(drawn.flatten().tolist()) == {10, 11}


def test_a_user_of_all_items_still_gets_negatives() -> None:
    observed = sampling.Observed(torch.zeros(3, dtype=torch.long), torch.arange(3), 3)
    drawn = sampling.draw_unobserved(
        observed, torch.zeros(2, dtype=torch.long), 5, None, 3, sampling.generator(CPU, 0, 0, 0)
    )
    assert drawn.shape == (2, 5)


def test_popularity_sampling_follows_the_square_root_of_the_counts() -> None:
    counts = torch.tensor([900.0, 100.0, 0.0])
    log_probability = sampling.popularity_log_probability(counts, 0.5)
    torch.testing.assert_close(log_probability.exp(), torch.tensor([30.0, 10.0, 1.0]) / 41)
    cumulative = log_probability.double().exp().cumsum(0)
    drawn = sampling.draw_items(cumulative, 3, (40_000,), sampling.generator(CPU, 1, 0, 0))
    share = torch.bincount(drawn, minlength=3) / 40_000
    torch.testing.assert_close(share, log_probability.exp(), atol=0.01, rtol=0)
