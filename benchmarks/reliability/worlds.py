"""The mixture in worlds whose truth is known, against plain readings of noise."""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.evaluation.reliability import auc, calibration_error, gain_to_truth, share_correlation
from recsys.reliability import Reliability, ResponseMixture, Responses, judge
from recsys.reliability.asking import told_by_asking_again
from recsys.reliability.factors import Factors
from recsys.reliability.likelihood import Scale, Spreads, log_likelihoods
from recsys.reliability.posterior import Judged
from recsys.types import Doubles, Floats, Ints
from recsys.worlds.responses import AnswerWorld, answer_world

USERS, ITEMS = 600, 400
_TRUE: Final = Spreads(0.4, 1e-6, 1.1, 0.4, (0.8,))


def responses(world: AnswerWorld, shown: Doubles) -> Responses:
    """Return the answers of a world, under some numbers shown."""
    columns = world.user, world.item, world.value, np.arange(len(world.user))
    return Responses(*columns, shown[:, None], ("number shown",), *world.theta.shape)


def truth_found(
    repeats: float, seed: int, users: int = USERS, items: int = ITEMS, pairs: int = 50, rounds: int = 20
) -> dict[str, float]:
    """Return how well classes, shares and preferences of a world are found."""
    world = answer_world(repeats, users=users, items=items, pairs=pairs, seed=seed)
    answers = responses(world, world.anchor)
    mixture, found = ResponseMixture(rounds=rounds, seed=seed).fit(answers)
    first, genuine = answers.first, world.kind == 0
    kind, user, item = world.kind[first], world.user[first].astype(np.int64), world.item[first].astype(np.int64)
    mean = np.bincount(answers.pair, answers.value) / answers.counts
    level = np.bincount(item, mean, items) / np.maximum(np.bincount(item, minlength=items), 1)
    numbers = {
        "auc": auc(found.probabilities[:, 0], genuine),
        "auc_non_attitude": auc(found.probabilities[:, 1], world.kind == 1),
        "auc_constructed": auc(found.probabilities[:, 2], world.kind == 2) if mixture.constructed else float("nan"),
        "auc_distance": auc(-np.abs(world.value - level[world.item]), genuine),
        "auc_ceiling": auc(_ceiling(world, answers)[answers.pair], genuine),
        "calibration_error": calibration_error(found.probabilities[:, 0], genuine),
        "share_correlation": share_correlation(found.shares[:, 0], kind.astype(np.int64), user),
        "covered": _covered(found, world.shares[:, 0]),
        **_strata(found.weights, world, level),
        "constructed": float(mixture.constructed),
        "pull": mixture.spreads.pull[0],
    }
    open_ = np.ones(world.theta.shape, np.bool_)
    open_[user, item] = False
    taste, spread = mixture.spreads.taste**2, mixture.spreads.genuine**2
    worth = (taste + spread) / (taste + spread / answers.counts)
    alike = np.ones(len(user))
    # People whose taste is farthest from everybody's.
    far = np.argsort(-((world.theta - world.theta.mean(0) - world.level[:, None]) ** 2).sum(1))[: users // 5]
    readings = {"uniform": alike, "mixture": worth * found.weights[first], "only_genuine": worth * (kind == 0)}
    for name, weight in readings.items():
        factors = _read(user, item, mean, weight, world)
        predicted = factors.predicted(*np.nonzero(np.ones_like(open_)))[0].reshape(open_.shape)
        numbers[f"gain_{name}"] = gain_to_truth(predicted, world.theta, open_)
        numbers[f"gain_far_{name}"] = gain_to_truth(predicted[far], world.theta[far], open_[far])
        numbers[f"rmse_{name}"] = float(np.sqrt(((predicted - world.theta)[open_] ** 2).mean()))
    possible = numbers["gain_only_genuine"] - numbers["gain_uniform"]
    numbers["closed"] = (numbers["gain_mixture"] - numbers["gain_uniform"]) / possible
    return numbers


def _covered(found: Reliability, true: Doubles) -> float:
    """Return the share of users whose true share of preferences lies in its 90% interval."""
    low, high = np.array([found.interval(user) for user in range(len(true))]).T
    return float(((low <= true) & (true <= high)).mean())


def _strata(weights: Floats, world: AnswerWorld, level: Doubles) -> dict[str, float]:
    """Return the mean weight of preferences near the item's mean, and of those a star or more away from it."""
    genuine, away = world.kind == 0, np.abs(world.value - level[world.item]) >= 1
    return {
        "weight_near": float(weights[genuine & ~away].mean()),
        "weight_away": float(weights[genuine & away].mean()),
        "weight_others": float(weights[~genuine].mean()),
    }


def asked_again(
    seed: int, users: int = USERS, items: int = ITEMS, pairs: int = 50, rounds: int = 20, share: float = 0.1
) -> dict[str, float]:
    """Return what a second answer to a share of the pairs is worth, by how they are chosen: AUC of genuine.

    Nothing was repeated before. Bits are those by which the entropy of the class falls, expected and found.
    """
    world = answer_world(0.0, users=users, items=items, pairs=pairs, seed=seed)
    answers = responses(world, world.anchor)
    mixture, found = ResponseMixture(rounds=rounds, seed=seed).fit(answers)
    bits, rng = told_by_asking_again(mixture, Judged.of(mixture, answers)), np.random.default_rng(seed)
    genuine = found.probabilities[answers.first, 0]
    count = int(share * answers.n_pairs)
    orders = {
        "nobody": np.zeros(0, np.int64),
        "random": rng.permutation(answers.n_pairs)[:count],
        "least_genuine": np.argsort(genuine, kind="stable")[:count],
        "least_certain": np.argsort(np.abs(genuine - 0.5), kind="stable")[:count],
        "most_told": np.argsort(-bits, kind="stable")[:count],
    }
    numbers = {}
    for name, chosen in orders.items():
        more = world.asked_again(answers.first[chosen], seed)
        after = responses(more, more.anchor)
        gamma = np.nan_to_num(judge(mixture, after).probabilities)[after.first]
        numbers[f"auc_{name}"] = auc(gamma[:, 0], more.kind[after.first] == 0)
        if name == "most_told":
            fall = _bits(np.nan_to_num(judge(mixture, answers).probabilities)[answers.first]) - _bits(gamma)
            numbers |= {"bits_expected": float(bits[chosen].mean()), "bits_found": float(fall[chosen].mean())}
    return numbers


def _bits(gamma: Doubles) -> Doubles:
    return np.asarray(-(gamma * np.log2(np.maximum(gamma, 1e-300))).sum(1))


def _read(user: Ints, item: Ints, value: Doubles, weight: Doubles, world: AnswerWorld) -> Factors:
    columns = user, item, value, weight
    return Factors.of(*columns, world.theta.shape, 6)


def _ceiling(world: AnswerWorld, answers: Responses) -> Doubles:
    """Return P(genuine) of each pair, knowing theta, the spreads and the users' shares."""
    user, item = answers.user[answers.first], answers.item[answers.first]
    known = world.theta[user, item], np.zeros(len(user))
    likelihoods = log_likelihoods(answers, Scale.of(answers), *known, world.level, _TRUE) + np.log(world.shares[user])
    likelihoods = np.exp(likelihoods - likelihoods.max(1, keepdims=True))
    return np.asarray(likelihoods[:, 0] / likelihoods.sum(1))


def refusals(seed: int, users: int = USERS, items: int = ITEMS, pairs: int = 50, rounds: int = 20) -> dict[str, float]:
    """Return what is told of conditions that move nothing, and of a world of preferences alone.

    Returns:
        Whether a constructed class was believed in with permuted conditions, with one condition, and where preferences
        move, too, or a fifth of the users change; the mass and the loss in gain of a world without noise.
    """
    settings = {"users": users, "items": items, "pairs": pairs, "seed": seed}
    mixture = ResponseMixture(rounds=rounds, seed=seed)
    world = answer_world(0.3, **settings)  # type: ignore[arg-type]
    shuffled = np.random.default_rng(seed + 1000).permutation(world.anchor)
    numbers = {
        "permuted": float(mixture.fit(responses(world, shuffled))[0].constructed),
        "one_condition": float(mixture.fit(responses(world, 0 * world.anchor))[0].constructed),
    }
    calm = answer_world(0.3, (0.998, 0.001, 0.001), **settings)  # type: ignore[arg-type]
    answers = responses(calm, calm.anchor)
    fitted, found = mixture.fit(answers)
    first = answers.first
    user, item = calm.user[first].astype(np.int64), calm.item[first].astype(np.int64)
    mean = np.bincount(answers.pair, answers.value) / answers.counts
    open_ = np.ones(calm.theta.shape, np.bool_)
    open_[user, item] = False
    gains = []
    for weight in (np.ones(len(user)), found.weights[first].astype(np.float64)):
        factors = _read(user, item, mean, weight, calm)
        predicted = factors.predicted(*np.nonzero(np.ones_like(open_)))[0].reshape(open_.shape)
        gains.append(gain_to_truth(predicted, calm.theta, open_))
    return numbers | {"calm_mass": float(1 - fitted.shares[0]), "calm_loss": gains[0] - gains[1]}
