"""`disagreement`: a model is fitted, users judge pairs, and their answers are compared with the model's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np

from recsys.checks import choice, seed_of_draws, whole
from recsys.data.interactions import Interactions
from recsys.data.pairs import Pairs, pairs_of
from recsys.errors import DataError
from recsys.evaluation.disagreement.bounds import majority, votes
from recsys.evaluation.disagreement.held_out import HeldOut, margins
from recsys.evaluation.disagreement.judgements import Judgements
from recsys.evaluation.disagreement.masked import masked_margins
from recsys.evaluation.disagreement.measures import Counting, Disagreement, measure
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.preference.residuals import Residuals
from recsys.types import Doubles, Ints, Items, Mask

Protocol = Literal["masked", "held_out"]
RATERS_MASKED, RATERS_HELD_OUT = 80, 20


def disagreement(
    model: Recommender,
    log: Interactions,
    protocol: Protocol = "masked",
    *,
    raters: int | None = None,
    window: float = 20,
    cap: int | None = None,
    counting: Counting = Counting(),  # noqa: B008 - frozen
    seed: int = 0,
) -> Disagreement:
    """Fit a model anew and measure what it does for users who disagree.

    "masked": the model learns from half of the users. Each of the others judges the pairs of items that they rated
    differently; both ratings are taken out of the history. Splits are of these judgements, so the bound of every pooled
    rule is exact. The pooled rule is the mean rating of the first half, freed of the raters' means.

    "held_out": the model learns the first 60% of everybody's ratings; pairs are of the last 30%. A pair's split is
    counted in the half of the users to which the judging user does not belong. Users are known and the times of others
    lie in training: it leaks time. The pooled rule is the majority of the other half.

    Args:
        model: fitted or not; a copy with its settings is fitted.
        log: with ratings.
        protocol: "masked" (fold-in models) or "held_out".
        raters: least number of users who judge a pair; 80 and 20 when None.
        window: largest distance of the two ratings of a pair, in events of the user.
        cap: at most so many pairs of each user; None: all.
        counting: bins and least numbers.
        seed: of the halves.

    Raises:
        ConfigError: a setting is out of range.
        DataError: no two ratings differ, or half of the users have no events.
        CapabilityError: "masked", and the model cannot fold in.
    """
    choice("protocol", protocol, Protocol)
    seed_of_draws(seed)
    if raters is not None:
        whole("raters", raters)
    fresh = model.unfitted()
    if protocol == "masked":
        as_fold_in(fresh, "the protocol 'masked'")
        return _masked(fresh, log, raters or RATERS_MASKED, window, cap, counting, seed)
    cut = HeldOut.of(log, window, cap, seed)
    fresh.fit(cut.train, cut.validator())
    return held_out(fresh, cut, Crowd.of(log, cut, raters or RATERS_HELD_OUT, seed), counting=counting)


def halves(log: Interactions, seed: int = 0) -> tuple[Interactions, Interactions]:
    """Return the logs of two random halves of the users, with the same vocabularies."""
    first = np.zeros(log.n_users, np.bool_)
    first[np.random.default_rng(seed).permutation(log.n_users)[: log.n_users // 2]] = True
    inside = first[log.user_num]
    return log.select(inside), log.select(~inside)


def _masked(
    model: Recommender, log: Interactions, raters: int, window: float, cap: int | None, counting: Counting, seed: int
) -> Disagreement:
    learned, judging = halves(log.uses, seed)
    if not (len(learned) and len(judging)):
        raise DataError(
            f"{log.name}: the protocol 'masked' learns from half of the users and asks the others, and one half has no "
            "events; use a log of more users, or the protocol 'held_out'"
        )
    model.fit(learned)
    return masked(model, learned, judging, raters=raters, window=window, cap=cap, counting=counting)


def masked(
    model: Recommender,
    learned: Interactions,
    judging: Interactions,
    *,
    raters: int = RATERS_MASKED,
    window: float = 20,
    cap: int | None = None,
    counting: Counting = Counting(),  # noqa: B008 - frozen
) -> Disagreement:
    """Measure a model that was fitted on `learned` on the users of `judging`; see `disagreement`."""
    pairs = pairs_of(judging, window, cap=cap)
    judged = Judgements.of(pairs, judging.n_items, raters)
    counts = votes(judged.pair, judged.first, len(judged.items))
    split = counts.max(1, initial=0) / np.maximum(counts.sum(1), 1)
    means = Residuals.of(learned).item
    scored = {
        "model": masked_margins(model, judging, judged),
        "pooled": means[judged.preferred] - means[judged.other],
    }
    side = majority(judged.pair, judged.first)
    common = {"protocol": "masked", "exact": True, "counting": counting, "unrated": pairs.unrated}
    return measure(judged, scored, split[judged.pair], side, judging.users.ids, **common)  # type: ignore[arg-type]


@final
@dataclass(frozen=True, eq=False)
class Crowd:
    """The judgements of a held-out part, and what others say of the same pairs.

    Attributes:
        judged: sorted by user.
        share: "judgements", the share that prefers the pair's first item, in the half of the users without the judging
            one; NaN where too few of them compare the two.
    """

    judged: Judgements
    share: Doubles

    @classmethod
    def of(cls, log: Interactions, cut: HeldOut, raters: int = RATERS_HELD_OUT, seed: int = 0) -> Crowd:
        """Count the preferences of either half of the users in all of their ratings."""
        judged = Judgements.of(cut.test, log.n_items)
        judged = judged.take(np.argsort(judged.user, kind="stable"))
        return cls(judged, _others(log, judged, raters, seed))


def held_out(
    model: Recommender,
    cut: HeldOut,
    crowd: Crowd,
    *,
    counting: Counting = Counting(),  # noqa: B008 - frozen
) -> Disagreement:
    """Measure a model that was fitted on `cut.train`; see `disagreement`.

    Pairs that too few others judge have no bin; they count in the accuracy over all pairs, and in that of users.
    """
    judged, share = crowd.judged, crowd.share
    ordered = Pairs(judged.user, judged.preferred, judged.other, judged.gap)
    pooled = np.where(judged.first, share - 0.5, 0.5 - share)
    return measure(
        judged,
        {"model": margins(model, cut.train, ordered), "pooled": pooled},
        np.maximum(share, 1 - share),
        pooled >= 0,
        cut.train.users.ids,
        protocol="held_out",
        exact=False,
        counting=replace(counting, least=min(counting.least, 10)),
        unrated=cut.test.unrated,
    )


def _others(log: Interactions, judged: Judgements, raters: int, seed: int) -> Doubles:
    """Return "judgements": the share that prefers the first item in the half without the user; NaN below `raters`."""
    first = np.zeros(log.n_users, np.bool_)
    first[np.random.default_rng(seed).permutation(log.n_users)[: log.n_users // 2]] = True
    keys = judged.items[:, 0].astype(np.int64) * log.n_items + judged.items[:, 1]
    counts = np.zeros((2, len(keys), 2))
    for number, inside in enumerate((first, ~first)):
        pairs = pairs_of(log.select(inside[log.user_num]), window=20)
        place, up = _placed(pairs.winner, pairs.loser, keys, log.n_items)
        counts[number] = votes(place, up, len(keys))
    other = first[judged.user].astype(np.int64)  # the first half is counted in the second, at 1
    found = counts[other, judged.pair]
    size = found.sum(1)
    return np.where(size >= raters, found[:, 0] / np.maximum(size, 1), np.nan)


def _placed(winner: Items, loser: Items, keys: Ints, n_items: int) -> tuple[Ints, Mask]:
    """Return the positions among sorted keys of the pairs that are there, and whether their first item won."""
    low, high = np.minimum(winner, loser).astype(np.int64), np.maximum(winner, loser)
    key = low * n_items + high
    place = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
    there = keys[place] == key
    return place[there], (winner == low)[there]
