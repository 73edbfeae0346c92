"""Slates of what items are about: calibrated, seats of tastes, diverse, determinantal, exact."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.evaluation.calibration import miscalibration
from recsys.slates import Calibrated, Content, Determinantal, Diverse, Exact, Floor, Greedy, Pool, Seating, Seats, Slate
from recsys.types import Doubles, Ints

SLATES: tuple[Slate, ...] = (
    Calibrated(0.5, 0.3, 20),
    Seats(0.3, 0.1, 20, "tastes", popularity=0.05),
    Seats(0.3, 0.1, 20, "tastes", divisor=1.0),
    Seats(0.2, 0.1, 20, floor=0.2),
    Diverse(0.4, 20),
    Determinantal(2.0, 20),
    Exact(("tastes",), 0.7, 20),
    Exact(("tastes", "popularity"), 0.7, 20),
    Exact(("personas", "popularity", "tastes"), 0.5, 20),
)


def _pool(seed: int, queries: int = 12, size: int = 20, labels: int = 5) -> Pool:
    """Candidates of one label or two, of three owners and three classes of popularity; some are missing."""
    rng = np.random.default_rng(seed)
    scores = -np.sort(-rng.normal(size=(queries, size)), axis=1)
    items = np.argsort(rng.random((queries, 3 * size)), axis=1)[:, :size].astype(np.int32)
    missing = np.arange(size)[None] >= rng.integers(size // 2, size + 1, queries)[:, None]
    items[missing], scores[missing] = UNKNOWN, -np.inf
    has = np.eye(labels)[rng.integers(0, labels, (2, queries, size))].sum(0) > 0
    content = Content(has / has.sum(2, keepdims=True) * ~missing[:, :, None], rng.dirichlet(np.ones(labels), queries))
    popularity = Content(
        np.eye(3)[rng.integers(0, 3, (queries, size))] * ~missing[:, :, None], rng.dirichlet(np.ones(3), queries)
    )
    owner = np.where(missing, UNKNOWN, rng.integers(-1, 3, (queries, size))).astype(np.int32)
    seating = Seating(owner, rng.dirichlet(np.ones(3), queries), content=content, popularity=popularity)
    return Pool(items, scores.astype(np.float32), seating)


def _one(parts: list[list[float]], shares: list[float], scores: list[float] | None = None) -> Pool:
    count = len(parts)
    values = np.linspace(1, 0, count) if scores is None else np.asarray(scores)
    content = Content(np.asarray([parts], np.float64), np.asarray([shares]))
    seating = Seating(content.home, content.shares, content=content, popularity=content)
    return Pool(np.arange(count, dtype=np.int32)[None], values.astype(np.float32)[None], seating)


@pytest.mark.parametrize("slate", SLATES, ids=str)
@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_lists_hold_each_candidate_once_and_are_as_long_as_can_be(slate: Slate, seed: int) -> None:
    pool = _pool(seed)
    chosen = slate.choose(pool, 8)
    for row, items in zip(chosen, pool.items, strict=True):
        listed = row[row != UNKNOWN]
        assert len(set(listed.tolist())) == len(listed) == min(8, int((items != UNKNOWN).sum()))
        assert (items[listed] != UNKNOWN).all()
        assert (row[len(listed) :] == UNKNOWN).all()


@pytest.mark.parametrize("slate", [*SLATES, Floor(0.1, 20)], ids=str)
@pytest.mark.parametrize("queries", [0, 1, 3])
def test_without_labels_and_owners_the_best_scores_are_listed(slate: Slate, queries: int) -> None:
    """So are the items of a log without genres: there are no owners at all, not only none of these candidates."""
    size = 4
    scores = np.tile(np.linspace(1, 0, size, dtype=np.float32), (queries, 1))
    nothing = Content(np.zeros((queries, size, 0)), np.zeros((queries, 0)))
    one_class = Content(np.ones((queries, size, 1)), np.ones((queries, 1)))
    seating = Seating(nothing.home, nothing.shares, content=nothing, popularity=one_class)
    pool = Pool(np.tile(np.arange(size, dtype=np.int32), (queries, 1)), scores, seating)
    for n in (2, 6):  # the pool may be shorter than the list
        chosen = slate.choose(pool, n)
        np.testing.assert_array_equal(chosen, Greedy().choose(pool, n))
        assert np.isfinite(slate.standing(pool, chosen)).all()
        if isinstance(slate, Exact):
            np.testing.assert_array_equal(slate.plain_greedy(pool, n)[0], chosen)


@pytest.mark.parametrize("slate", SLATES, ids=str)
@given(seed=st.integers(0, 1000), controls=st.booleans())
@settings(max_examples=15, deadline=None)
def test_a_list_is_the_same_whoever_else_is_asked(slate: Slate, seed: int, controls: bool) -> None:
    pool, rng = _pool(seed, queries=70), np.random.default_rng(seed)
    if controls:
        boosted, muted = rng.random((2, 70, 3)) < 0.3
        pool = replace(pool, seating=replace(pool.owned, boosted=boosted & ~muted, muted=muted, trust=rng.random(70)))
    together = slate.choose(pool, 6)
    alone = np.concatenate([slate.choose(pool.take(slice(row, row + 1)), 6) for row in range(0, 70, 3)])
    np.testing.assert_array_equal(together[::3], alone)


@given(seed=st.integers(0, 1000), labels=st.integers(1, 40))
def test_the_home_of_a_candidate_is_its_label_of_the_largest_share(seed: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    parts = (rng.random((3, 7, labels)) < rng.choice([0.02, 0.1, 0.9])) * rng.random((3, 7, labels))
    shares = rng.integers(0, 3, (3, labels)) / labels
    content = Content(parts, shares)
    for row, candidate in np.ndindex(3, 7):
        own = np.flatnonzero(parts[row, candidate])
        expected = own[shares[row, own].argmax()] if len(own) else UNKNOWN
        assert content.home[row, candidate] == expected
    wide = Content(np.pad(parts, [(0, 0), (0, 0), (0, 600)]), np.pad(shares, [(0, 0), (0, 600)]))
    np.testing.assert_array_equal(wide.home, content.home)


@pytest.mark.parametrize("slate", SLATES, ids=str)
def test_muted_owners_are_not_listed(slate: Slate) -> None:
    pool = _pool(5)
    muted = np.zeros((12, 3), np.bool_)
    muted[:, 1] = True
    seating = pool.owned
    quiet = Pool(pool.items, pool.scores, Seating(**{**vars(seating), "muted": muted}))
    chosen = slate.choose(quiet, 8)
    owner = np.take_along_axis(seating.owner, np.maximum(chosen, 0), 1)
    assert not ((owner == 1) & (chosen != UNKNOWN)).any()


def test_what_a_muted_owner_is_due_goes_to_the_others_by_their_shares() -> None:
    owner = np.asarray([[0, 0, 1, 1, 1, 1, 1, 2, 2, 2]], np.int32)
    muted = Seating(owner, np.asarray([[0.5, 0.3, 0.2]]), muted=np.asarray([[True, False, False]]))
    pool = Pool(np.arange(10, dtype=np.int32)[None], np.linspace(1, 0, 10, dtype=np.float32)[None], muted)
    assert Exact(("personas",), 1.0, 10).choose(pool, 5).tolist() == [[2, 3, 4, 7, 8]]


@pytest.mark.parametrize(
    "slate",
    [
        Calibrated(0.0, 0.0, 20),
        Seats(0.0, 0.0, 20, "tastes"),
        Diverse(0.0, 20),
        Determinantal(1e6, 20),
        Exact(("tastes",), 0.0, 20),
        Exact(("personas", "popularity"), 0.0, 20),
    ],
    ids=str,
)
def test_without_weight_the_best_scores_are_listed(slate: Slate) -> None:
    pool = _pool(7)
    np.testing.assert_array_equal(slate.choose(pool, 8), Greedy().choose(pool, 8))


@pytest.mark.parametrize("seed", range(11, 16))
def test_calibration_is_the_greedy_of_its_objective(seed: int) -> None:
    """An independent greedy: after each rank the next candidate is best by score and C_KL of the evaluation."""
    pool, slate = _pool(seed), Calibrated(0.6, 0.2, 20)
    chosen = slate.choose(pool, 6)
    for query in range(len(chosen)):
        present = pool.items[query] != UNKNOWN
        scores = pool.scores[query].astype(np.float64)
        high, low = scores[present].max(), scores[present].min()
        scaled = (scores - low) / (high - low)
        listed: list[int] = []
        for rank in range(6):
            free = [place for place in np.flatnonzero(present).tolist() if place not in listed]
            if not free:
                break
            values = []
            for place in free:
                value = scaled[place]
                for content, weight in ((pool.about, 0.6), (pool.popular, 0.2)):
                    q = content.parts[query, [*listed, place]].mean(0)
                    value -= weight * float(miscalibration(content.shares[query], q))
                values.append(value)
            listed.append(free[int(np.argmax(values))])
            assert chosen[query, rank] == listed[-1]


def test_seats_of_tastes_follow_sainte_lague() -> None:
    """10 seats for 53, 24 and 23 votes; candidates have one label each. D'Hondt's method favours the largest."""
    parts = [[1.0, 0, 0]] * 20 + [[0, 1.0, 0]] * 20 + [[0, 0, 1.0]] * 20
    pool = _one(parts, [0.53, 0.24, 0.23])
    labels = (Seats(1.0, 0.0, 60, "tastes").choose(pool, 10)[0] // 20).tolist()
    assert labels == [0, 1, 2, 0, 0, 1, 2, 0, 0, 0]
    dhondt = (Seats(1.0, 0.0, 60, "tastes", divisor=1.0).choose(pool, 10)[0] // 20).tolist()
    assert np.bincount(dhondt).tolist() == [6, 2, 2]
    small = _one(parts, [0.73, 0.19, 0.08])
    seats = [
        np.bincount(Seats(1.0, 0.0, 60, "tastes", divisor=divisor).choose(small, 10)[0] // 20, minlength=3).tolist()
        for divisor in (2.0, 1.0)
    ]
    assert seats == [[7, 2, 1], [8, 2, 0]]


def test_a_floor_gives_every_owner_of_a_tenth_a_seat() -> None:
    """Whoever has a candidate has a seat, the others keep their order, and what nobody lacks is left as it is."""
    pool = _pool(19, queries=300)
    slate = Seats(0.1, 0.0, 20, floor=0.1)
    chosen, before = slate.choose(pool, 5), Seats(0.1, 0.0, 20).choose(pool, 5)
    owner = np.where(chosen == UNKNOWN, UNKNOWN, np.take_along_axis(pool.owned.owner, np.maximum(chosen, 0), 1))
    has = (owner[:, :, None] == np.arange(3)).any(1)
    available = (pool.owned.owner[:, :, None] == np.arange(3)).any(1)
    due = (pool.owned.shares >= 0.1) & available
    assert (has | ~due).all()
    assert all(len(set(row[row != UNKNOWN].tolist())) == (row != UNKNOWN).sum() for row in chosen)
    former = np.where(before == UNKNOWN, UNKNOWN, np.take_along_axis(pool.owned.owner, np.maximum(before, 0), 1))
    fine = ((former[:, :, None] == np.arange(3)).any(1) | ~due).all(1)
    assert 0.1 < fine.mean() < 0.9
    np.testing.assert_array_equal(chosen[fine], before[fine])


def test_a_candidate_of_two_labels_takes_half_a_seat_of_each() -> None:
    """Claims are 1 and .6. After (0, 1), which claims .8, both have half a seat: 1 / 2 and .6 / 2 are left."""
    parts = [[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]]
    pool = _one(parts, [0.625, 0.375])
    assert Seats(1.0, 0.0, 3, "tastes").choose(pool, 3)[0].tolist() == [2, 1, 0]
    seats = Seats(1.0, 0.0, 3, "tastes")
    worth = seats.standing(pool, np.asarray([[0, UNKNOWN, UNKNOWN]]))[0, 1]
    np.testing.assert_allclose(worth / worth[2], [0.8, 0.6, 1.0])


def test_more_weight_on_popularity_brings_lists_nearer_to_it() -> None:
    pool = _pool(13, queries=200)
    distances = []
    for weight in (0.0, 0.1, 1.0):
        chosen = Seats(0.0, 0.0, 20, "tastes", popularity=weight).choose(pool, 8)
        distances.append(_distance(pool.popular, chosen))
    assert distances[0] > distances[1] > distances[2]


def _distance(content: Content, chosen: Ints) -> float:
    parts = content.parts[np.arange(len(chosen))[:, None], np.maximum(chosen, 0)] * (chosen != UNKNOWN)[:, :, None]
    mixture = parts.sum(1) / parts.sum((1, 2))[:, None]
    return float(((mixture - content.shares) ** 2).sum(1).mean())


def test_diverse_lists_do_not_repeat_what_they_have() -> None:
    pool = _one([[1.0, 0]] * 3 + [[0, 1.0]], [1.0, 0.0], [1.0, 0.95, 0.9, 0.5])
    assert Diverse(0.5, 4).choose(pool, 2)[0].tolist() == [0, 3]
    assert Determinantal(1.0, 4).choose(pool, 2)[0].tolist() == [0, 3]


@given(seed=st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_the_determinantal_list_is_the_greedy_of_the_determinant(seed: int) -> None:
    """Against determinants that are computed anew for every candidate."""
    pool = _pool(seed, queries=3, size=8)
    chosen = Determinantal(1.5, 8).choose(pool, 4)
    for query in range(3):
        present = np.flatnonzero(pool.items[query] != UNKNOWN)
        vectors = pool.about.parts[query]
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        scores = pool.scores[query].astype(np.float64)
        scaled = (scores - scores[present].min()) / np.ptp(scores[present])
        kernel = (0.9 * vectors @ vectors.T + 0.1 * np.eye(8)) * np.exp(0.75 * (scaled[:, None] + scaled[None]))
        listed: list[int] = []
        for rank in range(min(4, len(present))):
            best = max(
                (place for place in present.tolist() if place not in listed),
                key=lambda place: np.linalg.det(kernel[np.ix_([*listed, place], [*listed, place])]),
            )
            listed.append(best)
            assert chosen[query, rank] == best


def test_exact_lists_are_the_best_of_all_that_keep_their_seats() -> None:
    """Every list of a small pool is tried, under the bounds that the slate states."""
    for seed in range(25):
        pool = _pool(seed, queries=4, size=9)
        for axes in (("personas",), ("tastes",), ("tastes", "popularity"), ("personas", "popularity", "tastes")):
            slate = Exact(axes, 0.6, 9)
            chosen = slate.choose(pool, 4)
            for query in range(4):
                best = _best(slate, pool, query, 4)
                if best is not None:
                    assert _value(pool, query, chosen[query]) == pytest.approx(best, abs=1e-5)


def _value(pool: Pool, query: int, listed: Ints) -> float:
    return float(pool.scores[query][listed[listed != UNKNOWN]].astype(np.float64).sum())


def _best(slate: Exact, pool: Pool, query: int, n: int) -> float | None:
    """Return the largest sum of scores of lists that keep all bounds; None where there is none."""
    present = np.flatnonzero(pool.items[query] != UNKNOWN)
    bounds = [slate._seats(pool, axis, pool.items != UNKNOWN, n) for axis in slate.axes]
    best = None
    for listed in combinations(present.tolist(), min(n, len(present))):
        kept = True
        for seats in bounds:
            holder = seats.holder[query, list(listed)]
            count = np.bincount(holder[holder != UNKNOWN], minlength=seats.low.shape[1])
            kept &= bool(((count >= seats.low[query]) & (count <= seats.high[query])).all())
        if kept:
            value = _value(pool, query, np.asarray(listed))
            best = value if best is None else max(best, value)
    return best


@given(seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_exact_lists_are_never_below_the_greedy(seed: int) -> None:
    pool = _pool(seed, queries=20)
    for slate in (
        Exact(("tastes",), 0.7, 20),
        Exact(("popularity",), 0.5, 20),
        Exact(("tastes", "popularity"), 0.5, 20),
    ):
        greedy, kept = slate.plain_greedy(pool, 8)
        exact = slate.choose(pool, 8)
        for query in np.flatnonzero(kept).tolist():
            assert _value(pool, query, exact[query]) >= _value(pool, query, greedy[query]) - 1e-6


@pytest.mark.parametrize("slate", SLATES, ids=str)
def test_standing_tells_who_falls_out_for_another(slate: Slate) -> None:
    """A candidate that is worth more than a listed one for its seat makes a better list of the slate's own value."""
    pool = _pool(17, queries=6)
    chosen = slate.choose(pool, 5)
    standing = slate.standing(pool, chosen)
    assert standing.shape == (6, 5, 20)
    assert (standing[np.repeat((pool.items == UNKNOWN)[:, None], 5, axis=1)] == -np.inf).all()
    queries = np.arange(6)
    # The last seat was given to the best candidate for it.
    last = standing[:, 4].copy()
    last[queries[:, None], chosen[:, :4]] = -np.inf
    own = last[queries, chosen[:, 4]]
    if not isinstance(slate, Exact) and not (isinstance(slate, Seats) and slate.floor):
        np.testing.assert_allclose(own, last.max(1), rtol=1e-4, atol=1e-4)


def test_bad_settings() -> None:
    with pytest.raises(ConfigError, match="weight is -1"):
        Calibrated(-1.0)
    with pytest.raises(ConfigError, match="did you mean 'tastes'"):
        Seats(over="taste")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="divisor is 0"):
        Seats(divisor=0.0)
    with pytest.raises(ConfigError, match=r"weight is 1\.5"):
        Diverse(1.5)
    with pytest.raises(ConfigError, match="theta is 0"):
        Determinantal(0.0)
    with pytest.raises(ConfigError, match="did you mean 'popularity'"):
        Exact(("popular",))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="each once"):
        Exact(())
    bare = Pool(
        np.zeros((1, 3), np.int32), np.zeros((1, 3), np.float32), Seating(np.zeros((1, 3), np.int32), np.ones((1, 1)))
    )
    for slate in (Calibrated(), Diverse(), Determinantal(), Seats(over="tastes"), Exact()):
        with pytest.raises(ConfigError, match="labels"):
            slate.choose(bare, 2)
    with pytest.raises(ConfigError, match="popularity"):
        Seats(popularity=0.1).choose(bare, 2)


def test_order_of_the_pool_is_that_of_scores_in_exact_lists() -> None:
    pool: Pool = _pool(2)
    chosen = Exact(("tastes", "popularity"), 0.8, 20).choose(pool, 6)
    for row in chosen:
        listed = row[row != UNKNOWN]
        assert (np.diff(listed) > 0).all()


@pytest.mark.parametrize(
    "slate", [Seats(0.2, 0.1, 20), Seats(0.3, 0.1, 20, "tastes"), Seats(0.2, 0.1, 20, floor=0.2)], ids=str
)
def test_candidates_that_all_queries_share_give_the_lists_of_their_copies(slate: Slate) -> None:
    pool, rng = _pool(9, queries=1), np.random.default_rng(9)
    seating, scores = pool.owned, np.repeat(pool.scores, 30, axis=0)
    scores += np.float32(0.5) * rng.random(scores.shape).astype(np.float32)
    assert seating.content is not None

    def chosen(parts: Doubles) -> Ints:
        content = Content(parts, histories)
        many = Seating(np.repeat(seating.owner, 30, axis=0), shares, content=content)
        return slate.choose(Pool(np.repeat(pool.items, 30, axis=0), scores, many), 6)

    histories, shares = rng.dirichlet(np.ones(5), 30), rng.dirichlet(np.ones(3), 30)
    shared = np.broadcast_to(seating.content.parts, (30, *seating.content.parts.shape[1:]))
    np.testing.assert_array_equal(chosen(shared), chosen(shared.copy()))
