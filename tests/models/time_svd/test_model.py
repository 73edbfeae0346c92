"""TimeSVD: SVD++ without time terms, planted drift with them, and refused logs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.bundles import bundle
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError, ConfigError
from recsys.models.time_svd.model import TimeSVD
from recsys.models.time_svd.network import Calendar, signed_power
from recsys.training.session import Session
from recsys.training.trainable import Optimization

_DAY = 86_400
_FAST = Optimization(epochs=60, batch_size=512, learning_rate=0.03)
_FREE: dict[str, Any] = {"regularization": 0.0, "bias_regularization": 0.0, "time_regularization": 0.0}
_STATIC: dict[str, Any] = {"drift": "none", "time_bins": 0}


def drifting_log(users: int = 60, events: int = 40, *, drift: float = 0.25, seed: int = 0) -> Interactions:
    """Users whose mean rating moves by slope * sign(dt) |dt|^.4, upwards or downwards; items differ a little."""
    source = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), events)
    item = np.concatenate([source.permutation(80)[:events] for _ in range(users)])
    day = np.sort(source.integers(0, 600, (users, events)), axis=1)
    slope = np.where(np.arange(users) % 2, drift, -drift)
    moved = slope[:, None] * signed_power(day - day.mean(1, keepdims=True))
    noise = 0.2 * source.standard_normal(user.size)
    rating = 5 + moved.ravel() + 0.5 * source.standard_normal(80)[item] + noise
    return Interactions.from_columns(user, item, rating, day.ravel() * _DAY + user, name="drifting")


def ask(log: Interactions, now: int | None = None) -> tuple[Queries, np.ndarray]:
    """Every event of a log as a question with the user's whole history, and its item."""
    queries = Queries.from_interactions(log, log.user_num)
    times = log.time if now is None else np.full(len(log), now, np.int64)
    return replace(queries, now=times), log.item_num[:, None]


def rmse(model: TimeSVD, seen: Interactions, targets: Interactions) -> float:
    queries = replace(Queries.from_interactions(seen, targets.user_num), now=targets.time)
    predicted = model.predict(queries, targets.item_num[:, None])[:, 0].numpy()
    return float(np.sqrt(np.mean((predicted - targets.value) ** 2)))


def newest(log: Interactions, day: int = 450) -> tuple[Interactions, Interactions]:
    return log.select(log.time < day * _DAY), log.select(log.time >= day * _DAY)


def test_with_time_switched_off_it_is_svd_plus_plus() -> None:
    """The prediction is the formula of KDD 2008 from the learned arrays, whatever the moment."""
    log = drifting_log(20, 15)
    model = TimeSVD(4, **_STATIC, **_FREE, held_out=0.0, optimization=_FAST).fit(log)
    learned = model.arrays()
    assert set(learned) == {"mean", "user_bias", "item_bias", "user", "item", "implicit"}
    user, item = 3, 5
    own = log.item_num[log.user_num == user]
    state = learned["user"][user] + learned["implicit"][own].sum(0) / np.sqrt(len(own))
    expected = learned["mean"] + learned["user_bias"][user] + learned["item_bias"][item] + learned["item"][item] @ state
    for now in (0, 10**9):
        query = replace(Queries.from_interactions(log, np.asarray([user], np.int32)), now=np.asarray([now]))
        assert float(model.predict(query, np.asarray([[item]], np.int32))) == pytest.approx(float(expected), abs=1e-5)
    assert np.abs(learned["implicit"]).max() > 0.1


def test_time_terms_at_zero_change_nothing() -> None:
    log = drifting_log(20, 15)
    static = TimeSVD(4, **_STATIC, held_out=0.0, optimization=_FAST).fit(log)
    strong = TimeSVD(4, held_out=0.0, time_regularization=1e9, day_biases=True, optimization=_FAST).fit(log)
    for name, value in static.arrays().items():
        np.testing.assert_allclose(strong.arrays()[name], value, atol=0.02)


def test_it_can_overfit_a_tiny_log() -> None:
    log = drifting_log(6, 10, drift=0.0)
    settings = Optimization(epochs=400, batch_size=60, learning_rate=0.03)
    model = TimeSVD(8, **_STATIC, **_FREE, held_out=0.0, optimization=settings).fit(log)
    assert rmse(model, log, log) < 0.02


def test_the_gradient_is_that_of_the_loss() -> None:
    """The loss is quadratic in each parameter, so that differences of any step are exact."""
    log = drifting_log(6, 6)
    model = TimeSVD(3, day_biases=True, held_out=0.0, optimization=Optimization(epochs=2, batch_size=64)).fit(log)
    task = model._task(log, np.ones(len(log), np.bool_))
    task.zero_grad()
    task.loss(0, 0)[0].backward()  # type: ignore[no-untyped-call]
    for name, parameter in task.network.named_parameters():
        assert parameter.grad is not None
        place = int(parameter.grad.abs().argmax())
        with torch.no_grad():
            flat = parameter.view(-1)
            before = float(flat[place])
            sides = []
            for step in (0.1, -0.1):
                flat[place] = before + step
                sides.append(float(task.loss(0, 0)[0]))
            flat[place] = before
        slope = (sides[0] - sides[1]) / 0.2
        assert float(parameter.grad.view(-1)[place]) == pytest.approx(slope, rel=2e-3, abs=1e-5), name


def test_planted_drift_is_learned_and_predicts_later_ratings() -> None:
    train, later = newest(drifting_log())
    settings: dict[str, Any] = {"embedding_size": 2, "held_out": 0.0, "time_regularization": 2.0, "optimization": _FAST}
    static = TimeSVD(**settings, **_STATIC).fit(train)
    moving = TimeSVD(**settings, drift="bias", time_bins=0).fit(train)
    assert rmse(moving, train, later) < 0.8 * rmse(static, train, later)
    slopes = moving.arrays()["bias_drift"][:-1]
    assert np.mean((slopes > 0) == (np.arange(60) % 2 == 1)) > 0.95


def test_time_terms_cost_little_without_drift() -> None:
    train, later = newest(drifting_log(drift=0.0))
    settings: dict[str, Any] = {"embedding_size": 2, "held_out": 0.0, "optimization": _FAST}
    static = TimeSVD(**settings, **_STATIC).fit(train)
    moving = TimeSVD(**settings, drift="bias", time_bins=4).fit(train)
    assert rmse(moving, train, later) < 1.1 * rmse(static, train, later)


def test_later_times_use_the_last_bin_and_a_clipped_deviation() -> None:
    log = drifting_log(10, 10)
    calendar, users = Calendar.of(log), np.asarray([0, 0, 0], np.int32)
    last = int(log.time[9])
    times = np.asarray([last, last + 1000 * _DAY, 0])
    clipped = calendar.moments(users, times, 5, clip=True)
    assert clipped.deviation[1] == clipped.deviation[0]
    assert clipped.bin.tolist()[1:] == [4, 0]
    growing = calendar.moments(users, times, 5, clip=False)
    assert growing.deviation[1] > 1.5 * growing.deviation[0]
    assert clipped.day[1] == len(calendar.days)
    stranger = calendar.moments(np.asarray([UNKNOWN], np.int32), times[:1], 5, clip=True)
    assert stranger.deviation.tolist() == [0.0]


def test_the_deviation_is_koren_s() -> None:
    log = Interactions.from_columns([1, 1], [1, 2], [1, 5], [0, 64 * _DAY])
    calendar = Calendar.of(log)
    predicted = calendar.moments(log.user_num, log.time, 1, clip=True).deviation * calendar.scale[0]
    np.testing.assert_allclose(predicted, [-4.0, 4.0], rtol=1e-6)


def test_day_biases_predict_nothing_on_other_days() -> None:
    log = drifting_log(10, 10)
    model = TimeSVD(2, **_STATIC, day_biases=True, held_out=0.0, time_regularization=0.1, optimization=_FAST).fit(log)
    without = TimeSVD(2, **_STATIC, held_out=0.0, optimization=_FAST)
    without.restore(model.fitted_on, {name: value for name, value in model.arrays().items() if name in _PLAIN})
    queries, items = ask(log, now=10**9)
    torch.testing.assert_close(model.predict(queries, items), without.predict(queries, items))
    queries, items = ask(log)
    assert float((model.predict(queries, items) - without.predict(queries, items)).abs().max()) > 0.05


_PLAIN = ("mean", "user_bias", "item_bias", "user", "item", "implicit")


def test_scores_are_the_predicted_ratings() -> None:
    log = drifting_log(10, 10)
    model = TimeSVD(4, day_biases=True, optimization=_FAST).fit(log)
    queries = Queries.from_interactions(log)
    every = np.tile(np.arange(log.n_items, dtype=np.int32), (len(queries), 1))
    torch.testing.assert_close(model.score(queries), model.predict(queries, every))


def test_predictions_for_unknown_users_and_items() -> None:
    log = drifting_log(10, 10)
    model = TimeSVD(4, **_STATIC, optimization=_FAST).fit(log)
    learned = model.arrays()
    predicted = model.predict(Queries.from_history([[]]), np.asarray([[2, UNKNOWN]], np.int32))[0]
    expected = [learned["mean"] + learned["item_bias"][2], learned["mean"]]
    np.testing.assert_allclose(predicted, expected, atol=1e-6)
    known = model.predict(Queries.from_history([[]], users=[1]), np.asarray([[UNKNOWN]], np.int32))
    assert float(known) == pytest.approx(float(learned["mean"] + learned["user_bias"][1]), abs=1e-6)
    with pytest.raises(CapabilityError, match="not trained on"):
        model.score(Queries.from_history([[]]))


def test_early_stopping_on_held_out_ratings() -> None:
    log = drifting_log(30, 20)
    long = replace(_FAST, epochs=200, learning_rate=0.1, patience=2)
    model = TimeSVD(8, **_FREE, held_out=0.2, optimization=long).fit(log)
    assert model.effort is not None
    assert model.effort.epochs < 200
    cut = np.quantile(log.time, 0.8, method="higher")
    late = log.item_num[log.time >= cut]
    never = np.setdiff1d(late, log.item_num[log.time < cut])
    assert not model.arrays()["item"][never].any()


def test_saving_and_resuming_are_bit_identical(tmp_path: Path) -> None:
    log = drifting_log(10, 10)
    model = TimeSVD(4, day_biases=True, optimization=_FAST).fit(log)
    loaded = bundle.load(bundle.save(model, tmp_path / "model"))
    queries, items = ask(log)
    assert isinstance(loaded, TimeSVD)
    torch.testing.assert_close(loaded.predict(queries, items), model.predict(queries, items), rtol=0, atol=0)
    session = Session(tmp_path / "run")
    once = TimeSVD(4, optimization=replace(_FAST, epochs=4)).fit(log, session=session)
    again = TimeSVD(4, optimization=replace(_FAST, epochs=4)).fit(log, session=replace(session, resume=True))
    for name, value in once.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], value)


def test_blank_ratings_count_as_used() -> None:
    log = drifting_log(10, 10)
    value = log.value.copy()
    value[::3] = np.nan
    blank = replace(log, value=value)
    model = TimeSVD(2, **_STATIC, held_out=0.0, optimization=_FAST).fit(blank)
    assert all(np.isfinite(array).all() for array in model.arrays().values())
    assert model.arrays()["mean"] == pytest.approx(np.nanmean(value), rel=1e-5)


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_a_log_without_ratings_is_refused(value: float) -> None:
    log = drifting_log(10, 10)
    with pytest.raises(CapabilityError, match=r"TimeSVD predicts ratings, and drifting has none"):
        TimeSVD().fit(replace(log, value=np.full(len(log), value, np.float32)))


def test_a_log_without_seconds_is_refused_unless_time_is_off() -> None:
    log = replace(drifting_log(10, 10), clock="order")
    with pytest.raises(CapabilityError, match=r"clock 'order'.*SVD\+\+"):
        TimeSVD().fit(log)
    assert TimeSVD(2, **_STATIC, optimization=_FAST).fit(log).effort is not None


def test_event_weights_are_refused() -> None:
    log = drifting_log(10, 10)
    model = TimeSVD(2, optimization=_FAST).fit(log)
    queries, items = ask(log)
    weights = np.ones(len(queries.history.items), np.float32)
    with pytest.raises(CapabilityError, match="weights"):
        model.predict(queries.with_weights(weights), items)


@pytest.mark.parametrize(
    ("name", "value"),
    [("drift", "al"), ("time_bins", -1), ("regularization", -1.0), ("held_out", 1.0), ("embedding_size", -1)],
)
def test_settings_are_checked(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        TimeSVD(**{name: value})  # type: ignore[arg-type]
