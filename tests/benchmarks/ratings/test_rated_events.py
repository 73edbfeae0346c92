"""Selection of events, visible histories, and the formula of the read-out with weights."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from benchmarks.ratings.rated_events import RatedEvents, errors_per_user, mae, predicted_ratings, rating_utility, rmse
from benchmarks.ratings.residual_readout import ReadoutSettings, ResidualReadout
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.stream import events_before
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.fixed import GlobalHalfLife, NoDecay, SlidingWindow
from recsys.decay.half_lives import HalfLives
from recsys.errors import CapabilityError, ConfigError, DataError
from tests.decay.random_queries import temporal

_BIASES = ReadoutSettings(user_shrinkage=1e-3, item_shrinkage=1e-3, neighbour_shrinkage=float("inf"))


def switching_log(users: int = 30, events: int = 40, *, seed: int = 0) -> Interactions:
    """Users who rate around 2 in the first 24 events and around 4 from then on, at one event a day."""
    source = np.random.default_rng(seed)
    item = np.concatenate([source.permutation(50)[:events] for _ in range(users)])
    level = np.where(np.arange(events) < 24, 2.0, 4.0)
    rating = np.tile(level, users) + 0.1 * source.standard_normal(users * events)
    time = np.tile(np.arange(events) * 86_400, users)
    return Interactions.from_columns(np.repeat(np.arange(users), events), item, rating, time, name="switching")


def cut(log: Interactions, day: int) -> tuple[Interactions, RatedEvents]:
    train = events_before(log, day * 86_400).compact()
    return train, RatedEvents.of(log, train, day * 86_400)


def test_known_users_and_items_with_a_rating_are_predicted_in_the_order_of_time() -> None:
    log = Interactions.from_columns(
        users=["a", "a", "b", "a", "c", "b", "b", "a"],
        items=["x", "y", "x", "z", "x", "y", "x", "y"],
        values=[1, 2, 5, 3, 4, np.nan, 4, 5],
        times=[1, 2, 3, 11, 12, 13, 14, 15],
    )
    train = events_before(log, 10).compact()
    with pytest.raises(DataError, match="none of the"):  # z, c, a blank and two repeated ratings
        RatedEvents.of(log, train, 10)
    more = Interactions.from_columns(
        users=["a", "a", "b", "b", "a"],
        items=["x", "y", "x", "y", "w"],
        values=[1, 2, 5, 4, 3],
        times=[1, 2, 3, 14, 12],
    )
    events = RatedEvents.of(more, events_before(more, 10).compact(), 10)
    assert events.ratings.tolist() == [4.0]
    queries, items = events.queries(np.asarray([0]))
    assert queries.users.tolist() == [1]
    assert items.tolist() == [1]
    assert queries.history.items.tolist() == [0]
    assert (events.low, events.high) == (1.0, 5.0)


def test_an_event_sees_what_is_strictly_earlier_and_nothing_else() -> None:
    _, events = cut(switching_log(), 30)
    every = np.arange(len(events))
    for part in events.batches(every):
        queries, _ = events.queries(part)
        assert (queries.ages > 0).all()
        assert (queries.history.lengths == queries.now // 86_400).all()
    assert sorted(np.concatenate(list(events.rounds()))) == every.tolist()


def test_a_round_has_one_event_of_each_user() -> None:
    _, events = cut(switching_log(), 30)
    users = events.stream.users[events.rows]
    for turn in events.rounds():
        assert len(np.unique(users[turn])) == len(turn)


def test_errors_agree_with_another_implementation() -> None:
    source = np.random.default_rng(0)
    one, other = source.normal(size=50), source.normal(size=50)
    assert rmse(one, other) == pytest.approx(root_mean_squared_error(one, other))
    assert mae(one, other) == pytest.approx(mean_absolute_error(one, other))


def test_the_table_per_user_adds_up_to_the_whole() -> None:
    _, events = cut(switching_log(), 30)
    predicted = np.full(len(events), 3.0)
    table = errors_per_user(predicted, events)
    assert table["events"].sum() == len(events)
    whole = (table["events"] * table["squared_error"]).sum() / len(events)
    assert np.sqrt(whole) == pytest.approx(rmse(predicted, events.ratings))
    assert (table["events"] * table["absolute_error"]).sum() / len(events) == pytest.approx(
        mae(predicted, events.ratings)
    )


def test_predictions_are_clipped_to_the_scale_of_training() -> None:
    _, events = cut(switching_log(), 30)
    predicted = predicted_ratings(lambda queries, items: np.full(len(items), 99.0), events)
    assert (predicted == events.high).all()


def test_the_read_out_is_its_formula() -> None:
    """Two users, two items, worked out from the learned numbers by hand."""
    source = np.random.default_rng(1)
    log = Interactions.from_columns(np.repeat(np.arange(20), 3), np.tile(np.arange(3), 20), source.normal(3, 1, 60))
    settings = ReadoutSettings(user_shrinkage=2.0, neighbour_shrinkage=0.3, similarity_shrinkage=1.0)
    model = ResidualReadout(settings).fit(log)
    history = Queries.from_history([[0, UNKNOWN, 1]])
    queries = Queries(
        history.users,
        history.history,
        np.asarray([5.0, 1.0, 2.0], np.float32),
        history.times,
        history.now,
        np.asarray([0.25, 1.0, 1.0], np.float32),
    )
    above = np.asarray([5.0, 2.0]) - model.mean - model.item_bias[:2]
    weight = np.asarray([0.25, 1.0])
    user = (weight * above).sum() / (2.0 + weight.sum())
    similar = model._similar.toarray()[2, :2] * weight
    expected = model.mean + model.item_bias[2] + user + (similar * (above - user)).sum() / (0.3 + similar.sum())
    assert model.predict(queries, np.asarray([2], np.int32))[0] == pytest.approx(expected)
    unknown = model.predict(queries, np.asarray([UNKNOWN], np.int32))[0]
    assert unknown == pytest.approx(model.mean + user)


def test_similarities_are_shrunk_cosines_of_the_residuals() -> None:
    source = np.random.default_rng(2)
    log = Interactions.from_columns(np.repeat(np.arange(30), 4), np.tile(np.arange(4), 30), source.normal(3, 1, 120))
    model = ResidualReadout(ReadoutSettings(similarity_shrinkage=5.0, neighbours=2)).fit(log)
    rating = log.value.reshape(30, 4).astype(np.float64) - model.mean - model.item_bias
    residual = rating - (rating.sum(1) / (4 + model.settings.user_shrinkage))[:, None]
    norm = (residual**2).sum(0) + 5.0
    cosine = residual.T @ residual / np.sqrt(np.outer(norm, norm))
    np.fill_diagonal(cosine, 0.0)
    expected = np.where(cosine >= np.sort(cosine, axis=1)[:, -2:-1], np.maximum(cosine, 0.0), 0.0)
    np.testing.assert_allclose(model._similar.toarray(), expected, atol=1e-3)


def test_neighbours_find_a_taste_that_biases_cannot() -> None:
    """Half of the users like even items and dislike odd ones, the others the reverse."""
    source = np.random.default_rng(3)
    user, item = np.nonzero(source.random((60, 20)) < 0.6)
    rating = 3 + np.where((user + item) % 2, 1.0, -1.0)
    log = Interactions.from_columns(user, item, rating, np.arange(len(user)))
    train, events = cut_at(log, int(0.8 * len(user)), shuffle=source)
    by_biases = ResidualReadout(_BIASES).fit(train)
    by_neighbours = ResidualReadout().fit(train)
    errors = [rmse(predicted_ratings(model.predict, events), events.ratings) for model in (by_neighbours, by_biases)]
    assert errors[0] < 0.6 * errors[1]


def cut_at(log: Interactions, time: int, *, shuffle: np.random.Generator) -> tuple[Interactions, RatedEvents]:
    times = shuffle.permutation(len(log))
    mixed = Interactions.from_columns(log.user_num, log.item_num, log.value, times)
    train = events_before(mixed, time).compact()
    return train, RatedEvents.of(mixed, train, time)


def test_forgetting_follows_a_change_of_level() -> None:
    train, events = cut(switching_log(), 26)
    model = ResidualReadout(_BIASES).fit(train)
    none = rmse(predicted_ratings(model.predict, events), events.ratings)
    same = rmse(predicted_ratings(model.predict, events, NoDecay()), events.ratings)
    fast = rmse(predicted_ratings(model.predict, events, GlobalHalfLife(2)), events.ratings)
    recent = rmse(predicted_ratings(model.predict, events, SlidingWindow(events=2)), events.ratings)
    assert same == pytest.approx(none)
    assert fast < 0.5 * none
    assert recent < 0.5 * none


def test_an_online_rule_learns_the_pace_from_the_errors() -> None:
    train, events = cut(switching_log(), 26)
    model = ResidualReadout(_BIASES).fit(train)
    rule = temporal(train.n_users, HalfLives((1.0, 64.0), (), (0.0,)), learning_rate=10, sharpness=1.0)
    adaptive = rmse(predicted_ratings(model.predict, events, rule), events.ratings)
    assert rule.posterior(0).events == int((events.stream.users[events.rows] == 0).sum())
    assert rule.belief(np.arange(train.n_users))[:, 0].mean() > 0.9
    assert adaptive < rmse(predicted_ratings(model.predict, events), events.ratings)


def test_the_utility_is_one_less_the_squared_share_of_the_scale() -> None:
    train, events = cut(switching_log(), 30)
    rule = temporal(train.n_users, HalfLives((1.0,), (), (0.0,)))
    part = np.arange(3)
    utility = rating_utility(lambda queries, items: events.ratings[part] - 0.5, events, part, rule)
    assert utility.shape == (3, 2)
    np.testing.assert_allclose(utility, 1 - (0.5 / (events.high - events.low)) ** 2, rtol=1e-5)


def test_unfit_logs_and_settings_are_refused() -> None:
    with pytest.raises(CapabilityError, match="ResidualReadout predicts ratings"):
        ResidualReadout().fit(Interactions.from_columns([1, 2], [1, 2]))
    with pytest.raises(ConfigError, match="neighbours"):
        ReadoutSettings(neighbours=0)
