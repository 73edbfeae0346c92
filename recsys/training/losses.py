"""Losses as pure functions; means over examples unless stated otherwise.

Where several processes have the examples of a batch, each passes its own, and a function `total` that adds sums over
them up (`recsys.training.shares`); None: all examples are here.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.training.shares import Total

_TINY = torch.finfo(torch.float32).tiny


def sampled_softmax(
    positive: Float[Tensor, " examples"],
    negative: Float[Tensor, "examples negatives"],
    log_q_positive: Float[Tensor, " examples"] | None = None,
    log_q_negative: Float[Tensor, "#examples negatives"] | None = None,
    ignore: Bool[Tensor, "examples negatives"] | None = None,
    weights: Float[Tensor, " examples"] | None = None,
    total: Total | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy of the positive against sampled negatives: -log( e^{s+} / (e^{s+} + sum_j e^{s_j}) ).

    With `log_q`, the log-probability under which an item is drawn as a negative is subtracted from its score first, so
    that the expected gradient is that of the full softmax (Bengio and Senecal 2008; for in-batch negatives Yi et al.,
    RecSys 2019).

    Args:
        positive: scores of the positives.
        negative: scores of the negatives.
        log_q_positive: log sampling probability of each positive; None for no correction.
        log_q_negative: log sampling probability of each negative; None for no correction.
        ignore: negatives that are positives of the example; left out of the sum.
        weights: of the examples in the mean; None: all alike.
        total: see above.
    """
    if log_q_positive is not None:
        positive = positive - log_q_positive
    if log_q_negative is not None:
        negative = negative - log_q_negative
    if ignore is not None:
        negative = negative.masked_fill(ignore, -torch.inf)
    return mean(torch.logsumexp(torch.cat([positive[:, None], negative], 1), 1) - positive, weights, total)


def bpr(
    positive: Float[Tensor, " examples"],
    negative: Float[Tensor, "examples negatives"],
    weights: Float[Tensor, " examples"] | None = None,
    total: Total | None = None,
) -> Float[Tensor, ""]:
    """Bayesian personalised ranking: -log sigmoid(s+ - s-), averaged over pairs (Rendle et al., UAI 2009).

    With `weights` the pairs of an example count as much as it does.
    """
    loss = F.softplus(negative - positive[:, None])
    return loss.mean() if weights is None and total is None else mean(loss.mean(1), weights, total)


def mean(
    loss: Float[Tensor, " examples"],
    weights: Float[Tensor, " examples"] | None = None,
    total: Total | None = None,
) -> Float[Tensor, ""]:
    """Return the mean over examples, or the weighted one."""
    if total is None:
        return loss.mean() if weights is None else (loss * weights).sum() / weights.sum()
    weights = torch.ones_like(loss) if weights is None else weights
    return total((loss * weights).sum()) / total(weights.sum())


def full_softmax(
    scores: Float[Tensor, "users items"], targets: Float[Tensor, "users items"], total: Total | None = None
) -> Float[Tensor, ""]:
    """Multinomial log-likelihood of all of a user's items, -(1/n) sum_u sum_i t_ui log softmax_i(s_u).

    Each positive counts once: n is the sum of the targets (Liang et al., WWW 2018, eq. 2, up to that scale).
    """
    loss, count = (F.log_softmax(scores, 1) * targets).sum(), targets.sum()
    if total is not None:
        loss, count = total(loss), total(count)
    return -loss / count.clamp(min=1.0)


def attention_entropy(attention: Float[Tensor, "*batch personas items"]) -> Float[Tensor, "*batch items"]:
    """Entropy in nats of the attention over personas, H(a) = -sum_k a_k log a_k, for each item."""
    entropy: Tensor = torch.special.entr(attention.clamp_min(_TINY))  # log 0 has no gradient
    return entropy.sum(-2)


def persona_imbalance(attention: Float[Tensor, "examples personas"], total: Total | None = None) -> Float[Tensor, ""]:
    """How far the *mean* attention is from uniform: log K - H(mean_e a_e), in nats; 0 when all personas are used.

    Entropy per example does not prevent dead personas; balancing the mean attention does.
    """
    count = attention.new_tensor(len(attention))
    mean = attention.mean(0) if total is None else total(attention.sum(0)) / total(count)
    return math.log(len(mean)) + torch.xlogy(mean, mean).sum()
