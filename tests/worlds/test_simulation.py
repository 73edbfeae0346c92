"""Simulated worlds: the log has the documented properties and agrees with the recorded truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.speed.simulated_csv import write_simulated_csv
from recsys.data.splits.standard import split
from recsys.errors import ConfigError
from recsys.worlds.simulation import World, WorldConfig, simulate, simulated_log


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(WorldConfig(seed=5))


def test_log_has_the_configured_size_and_no_repeats(world: World) -> None:
    log = world.log
    assert (len(log), log.n_users, log.n_items) == (400 * 60, 400, 300)
    assert len(np.unique(log.user_num.astype(np.int64) * 300 + log.item_num)) == len(log)
    assert np.diff(log.indptr).min() >= 1
    assert np.diff(log.indptr).max() <= 150
    assert bool((np.diff(log.time)[np.diff(log.user_num) == 0] >= 0).all())
    assert 3 < (log.time.max() - log.time.min()) / 31_557_600 < 4
    assert set(log.value.tolist()) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_seed_determines_the_log() -> None:
    small = simulated_log(seed=1, n_users=30, n_items=50, events_per_user=8)
    assert small.fingerprint == simulated_log(seed=1, n_users=30, n_items=50, events_per_user=8).fingerprint
    assert small.fingerprint != simulated_log(seed=2, n_users=30, n_items=50, events_per_user=8).fingerprint


def test_mixtures_and_tastes_are_distributions_that_the_events_follow(world: World) -> None:
    log = world.log
    assert np.allclose(world.mixtures.sum(1), 1)
    present = world.mixtures > 0
    assert set(present.sum(1).tolist()) == {1, 2, 3, 4}
    assert np.allclose(world.tastes.sum(2), present)
    shares = np.zeros_like(world.mixtures)
    np.add.at(shares, (log.user_num, world.persona), 1)
    shares /= np.diff(log.indptr)[:, None]
    assert bool((shares[~present] == 0).all())
    assert np.corrcoef(shares.ravel(), world.mixtures.ravel())[0, 1] > 0.95
    # Genres drawn without regard to the persona would carry 1/8 of its taste.
    leading = world.tastes[log.user_num, world.persona, world.item_genre[log.item_num]]
    assert leading.mean() > 0.4


def test_ratings_rise_with_the_taste_for_the_genre(world: World) -> None:
    log = world.log
    taste = np.einsum("uk,ukg->ug", world.mixtures, world.tastes)[log.user_num, world.item_genre[log.item_num]]
    assert np.corrcoef(taste, log.value)[0, 1] > 0.3


def drift_of(world: World) -> float:
    """Mean distance between the persona shares of the first and the last third of a life."""
    log, k = world.log, world.mixtures.shape[1]
    counts = np.diff(log.indptr)[log.user_num]
    third = (np.arange(len(log)) - log.indptr[log.user_num]) * 3 // counts
    shares = np.zeros((log.n_users, 3, k))
    np.add.at(shares, (log.user_num, third, world.persona), 1)
    shares /= np.maximum(shares.sum(2, keepdims=True), 1)
    return float(np.abs(shares[:, 0] - shares[:, 2]).sum(1).mean())


def test_drift_grows_with_its_amplitude() -> None:
    config = WorldConfig(n_users=150)
    still, moving = simulate(replace(config, drift=0.0)), simulate(replace(config, drift=3.0))
    assert drift_of(moving) > 1.8 * drift_of(still)


def test_popular_items_are_much_more_popular(world: World) -> None:
    counts = np.sort(np.bincount(world.log.item_num, minlength=300))
    assert counts[-30:].sum() > 1.5 * counts[135:165].sum()
    assert counts[0] > 0


def test_titles_are_unique_and_genres_are_the_worlds(world: World) -> None:
    metadata = world.log.metadata
    assert metadata.titles[0] == "Crimson Harbour (1960)"
    assert len(set(metadata.titles)) == 300
    for number, names in enumerate(metadata.genres):
        assert world.genres[world.item_genre[number]] in names
        assert 1 <= len(names) <= 2
    many = simulate(WorldConfig(n_users=5, n_items=2000, events_per_user=5)).log.metadata.titles
    assert len(set(many)) == 2000
    assert many[870] == "Crimson Harbour 2 (2016)"


def test_default_split_of_the_default_log(world: World) -> None:
    made = split(world.log)
    assert len(made.test) > 50
    assert made.test.relevant.lengths.mean() > 2


@pytest.mark.parametrize(
    "change", [{"n_users": 0}, {"n_items": 5}, {"events_per_user": 151}, {"n_genres": 17}, {"drift": -1.0}]
)
def test_impossible_worlds_are_errors(change: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(change))} is"):
        replace(WorldConfig(), **change)


def test_csv_has_exactly_the_given_number_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    write_simulated_csv(path, 20_000, 300, 400, seed=1)
    assert path.read_text().startswith("userId,movieId,rating,timestamp\n1,")
    frame = pd.read_csv(path)
    assert len(frame) == 20_000
    assert not frame.duplicated(["userId", "movieId"]).any()
    assert sorted(frame["userId"].unique()) == list(range(1, 301))
    assert frame["movieId"].between(1, 400).all()
    assert set(frame["rating"]) <= set(np.arange(1, 11) / 2)
    assert frame["timestamp"].between(1e9, 2e9).all()
    assert frame.groupby("userId").size().max() <= 200
    again = tmp_path / "again.csv"
    write_simulated_csv(again, 20_000, 300, 400, seed=1)
    assert again.read_bytes() == path.read_bytes()


def test_size_of_pieces_changes_no_invariant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.speed.simulated_csv._EVENTS_PER_PIECE", 700)
    path = tmp_path / "log.csv"
    write_simulated_csv(path, 5_000, 100, 200)
    frame = pd.read_csv(path)
    assert len(frame) == 5_000
    assert not frame.duplicated(["userId", "movieId"]).any()
    assert frame["userId"].is_monotonic_increasing


def test_full_log_terminates(tmp_path: Path) -> None:
    write_simulated_csv(tmp_path / "log.csv", 20 * 50, 20, 100)
    assert (pd.read_csv(tmp_path / "log.csv").groupby("userId").size() == 50).all()
    with pytest.raises(ConfigError, match="at most 50"):
        write_simulated_csv(tmp_path / "log.csv", 20 * 50 + 1, 20, 100)
