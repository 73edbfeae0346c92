from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.slates import Content, Greedy, Pool, Seating, Seats, Slate
from recsys.types import Doubles, Ints


def _pool(
    owner: list[int], shares: list[float], *, boosted: list[bool] | None = None, muted: list[bool] | None = None
) -> Pool:
    """A pool of one query; item numbers are positions, scores fall evenly."""
    count = len(owner)
    items = np.arange(count, dtype=np.int32)[None]
    scores = np.linspace(1, 0, count, dtype=np.float32)[None]
    twice, none = (None if each is None else np.asarray([each]) for each in (boosted, muted))
    return Pool(items, scores, Seating(np.asarray([owner], np.int32), np.asarray([shares]), twice, none))


def _owners(pool: Pool, chosen: Ints) -> list[int]:
    return [int(pool.owned.owner[0, place]) for place in chosen[0] if place != UNKNOWN]


def test_greedy_lists_the_best_scores() -> None:
    assert Greedy().choose(_pool([0, 1, 0], [0.5, 0.5]), 5).tolist() == [[0, 1, 2, UNKNOWN, UNKNOWN]]
    assert Greedy().choose(_pool([0, 1, 0], [0.5, 0.5], muted=[True, False]), 2).tolist() == [[1, UNKNOWN]]


def test_seats_of_full_weight_are_those_of_sainte_lague() -> None:
    # 10 seats for 53, 24 and 23 votes: quotients 53, 24, 23, 17.7, 10.6, 8, 7.7, 7.6, 5.9, 4.82; then 24 / 5 = 4.8.
    pool = _pool([0] * 20 + [1] * 20 + [2] * 20, [0.53, 0.24, 0.23])
    holders = _owners(pool, Seats(1.0, 0.0).choose(pool, 10))
    assert holders == [0, 1, 2, 0, 0, 1, 2, 0, 0, 0]


def test_each_owner_is_served_by_its_best_candidates() -> None:
    pool = _pool([0, 1, 0, 1, 0, 1], [0.7, 0.3])
    chosen = Seats(1.0, 0.0).choose(pool, 4)[0].tolist()
    assert [place for place in chosen if place % 2 == 0] == [0, 2, 4]
    assert [place for place in chosen if place % 2 == 1] == [1]


def test_no_weight_is_greedy() -> None:
    pool = _pool([0, 1, UNKNOWN, 1, 0, 1], [0.7, 0.3])
    np.testing.assert_array_equal(Seats(0.0, 0.0).choose(pool, 6), Greedy().choose(pool, 6))


def test_shares_that_are_not_trusted_count_nothing() -> None:
    pool = _pool([0, 0, 0, 0, 1, 1], [0.5, 0.5])
    doubted = replace(pool, seating=replace(pool.owned, trust=np.zeros(1)))
    np.testing.assert_array_equal(Seats(0.9, 0.0).choose(doubted, 6), Greedy().choose(pool, 6))
    assert Seats(0.9, 0.0).choose(pool, 2).tolist() == [[0, 4]]


def test_candidates_of_nobody_are_listed_for_their_scores() -> None:
    assert Seats(0.1, 0.0).choose(_pool([UNKNOWN, 0, 0, 0], [1.0]), 4)[0].tolist()[:2] == [0, 1]
    assert Seats(0.9, 0.0).choose(_pool([UNKNOWN, 0, 0, 0], [1.0]), 4)[0].tolist()[0] == 1


def test_boost_doubles_at_every_rank() -> None:
    pool = _pool([0] * 20 + [1] * 20, [0.8, 0.2])
    boosted = _pool([0] * 20 + [1] * 20, [0.8, 0.2], boosted=[False, True])
    before, after = (
        np.cumsum(np.equal(_owners(each, Seats(1.0, 0.0).choose(each, 10)), 1)) for each in (pool, boosted)
    )
    assert before[-1] == 2
    assert after[-1] == 4
    assert (after >= 2 * before).all()


def test_boost_of_an_owner_without_a_seat_gives_one() -> None:
    owner = [0] * 10 + [1] * 3
    assert 1 not in _owners(_pool(owner, [0.99, 0.01]), Seats(0.1, 0.0).choose(_pool(owner, [0.99, 0.01]), 5))
    boosted = _pool(owner, [0.99, 0.01], boosted=[False, True])
    assert _owners(boosted, Seats(0.1, 0.0).choose(boosted, 5)).count(1) == 1


def test_boost_gives_no_more_than_twice_and_leaves_the_others_a_seat() -> None:
    owner = [0, 1, 2] * 20
    for shares in ([0.4, 0.4, 0.2], [0.2, 0.3, 0.5], [0.7, 0.2, 0.1]):
        plain = _pool(owner, shares)
        before = _owners(plain, Seats(1.0, 0.0).choose(plain, 10))
        for k in range(3):
            pool = _pool(owner, shares, boosted=[k == one for one in range(3)])
            after = _owners(pool, Seats(1.0, 0.0).choose(pool, 10))
            assert after.count(k) == min(9, max(1, 2 * before.count(k)))


def test_boost_ends_where_the_candidates_do() -> None:
    pool = _pool([0] * 10 + [1, 1, 1], [0.5, 0.5], boosted=[False, True])
    assert _owners(pool, Seats(1.0, 0.0).choose(pool, 10)).count(1) == 3


@given(
    owner=st.lists(st.integers(-1, 3), min_size=1, max_size=30),
    weight=st.floats(0, 1),
    n=st.integers(1, 12),
    muted=st.lists(st.booleans(), min_size=4, max_size=4),
    boosted=st.lists(st.booleans(), min_size=4, max_size=4),
    missing=st.integers(0, 3),
)
def test_lists_are_full_free_of_repetitions_and_of_the_muted(
    owner: list[int], weight: float, n: int, muted: list[bool], boosted: list[bool], missing: int
) -> None:
    shares: Doubles = np.asarray([[0.5, 0.3, 0.2, 0.0]])
    items = np.arange(len(owner), dtype=np.int32)[None]
    scores = np.linspace(5, -5, len(owner), dtype=np.float32)[None]
    if missing:
        items[0, -missing:], scores[0, -missing:] = UNKNOWN, -np.inf
    parts = np.tile([[1.0, 0.0], [0.5, 0.5]], (len(owner), 1))[None, : len(owner)]
    controls = np.asarray([boosted]), np.asarray([muted]), Content(parts, np.asarray([[0.4, 0.6]]))
    seating = Seating(np.asarray([owner], np.int32), shares, *controls)
    allowed = [place for place, who in enumerate(owner) if items[0, place] != UNKNOWN and not (who >= 0 and muted[who])]
    slates: list[Slate] = [Greedy(), Seats(weight, 0.5 * (1 - weight))]
    for slate in slates:
        listed = [place for place in slate.choose(Pool(items, scores, seating), n)[0].tolist() if place != UNKNOWN]
        assert len(listed) == len(set(listed)) == min(n, len(allowed))
        assert set(listed) <= set(allowed)


def test_lists_are_about_what_the_history_is_about() -> None:
    parts = np.zeros((1, 30, 3))
    parts[0, :10, 0] = parts[0, 10:20, 1] = 1.0
    parts[0, 20:, 1:] = 0.5
    pool = _pool([0] * 30, [1.0])
    content = Content(parts, np.asarray([[0.5, 0.3, 0.2]]))
    chosen = Seats(0.0, 1.0).choose(replace(pool, seating=replace(pool.owned, content=content)), 10)
    np.testing.assert_allclose(parts[0, chosen[0]].sum(0), [5, 3, 2], atol=1.0)
    unlike = replace(content, shares=np.asarray([[0.0, 0.0, 1.0]]))
    most = Seats(0.0, 1.0).choose(replace(pool, seating=replace(pool.owned, content=unlike)), 10)
    assert parts[0, most[0], 2].sum() == 5.0  # all that there is
    blank = replace(content, shares=np.zeros((1, 3)))
    nothing = Seats(0.0, 1.0).choose(replace(pool, seating=replace(pool.owned, content=blank)), 10)
    np.testing.assert_array_equal(nothing, Greedy().choose(pool, 10))
    without = Seats(0.0, 1.0).choose(pool, 10)
    np.testing.assert_array_equal(without, Greedy().choose(pool, 10))


def test_seats_without_owners_and_settings_out_of_range_are_refused() -> None:
    pool = Pool(np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32))
    with pytest.raises(ConfigError, match="needs owners"):
        Seats().choose(pool, 1)
    with pytest.raises(ConfigError, match="weight is 2"):
        Seats(weight=2)
    with pytest.raises(ConfigError, match=r"calibration is 1\.5"):
        Seats(0.1, 1.5)
    with pytest.raises(ConfigError, match="size is 0"):
        Seats(size=0)


def test_standing_of_plain_lists_is_the_score() -> None:
    pool = _pool([0, 1, UNKNOWN], [0.5, 0.5], muted=[False, True])
    standing = Greedy().standing(pool, Greedy().choose(pool, 2))
    assert standing.tolist() == [[[1.0, -np.inf, 0.0]] * 2]


def test_a_candidate_whose_score_falls_below_its_rivals_standing_leaves_the_list() -> None:
    source = np.random.default_rng(5)
    foretold = 0
    for _ in range(200):
        owner = source.integers(-1, 3, 30).tolist()
        pool = _pool(owner, source.dirichlet(np.ones(3)).tolist())
        scores = np.sort(source.random((1, 30)).astype(np.float32))[:, ::-1]
        scores[0, -1] = 0.0  # the lowest of the pool stays so
        pool = replace(pool, scores=scores)
        slate = Seats(0.3, 0.0)
        chosen = slate.choose(pool, 6)
        standing = slate.standing(pool, chosen)[0]
        place = int(source.integers(1, 6))
        fallen = int(chosen[0, place])
        rivals = np.delete(standing[place], chosen[0])
        fall = standing[place, fallen] - rivals.max()
        for change, stays in ((0.9 * fall, True), (fall + 0.01, False)):
            lower = scores.copy()
            lower[0, fallen] = max(lower[0, fallen] - change, 0.0)
            order = np.argsort(-lower[0], kind="stable")
            again = Pool(
                pool.items[:, order],
                lower[:, order],
                Seating(pool.owned.owner[:, order], pool.owned.shares),
            )
            listed = again.items[0, slate.choose(again, 6)[0]]
            foretold += (fallen in listed.tolist()) == stays
    assert foretold >= 0.9 * 400
