"""Spliced users: real events in order, joined at the recorded position, beside unchanged controls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.catalogue import cards, datasets
from recsys.data.interactions import Interactions
from recsys.errors import ConfigError, DataError
from recsys.worlds.drift import Kind, drift_world
from recsys.worlds.simulation import simulated_log
from recsys.worlds.splices import SplicedUsers, splice_users, taste_vectors


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulated_log(seed=2, n_users=120, n_items=200, events_per_user=40)


def in_order(log: Interactions) -> Interactions:
    return replace(log, time=np.arange(len(log)) - log.indptr[log.user_num], clock="order")


def check(log: Interactions, made: SplicedUsers, minimum_events: int) -> None:
    """Everything that holds for every result, user by user, with plain code."""
    pairs = len(made.kind) // 2
    assert made.kind.tolist() == [Kind.ABRUPT] * pairs + [Kind.STABLE] * pairs
    assert len(np.unique(made.source)) == len(made.source) == len(made.log)
    assert np.array_equal(made.log.item_num, log.item_num[made.source])
    assert np.array_equal(made.log.value, log.value[made.source])
    assert (made.log.items, made.log.metadata, made.log.clock) == (log.items, log.metadata, log.clock)
    used = np.concatenate([made.first, made.second[:pairs]])
    assert len(set(used.tolist())) == 3 * pairs
    for user in range(2 * pairs):
        part = made.log.history_slice(user)
        source, time = made.source[part].tolist(), made.log.time[part]
        a = list(range(log.indptr[made.first[user]], log.indptr[made.first[user] + 1]))
        name = str(log.users.id_of(int(made.first[user])))
        assert bool((np.diff(time) >= 0).all())
        if user >= pairs:
            assert source == a
            assert np.array_equal(time, log.time[a])
            assert made.changed_at[user] == -1
            assert (made.second[user], made.log.users.id_of(user)) == (-1, name)
            continue
        b = list(range(log.indptr[made.second[user]], log.indptr[made.second[user] + 1]))
        cut = int(made.changed_at[user])
        assert minimum_events <= cut < len(a)
        assert source[:cut] == a[:cut]
        known = set(log.item_num[a[:cut]].tolist())
        assert source[cut:] == [event for event in b if log.item_num[event] not in known]
        assert len(source) - cut >= minimum_events
        assert made.log.users.id_of(user) == f"{name}+{log.users.id_of(int(made.second[user]))}"
        assert time[cut] > time[cut - 1]
        if log.clock == "order":
            assert time.tolist() == list(range(len(source)))
        else:
            assert np.array_equal(time[:cut], log.time[a[:cut]])
            assert time[cut] == max(log.time[a[cut]], time[cut - 1] + 1)
            assert np.array_equal(np.diff(time[cut:]), np.diff(log.time[source[cut:]]))


@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from(["seconds", "period", "order"]))
def test_histories_are_real_events_in_order(seed: int, minimum_events: int, clock: str) -> None:
    log = simulated_log(seed=seed % 3, n_users=40, n_items=60, events_per_user=20)
    if clock == "period":
        log = replace(log, time=(log.time - log.time.min()) // 31_557_600, clock="period")
    elif clock == "order":
        log = in_order(log)
    check(log, splice_users(log, seed, minimum_events=minimum_events), minimum_events)


def test_seed_determines_everything_and_cuts_differ(log: Interactions) -> None:
    made, again = splice_users(log, 4), splice_users(log, 4)
    assert made.log.fingerprint == again.log.fingerprint
    assert np.array_equal(made.source, again.source)
    assert made.log.fingerprint != splice_users(log, 5).log.fingerprint
    assert made.log.name == "simulated-spliced"
    spliced = made.kind == Kind.ABRUPT
    assert 20 < spliced.sum() <= 40
    assert len(np.unique(made.changed_at[spliced])) > 10


def test_number_of_pairs_is_as_given_or_an_error(log: Interactions) -> None:
    made = splice_users(log, pairs=7, minimum_events=5)
    check(log, made, 5)
    assert made.log.n_users == 14
    with pytest.raises(ConfigError, match=r"only \d+ pairs of simulated fit, not 41; lower pairs or minimum_events"):
        splice_users(log, pairs=41)
    with pytest.raises(ConfigError, match="only 0 pairs of simulated fit, not 1"):
        splice_users(log, minimum_events=150)


def test_b_begins_one_tick_later_where_times_are_equal() -> None:
    users = np.repeat(np.arange(9), 6)
    days = Interactions.from_columns(users, np.arange(54), times=np.tile([0, 0, 2, 2, 2, 3], 9) * 86_400 + 500)
    made = splice_users(days, minimum_events=3)
    pairs = made.changed_at[:3].tolist()
    for user, cut in enumerate(pairs):
        time = made.log.time[made.log.history_slice(user)]
        assert time[cut] - time[cut - 1] == 86_400
        assert (np.diff(time) % 86_400 == 0).all()


def test_maximum_cosine_keeps_dissimilar_pairs(log: Interactions) -> None:
    tastes = taste_vectors(log)
    tastes /= np.linalg.norm(tastes, axis=1, keepdims=True)

    def cosines(made: SplicedUsers) -> np.ndarray:
        spliced = made.kind == Kind.ABRUPT
        products: np.ndarray = (tastes[made.first[spliced]] * tastes[made.second[spliced]]).sum(1)
        return products

    made = splice_users(log, maximum_cosine=-0.1)
    check(log, made, 20)
    assert len(cosines(made)) > 10
    assert cosines(made).max() <= -0.1 + 1e-9
    assert cosines(splice_users(log)).max() > 0.1
    with pytest.raises(ConfigError, match=r"raise maximum_cosine \(-1\)"):
        splice_users(log, maximum_cosine=-1)


def test_tastes_separate_personas_but_not_activity() -> None:
    """Users of one and the same genres are closer than others."""
    log = drift_world(n_users=150).log
    genres = np.zeros((log.n_users, 8))
    leading = [
        sorted({name for row in log.metadata.genres for name in row}).index(row[0]) for row in log.metadata.genres
    ]
    np.add.at(genres, (log.user_num, np.asarray(leading)[log.item_num]), 1)
    genres = genres / genres.sum(1, keepdims=True) - (genres / genres.sum(1, keepdims=True)).mean(0)
    tastes = taste_vectors(log)
    assert tastes.shape == (150, 16)

    def alike(vectors: np.ndarray) -> np.ndarray:
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        upper: np.ndarray = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
        return upper

    assert np.corrcoef(alike(genres), alike(tastes))[0, 1] > 0.4


def test_wrong_settings_are_errors(log: Interactions) -> None:
    for settings, fault in (
        ({"minimum_events": 0}, "minimum_events is 0; it must be at least 1"),
        ({"pairs": 0}, "pairs is 0; it must be at least 1, or None"),
        ({"maximum_cosine": 2}, "maximum_cosine is 2; it must lie between -1 and 1"),
    ):
        with pytest.raises(ConfigError, match=fault):
            splice_users(log, **settings)
    with pytest.raises(DataError, match=r"simulated has no clock.*splice a log with times"):
        splice_users(replace(log, clock="none"))
    with pytest.raises(ConfigError, match="has 3 users and 3 items; tastes need 4 of each"):
        taste_vectors(Interactions.from_columns([1, 2, 3], [1, 2, 3]))


@pytest.mark.parametrize("name", ["epinions", "ml-1m-ordered"])
def test_real_logs_can_be_spliced(name: str, real_log_path: Callable[[str], Path]) -> None:
    path = real_log_path(cards.card(name).paths[0])
    log = datasets.load(name, root=path.parent)
    check(log, splice_users(log, pairs=100), 20)
