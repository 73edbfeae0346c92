"""Real logs: the sitting, second ratings of one item, and events without ratings."""

from __future__ import annotations

from typing import Final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.evaluation.metrics import ranking_metrics
from recsys.evaluation.reliability import auc
from recsys.models import EASE, Reliable
from recsys.reliability import FittedMixture, ResponseMixture, Responses, judge
from recsys.reliability.likelihood import Scale, log_likelihoods
from recsys.reliability.posterior import own_levels
from recsys.reliability.sitting import sitting_effect
from recsys.types import Doubles, Items

_DRAWS: Final = 1_000


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


def second_ratings(log: Interactions) -> dict[str, float]:
    """Return how well the first rating of a pair tells that the second one is equal.

    Pairs with one rating in each of two or more periods; the second ones are taken out before anything is fitted.
    """
    every = Responses.of(log)
    keys = every.pair * (int(every.time.max()) + 1) + every.time
    alone = np.bincount(np.unique(keys, return_inverse=True)[1])[np.unique(keys, return_inverse=True)[1]] == 1
    every = every.take(alone)
    order = np.lexsort((every.time, every.pair))
    every = every.take(order)
    begins = np.r_[True, np.diff(every.pair) != 0]
    firsts = every.take(begins)
    place = np.flatnonzero(begins)
    again = np.flatnonzero(every.counts[every.pair[place]] > 1)
    equal = every.value[place[again] + 1] == every.value[place[again]]
    mixture, found = ResponseMixture(classes=2).fit(firsts)
    probability = found.probabilities[:, 0][again]
    repeat = _equal_again(mixture, firsts)[again]
    mean = np.bincount(firsts.item, firsts.value, firsts.n_items) / np.maximum(
        np.bincount(firsts.item, minlength=firsts.n_items), 1
    )
    events = np.bincount(firsts.user, minlength=firsts.n_users)
    judged = firsts.take(again)
    return {
        "pairs": float(len(again)),
        "equal": float(equal.mean()),
        "auc_genuine": auc(probability, equal),
        "auc_equal": auc(repeat, equal),
        "auc_few_events": auc(-events[judged.user].astype(np.float64), equal),
        "auc_extremity": auc(np.abs(judged.value - firsts.value.mean()), equal),
        "auc_distance": auc(-np.abs(judged.value - mean[judged.item]), equal),
    }


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


def without_ratings(log: Interactions, seed: int = 0, regularization: float = 500.0) -> dict[str, float]:
    """Return NDCG@10 of what is truly liked, where ratings are hidden: events alike, and weighed by agreement.

    A random fifth of the events is the test, of which 4 stars and more are relevant; EASE is fitted on half of the
    users and read by the other half.
    """
    rng = np.random.default_rng(seed)
    held, half = rng.random(len(log)) < 0.2, rng.random(log.n_users) < 0.5
    train = log.select(~held & half[log.user_num])
    model = Reliable(EASE(regularization), mixture=None).fit(train)
    others = np.flatnonzero(~half).astype(np.int32)
    queries = Queries.from_interactions(log.select(~held), others)
    liked = log.select(held & (log.value >= 4))
    relevant = Ragged(liked.indptr, liked.item_num).take(others)
    kept = relevant.lengths > 0
    alike, weighed = (_ndcg(each.recommend(queries, 10).items, relevant)[kept] for each in (model.scoring_model, model))
    difference = weighed - alike
    error = float(difference.std() / np.sqrt(len(difference)))
    found = float(difference.mean())
    return {
        "alike": float(alike.mean()),
        "agreement": float(weighed.mean()),
        "difference": found,
        "low": found - 1.96 * error,
        "high": found + 1.96 * error,
        "users": float(len(difference)),
    }


def _ndcg(top: Items, relevant: Ragged) -> Doubles:
    return np.asarray(ranking_metrics(top, relevant, (10,), ("ndcg",))["ndcg@10"], np.float64)
