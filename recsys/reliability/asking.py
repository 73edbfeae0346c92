"""Asking again: how much a second answer would tell of the first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys.reliability.likelihood import Scale, log_likelihoods
from recsys.reliability.posterior import FittedMixture, Judged, classes
from recsys.reliability.responses import Responses
from recsys.types import Doubles, Ints

_STEPS = 21
"""Answers that are tried on a continuous scale."""


def told_by_asking_again(fitted: FittedMixture, judged: Judged) -> Doubles:
    """Return "pairs", in bits: by how much one more answer is expected to lower the entropy of a pair's class.

        I(z; y') = H(z | y) - sum_y' P(y' | y) H(z | y, y')         y' under the usual conditions

    It is the mutual information of the class and the next answer: nearly 1 bit where a second answer settles what the
    first leaves open, 0 where the class is certain, or where its answers look like those of another class.

    Args:
        fitted: the mixture.
        judged: answers as it sees them.
    """
    once, first = judged.responses, judged.responses.first
    if len(first) == 0 or not fitted.identified:
        return np.zeros(len(first))
    shares = judged.shares[once.user[first]]
    next_answers = fitted.scale.levels
    tried = np.linspace(*fitted.scale.ends, _STEPS) if next_answers is None else next_answers
    joint, entropies = [], []
    for answer in tried.tolist():
        twice = _with_another(once, first, answer)
        columns = judged.mean, judged.variance, judged.own, judged.spreads
        scale = Scale.of_levels(twice.value, next_answers)
        likelihoods = log_likelihoods(twice, scale, *columns)
        joint.append(_log_total(likelihoods, shares))
        entropies.append(_entropy(classes(likelihoods, shares)))
    weights = np.exp(np.asarray(joint) - np.max(joint, 0))
    expected = (weights / weights.sum(0) * np.asarray(entropies)).sum(0)
    return np.asarray(np.maximum(_entropy(judged.gamma) - expected, 0.0))


def _with_another(once: Responses, first: Ints, answer: float) -> Responses:
    """Return the responses with one more of each pair, under the usual conditions."""
    extra = once.take(first)
    return replace(
        once,
        user=np.concatenate([once.user, extra.user]),
        item=np.concatenate([once.item, extra.item]),
        value=np.concatenate([once.value, np.full(len(first), answer)]),
        time=np.concatenate([once.time, extra.time]),
        condition=np.concatenate([once.condition, np.zeros_like(extra.condition)]),
    )


def _log_total(likelihoods: Doubles, shares: Doubles) -> Doubles:
    with np.errstate(divide="ignore"):
        joint = likelihoods + np.log(shares)
    top = joint.max(1)
    return np.asarray(top + np.log(np.exp(joint - top[:, None]).sum(1)))


def _entropy(gamma: Doubles) -> Doubles:
    """Return the entropy of each row, in bits."""
    return np.asarray(-(gamma * np.log2(np.maximum(gamma, 1e-300))).sum(1))
