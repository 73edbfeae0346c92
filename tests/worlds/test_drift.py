"""Worlds of drifting users: the drift in the log agrees with the recorded truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from recsys.errors import ConfigError
from recsys.worlds.drift import (
    KINDS,
    DriftConfig,
    DriftWorld,
    Kind,
    KindShares,
    drift_world,
    simulate_drift,
    timescale_world,
)

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@pytest.fixture(scope="module")
def world() -> DriftWorld:
    return drift_world(seed=3)


@pytest.fixture(scope="module")
def renewal() -> DriftWorld:
    return timescale_world(seed=3)


def position(world: DriftWorld) -> npt.NDArray[np.int64]:
    return np.arange(len(world.log)) - world.log.indptr[world.log.user_num]


def after(world: DriftWorld, moment: npt.NDArray[np.int64]) -> Mask:
    """Events at or after a position of their user."""
    mask: Mask = position(world) >= moment[world.log.user_num]
    return mask


def shift(world: DriftWorld, early: Mask, late: Mask) -> Floats:
    """Total variation, "users", between the genres of two sets of events; NaN where one is empty."""
    shares = []
    for keep in (early, late):
        count = np.zeros((world.log.n_users, len(world.genres)))
        np.add.at(count, (world.log.user_num[keep], world.item_genre[world.log.item_num[keep]]), 1)
        total = count.sum(1, keepdims=True)
        shares.append(np.divide(count, total, out=np.full_like(count, np.nan), where=total > 0))
    distance: Floats = np.abs(shares[0] - shares[1]).sum(1) / 2
    return distance


def check(world: DriftWorld, config: DriftConfig) -> None:
    """What holds in every world."""
    log, n_users = world.log, config.n_users
    counts = np.diff(log.indptr)
    assert (log.n_users, log.n_items, log.clock) == (n_users, config.n_items, "seconds")
    assert len(log) == n_users * config.events_per_user
    assert counts.min() >= config.least_events
    assert counts.max() <= config.n_items // 2
    assert len(np.unique(log.user_num.astype(np.int64) * config.n_items + log.item_num)) == len(log)
    assert bool((np.diff(log.time)[np.diff(log.user_num) == 0] > 0).all())
    assert log.time.min() >= 1_325_376_000
    for column in (world.kind, world.changed_at, world.settled_at, world.returns_at, world.timescale, world.dwell):
        assert column.shape == (n_users,)
    for column in (world.mixture, world.persona):
        assert column.shape == (len(log),)
    assert np.array_equal(world.item_genre, world.item_cluster // config.clusters_per_genre)
    assert world.item_genre.max() + 1 == len(world.genres) == config.n_genres
    assert bool((world.timescale > 0).all())
    assert bool((world.changed_at < counts).all())
    assert bool((world.returns_at < counts).all())
    changes = np.flatnonzero((world.changed_at > 0) & (world.kind != Kind.GRADUAL))
    assert bool((world.mixture[log.indptr[changes] + world.changed_at[changes]] == 1).all())
    assert bool((world.mixture[log.indptr[:-1]][world.kind != Kind.RECURRING] == 0).all())
    assert set(world.mixture[world.kind[log.user_num] != Kind.RENEWAL].tolist()) <= {0, 1}


@given(st.data())
def test_invariants_of_every_world(data: st.DataObject) -> None:
    least = data.draw(st.integers(12, 30))
    config = DriftConfig(
        seed=data.draw(st.integers(0, 2**32)),
        n_users=data.draw(st.integers(1, 12)),
        # Half of the smallest catalogue is all that a user can have.
        n_items=data.draw(st.integers(60, 90)),
        events_per_user=data.draw(st.integers(least, 30)),
        least_events=least,
        n_genres=data.draw(st.integers(4, 16)),
        clusters_per_genre=data.draw(st.integers(1, 3)),
        personas=(1, 2),
        focus=data.draw(st.sampled_from([0.0, 0.9, 1.0])),
        shares=KindShares(1, 1, 1, 1, 1, data.draw(st.integers(0, 3))),
        burst=(1, 1),
    )
    check(simulate_drift(config), config)


def test_default_worlds_have_the_configured_size_and_kinds(world: DriftWorld, renewal: DriftWorld) -> None:
    check(world, DriftConfig(seed=3))
    check(renewal, DriftConfig(seed=3, shares=KindShares(0, 0, 0, 0, 0, 1)))
    assert np.bincount(world.kind).tolist() == [120] * 5
    assert np.bincount(renewal.kind).tolist() == [0] * 5 + [600]
    assert KINDS == ("stable", "abrupt", "gradual", "recurring", "burst", "renewal")
    some = simulate_drift(DriftConfig(n_users=40, shares=KindShares(0.5, 0, 0.25, 0, 0.25)))
    assert np.bincount(some.kind).tolist() == [20, 0, 10, 0, 10]


def test_seed_determines_everything(world: DriftWorld) -> None:
    again, other = drift_world(seed=3), drift_world(seed=4)
    assert again.log.fingerprint == world.log.fingerprint
    assert np.array_equal(again.timescale, world.timescale)
    assert np.array_equal(again.persona, world.persona)
    assert other.log.fingerprint != world.log.fingerprint


def test_events_follow_the_personas_and_popularity_is_skewed(world: DriftWorld) -> None:
    assert 0.75 < (world.item_cluster[world.log.item_num] == world.persona).mean() < 0.95
    counts = np.sort(np.bincount(world.log.item_num, minlength=3000))
    assert counts[-300:].sum() > 3 * counts[1350:1650].sum()
    own = len(np.unique(np.stack([world.log.user_num, world.mixture, world.persona]), axis=1).T)
    assert 2 <= own / len(np.unique(np.stack([world.log.user_num, world.mixture]), axis=1).T) <= 3
    names = world.log.metadata.genres
    assert all(world.genres[genre] in names[item] for item, genre in enumerate(world.item_genre))


def test_tastes_change_at_the_recorded_position(world: DriftWorld) -> None:
    of = {kind: world.kind == kind for kind in Kind}
    middle = np.where(world.changed_at < 0, np.diff(world.log.indptr) // 2, world.changed_at)
    moved = shift(world, ~after(world, middle), after(world, middle))
    assert moved[of[Kind.STABLE]].mean() < 0.25
    assert moved[of[Kind.ABRUPT]].mean() > 0.75
    # Not a moment earlier, nor later: the halves of either side are alike.
    for side in (~after(world, middle), after(world, middle)):
        edge = np.where(side[world.log.indptr[:-1]], middle // 2, (middle + np.diff(world.log.indptr)) // 2)
        within = shift(world, side & ~after(world, edge), side & after(world, edge))
        assert within[of[Kind.ABRUPT]].mean() < 0.35
    settled = np.where(world.settled_at < 0, middle, world.settled_at)
    for kind in (Kind.ABRUPT, Kind.GRADUAL):
        assert shift(world, ~after(world, middle), after(world, settled))[of[kind]].mean() > 0.75
    assert bool((settled >= middle)[of[Kind.GRADUAL]].all())
    assert np.unique((settled - middle)[of[Kind.GRADUAL]]).size > 20
    between = after(world, middle) & ~after(world, settled + 1) & of[Kind.GRADUAL][world.log.user_num]
    assert 0.4 < world.mixture[between].mean() < 0.6


def test_old_taste_returns_after_a_burst(world: DriftWorld) -> None:
    burst = world.kind == Kind.BURST
    length = (world.returns_at - world.changed_at)[burst]
    assert set(length.tolist()) == set(range(5, 13))
    assert bool((world.returns_at[~burst] == -1).all())
    guest = after(world, world.changed_at) & ~after(world, world.returns_at)
    before, since = ~after(world, world.changed_at), after(world, world.returns_at)
    assert shift(world, before, guest)[burst].mean() > 0.75
    assert shift(world, before, since)[burst].mean() < 0.3
    on = burst[world.log.user_num]
    assert np.array_equal(world.mixture[on], guest[on].astype(np.int64))


def test_recurring_tastes_alternate_with_the_period_of_the_user(world: DriftWorld) -> None:
    recurring = np.flatnonzero(world.kind == Kind.RECURRING)
    for user in recurring[:40]:
        mixture = world.mixture[world.log.history_slice(int(user))]
        switches = np.flatnonzero(np.diff(mixture)) + 1
        assert world.changed_at[user] in switches
        assert np.unique(np.diff(switches)).size == 1
        assert abs(np.diff(switches)[0] / 2 - world.timescale[user]) <= 1 + 0.15 * world.timescale[user]
        # What comes was there before.
        assert 1 in mixture[: world.changed_at[user]]
        assert 0 in mixture[world.changed_at[user] :]
    assert np.unique(world.timescale[recurring]).size > 10


def test_moments_and_paces_differ_between_users(world: DriftWorld) -> None:
    counts, start = np.diff(world.log.indptr), world.log.indptr[:-1]
    changed = world.changed_at >= 0
    moment = (world.changed_at / counts)[changed]
    assert bool(((moment > 0.29) & (moment < 0.71)).all())
    assert np.abs(np.quantile(moment, [0.25, 0.5, 0.75]) - [0.4, 0.5, 0.6]).max() < 0.03
    date = world.log.time[start[changed] + world.changed_at[changed]]
    tenth = (date - date.min()) * 10 // (date.max() - date.min() + 1)
    assert int(np.bincount(tenth).max()) < 0.3 * len(date)
    days = (world.log.time[world.log.indptr[1:] - 1] - world.log.time[start]) / 86_400
    pace = counts / days
    slow, fast = np.quantile(pace, [0.05, 0.95]).tolist()
    assert fast > 50 * slow
    assert abs(float(spearmanr(pace, counts).statistic)) < 0.15


def test_timescales_follow_the_definition(world: DriftWorld) -> None:
    for kind in (Kind.STABLE, Kind.BURST):
        assert bool(np.isinf(world.timescale[world.kind == kind]).all())
    assert bool(np.isinf(world.dwell).all())
    counts = np.diff(world.log.indptr)
    for kind in (Kind.ABRUPT, Kind.RECURRING):
        for user in np.flatnonzero(world.kind == kind)[:30]:
            mixture = world.mixture[world.log.history_slice(int(user))]
            same = [np.mean(mixture[age:] == mixture[:-age]) for age in range(1, counts[user])]
            assert world.timescale[user] == 1 + next(age for age, share in enumerate(same) if share <= 0.5)
    gradual = world.kind == Kind.GRADUAL
    assert bool((world.timescale[gradual] < counts[gradual]).all())


def test_dwell_times_are_log_uniform_and_determine_the_renewals(renewal: DriftWorld) -> None:
    assert np.abs(np.quantile(np.log(renewal.dwell / 4) / np.log(100), [0, 0.25, 0.5, 0.75, 1])
                  - [0, 0.25, 0.5, 0.75, 1]).max() < 0.07  # fmt: skip
    assert np.allclose((1 - 1 / renewal.dwell) ** renewal.timescale, 0.5)
    counts = np.diff(renewal.log.indptr)
    last = renewal.mixture[renewal.log.indptr[1:] - 1]
    fast = renewal.dwell < 20
    assert abs((last[fast] / ((counts - 1) / renewal.dwell)[fast]).mean() - 1) < 0.1
    # The ceiling for whoever has to learn the timescale from so many events.
    assert float(spearmanr(-last / counts, renewal.timescale).statistic) > 0.88
    assert bool(((renewal.changed_at == -1) == (last == 0)).all())
    first = np.flatnonzero((renewal.mixture == 1) & (np.roll(renewal.mixture, 1) == 0))
    owner = renewal.log.user_num[first]
    assert np.array_equal(renewal.changed_at[owner], first - renewal.log.indptr[owner])


def test_similarity_of_events_halves_at_the_timescale(renewal: DriftWorld) -> None:
    """Pairs of events so far apart as T are of one mixture half of the time."""
    log = renewal.log
    counts = np.diff(log.indptr)
    age = np.round(renewal.timescale).astype(np.int64)
    early = np.flatnonzero(position(renewal) + age[log.user_num] < counts[log.user_num])
    same = renewal.mixture[early] == renewal.mixture[early + age[log.user_num[early]]]
    assert abs(same[renewal.dwell[log.user_num[early]] < 50].mean() - 0.5) < 0.04


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"n_users": 0}, "n_users is 0; it must lie between 1 and"),
        ({"n_items": 20}, "n_items is 20; it must lie between 32"),
        ({"events_per_user": 1501}, "events_per_user is 1501; it must lie between 4 and 1500"),
        ({"least_events": 121}, "least_events is 121; it must lie between 4 and 120"),
        ({"focus": 1.5}, "focus is 1.5"),
        ({"personas": (2, 5)}, "personas is 2 to 5; it must rise and lie in 1 to 4"),
        ({"pace": (3.0, 2.0)}, r"pace is 3\.0 to 2\.0; it must rise"),
        ({"dwell": (1.0, 2.0)}, r"dwell is 1\.0 to 2\.0"),
        ({"span": (0.1, 0.4)}, r"span is up to 0\.4 with moment 0\.3 to 0\.7 .*would not end: lower span"),
        ({"period": (0.1, 0.7)}, r"period is up to 0\.7 .*no taste would return: lower period"),
        ({"burst": (5, 14)}, "burst is up to 14 .*least_events 50; nothing would follow the guest: lower burst"),
    ],
)
def test_impossible_worlds_are_errors(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=f"drift world: {fault}"):
        replace(DriftConfig(), **change)


def test_impossible_shares_are_errors() -> None:
    with pytest.raises(ConfigError, match=r"shares of drift: abrupt is -1; it must lie between 0"):
        KindShares(abrupt=-1)
    with pytest.raises(ConfigError, match="all are 0; give one kind"):
        KindShares(0, 0, 0, 0, 0)
    with pytest.raises(ConfigError, match="stable is nan"):
        KindShares(stable=float("nan"))
