"""Kinds of events in logs and queries, and preferences read from them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from recsys.data.feedback import (
    CODES,
    KINDS,
    KindWeights,
    RatingScale,
    log_preferences,
    preferences,
    query_preferences,
)
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.splits.standard import split
from recsys.data.stream import QuestionSettings, Stream
from recsys.errors import ConfigError
from recsys.types import Kinds

SCALE = RatingScale(3.0, 1.0, 5.0)


def _codes(*kinds: str) -> Kinds:
    return np.array([KINDS.index(kind) for kind in kinds], np.int8)


def _rated(users: int = 6, items: int = 8, seed: int = 0) -> Interactions:
    source = np.random.default_rng(seed)
    user, item = np.repeat(np.arange(users), items), np.tile(np.arange(items), users)
    return Interactions.from_columns(user, item, source.integers(1, 6, len(user)), source.permutation(len(user)))


def _with_kinds(log: Interactions, seed: int = 1) -> Interactions:
    return replace(log, kinds=np.random.default_rng(seed).integers(0, len(KINDS), len(log)).astype(np.int8))


def test_a_rating_is_read_by_the_posterior_of_its_users_mean_and_spread() -> None:
    """Against the formula written out for one user with the ratings 5, 4 and 1."""
    p = preferences(np.array([5, 4, 1], np.float32), None, np.array([0, 3]), SCALE)
    own, n, c = 10 / 3, 3, 3
    mean = (n * own + c * 3.0) / (n + c)
    squares = sum((r - own) ** 2 for r in (5, 4, 1))
    spread = math.sqrt((squares + c * 1.0**2 + n * c / (n + c) * (own - 3.0) ** 2) / (n + c))
    assert p.tolist() == pytest.approx([math.tanh(0.75 * (r - mean) / spread) for r in (5, 4, 1)], abs=1e-6)
    assert p.dtype == np.float32


def test_a_first_rating_is_read_against_everybodys_and_equal_ratings_tend_to_nothing() -> None:
    first = preferences(np.array([5], np.float32), None, np.array([0, 1]), SCALE)
    assert first[0] > 0.5
    strength = [float(preferences(np.full(n, 5, np.float32), None, np.array([0, n]), SCALE)[0]) for n in (1, 10, 1000)]
    assert strength == sorted(strength, reverse=True)
    assert 0 < strength[-1] < 0.05
    middling = preferences(np.full(7, 3, np.float32), None, np.array([0, 7]), SCALE)
    assert middling.tolist() == [0.0] * 7


def test_users_are_read_apart_and_users_without_events_are_no_matter() -> None:
    values = np.array([5, 1, 3, 3, 2], np.float32)
    together = preferences(values, None, np.array([0, 0, 2, 5, 5]), SCALE)
    apart = [preferences(values[a:b], None, np.array([0, b - a]), SCALE) for a, b in ((0, 2), (2, 5))]
    assert together.tolist() == np.concatenate(apart).tolist()
    assert preferences(np.zeros(0, np.float32), None, np.array([0, 0]), SCALE).tolist() == []


def test_other_kinds_have_their_declared_weights_and_values_of_theirs_are_no_ratings() -> None:
    kinds = _codes(*KINDS)
    weights = KindWeights(use=0.1, view=0.2, click=0.3, like=0.4, dislike=-0.5, buy=0.6, skip=-0.7)
    values = np.full(len(KINDS), 1.0, np.float32)
    p = dict(zip(KINDS, preferences(values, kinds, np.array([0, len(KINDS)]), SCALE, weights).tolist(), strict=True))
    assert p.pop("rating") < -0.5
    assert p == pytest.approx(
        {"use": 0.1, "view": 0.2, "click": 0.3, "like": 0.4, "dislike": -0.5, "buy": 0.6, "skip": -0.7}
    )
    blank = preferences(np.array([np.nan], np.float32), _codes("rating"), np.array([0, 1]), SCALE, weights)
    assert blank.tolist() == pytest.approx([0.1])


def test_without_a_scale_ratings_are_uses() -> None:
    p = preferences(np.array([1, 5, np.nan], np.float32), None, np.array([0, 3]), None)
    assert p.tolist() == [0.5, 0.5, 0.5]


def test_the_scale_of_a_log() -> None:
    log = Interactions.from_columns(["a", "a", "b", "b", "b"], [1, 2, 1, 2, 3], [1, 3, 4, 5, math.nan])
    scale = RatingScale.of(log)
    assert scale is not None
    assert scale.mean == pytest.approx((2 + 4.5) / 2)
    assert scale.spread == pytest.approx(math.sqrt((1 + 1 + 0.25 + 0.25) / (4 - 2)))
    assert RatingScale.of(Interactions.from_columns([1, 2], [1, 2], [4, 4])) is None
    assert RatingScale.of(Interactions.from_columns([1, 2], [1, 2])) is None
    single = RatingScale.of(Interactions.from_columns([1, 2], [1, 2], [2, 4]))
    assert single == RatingScale(3.0, 1.0, 4.0)
    bought = replace(log, kinds=np.full(len(log), CODES["buy"], np.int8))
    assert RatingScale.of(bought) is None


def test_preferences_are_numbers_whatever_the_ratings() -> None:
    for values in ([1e30, -1e30], [1, 1 + 1e-6], [0, 0]):
        log = Interactions.from_columns([1, 1], [1, 2], values)
        p = log_preferences(log, RatingScale.of(log) or SCALE)
        assert np.isfinite(p).all()
        assert (np.abs(p) <= 1).all()


@pytest.mark.parametrize("weight", [-1.1, 2, math.nan, "much"])
def test_a_weight_outside_the_range_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match="the weight of a dislike is"):
        KindWeights(dislike=weight)


def test_only_visible_events_count_for_the_mean_of_a_query() -> None:
    log = _rated()
    now = np.full(log.n_users, 20, np.int64)
    queries = Queries.from_interactions(log, now=now)
    changed = replace(log, value=np.where(log.time >= 20, np.float32(1), log.value))
    assert (
        query_preferences(queries, SCALE).tolist()
        == query_preferences(Queries.from_interactions(changed, now=now), SCALE).tolist()
    )
    everything = Queries.from_interactions(log)
    assert query_preferences(everything, SCALE).tolist() == log_preferences(log, SCALE).tolist()


def test_kinds_go_wherever_the_values_go() -> None:
    log = _with_kinds(_rated())
    assert log.kinds is not None
    kind_of = {(u, i): k for u, i, k in zip(log.user_num, log.item_num, log.kinds.tolist(), strict=True)}

    def check(queries: Queries) -> None:
        assert queries.kinds is not None
        expected = [
            kind_of[queries.users[row], item]
            for row, item in zip(queries.history.rows, queries.history.items, strict=True)
        ]
        assert queries.kinds.tolist() == expected

    queries = Queries.from_interactions(log, now=np.full(log.n_users, 30, np.int64))
    check(queries)
    check(queries.take(np.array([3, 0, 3])))
    check(next(queries.batches(2)))
    check(queries.with_weights(np.ones(len(queries.values), np.float32)))
    check(queries.at(queries.now + 1))
    check(queries.keep(queries.history.items % 2 == 0))
    stream = Stream.of(log, 20, QuestionSettings("event"))
    check(stream.queries(np.arange(5), np.arange(log.n_items, dtype=np.int32)))
    some = log.select(np.flatnonzero(log.item_num < 4)).compact()
    assert some.kinds is not None
    assert some.kinds.tolist() == [kind for (_, item), kind in kind_of.items() if item < 4]


def test_kinds_of_another_length_are_refused() -> None:
    log = _rated()
    with pytest.raises(ValueError, match="columns differ in length"):
        replace(log, kinds=np.zeros(3, np.int8))
    with pytest.raises(ValueError, match="kinds must be aligned"):
        replace(Queries.from_interactions(log), kinds=np.zeros(3, np.int8))


def test_dislikes_and_skips_are_no_interactions() -> None:
    log = Interactions.from_columns([1, 1, 1, 1], [1, 2, 3, 4])
    log = replace(log, kinds=_codes("buy", "dislike", "skip", "view"))
    assert log.uses.item_num.tolist() == [0, 3]
    assert log.matrix().toarray().tolist() == [[1, 0, 0, 1]]
    queries = Queries.from_interactions(log)
    assert queries.counted.tolist() == [True, False, False, True]
    assert queries.matrix(4).toarray().tolist() == [[1, 0, 0, 1]]
    assert queries.excluded.items.tolist() == [0, 1, 2, 3]
    plain = _rated()
    assert plain.uses is plain


def test_a_dislike_takes_back_what_went_before_and_not_what_follows() -> None:
    rows = [[7, 7, 8, 7], [7, 8, 8]]
    kinds = _codes("use", "dislike", "dislike", "view", "use", "buy", "skip")
    queries = replace(Queries.from_history(rows), kinds=kinds)
    assert queries.counted.tolist() == [False, False, False, True, True, True, False]
    log = Interactions.from_columns([1, 1, 1, 1, 2, 2, 2], np.concatenate(rows))
    assert replace(log, kinds=kinds).uses.item_num.tolist() == [0, 0, 1]


def test_a_fingerprint_tells_kinds_and_is_what_it_was_without_them() -> None:
    log = Interactions.from_columns([1, 1, 2], ["a", "b", "a"], [1, 2, 3], [4, 5, 6])
    assert log.fingerprint == "514f5815c844dd635a6ac2de0c483cd4fd8f6dd56ac5cd33816151a52e51d9ae"
    bought, liked = (replace(log, kinds=np.full(3, CODES[kind], np.int8)) for kind in ("buy", "like"))
    assert len({log.fingerprint, bought.fingerprint, liked.fingerprint}) == 3


def test_a_holdout_tells_what_was_said_of_its_answers_and_a_dislike_is_none() -> None:
    log = Interactions.from_columns(
        [1] * 5 + [2] * 5, [*range(5), *range(5)], [1, 2, 3, 4, 5, 5, 4, 3, 2, 1], [*range(5), *range(5)]
    )
    parts = split(log, "last_one")
    assert parts.test.values is not None
    assert parts.test.values.tolist() == [5, 1]
    assert parts.test.kinds is None
    disliked = _codes(*["rating"] * 9, "dislike")
    parts = split(replace(log, kinds=disliked), "last_one")
    assert parts.test.user_ids.tolist() == [1]
    assert parts.test.kinds is not None
    assert parts.test.kinds.tolist() == [CODES["rating"]]
    assert parts.test.take(np.array([0])).values.tolist() == [5]  # type: ignore[union-attr]


def test_of_an_item_held_out_twice_the_last_word_counts() -> None:
    log = Interactions.from_columns(
        [1] * 4 + [2] * 4, [1, 2, 3, 3, 1, 2, 3, 4], [1, 2, 2, 5, 3, 3, 4, 4], [0, 1, 8, 9, 0, 1, 8, 9]
    )
    parts = split(log, "global_time", fractions=(0.25, 0.25, 0.5))
    assert parts.test.values is not None
    row = parts.test.user_ids.tolist().index(1)
    assert parts.test.values[parts.test.relevant.indptr[row] : parts.test.relevant.indptr[row + 1]].tolist() == [5]
