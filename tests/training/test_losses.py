"""Losses against closed forms and torch's own."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from recsys.training import losses


def test_sampled_softmax_is_cross_entropy_with_the_positive_in_front() -> None:
    scores = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    expected = F.cross_entropy(scores, torch.zeros(7, dtype=torch.long))
    assert losses.sampled_softmax(scores[:, 0], scores[:, 1:]).item() == pytest.approx(expected.item(), rel=1e-6)


def test_ignored_negatives_leave_the_sum() -> None:
    scores = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    ignore = torch.tensor([[True, False]] * 4)
    without_ignored = losses.sampled_softmax(scores[:, 0], scores[:, 2:])
    assert losses.sampled_softmax(scores[:, 0], scores[:, 1:], ignore=ignore).item() == pytest.approx(
        without_ignored.item()
    )


def test_log_q_correction_makes_the_sampled_gradient_that_of_the_full_softmax() -> None:
    source = torch.Generator().manual_seed(2)
    scores = torch.randn(6, generator=source)
    probability = torch.tensor([0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    many = torch.multinomial(probability, 200_000, replacement=True, generator=source)
    log_q = probability.log()
    loss = losses.sampled_softmax(scores[:1], scores[many][None], log_q[:1], log_q[many][None])
    # The mean of exp(s - log q) estimates the partition function, and there are 200,000 terms of it.
    corrected = loss - (math.log(200_000) + log_q[0])
    assert corrected.item() == pytest.approx((torch.logsumexp(scores, 0) - scores[0]).item(), abs=0.02)


def test_bpr_of_equal_scores_is_log_two() -> None:
    assert losses.bpr(torch.zeros(3), torch.zeros(3, 2)).item() == pytest.approx(math.log(2))


def test_full_softmax_counts_each_positive_once() -> None:
    scores = torch.randn(2, 4, generator=torch.Generator().manual_seed(3))
    targets = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 1]])
    per_positive = -F.log_softmax(scores, 1)
    expected = (per_positive[0, 0] + per_positive[0, 1] + per_positive[1, 3]) / 3
    assert losses.full_softmax(scores, targets).item() == pytest.approx(expected.item(), rel=1e-6)


def test_attention_entropy_is_log_k_when_flat_and_zero_when_sharp() -> None:
    flat, sharp = torch.full((1, 4, 1), 0.25), torch.tensor([[[1.0], [0.0], [0.0], [0.0]]])
    assert losses.attention_entropy(flat).item() == pytest.approx(math.log(4))
    assert losses.attention_entropy(sharp).item() == pytest.approx(0, abs=1e-30)


def test_the_gradient_of_the_entropy_is_finite_where_attention_vanishes() -> None:
    logits = torch.tensor([[[0.0], [-1e3]]], requires_grad=True)
    (gradient,) = torch.autograd.grad(losses.attention_entropy(torch.softmax(logits, 1)).sum(), [logits])
    assert torch.isfinite(gradient).all()


def test_imbalance_depends_on_the_mean_attention() -> None:
    sharp_but_balanced = torch.eye(3)
    dead = torch.tensor([[1.0, 0, 0]] * 3)
    assert losses.persona_imbalance(sharp_but_balanced).item() == pytest.approx(0, abs=1e-6)
    assert losses.persona_imbalance(dead).item() == pytest.approx(math.log(3))


def test_an_example_of_weight_two_counts_as_two() -> None:
    positive, negative = torch.tensor([0.3, -1.0]), torch.tensor([[0.1, 2.0], [0.5, -0.2]])
    twice, weights = torch.tensor([0, 0, 1]), torch.tensor([2.0, 1.0])
    for loss in (losses.sampled_softmax, losses.bpr):
        repeated = loss(positive[twice], negative[twice])
        assert loss(positive, negative, weights=weights).item() == pytest.approx(repeated.item(), rel=1e-6)
