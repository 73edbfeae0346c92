from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.decay import GlobalHalfLife
from recsys.errors import CapabilityError, ConfigError
from recsys.models import Decayed, LinearNextItem
from recsys.models.linear import next_item
from recsys.training import progress
from recsys.training.session import Session

HALF_LIVES = (1.0, 4.0)


def random_histories(users: int = 40, items: int = 12) -> list[npt.NDArray[np.int64]]:
    source = np.random.default_rng(2)
    return [source.permutation(items)[: source.integers(1, items)] for _ in range(users)]


def as_log(histories: list[npt.NDArray[np.int64]], **columns: Any) -> Interactions:
    users = np.repeat(np.arange(len(histories)), [len(row) for row in histories])
    times = np.concatenate([np.arange(len(row)) for row in histories])
    return Interactions.from_columns(users, np.concatenate(histories), times=times, clock="order", **columns)


def cycle_log(items: int = 10, users: int = 30) -> Interactions:
    """Item i is always followed by item i + 1."""
    source = np.random.default_rng(0)
    return as_log([(source.integers(items) + np.arange(items - 2)) % items for _ in range(users)])


@pytest.mark.parametrize(
    ("later", "horizon", "backward"),
    [(0.0, 10.0, 0.0), (0.5, 2.0, 0.0), (2.0, 4.0, 0.0), (1.0, 1e-4, 0.0), (0.0, 10.0, 0.3), (0.5, 2.0, 1.0)],
)
def test_weights_are_ridge_regression_on_every_state(later: float, horizon: float, backward: float) -> None:
    """The sums over pairs of events are those over all states and targets, each made in full.

    A horizon of 4 events is as long as the slow memory, one of next to nothing is the second event alone. What is read
    backward adds the transposed sums of each memory.
    """
    log = as_log(random_histories())
    features, targets = [], []
    for start, stop in pairwise(log.indptr):
        history = log.item_num[start:stop]
        for now in range(1, len(history)):
            state = np.zeros((len(HALF_LIVES), log.n_items))
            for memory, half_life in enumerate(HALF_LIVES):
                state[memory, history[:now]] = 0.5 ** (np.arange(now)[::-1] / half_life)
            features.append(state.ravel())
            ahead = 0.5 ** (np.arange(len(history) - now - 1) / horizon)
            target = np.eye(log.n_items)[history[now]]
            target[history[now + 1 :]] = later * (1 - 0.5 ** (1 / horizon)) * ahead
            targets.append(target)
    f, y = np.stack(features), np.stack(targets)
    forward = (f.T @ y).reshape(len(HALF_LIVES), log.n_items, log.n_items)
    wanted = (forward + backward * forward.swapaxes(1, 2)).reshape(f.shape[1], log.n_items)
    expected = np.linalg.solve(f.T @ f + 3 * np.eye(f.shape[1]), wanted)
    result = LinearNextItem(HALF_LIVES, 3, later, horizon, backward).fit(log).arrays()["weights"]
    # The fast memory is cut off where less than a thousandth is left of an event.
    np.testing.assert_allclose(result.reshape(expected.shape), expected, atol=2e-4)


def test_scores_are_decayed_histories_times_the_weights() -> None:
    model = LinearNextItem(HALF_LIVES, regularization=3).fit(as_log(random_histories()))
    fast, slow = model.arrays()["weights"]
    result = model.score(Queries.from_history([[0, 3, 7], [], [2]]))
    expected = fast[7] + 0.5 * fast[3] + 0.25 * fast[0] + slow[7] + 0.5**0.25 * slow[3] + 0.5**0.5 * slow[0]
    np.testing.assert_allclose(result, np.stack([expected, 0 * expected, fast[2] + slow[2]]), rtol=1e-5, atol=1e-6)


def test_order_is_learned_and_not_only_cooccurrence() -> None:
    model = LinearNextItem(regularization=1).fit(cycle_log())
    number = {str(item): position for position, item in enumerate(model.fitted_on.items.ids)}
    ahead = np.array([number[str((item + 1) % 10)] for item in range(10)])
    single = Queries.from_history([[number[str(item)]] for item in range(10)])
    np.testing.assert_array_equal(model.recommend(single, 1).items[:, 0], ahead)


def test_the_last_item_has_more_influence_than_the_one_before() -> None:
    model = LinearNextItem(regularization=1).fit(cycle_log())
    number = {str(item): position for position, item in enumerate(model.fitted_on.items.ids)}
    single = Queries.from_history([[number["1"], number["6"]], [number["6"], number["1"]]])
    assert model.recommend(single, 1).items[:, 0].tolist() == [number["7"], number["2"]]


def test_query_weights_multiply_and_scale_ages() -> None:
    model = LinearNextItem((2.0,), regularization=3).fit(as_log(random_histories()))
    weights = model.arrays()["weights"][0]
    result = model.score(Queries.from_history([[0, 3]]).with_weights(np.array([0.4, 0.5], np.float32)))
    np.testing.assert_allclose(result[0], 0.5 * weights[3] + 0.4 * 0.5 ** (0.5 / 2) * weights[0], rtol=1e-5, atol=1e-6)


def test_an_event_of_weight_zero_is_as_if_absent() -> None:
    model = LinearNextItem(HALF_LIVES, regularization=3).fit(as_log(random_histories()))
    dropped = Queries.from_history([[0, 5, 3, 9]]).with_weights(np.array([1, 0, 1, 0], np.float32))
    torch.testing.assert_close(model.score(dropped), model.score(Queries.from_history([[0, 3]])))


def test_training_uses_the_first_of_repeated_events() -> None:
    plain = as_log([np.array([0, 1, 2]), np.array([2, 1, 0])])
    repeated = as_log([np.array([0, 1, 0, 2, 1]), np.array([2, 2, 1, 0, 2])])
    one, other = (LinearNextItem(regularization=1).fit(log).arrays()["weights"] for log in (plain, repeated))
    np.testing.assert_array_equal(one, other)


def test_decay_wraps_it_with_global_and_per_user_half_lives() -> None:
    log = as_log(random_histories())
    queries = Queries.from_interactions(log)
    plain = LinearNextItem(regularization=3).fit(log)
    wrapped = Decayed(LinearNextItem(regularization=3), GlobalHalfLife(2)).fit(log)
    weighted = queries.with_weights(GlobalHalfLife(2).weights(queries))
    torch.testing.assert_close(wrapped.score(queries), plain.score(weighted), rtol=0, atol=0)
    own = Decayed(LinearNextItem(regularization=3), calibration=0.3).fit(log)
    assert bool(torch.isfinite(own.score(queries)).all())


def test_a_catalogue_beyond_the_memory_limit_is_refused_before_anything_is_allocated() -> None:
    log = as_log([np.arange(300_000)])
    with pytest.raises(CapabilityError, match=r"300000 items with 2 half-lives needs about 723\.\d GB.*half_lives"):
        LinearNextItem().fit(log)
    small = as_log(random_histories())
    needed = LinearNextItem.memory_gb(small.n_items, 2)
    with pytest.raises(CapabilityError, match="memory_limit_gb"):
        LinearNextItem(memory_limit_gb=needed / 2).fit(small)
    LinearNextItem(memory_limit_gb=needed * 1.01).fit(small)


@pytest.mark.parametrize(("later", "backward"), [(0.0, 0.0), (0.5, 0.2)])
def test_conjugate_gradients_and_factorisation_agree(
    later: float, backward: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On histories of 1 to 60 events, many of them shorter than a segment, and of items that occur once."""
    source = np.random.default_rng(5)
    popularity = 1 / np.arange(1, 151)
    lengths = source.integers(1, 60, 40)
    log = as_log([source.choice(150, n, replace=False, p=popularity / popularity.sum()) for n in lengths])
    monkeypatch.setattr(next_item, "_NEGLIGIBLE", 0.0)
    direct = LinearNextItem((1.0, 3.0, 20.0), 5, later, backward=backward).fit(log).arrays()["weights"]
    monkeypatch.setattr(next_item, "_ITERATIVE_WORK", 0)
    iterative = LinearNextItem((1.0, 3.0, 20.0), 5, later, backward=backward).fit(log).arrays()["weights"]
    assert not np.array_equal(direct, iterative)
    error = np.linalg.norm(iterative - direct, axis=(0, 1)) / np.linalg.norm(direct, axis=(0, 1)).clip(1e-6)
    assert error.max() < 3e-4


def test_a_catalogue_whose_matrix_does_not_fit_is_solved_without_it() -> None:
    log = as_log([np.random.default_rng(user).permutation(400) for user in range(8)])
    whole, parts = LinearNextItem.memory_gb(400, 2), LinearNextItem.memory_gb(400, 2, iterative=True)
    direct, iterative = (LinearNextItem(memory_limit_gb=limit).fit(log).arrays() for limit in (whole, parts))
    assert not np.array_equal(direct["weights"], iterative["weights"])
    np.testing.assert_allclose(direct["weights"], iterative["weights"], atol=1e-3 * np.abs(direct["weights"]).max())
    with pytest.raises(CapabilityError, match="memory_limit_gb"):
        LinearNextItem(memory_limit_gb=parts * 0.99).fit(log)


@pytest.mark.parametrize("expected", [0.0, 100.0])
def test_a_long_fit_says_what_to_expect_and_a_short_one_is_silent(
    expected: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_seconds", lambda work: expected)
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    monkeypatch.setattr(next_item, "_DIRECT_BLOCK", 4)
    log = as_log(random_histories())
    LinearNextItem().fit(log)
    assert capsys.readouterr().err == ""
    LinearNextItem().fit(log, session=Session(progress=True))
    lines = capsys.readouterr().err.splitlines()
    if not expected:
        assert lines == []
        return
    assert re.fullmatch(
        r"LinearNextItem on 12 items with 2 half-lives: about 2 minutes and 0\.0 GB of memory expected on this machine",
        lines[0],
    )
    assert len(lines) >= 3
    assert all(re.fullmatch(r"LinearNextItem on .*: \d+% done, about \d+ seconds left", line) for line in lines[1:])


def test_a_log_without_order_is_refused() -> None:
    with pytest.raises(ConfigError, match="no order"):
        LinearNextItem().fit(Interactions.from_columns([0, 0, 1], [0, 1, 1]))


@pytest.mark.parametrize(
    "arguments",
    [
        {"half_lives": ()},
        {"half_lives": (8.0, 2.0)},
        {"half_lives": (2.0, 2.0)},
        {"half_lives": (0.0, 2.0)},
        {"half_lives": (2.0, float("inf"))},
        {"half_lives": (float("nan"),)},
        {"regularization": 0.0},
        {"later": -0.1},
        {"later": float("inf")},
        {"later": 0.3, "horizon": 0.0},
        {"later": 0.3, "horizon": float("inf")},
        {"horizon": 3.0},
        {"backward": -0.1},
        {"backward": float("inf")},
        {"memory_limit_gb": -1.0},
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        LinearNextItem(**arguments)
