"""Changes of taste: the filter by hand, detection, what it learns of a population, and its state."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.queries import Queries
from recsys.decay import changepoints as module
from recsys.decay.changepoints import LENGTHS, Changepoints
from recsys.decay.half_lives import HalfLives
from recsys.errors import ConfigError
from tests.decay.random_queries import temporal

N_ITEMS = 1000
CELLS = len(LENGTHS) + 1


def utilities_of(
    runs: npt.NDArray[np.int64], visible: npt.NDArray[np.int64], source: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Utilities as they would be if the newest `runs` events of a history of `visible` were of the present taste.

    Lists from the present taste are the better the more events they rest on, and the worse the more others dilute them.
    """
    read = np.minimum(np.append(LENGTHS, 10**6), visible[:, None])
    right = np.minimum(read, runs[:, None])
    quality = 0.45 * right / (right + 3.0) * right / np.maximum(read, 1) + 0.15
    noise = source.normal(0, 0.12, (len(runs), 1))  # an easy or hard event is that for all lengths
    return np.asarray(np.clip(quality + noise, 0.0, 1.0), np.float32)


def world(users: int, events: int, change_at: int | None, seed: int = 0) -> tuple[npt.NDArray[np.int64], ...]:
    """Users, visible lengths and true run lengths of a population in which everybody changes at one position."""
    user = np.repeat(np.arange(users), events)
    visible = np.tile(np.arange(1, events + 1), users)
    runs = visible if change_at is None else np.where(visible >= change_at, visible - change_at, visible)
    return user, visible, runs


def fitted(n_users: int) -> Changepoints:
    """Changes whose likelihood was learned where half of the users change."""
    source = np.random.default_rng(1)
    parts = [world(60, 80, None), world(60, 80, 30)]
    users = np.concatenate([parts[0][0], parts[1][0] + 60])
    visible, runs = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    changes = Changepoints(120)
    changes.fit(users, visible, utilities_of(runs, visible, source), N_ITEMS)
    state = {name: value for name, value in changes.state().items() if name in ("parameters", "likelihood")}
    other = Changepoints(n_users)
    other.restore(other.state() | state)
    other.commit()
    return other


@pytest.fixture(scope="module")
def ready() -> Changepoints:
    return fitted(200)


def test_without_evidence_run_lengths_follow_the_hazard() -> None:
    changes = Changepoints(1, hazard=0.1, strength=40.0, returns=0.0, caution=0.0, decisiveness=1.0)
    queries = Queries.from_history([range(100)], users=[0], times=[range(100)])
    believed = changes.belief(queries.users, queries.history.lengths)
    survives = changes.present_share(queries, believed)
    # On the lengths of the grid it is exact: (1 - hazard)^age, and once more for the question itself.
    for age in (0, 4, 16, 40, 64):
        assert survives[99 - age] == pytest.approx(0.9 ** (age + 1), rel=1e-4)
    assert np.all(np.diff(survives) >= 0)


def test_the_filter_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two visible events, one question: the belief before and after, with a likelihood that is written down."""
    changes = Changepoints(1, hazard=0.2, strength=10.0, returns=0.25)
    likelihood = np.random.default_rng(0).normal(0, 1, (len(module._STEPS), module._BINS)).astype(np.float32)
    changes.restore(changes.state() | {"likelihood": likelihood})
    before = changes.belief(np.array([0]), np.array([2]))[0]
    stranger = 1 - (1 - 0.2 * 0.75)  # that the run is of length 1; of length 2 it is the whole past
    rate = (0.2 * 10 + 0.2 * 2) / (10 + 2)  # with what is expected of two events
    expected = np.zeros(CELLS)
    expected[1], expected[-1] = stranger * (1 - rate), (1 - stranger) * (1 - rate) + 0.25 * rate
    expected[0] = 0.75 * rate
    np.testing.assert_allclose(before, expected, rtol=1e-5)
    utility = np.full((1, CELLS), 0.3, np.float32)
    utility[0, [0, 1, -1]] = 0.1, 0.9, 0.5
    changes.learn(np.array([0]), np.array([2]), utility)
    bins = np.minimum((1 - utility[0, [0, 1, -1]]) * module._BINS, module._BINS - 1).astype(int)
    after = expected[[0, 1, -1]] * np.exp(likelihood[[0, 1, 2], bins])
    after /= after.sum()
    np.testing.assert_allclose(changes.state()["belief"][0][[0, 1, -1]], after, rtol=1e-4)


def test_runs_grow_with_the_events() -> None:
    changes = Changepoints(1)
    mass = np.zeros((1, CELLS))
    mass[0, 1] = 1.0
    for events in (1, 7, 30, 100):
        grown = changes._grown(mass.copy(), np.array([events]))[0]
        assert grown.sum() == pytest.approx(1.0)
        assert grown[:-1] @ np.asarray(LENGTHS) == pytest.approx(1 + events, rel=0.12)


def test_a_change_is_detected_and_other_users_are_unaffected(ready: Changepoints) -> None:
    source = np.random.default_rng(2)
    ready.reset()
    for first, change_at in ((0, None), (100, 40)):
        users, visible, runs = world(100, 60, change_at)
        ready.learn(users + first, visible, utilities_of(runs, visible, source))
    queries = Queries.from_history([range(61)] * 200, users=range(200), times=[range(61)] * 200)
    survives = ready.present_share(queries, ready.belief(queries.users, queries.history.lengths)).reshape(200, 61)
    old = survives[:, 20]  # 40 events ago, before the change of half of the users
    assert np.median(old[:100]) > 0.8
    assert np.median(old[100:]) < 0.2
    assert np.median(survives[100:, -10]) > 0.8
    assert np.median(ready.rate(np.arange(100, 200))) > np.median(ready.rate(np.arange(100)))


def test_the_past_returns_after_a_guest(ready: Changepoints) -> None:
    source = np.random.default_rng(3)
    ready.reset()
    users = np.repeat(np.arange(100), 80)
    visible = np.tile(np.arange(1, 81), 100)
    runs = np.where((visible >= 40) & (visible < 50), visible - 40, visible)
    ready.learn(users, visible, utilities_of(runs, visible, source))
    queries = Queries.from_history([range(81)] * 100, users=range(100), times=[range(81)] * 100)
    survives = ready.present_share(queries, ready.belief(queries.users, queries.history.lengths)).reshape(100, 81)
    assert np.median(survives[:, 10]) > 0.7


def test_the_rate_of_change_is_learned_from_the_population() -> None:
    source = np.random.default_rng(4)
    hazards = []
    for change_every in (None, 12):
        users = np.repeat(np.arange(80), 80)
        visible = np.tile(np.arange(1, 81), 80)
        runs = visible if change_every is None else visible % change_every
        changes = Changepoints(80)
        changes.fit(users, visible, utilities_of(runs, visible, source), N_ITEMS)
        hazards.append(changes.hazard)
        assert not changes.state()["belief"].any()  # of users nothing is kept
    assert hazards[0] < hazards[1]


@given(seed=st.integers(0, 10_000), n_events=st.integers(0, 40))
def test_the_present_share_falls_with_age(seed: int, n_events: int) -> None:
    changes = _SHARED
    changes.reset()
    source = np.random.default_rng(seed)
    times = np.sort(source.integers(0, 30, n_events))
    queries = Queries.from_history([[1] * n_events], users=[3], times=[times])
    shifted = Queries.from_history([[1] * n_events], users=[3], times=[times + 1000])
    for _ in range(3):
        changes.learn(np.array([3]), np.array([n_events]), source.random((1, CELLS), dtype=np.float32))
        believed = changes.belief(queries.users, queries.history.lengths)
        np.testing.assert_allclose(believed.sum(1), 1.0, rtol=1e-5)
        kept = changes.present_share(queries, believed)
        assert np.all((kept >= 0) & (kept <= 1))
        assert np.all(np.diff(kept) >= -1e-6)
        assert np.all(np.diff(kept)[np.diff(times) == 0] == 0)
        np.testing.assert_array_equal(kept, changes.present_share(shifted, believed))


_SHARED = Changepoints(5)


@pytest.mark.parametrize(("caution", "decisiveness"), [(0.0, 1.0), (1.0, 1.0), (0.0, 3.0), (2.0, 2.0)])
def test_the_present_share_by_hand(caution: float, decisiveness: float) -> None:
    """Of four events, with a belief in a run of one, of three, and of all."""
    changes = Changepoints(1, caution=caution, decisiveness=decisiveness)
    queries = Queries.from_history([range(4)], users=[0], times=[range(4)])
    believed = np.zeros((1, CELLS), np.float32)
    believed[0, [1, 3, -1]] = 0.5, 0.3, 0.2
    headed = np.asarray([0.5, 0.3, 0.2 * np.exp(caution)])
    headed /= headed.sum()
    present = np.asarray([headed[2], headed[1:].sum(), headed[1:].sum(), 1.0])  # of the oldest to the newest
    kept = present**decisiveness / (present**decisiveness + (1 - present) ** decisiveness)
    np.testing.assert_allclose(changes.present_share(queries, believed), kept, rtol=1e-5)


def test_a_batch_learns_like_one_event_after_another(ready: Changepoints) -> None:
    source = np.random.default_rng(5)
    users, visible, runs = world(4, 30, 12)
    utility = utilities_of(runs, visible, source)
    mixed = source.permutation(len(users))
    mixed = mixed[np.argsort(visible[mixed], kind="stable")]
    ready.reset()
    together = ready.learn(users[mixed], visible[mixed], utility[mixed])
    after = ready.state()
    ready.reset()
    for place, row in enumerate(mixed.tolist()):
        alone = ready.learn(users[[row]], visible[[row]], utility[[row]])
        np.testing.assert_allclose(alone[0], together[place], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ready.state()["belief"], after["belief"], rtol=1e-4, atol=1e-6)
    ready.reset()


def test_events_of_one_moment_have_one_belief(ready: Changepoints) -> None:
    ready.reset()
    utility = np.random.default_rng(6).random((2, CELLS), dtype=np.float32)
    before = ready.learn(np.array([7, 7]), np.array([10, 10]), utility)
    np.testing.assert_array_equal(before[0], before[1])
    ready.reset()


def test_an_event_that_all_lengths_predict_alike_is_skipped() -> None:
    one, other = Changepoints(1), Changepoints(1)
    one.learn(np.array([0]), np.array([9]), np.full((1, CELLS), 0.5, np.float32))
    other.learn(np.array([0]), np.array([9]), np.full((1, CELLS), 0.9, np.float32))
    np.testing.assert_array_equal(one.state()["belief"], other.state()["belief"])


def test_state_is_small_restored_and_reset(ready: Changepoints) -> None:
    ready.reset()
    fresh = ready.state()
    ready.learn(np.array([1, 1]), np.array([4, 5]), np.random.default_rng(7).random((2, CELLS), dtype=np.float32))
    other = Changepoints(200)
    other.restore(ready.state())
    somebody, visible = np.array([1, -1]), np.array([6, 6])
    np.testing.assert_array_equal(other.belief(somebody, visible), ready.belief(somebody, visible))
    ready.reset()
    for name, value in ready.state().items():
        np.testing.assert_array_equal(value, fresh[name])
    assert temporal(1, changepoints=True).state_bytes() <= 400


def test_changepoints_reduce_the_weights_of_half_lives(ready: Changepoints) -> None:
    """Half-lives and changes multiply: with "never" alone the weights are those of the changes."""
    source = np.random.default_rng(8)
    rule = temporal(200, HalfLives((), ()), changepoints=True)
    assert rule.changepoints is not None
    rule.changepoints.restore(ready.state())
    queries = Queries.from_history([range(50)], users=[0], times=[range(50)])
    hypotheses = rule.hypotheses(queries)
    assert hypotheses.shape == (1 + CELLS, 50)
    np.testing.assert_array_equal(hypotheses[1:].sum(1), np.minimum([*LENGTHS, 50], 50))
    users, visible, runs = world(1, 50, 25)
    for row in range(len(users)):
        query = Queries.from_history([range(visible[row])], users=[0], times=[range(visible[row])])
        utility = np.concatenate([np.full((1, 1), 0.5), utilities_of(runs[[row]], visible[[row]], source)], axis=1)
        rule.observe(query, utility.astype(np.float32))
    weights = rule.weights(queries)
    assert weights[10] < 0.5 < weights[40] <= 1.0
    assert rule.pace(np.array([0]))[0] < rule.pace(np.array([1]))[0]
    rule.reset()
    assert rule.weights(queries)[10] > weights[10]


def test_fitting_without_informative_events_is_refused() -> None:
    with pytest.raises(ConfigError, match="no events to fit the changes on"):
        Changepoints(1).fit(np.array([0]), np.array([3]), np.full((1, CELLS), 0.5, np.float32), N_ITEMS)
    with pytest.raises(ConfigError, match="hazard"):
        Changepoints(1, hazard=1.5)
