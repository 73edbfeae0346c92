"""Whether a condition moves answers at all: the constructed class must beat those of permuted conditions."""

from __future__ import annotations

import numpy as np

from recsys.reliability.estimate import Estimate
from recsys.reliability.likelihood import Scale, log_likelihoods
from recsys.reliability.posterior import classes
from recsys.reliability.responses import Responses
from recsys.types import Doubles, Ints, Items, Mask

_STEPS = 12
_PAIRS = 20_000


def sways(estimate: Estimate, permutations: int, seed: int) -> tuple[bool, str]:
    """Return whether constructed answers are told apart by the conditions, and why.

    The pull of the conditions, s_C and the shares are fitted on half of the pairs, with the true conditions and with
    permutations of them within users, and judged by the likelihood of the other half. Pull alone confirms itself: with
    permuted conditions a class of answers near where the permuted condition points is found, too. What was shown must
    have been varied at random: a number that foretells the preference cannot be told from one that moved the answer.

    Args:
        estimate: with the constructed class.
        permutations: that the true conditions must all beat, and on average by three standard deviations.
        seed: of halves and permutations.
    """
    if len(estimate.user) < 2:
        return False, "one answer is too few to tell what a condition does"
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(estimate.user))[:_PAIRS]
    in_part = np.zeros(len(estimate.user), np.bool_)
    in_part[order] = True
    place = np.flatnonzero(in_part)
    answers = estimate.responses.take(in_part[estimate.responses.pair])
    scale = Scale.of_levels(answers.value, estimate.responses.levels)
    columns = scale, estimate.mean[place], estimate.variance[place], estimate.own
    fixed = log_likelihoods(answers, *columns, estimate.spreads)[:, :2]
    fit = rng.permutation(len(place)) < len(place) / 2
    true = _held_out(answers, scale, estimate.own, fixed, fit, answers.condition)
    others = np.array(
        [
            _held_out(answers, scale, estimate.own, fixed, fit, answers.condition[_within(answers.user, rng)])
            for _ in range(permutations)
        ]
    )
    if true > others.max() and true > others.mean() + 3 * others.std():
        return True, f"answers follow {_listed(answers.names)}: more than under all of {permutations} permutations"
    beaten = int((true > others).sum())
    return False, (
        f"{_listed(answers.names)} tell the answers no better than permuted ({beaten} of {permutations} beaten), so "
        "constructed answers cannot be told from preferences"
    )


def _within(user: Items, rng: np.random.Generator) -> Ints:
    """Return a permutation of the answers within each user: what sets users apart is no effect of a condition."""
    order = np.empty(len(user), np.int64)
    order[np.argsort(user, kind="stable")] = np.lexsort((rng.random(len(user)), user))
    return order


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(names)


def _held_out(answers: Responses, scale: Scale, own: Doubles, fixed: Doubles, fit: Mask, condition: Doubles) -> float:
    """Return the mean log-likelihood of the pairs not in `fit`, by the constructed class of those that are."""
    pair, level = answers.pair, own[answers.user]
    rest = answers.value - level
    shares, deviation = np.array([0.7, 0.15, 0.15]), float(rest.std())
    pull = np.linalg.lstsq(condition, rest, rcond=None)[0]

    def joint() -> Doubles:
        moved = scale.log_probability(level + condition @ pull, deviation)
        return np.column_stack([fixed, np.bincount(pair, moved, len(fit))])

    for _ in range(_STEPS):
        gamma = classes(joint(), np.broadcast_to(shares, (len(fit), 3)))
        shares = gamma[fit].mean(0)
        weight = (gamma[:, 2] * fit)[pair]
        weighted = condition * weight[:, None]
        pull = np.linalg.solve(weighted.T @ condition + 1e-6 * np.eye(condition.shape[1]), weighted.T @ rest)
        error = weight * (rest - condition @ pull) ** 2
        deviation = float(np.sqrt(max(error.sum() / max(weight.sum(), 1e-9), 1e-2)))
    likelihoods = joint()[~fit] + np.log(np.maximum(shares, 1e-12))
    top = likelihoods.max(1, keepdims=True)
    return float((top[:, 0] + np.log(np.exp(likelihoods - top).sum(1))).mean())
