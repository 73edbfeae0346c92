"""Which held-out items count as liked and as regretted, on scales of all kinds."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.feedback import CODES, RatingScale
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.splits.holdout import Holdout
from recsys.data.splits.standard import split
from recsys.data.splits.verdicts import Verdicts


def _verdicts(history: list[float], ratings: list[float], highest: float) -> tuple[list[bool], list[bool]]:
    queries = Queries(
        np.zeros(1, np.int32),
        Ragged.of([np.arange(len(history))]),
        np.asarray(history, np.float32),
        np.arange(len(history)),
        np.array([9]),
    )
    verdicts = Verdicts.of(
        Ragged.of([100 + np.arange(len(ratings))]),
        np.asarray(ratings, np.float32),
        None,
        queries,
        RatingScale(0.5 * highest, 0.2 * highest, highest),
    )
    assert verdicts.regretted is not None
    return verdicts.liked.tolist(), verdicts.regretted.tolist()


@pytest.mark.parametrize("highest", [5.0, 10.0, 100.0, 1.0])
def test_a_star_is_a_fifth_of_the_scale(highest: float) -> None:
    star = highest / 5
    history = [3.0 * star, 4.0 * star]
    liked, regretted = _verdicts(history, [stars * star for stars in (5, 4, 3.9, 3.1, 3, 1)], highest)
    assert liked == [True, True, False, False, False, False]
    assert regretted == [False, False, False, False, True, True]  # the own mean is 3.5 stars


def test_without_own_ratings_the_mean_is_everybodys_and_without_a_rating_the_kind_tells() -> None:
    liked, regretted = _verdicts([], [2.0, 2.1, float("nan")], 5.0)  # everybody's mean is 2.5
    assert liked == [False, False, True]
    assert regretted == [True, False, False]


def test_of_a_log_without_ratings_no_liking_is_told() -> None:
    log = Interactions.from_columns(np.repeat(np.arange(30), 10), np.tile(np.arange(10), 30))
    assert split(log, "random", seed=0).test.verdicts is None


def test_the_questions_of_a_split_know_what_was_liked_and_regretted() -> None:
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(40), 20), np.concatenate([rng.permutation(60)[:20] for _ in range(40)])
    rating = rng.integers(1, 11, 800) / 2
    log = Interactions.from_columns(users, items, rating, np.arange(800))
    cut = split(log, "random", seed=1)
    checked = 0
    for holdout in (cut.test, cut.test.take(np.arange(5, 15))):
        assert holdout.verdicts is not None
        assert holdout.verdicts.regretted is not None
        for row, user in enumerate(holdout.user_ids):
            begin, end = holdout.relevant.indptr[row : row + 2]
            own = holdout.queries.values[slice(*holdout.queries.history.indptr[row : row + 2])].mean()
            for place in range(begin, end):
                item = cut.train.items.ids[holdout.relevant.items[place]]
                (given,) = rating[(users == user) & (items == item)]
                assert holdout.verdicts.liked[place] == (given >= 4)
                assert holdout.verdicts.regretted[place] == (given <= own - 0.5)
                checked += 1
    assert checked > 80


def test_kinds_alone_tell_likes_and_misaligned_columns_are_refused() -> None:
    queries = Queries.from_history([[1], [2]])
    kinds = np.array([CODES["like"], CODES["dislike"], CODES["view"]], np.int8)
    relevant = Ragged.of([[5, 6], [7]])
    holdout = Holdout(
        queries, relevant, np.array(["a", "b"], object), values=np.full(3, np.nan, np.float32), kinds=kinds
    )
    assert holdout.verdicts is not None
    assert holdout.verdicts.regretted is not None
    assert holdout.verdicts.liked.tolist() == [True, False, True]
    assert holdout.verdicts.regretted.tolist() == [False, True, False]
    assert Holdout(queries, relevant, np.array(["a", "b"], object)).verdicts is None
    with pytest.raises(ValueError, match="values must be aligned"):
        Holdout(queries, relevant, np.array(["a", "b"], object), values=np.ones(2, np.float32))
