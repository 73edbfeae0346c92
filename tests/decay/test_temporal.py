"""Per-user temporal decay: the mixture by hand, what it learns, and its state."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import spearmanr

from recsys.data.queries import Queries
from recsys.decay.half_lives import HalfLives
from recsys.errors import ConfigError
from tests.decay.random_queries import temporal

NO_FLOOR = (0.0,)
EVENTS_ONLY = HalfLives(events=(1.0, 4.0), time=(), floors=NO_FLOOR)


def favouring(column: int, events: int, columns: int = 3) -> npt.NDArray[np.float32]:
    """Utilities of events that one half-life predicts well and the others badly."""
    utility = np.full((events, columns), 0.2, np.float32)
    utility[:, column] = 0.9
    return utility


def queries_of(users: list[int]) -> Queries:
    return Queries.from_history([[1, 2, 3]] * len(users), users=users)


def test_the_mixture_by_hand() -> None:
    decay = temporal(1, EVENTS_ONLY)
    got = decay.weights(Queries.from_history([[5, 6, 7]], users=[0]))
    ages = np.array([2.0, 1.0, 0.0])
    parts = [2.0**-ages, 2.0 ** (-ages / 4), np.ones(3)]
    mixed = sum(part / part.sum() for part in parts) / 3
    np.testing.assert_allclose(got, mixed / mixed.max(), rtol=1e-6)


def test_never_is_the_floor_of_old_events() -> None:
    decay = temporal(1, HalfLives(events=(1.0,), time=(), floors=NO_FLOOR))
    history = list(range(100))
    weights = decay.weights(Queries.from_history([history], users=[0]))
    newest = 0.5 / (2 - 2.0**-99) + 0.5 / 100
    np.testing.assert_allclose(weights[0], (0.5 / 100) / newest, rtol=1e-5)


def test_the_grid_has_both_clocks_and_floors() -> None:
    half_lives = HalfLives(events=(1.0,), time=(10.0,), floors=(0.0, 0.2))
    queries = Queries.from_history([[1, 2]], times=[[0, 90]], now=[100])
    both, time = np.array([2.0**-11, 0.5]), np.array([2.0**-10, 0.5])
    # Without a floor ages count from the newest event: after an absence nothing changes.
    expected = np.stack([2 * both, 2 * time, 0.2 + 0.8 * both, 0.2 + 0.8 * time, np.ones(2)])
    np.testing.assert_allclose(half_lives.weights(queries), expected, rtol=1e-6)
    periods = (
        "1 events and 10 periods",
        "10 periods",
        "1 events and 10 periods, floor 0.2",
        "10 periods, floor 0.2",
        "never",
    )
    assert half_lives.named(1.0, "periods") == periods
    apart = HalfLives(events=(1.0,), time=(10.0,), floors=NO_FLOOR, paired=False)
    np.testing.assert_allclose(
        apart.weights(queries), np.stack([np.array([0.5, 1.0]), 2 * time, np.ones(2)]), rtol=1e-6
    )
    assert HalfLives(time=(), floors=NO_FLOOR).names[0] == "2 events"


def test_the_mixture_scales_every_hypothesis_to_the_same_sum() -> None:
    half_lives = HalfLives(events=(1.0, 4.0), time=(5.0, 50.0), floors=(0.0, 0.3))
    decay = temporal(2, half_lives)
    source = np.random.default_rng(0)
    decay.observe(queries_of([0, 1]), source.random((2, len(half_lives)), dtype=np.float32))
    queries = Queries.from_history([[1, 2, 3], [], [4, 5]], users=[0, 1, 1], times=[[0, 3, 3], [], [7, 9]], now=[9] * 3)
    by_hypothesis, belief = half_lives.weights(queries), decay.belief(queries.users)
    for row, first, last in ((0, 0, 3), (2, 3, 5)):
        part = by_hypothesis[:, first:last]
        mixed = belief[row] @ (part / part.sum(1, keepdims=True))
        np.testing.assert_allclose(decay.weights(queries)[first:last], mixed / mixed.max(), rtol=1e-5)


def test_a_long_absence_brings_the_old_taste_back() -> None:
    half_lives = HalfLives(events=(2.0,), time=(10.0,), floors=(0.1,))
    decay = temporal(1, half_lives)
    soon, late = (
        decay.weights(Queries.from_history([list(range(20))], users=[0], times=[list(range(20))], now=[now]))
        for now in (20, 200)
    )
    assert soon[0] < 0.3
    assert late[0] > 0.9


def test_belief_moves_to_the_best_half_life_and_unknown_users_have_the_prior() -> None:
    decay = temporal(3, EVENTS_ONLY, learning_rate=2.0)
    for _ in range(10):
        decay.observe(queries_of([0, 1, -1]), np.concatenate([favouring(0, 1), favouring(2, 1), favouring(1, 1)]))
    belief = decay.belief(np.array([0, 1, 2, -1]))
    assert belief[0].argmax() == 0
    assert belief[1].argmax() == 2
    np.testing.assert_allclose(belief[2:], 1 / 3, rtol=1e-6)
    weights = decay.weights(queries_of([0, 1])).reshape(2, 3)
    assert bool(np.all(weights[0, :2] < weights[1, :2]))
    assert decay.posterior(0).events == 10
    assert decay.posterior(-1).events == 0


def test_the_belief_by_hand() -> None:
    """The second lesson finds the evidence of the first faded."""
    decay = temporal(1, EVENTS_ONLY, learning_rate=3.0, shrinkage=5.0, fading=0.1, sharpness=2.0)
    source = np.random.default_rng(0)
    taught = source.random((20, 3), dtype=np.float32)
    decay.fit_prior(taught, np.repeat([4, 7], [16, 4]))  # two users, who weigh the same
    gain = taught.astype(np.float64) ** 2
    mean = (gain[:16].mean(0) + gain[16:].mean(0)) / 2
    lessons = 2**2 / (1 / 16 + 1 / 4)
    expected = mean.mean() + (mean - mean.mean()) * lessons / (lessons + 5)
    prior = np.exp(3 * 5 * expected)
    np.testing.assert_allclose(decay.prior, prior / prior.sum(), rtol=1e-5)
    first, second = source.random((2, 3), dtype=np.float32)
    decay.observe(queries_of([0, 0]), np.stack([first, second]))
    evidence = 0.9 * (first**2 - expected) + second**2 - expected
    belief = np.exp(3 * (5 * expected + evidence))
    np.testing.assert_allclose(decay.belief(np.array([0]))[0], belief / belief.sum(), rtol=1e-4)


def test_a_batch_with_repeated_users_learns_like_one_event_after_another() -> None:
    source = np.random.default_rng(0)
    users = source.integers(0, 4, 50)
    utility = source.random((50, 3), dtype=np.float32)
    together, apart = temporal(4, EVENTS_ONLY), temporal(4, EVENTS_ONLY)
    together.observe(queries_of(users.tolist()), utility)
    for user, row in zip(users.tolist(), utility, strict=True):
        apart.observe(queries_of([user]), row[None])
    np.testing.assert_allclose(together.belief(np.arange(4)), apart.belief(np.arange(4)), rtol=1e-4)


def test_decaying_evidence_follows_a_change_of_pace() -> None:
    def events_until_changed(fading: float) -> int:
        decay = temporal(1, EVENTS_ONLY, fading=fading)
        for _ in range(200):
            decay.observe(queries_of([0]), favouring(2, 1))
        for number in range(300):
            if decay.belief(np.array([0]))[0].argmax() == 0:
                return number
            decay.observe(queries_of([0]), favouring(0, 1))
        return 300

    assert events_until_changed(0.05) < 20
    assert events_until_changed(0.0) > 150


def test_the_fitted_prior_shrinks_newcomers() -> None:
    source = np.random.default_rng(1)
    users = np.repeat(np.arange(40), 30)
    utility = np.where((users < 30)[:, None], favouring(0, 1), favouring(2, 1))  # 30 of 40 forget fast
    utility = np.clip(utility + source.normal(0, 0.1, utility.shape), 0, 1).astype(np.float32)
    decay = temporal(41, EVENTS_ONLY, learning_rate=1.0, shrinkage=10.0)
    decay.fit_prior(utility, users)
    assert decay.prior[0] > decay.prior[2] > decay.prior[1]
    # Nobody has been observed yet: all are at the prior, and stay there after a reset.
    np.testing.assert_allclose(decay.belief(np.arange(41)), np.tile(decay.prior, (41, 1)), rtol=1e-6)
    decay.observe(queries_of([40]), favouring(2, 1))
    newcomer = decay.belief(np.array([40]))[0]
    assert decay.prior[2] < newcomer[2] < 0.5
    decay.reset()
    np.testing.assert_allclose(decay.belief(np.array([40]))[0], decay.prior, rtol=1e-6)


def test_without_evidence_caution_favours_never() -> None:
    decay = temporal(1, EVENTS_ONLY, caution=3.0)
    np.testing.assert_allclose(decay.prior, np.exp([0, 0, 3]) / np.exp([0, 0, 3]).sum(), rtol=1e-6)
    for _ in range(20):
        decay.observe(queries_of([0]), favouring(0, 1))
    assert decay.belief(np.array([0]))[0].argmax() == 0


def test_weights_after_a_long_absence_do_not_underflow() -> None:
    queries = Queries.from_history([[1, 2]], users=[0], times=[[0, 1]], now=[10_000])
    assert temporal(1, HalfLives(events=(), time=(1.0,), floors=NO_FLOOR)).weights(queries)[1] == 1.0


def test_learned_timescales_follow_planted_ones() -> None:
    """Utilities as a user with true half-life T would give them: the better, the closer a half-life is to T."""
    source = np.random.default_rng(2)
    half_lives = HalfLives(events=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0), time=(), floors=NO_FLOOR)
    true = np.exp(source.uniform(0, np.log(64), 300))
    users = np.repeat(np.arange(300), 50)
    distance = np.abs(np.log(np.array([*half_lives.events, 1000.0])) - np.log(true[users])[:, None])
    utility = np.clip(0.8 - 0.08 * distance + source.normal(0, 0.25, distance.shape), 0, 1).astype(np.float32)
    decay = temporal(300, half_lives, learning_rate=1.0)
    decay.observe(queries_of(users.tolist()), utility)
    medians = [decay.posterior(user).quantile("events", 0.5) for user in range(300)]
    assert spearmanr(medians, true).statistic > 0.8


def test_the_posterior_gives_an_interval() -> None:
    half_lives = HalfLives(events=(1.0, 4.0), time=(86_400.0,), floors=(0.0, 0.5))
    posterior = temporal(1, half_lives).posterior(0)  # seven hypotheses, all alike
    assert posterior.half_lives.names[0] == "1 events and 1 days"
    assert posterior.quantile("events", 0.3) == 1.0
    assert posterior.quantile("events", 0.7) == 4.0
    assert posterior.quantile("events", 0.9) == float("inf")
    assert posterior.quantile("time", 0.8) == 86_400.0
    assert posterior.on("events") == pytest.approx(4 / 7)
    assert posterior.on("time") == pytest.approx(6 / 7)
    assert posterior.never == pytest.approx((3 * 0.5 + 1) / 7)


def test_state_is_restored_and_reset() -> None:
    decay = temporal(2, EVENTS_ONLY)
    decay.observe(queries_of([0]), favouring(1, 1))
    decay.commit()
    settled = decay.belief(np.array([0]))
    decay.observe(queries_of([0, 1]), favouring(0, 2))
    other = temporal(2, EVENTS_ONLY)
    other.restore(decay.state())
    queries = queries_of([0, 1, -1])
    assert np.array_equal(other.weights(queries), decay.weights(queries))
    decay.reset()
    assert np.array_equal(decay.belief(np.array([0])), settled)
    assert temporal(2, changepoints=True).state_bytes() <= 400


@pytest.mark.parametrize("changes", [False, True])
def test_users_added_later_learn_like_users_of_the_log(changes: bool) -> None:
    source = np.random.default_rng(3)
    from_the_start, later = (temporal(n_users, EVENTS_ONLY, changepoints=changes) for n_users in (5, 2))
    queries = queries_of([1, 4, 4, -1])
    utility = source.random((4, len(from_the_start.hypotheses(queries))), dtype=np.float32)
    for rule in (from_the_start, later):
        rule.observe(queries_of([1]), utility[:1])
        rule.commit()
    later.extend(5)
    for rule in (from_the_start, later):
        rule.observe(queries, utility)
    for name, value in from_the_start.state().items():
        np.testing.assert_array_equal(later.state()[name], value)
    other = temporal(2, EVENTS_ONLY, changepoints=changes)
    other.restore(later.state())
    np.testing.assert_array_equal(other.weights(queries), later.weights(queries))
    for rule in (from_the_start, later):
        rule.reset()
    np.testing.assert_array_equal(later.weights(queries), from_the_start.weights(queries))
    later.extend(3)  # there is room for five
    assert later.n_users == 5


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: HalfLives(events=(4.0, 1.0)), "must rise"),
        (lambda: HalfLives(time=(float("inf"),)), "no decay is always there"),
        (lambda: HalfLives(events=(-1.0,)), "must be positive"),
        (lambda: temporal(1, fading=1.5), "from 0 to 1"),
        (lambda: temporal(1, learning_rate=-1.0), "at least 0"),
        (lambda: temporal(1, caution=-1.0), "at least 0"),
        (lambda: temporal(1).fit_prior(np.zeros((0, 13), np.float32), np.zeros(0, np.int64)), "no events"),
        (lambda: HalfLives(floors=(0.5, 1.0)), "below 1"),
    ],
)
def test_invalid_settings_are_refused(make: object, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make()  # type: ignore[operator]
