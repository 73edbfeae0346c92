"""Which held-out items count as liked and as regretted, on scales of all kinds."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.feedback import CODES, RatingScale
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.splits.assembly import Marks, questions_of
from recsys.data.splits.holdout import Holdout
from recsys.data.splits.standard import split
from recsys.data.splits.verdicts import Verdicts
from recsys.evaluation.metrics import ranking_metrics


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
    assert verdicts.liked is not None
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
    assert liked == [False, False, False]
    assert regretted == [True, False, False]


def _log_of_kinds(*kinds: str, ratings: list[float] | None = None) -> Interactions:
    """Thirty users, each with ten items, whose events are of the kinds in turn."""
    told = np.resize(np.array(kinds), 300) if kinds else None
    values = None if ratings is None else np.resize(ratings, 300)
    return Interactions.from_columns(np.repeat(np.arange(30), 10), np.tile(np.arange(10), 30), values, kinds=told)


@pytest.mark.parametrize(
    ("kinds", "ratings", "known"),
    [
        ((), None, set()),
        ((), [3.0], set()),
        ((), [3.0, 4.0], {"liked", "regretted"}),
        (("view", "click"), None, set()),
        (("like",), None, set()),
        (("like", "buy"), None, set()),
        (("view", "buy"), None, {"liked"}),
        (("view", "skip"), None, {"regretted"}),
        (("like", "dislike", "like"), None, {"regretted"}),
        (("view", "like", "dislike"), None, {"liked", "regretted"}),
    ],
)
def test_what_a_log_does_not_tell_is_unknown_with_a_reason(
    kinds: tuple[str, ...], ratings: list[float] | None, known: set[str]
) -> None:
    holdout = split(_log_of_kinds(*kinds, ratings=ratings), "random", seed=0).test
    for questions in (holdout, holdout.take(np.arange(2))):
        assert questions.verdicts is not None
        assert {*questions.untold} == {"liked", "regretted"} - known
        assert (questions.verdicts.liked is None) == ("liked" not in known)
        assert (questions.verdicts.regretted is None) == ("regretted" not in known)
        assert all(reason for reason in questions.untold.values())


def test_what_was_disliked_is_no_answer_but_regretted_where_it_is_recommended() -> None:
    """Held out: 10 disliked, 11 liked, 12 skipped after a view, 13 viewed, 14 disliked by somebody without answers."""
    users = [1, 2, 1, 1, 1, 1, 1, 2, 3]
    items = [14, 10, 10, 11, 12, 12, 13, 14, 12]
    kinds = ["view", "view", "dislike", "like", "view", "skip", "view", "dislike", "view"]
    # Every item is in training, for others.
    other = [(user, item, "view") for user in (4, 5) for item in range(10, 15)]
    log = Interactions.from_columns(
        [*users, *(user for user, *_ in other)],
        [*items, *(item for _, item, _ in other)],
        times=[1, 1, 20, 20, 20, 21, 20, 20, 20, *[1] * 10],
        kinds=[*kinds, *(kind for *_, kind in other)],
    )
    late = log.time >= 20
    holdout = questions_of(log, log.select(~late), Marks(late, ~late, np.full(log.n_users, 20, np.int64)))
    ids = log.items.ids
    assert holdout.user_ids.tolist() == [1, 3]
    assert ids[holdout.relevant.row(0)].tolist() == [11, 12, 13]
    assert holdout.rejected is not None
    assert ids[holdout.rejected.row(0)].tolist() == [10]
    assert len(holdout.rejected.row(1)) == 0
    lists = np.array([[0, 1, 3, 2], [2, 0, 1, 3]], np.int32)  # 10, 11, 13, 12 and 12, 10, 11, 13
    values = ranking_metrics(lists, holdout.relevant, [1, 2, 4], ["regret", "liked_ndcg"], holdout.verdicts)
    assert [values[f"regret@{k}"][0] for k in (1, 2, 4)] == [1.0, 0.5, 0.5]  # of four hits 10 and 12
    assert values["regret@4"][1] == 0
    assert values["liked_ndcg@4"][0] == pytest.approx(1 / np.log2(3))  # the one liked item is second
    assert np.isnan(values["liked_ndcg@4"][1])


def test_the_questions_of_a_split_know_what_was_liked_and_regretted() -> None:
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(40), 20), np.concatenate([rng.permutation(60)[:20] for _ in range(40)])
    rating = rng.integers(1, 11, 800) / 2
    log = Interactions.from_columns(users, items, rating, np.arange(800))
    cut = split(log, "random", seed=1)
    checked = 0
    for holdout in (cut.test, cut.test.take(np.arange(5, 15))):
        assert holdout.verdicts is not None
        assert holdout.verdicts.liked is not None
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
    assert holdout.verdicts.liked is not None
    assert holdout.verdicts.regretted is not None
    assert holdout.verdicts.liked.tolist() == [True, False, False]
    assert holdout.verdicts.regretted.tolist() == [False, True, False]
    by_hand = Holdout(queries, relevant, np.array(["a", "b"], object))
    assert by_hand.verdicts is None
    assert {*by_hand.untold} == {"liked", "regretted"}
    with pytest.raises(ValueError, match="values must be aligned"):
        Holdout(queries, relevant, np.array(["a", "b"], object), values=np.ones(2, np.float32))
