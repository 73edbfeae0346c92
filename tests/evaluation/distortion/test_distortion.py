from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data.clusters import popularity_parts
from recsys.data.interactions import Interactions
from recsys.data.queries import Ragged
from recsys.data.splits.holdout import Split
from recsys.data.splits.standard import split
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError, ConfigError
from recsys.evaluation.calibration import chance_distance, taste_distance
from recsys.evaluation.distortion import Axis, Chance, axes_of, distortion, persona_axis, taste_axis
from recsys.evaluation.distortion.chance import drawn
from recsys.evaluation.distortion.measures import along, systematic_error
from recsys.evaluation.holdout import evaluate
from recsys.evaluation.tastes import Tastes
from recsys.models import EASE, Popularity, WithPersonas
from recsys.models.personas.content import systematic_distortion
from recsys.slates import Seats
from recsys.worlds.simulation import simulated_log

USERS = 500


def _axis(seed: int = 0, users: int = USERS, size: int = 10) -> Axis:
    """Users with histories of their own mixtures over six classes; some items are of two. Lists are not made yet."""
    rng = np.random.default_rng(seed)
    parts = np.vstack([np.eye(6), (np.eye(6)[[0, 1, 2, 3]] + np.eye(6)[[1, 2, 3, 4]]) / 2, np.zeros((1, 6))])
    lengths = rng.integers(5, 60, users)
    tilt = rng.dirichlet(np.full(10, 0.7), users)
    items = np.concatenate([rng.choice(10, length, p=p) for length, p in zip(lengths, tilt, strict=True)])
    own = Ragged.from_lengths(lengths, items.astype(np.int32))
    return Axis("tastes", tuple("abcdef"), parts, own, np.full((users, size), UNKNOWN, np.int32))


def _cut(seed: int = 0) -> Split:
    return split(simulated_log(n_users=80, n_items=100, events_per_user=25, seed=seed), "random", seed=0)


def test_nothing_is_systematic_in_lists_from_the_own_history() -> None:
    """Two standard errors are exceeded as often as chance allows: 3% to 7% of 400 repeats."""
    axis = _axis()
    rejected, values = 0, []
    for seed in range(400):
        lists = drawn(axis, 10, seed)
        s = systematic_distortion(lists.histories, lists.lists)
        rejected += abs(s) > 2 * systematic_error(lists.delta)
        values.append(s)
    assert 0.03 <= rejected / 400 <= 0.07
    assert abs(np.mean(values)) < 3 * np.std(values) / 20  # unbiased, while |mean delta|^2 alone is not
    biased = np.mean([(drawn(axis, 10, seed).delta.mean(0) ** 2).sum() for seed in range(100)])
    assert biased > 20 * abs(np.mean(values))


def test_chance_is_what_lists_from_the_own_history_have() -> None:
    """Squared distances by chance are known in closed form, and the same as those of draws."""
    axis = _axis()
    chance = Chance(axis)
    draws = [drawn(axis, 10, seed) for seed in range(200)]
    squared = np.mean([(lists.delta**2).sum(1) for lists in draws], axis=0)
    np.testing.assert_allclose(squared.mean(), chance.squared(draws[0]).mean(), rtol=0.01)
    moment = np.mean([lists.delta.T @ lists.delta / USERS for lists in draws], axis=0)
    known = chance.second_moment(draws[0], np.ones(USERS, np.bool_))
    np.testing.assert_allclose(moment, known, atol=3e-4)
    assert np.trace(known) == pytest.approx(chance.squared(draws[0]).mean())
    values, summary = along(draws[0], chance)
    assert abs(np.mean(values.distance_excess)) < 0.01
    assert abs(summary.squared_excess) < 0.005
    assert summary.sameness == pytest.approx(1.0, abs=0.03)


def test_one_direction_for_all_is_found() -> None:
    """Half of every list comes from class a, in place of what the user likes: S and the direction say so."""
    axis = _axis()
    lists = drawn(axis, 10, 0)
    pulled = axis.listing(np.where(np.arange(10) < 5, 0, lists.listed).astype(np.int32))
    _, summary = along(pulled, Chance(axis))
    expected = (0.5 * (np.eye(6)[0] - axis.histories)).mean(0)
    assert summary.systematic == pytest.approx((expected**2).sum(), rel=0.1)
    assert summary.systematic_low < (expected**2).sum() < summary.systematic_high
    assert summary.direction is not None
    loadings = summary.direction.loadings
    assert max(loadings, key=lambda name: loadings[name]) == "a"
    assert summary.direction.share > 0.9
    assert summary.direction.p < 1e-6
    assert summary.sameness < 0.8


def test_distortion_of_each_user_alone_is_not_systematic() -> None:
    """Every user is pulled to a class of their own: D is large, S is not."""
    axis = _axis()
    own = np.random.default_rng(1).integers(0, 6, USERS)
    lists = axis.listing(np.repeat(own[:, None], 10, axis=1).astype(np.int32))
    _, summary = along(lists, Chance(axis))
    assert summary.squared_excess > 0.5
    assert summary.systematic < 0.05 * summary.squared_excess
    assert summary.individual == pytest.approx(summary.squared_excess - summary.systematic)


def test_the_sign_of_the_direction_does_not_come_from_the_same_users() -> None:
    """A placebo: where nothing pulls, the direction of half of the users says nothing of the others."""
    axis = _axis()
    p = [
        summary.direction.p
        for seed in range(40)
        if (summary := along(drawn(axis, 10, seed), Chance(axis, draws=1), draws=2)[1]).direction is not None
    ]
    assert np.mean(np.asarray(p) < 0.05) <= 0.1


def test_names_and_order_of_tastes_do_not_matter_and_neither_do_doubled_histories() -> None:
    axis = _axis()
    lists = drawn(axis, 10, 3)
    order = np.asarray([3, 1, 5, 0, 2, 4])
    relabelled = Axis("tastes", tuple("dbface"), axis.parts[:, order], axis.own, lists.listed)
    doubled = Ragged.from_lengths(
        2 * axis.own.lengths, np.concatenate([np.tile(axis.own.row(row), 2) for row in range(USERS)])
    )
    again = replace(lists, own=doubled)
    _, one = along(lists, Chance(axis))
    for other in (relabelled, again):
        _, two = along(other, Chance(other))
        assert two.systematic == pytest.approx(one.systematic)
        assert two.squared_excess == pytest.approx(one.squared_excess)
        assert two.distance == pytest.approx(one.distance)
        assert two.distance_excess == pytest.approx(one.distance_excess, abs=0.005)
        assert one.direction is not None
        assert two.direction is not None
        assert two.direction.strength == pytest.approx(one.direction.strength)
    assert along(relabelled, Chance(relabelled))[1].mean["d"] == pytest.approx(one.mean["d"])


def test_head_middle_and_tail_have_a_third_of_the_events_each() -> None:
    counts = np.random.default_rng(0).zipf(1.6, 3000).clip(max=500)
    parts = popularity_parts(counts)
    assert (parts.sum(1) == 1).all()
    np.testing.assert_allclose(counts @ parts / counts.sum(), 1 / 3, atol=0.01)
    assert counts[parts[:, 0] > 0].min() >= counts[parts[:, 1] > 0].max()
    assert popularity_parts(np.zeros(3, np.int64)).argmax(1).tolist() == [2, 2, 2]


def test_excess_of_tastes_is_that_of_an_evaluation() -> None:
    cut = _cut()
    top = EASE(20.0).fit(cut.train).recommend(cut.test.queries, 10).items
    tastes = Tastes.of(cut.train)
    axis = taste_axis("tastes", tastes, cut.test.queries.history, top)
    tasted = tastes.tasted(cut.test.queries.history)
    p = tastes.distributions(tasted)
    np.testing.assert_allclose(axis.histories, p)
    np.testing.assert_allclose(axis.lists, tastes.of_lists(top, (10,))[0])
    theirs = taste_distance(p, axis.lists) - chance_distance(tastes, tasted, p, top, (10,), (7,), bootstraps=400)[0]
    values, _ = along(axis, Chance(axis, draws=400))
    np.testing.assert_allclose(values.distance_excess, theirs, atol=0.02)


def test_rows_join_an_evaluation() -> None:
    cut = _cut()
    model = WithPersonas(EASE(20.0), slate=Seats(0.2, 0.1)).fit(cut.train)
    listed = model.recommend(cut.test.queries, 10)
    found = distortion(
        listed.items, cut.test, cut.train, ("tastes", "popularity", "personas"), model=model, owners=listed.owners
    )
    evaluation = evaluate(model, cut.test, cut.train, cutoffs=10)
    joined = found.joined(evaluation)
    assert len(joined.per_user) == len(cut.test)
    for column in ("popularity_distance_excess@10", "tastes_squared_excess@10", "personas_pull@10"):
        assert column in joined.metrics
        assert joined.summary[column] == pytest.approx(found.means[column], nan_ok=True)
    assert found.means["ndcg@10"] == pytest.approx(evaluation.summary["ndcg@10"])
    assert found.axes["popularity"].users + found.axes["popularity"].without == len(cut.test)
    asked_again = persona_axis(model, cut.test.queries, listed.items)
    np.testing.assert_array_equal(
        asked_again.listed, persona_axis(model, cut.test.queries, listed.items, listed.owners).listed
    )
    with pytest.raises(ConfigError, match="other questions"):
        found.joined(evaluate(model, cut.valid, cut.train, cutoffs=10))


def test_what_is_not_defined_is_counted() -> None:
    cut = _cut()
    empty = replace(cut.test, queries=cut.test.queries.keep(cut.test.queries.history.rows > 0))
    top = Popularity().fit(cut.train).recommend(empty.queries, 10).items
    found = distortion(top, empty, cut.train)
    assert found.axes["tastes"].without >= 1
    assert np.isnan(found.per_user["tastes_distance_excess@10"][0])
    assert any("no history" in note for note in found.notes)


def test_regret_needs_ratings_that_differ() -> None:
    log = simulated_log(n_users=80, n_items=100, events_per_user=25)
    cut = split(replace(log, value=np.ones_like(log.value)), "random", seed=0)
    top = Popularity().fit(cut.train).recommend(cut.test.queries, 10).items
    found = distortion(top, cut.test, cut.train)
    assert np.isnan(found.means["regret@10"])
    assert any(note.startswith("regret") for note in found.notes)
    assert np.isnan(found.rated_hits)


def test_bad_axes() -> None:
    cut = _cut()
    top = Popularity().fit(cut.train).recommend(cut.test.queries, 5).items
    with pytest.raises(ConfigError, match="did you mean 'tastes'"):
        distortion(top, cut.test, cut.train, ("taste",))
    with pytest.raises(ConfigError, match="each once"):
        axes_of(["tastes", "tastes"], cut.test, cut.train, top)
    with pytest.raises(CapabilityError, match="needs a model with found personas"):
        distortion(top, cut.test, cut.train, ("personas",))
    with pytest.raises(CapabilityError, match="Popularity has no found personas"):
        distortion(top, cut.test, cut.train, ("personas",), model=Popularity().fit(cut.train))


def test_items_of_nobody_use_are_in_the_tail() -> None:
    log = Interactions.from_columns(["a", "a", "b"], [1, 2, 1])
    assert popularity_parts(np.bincount(log.item_num, minlength=3))[2].tolist() == [0, 0, 1]
