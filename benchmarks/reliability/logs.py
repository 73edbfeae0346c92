"""Real logs: the sitting, second ratings of one item, and events without ratings."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.evaluation.metrics import ranking_metrics
from recsys.evaluation.reliability import auc
from recsys.models import EASE, Reliable
from recsys.reliability import FittedMixture, ResponseMixture, Responses, judge
from recsys.reliability.likelihood import Scale, log_likelihoods
from recsys.reliability.posterior import own_levels
from recsys.reliability.sitting import sitting_effect
from recsys.types import Doubles, Items, Mask

_DRAWS: Final = 1_000
TOGETHER: Final = "all clues together, other users' pairs"


def sitting(log: Interactions) -> dict[str, float]:
    """Return what the sitting explains, with the 95% interval over users, and the placebo of a shuffled order."""
    effect, placebo = sitting_effect(log), sitting_effect(log, shuffled=True)
    user, count = effect.users, int(effect.users.max()) + 1
    sums = [np.bincount(user, error**2, count) for error in (effect.residual, effect.residual - effect.leaning)]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(_DRAWS):
        chosen = rng.integers(count, size=count)
        drawn.append(1 - np.sqrt(sums[1][chosen].sum() / sums[0][chosen].sum()))
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    without, with_it = effect.rmse
    lags = {f"lag_{lag}": value for lag, value in effect.lags.items()}
    return {
        "rmse_without": without,
        "rmse_with": with_it,
        "gain": effect.gain,
        "low": low,
        "high": high,
        "shuffled": placebo.gain,
        "coefficient": effect.coefficient,
        **lags,
    }


def second_ratings(log: Interactions, rounds: int = 6) -> dict[str, float]:
    """Return how well the first rating of a pair tells that the second one is equal.

    Pairs with one rating in each of two or more periods; the second ones are taken out before anything is fitted. The
    clues together are a logistic regression, fitted on four fifths of the users and judged on the fifth.
    """
    every = Responses.of(log)
    keys = every.pair * (int(every.time.max()) + 1) + every.time
    _, key, count = np.unique(keys, return_inverse=True, return_counts=True)
    every = every.take(count[key] == 1)
    every = every.take(np.lexsort((every.time, every.pair)))
    begins = np.r_[True, np.diff(every.pair) != 0]
    firsts, place = every.take(begins), np.flatnonzero(begins)
    again = np.flatnonzero(every.counts[every.pair[place]] > 1)
    equal = every.value[place[again] + 1] == every.value[place[again]]
    mixture, found = ResponseMixture(classes=2, rounds=rounds).fit(firsts)
    clues = _clues(firsts) | {
        "mixture: P(genuine)": found.probabilities[:, 0],
        "mixture: chance of an equal answer": _equal_again(mixture, firsts),
    }
    clues = {name: clue[again] for name, clue in clues.items()}
    stars = np.stack([firsts.value[again] == level for level in np.unique(firsts.value)], 1)
    together = _regressed(np.column_stack([*clues.values(), stars]), equal, firsts.user[again])
    numbers = {name: auc(clue, equal) for name, clue in clues.items()} | {TOGETHER: auc(together, equal)}
    mixed = np.random.default_rng(0).permutation(equal)
    placebo = _regressed(np.column_stack([*clues.values(), stars]), mixed, firsts.user[again])
    low, high = _interval(together, equal, firsts.user[again])
    of_placebo = {"placebo": auc(placebo, mixed), "low": low, "high": high}
    return {"pairs": float(len(again)), "equal": float(equal.mean()), **numbers, **of_placebo}


def _interval(score: Doubles, positive: Mask, user: Items) -> tuple[float, float]:
    """Return the 95% interval of an AUC, users drawn at random."""
    rng = np.random.default_rng(0)
    order = np.argsort(user, kind="stable")
    pieces = np.split(order, np.flatnonzero(np.diff(user[order])) + 1)
    drawn = []
    for _ in range(_DRAWS):
        chosen = np.concatenate([pieces[number] for number in rng.integers(len(pieces), size=len(pieces))])
        drawn.append(auc(score[chosen], positive[chosen]))
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return float(low), float(high)


def _clues(firsts: Responses) -> dict[str, Doubles]:
    """Return "responses" for each of the clues that need no mixture, larger where an equal answer is likelier."""
    user, item, value = firsts.user, firsts.item, firsts.value
    stars = np.unique(value, return_inverse=True)[1]
    usual = np.bincount(stars) / len(stars)

    def share(rows: Items, count: int) -> Doubles:
        """Of the other ratings of the same row, how many are this one, beside five usual ones."""
        same = np.bincount(rows.astype(np.int64) * len(usual) + stars, minlength=count * len(usual))
        total = np.bincount(rows, minlength=count)
        own = same[rows.astype(np.int64) * len(usual) + stars]
        return np.asarray((own - 1 + 5 * usual[stars]) / (total[rows] - 1 + 5))

    counts = np.bincount(user, minlength=firsts.n_users)
    mean = np.bincount(item, value, firsts.n_items) / np.maximum(np.bincount(item, minlength=firsts.n_items), 1)
    return {
        "share of the user's ratings that are this one": share(user, firsts.n_users),
        "share of the item's ratings that are this one": share(item, firsts.n_items),
        "fewer events of the user": -np.log(counts[user]),
        "extremity": np.abs(value - value.mean()),
        "nearness to the item's mean": -np.abs(value - mean[item]),
    }


def _regressed(clues: Doubles, equal: Mask, user: Items) -> Doubles:
    """Return the chance of equality by a logistic regression on other users' pairs, "pairs"."""
    fold = np.random.default_rng(0).permutation(int(user.max()) + 1)[user] % 5
    clues = np.column_stack([(clues - clues.mean(0)) / (clues.std(0) + 1e-9), np.ones(len(clues))])
    chance = np.empty(len(equal))
    sign = np.where(equal, 1.0, -1.0)
    for k in range(5):
        rest = fold != k

        def loss(x: Doubles, rest: Mask = rest) -> tuple[float, Doubles]:
            margin = sign[rest] * (clues[rest] @ x)
            slope = -(sign[rest] * expit(-margin)) @ clues[rest] + 10 * x
            return float(np.logaddexp(0, -margin).sum() + 5 * x @ x), slope

        chance[~rest] = clues[~rest] @ minimize(loss, np.zeros(clues.shape[1]), jac=True).x
    return chance


def _equal_again(mixture: FittedMixture, firsts: Responses) -> Doubles:
    """Return the probability that a second answer equals the first, by the mixture: sum_k P(k) P(y | y, k)."""
    gamma = np.nan_to_num(judge(mixture, firsts).probabilities[firsts.first])
    user, item = firsts.user[firsts.first].astype(np.int64), firsts.item[firsts.first].astype(np.int64)
    value = firsts.value[firsts.first]
    columns = user, item, value, gamma[:, 0]
    mean, variance = mixture.factors.of_users(*columns, firsts.n_users).without(*columns)
    own = own_levels(firsts, mixture.scale.mean)
    once = firsts.take(firsts.first)
    twice = once.take(np.repeat(np.arange(len(once)), 2))
    one, two = (
        log_likelihoods(each, Scale.of_levels(each.value, mixture.scale.levels), mean, variance, own, mixture.spreads)
        for each in (once, twice)
    )
    return np.asarray((gamma * np.exp(two - one)).sum(1)[firsts.pair])


def without_ratings(log: Interactions, regularization: float, seed: int = 0) -> dict[str, float]:
    """Return NDCG@10 of what is truly liked, where ratings are hidden: events alike, and weighed by agreement.

    A random fifth of the events is the test, of which 4 stars and more are relevant; EASE is fitted on half of the
    users and read by the other half. The placebo has the weights of agreement in a random order.
    """
    rng = np.random.default_rng(seed)
    held, half = rng.random(len(log)) < 0.2, rng.random(log.n_users) < 0.5
    model = Reliable(EASE(regularization), mixture=None).fit(log.select(~held & half[log.user_num]))
    others = np.flatnonzero(~half).astype(np.int32)
    queries = Queries.from_interactions(log.select(~held), others)
    weights = model.read(queries).queries.weights
    assert weights is not None
    liked = log.select(held & (log.value >= 4))
    relevant = Ragged(liked.indptr, liked.item_num).take(others)
    readings = {
        "alike": queries,
        "agreement": queries.with_weights(weights),
        "placebo": queries.with_weights(rng.permutation(weights)),
        "known": queries.with_weights(np.where(queries.values >= 4, 1.0, 0.3).astype(np.float32)),
    }
    kept = relevant.lengths > 0
    found = {
        name: _ndcg(model.scoring_model.recommend(each, 10).items, relevant)[kept] for name, each in readings.items()
    }
    numbers = {name: float(each.mean()) for name, each in found.items()}
    for name in ("agreement", "placebo", "known"):
        difference = found[name] - found["alike"]
        error = 1.96 * float(difference.std() / np.sqrt(len(difference)))
        mean = float(difference.mean())
        numbers |= {f"{name}_difference": mean, f"{name}_low": mean - error, f"{name}_high": mean + error}
    return numbers | {"users": float(kept.sum())}


def _ndcg(top: Items, relevant: Ragged) -> Doubles:
    return np.asarray(ranking_metrics(top, relevant, (10,), ("ndcg",))["ndcg@10"], np.float64)
