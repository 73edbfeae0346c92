"""Half-lives learned by gradient: planted ones are recovered, users with few events stay near the population."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import spearmanr

from recsys.data.queries import Queries
from recsys.decay.ages import FEATURES, AgeClock
from recsys.decay.gradient import GradientHalfLife
from recsys.errors import ConfigError, NotFittedError

Doubles = npt.NDArray[np.float64]
EVENTS, CANDIDATES, TEMPERATURE = 24, 8, 6.0


def _planted(
    half_lives: Doubles, counts: npt.NDArray[np.int64], floor: float = 0.0, gap: int = 1, seed: int = 0
) -> tuple[Queries, Doubles]:
    """Queries whose true next item was drawn by the model itself, with known half-lives (in events)."""
    draw = np.random.default_rng(seed)
    users = np.repeat(np.arange(len(half_lives)), counts)
    times = [np.arange(EVENTS) * gap for _ in users]
    queries = Queries.from_history([np.zeros(EVENTS, int)] * len(users), users=users, times=times)
    contribution = draw.normal(size=(len(users), EVENTS, CANDIDATES))
    age = np.arange(EVENTS)[::-1]
    weights = floor + (1 - floor) * 2.0 ** (-age / half_lives[users][:, None])
    mean = np.einsum("qe,qec->qc", weights, contribution) / weights.sum(1, keepdims=True)
    answer = (TEMPERATURE * mean + draw.gumbel(size=mean.shape)).argmax(1)
    order = np.argsort(np.arange(CANDIDATES) != answer[:, None], axis=1, kind="stable")
    return queries, np.take_along_axis(contribution, order[:, None], axis=2).reshape(-1, CANDIDATES)


@pytest.fixture(scope="module")
def true() -> Doubles:
    return np.exp(np.random.default_rng(3).uniform(np.log(1.0), np.log(15.0), 40))


@pytest.mark.parametrize("rule", [GradientHalfLife.koren(), GradientHalfLife(floor="user")])
def test_planted_half_lives_are_recovered(rule: GradientHalfLife, true: Doubles) -> None:
    queries, contribution = _planted(true, np.full(40, 40))
    rule.fit([(queries, contribution)])
    found = rule.half_lives(queries)[::40]
    assert spearmanr(found, true).statistic > 0.85
    assert abs(np.mean(np.log(found / true))) < 0.3
    assert rule.losses[-1] < rule.losses[0]
    assert float(np.exp(rule.parameters["log_temperature"][0])) == pytest.approx(TEMPERATURE, rel=0.2)


def test_half_lives_in_time_are_planted_ones_in_its_unit(true: Doubles) -> None:
    queries, contribution = _planted(true, np.full(40, 40), gap=3600)
    rule = GradientHalfLife.koren("time").fit([(queries, contribution)])
    assert spearmanr(rule.half_lives(queries)[::40], true).statistic > 0.85
    assert np.median(rule.half_lives(queries)[::40] / (3600 * true)) == pytest.approx(1.0, abs=0.4)


def test_several_batches_learn_the_same_half_lives_as_one(true: Doubles) -> None:
    queries, contribution = _planted(true, np.full(40, 40))
    whole, parts = GradientHalfLife.koren(), GradientHalfLife.koren(learning_rate=0.05)
    whole.fit([(queries, contribution)])
    # questions of every user in each batch, as in batches drawn by chance
    rows = [np.arange(start, len(queries), 4) for start in range(4)]
    parts.fit([(queries.take(row), contribution[queries.history.positions(row)]) for row in rows])
    assert np.log(parts.half_lives(queries)) == pytest.approx(np.log(whole.half_lives(queries)), abs=0.15)


def test_few_events_shrink_towards_the_population() -> None:
    true = np.tile([1.0, 12.0], 20)
    counts = np.repeat([2, 60], 20)
    queries, contribution = _planted(true, counts)
    rule = GradientHalfLife.koren()
    rule.fit([(queries, contribution)])
    own = np.abs(rule.parameters["d"][:40])
    assert own[:20].mean() < 0.7 * own[20:].mean()
    tight = GradientHalfLife.koren(spread=0.05)
    tight.fit([(queries, contribution)])
    assert np.abs(tight.parameters["d"]).max() < 0.5 * own.max()


def test_unseen_users_have_the_half_life_of_the_population(true: Doubles) -> None:
    queries, contribution = _planted(true, np.full(40, 10))
    rule = GradientHalfLife.koren()
    rule.fit([(queries, contribution)])
    strangers = Queries.from_history([[1, 2], [1, 2]], users=[-1, 40])
    population = np.exp(rule.parameters["mu"][0])
    assert rule.half_lives(strangers).tolist() == [population, population]
    beta = np.log(2) / population
    assert rule.weights(strangers)[:2] == pytest.approx([np.exp(-beta), 1.0])


def test_features_predict_the_half_life_of_unseen_users() -> None:
    """Users with short gaps forget fast, the others slowly, so the median gap predicts the half-life."""
    true = np.repeat([1.0, 12.0], 30)
    queries, contribution = _planted(true, np.full(60, 20))
    slow = np.repeat(np.repeat([1, 50], 30), 20)
    queries = replace(queries, times=queries.times * slow[queries.history.rows])
    rule = GradientHalfLife(features=True, floor="none").for_log(60, "period")
    rule.fit([(queries, contribution)])
    strangers = Queries.from_history(
        [np.zeros(EVENTS, int)] * 2, times=[np.arange(EVENTS), np.arange(EVENTS) * 50], users=[-1, -1]
    )
    fast, long = rule.half_lives(strangers)
    assert long > 3 * fast


def test_a_planted_floor_is_recovered() -> None:
    queries, contribution = _planted(np.full(20, 1.5), np.full(20, 80), floor=0.3)
    rule = GradientHalfLife(features=False, floor="shared")
    rule.fit([(queries, contribution)])
    assert rule.floors(queries)[0] == pytest.approx(0.3, abs=0.12)
    assert bool(np.all(rule.weights(queries) >= np.float32(rule.floors(queries)[0])))
    assert not np.any(GradientHalfLife.koren().fit([(queries, contribution)]).floors(queries))


def test_the_gradient_is_that_of_the_loss() -> None:
    draw = np.random.default_rng(0)
    queries, contribution = _planted(np.asarray([1.0, 5.0, 9.0]), np.asarray([3, 0, 4]))
    rule = GradientHalfLife(floor="user", spread=0.7)
    counts = np.asarray([5, 0, 4, 0])
    part = rule._part((queries, contribution), draw.normal(size=(len(queries), len(FEATURES))), 3, counts)
    sizes = {"mu": 1, "b": len(FEATURES), "d": 4, "r": 1, "e": 4, "log_temperature": 1}
    ends = np.cumsum(list(sizes.values()))

    def split(flat: Doubles) -> dict[str, Doubles]:
        return dict(zip(sizes, np.split(flat, ends[:-1]), strict=True))

    point = draw.normal(size=int(ends[-1])) * 0.3
    gradient = part.loss_and_gradient(split(point))[1]

    def loss(flat: Doubles) -> float:
        return part.loss_and_gradient(split(flat))[0]

    numeric = split(approx_fprime(point, loss, 1e-6))
    for name, value in gradient.items():
        places = slice(0, 3) if name in {"d", "e"} else slice(None)  # the place of strangers is held at 0
        assert value[places] == pytest.approx(numeric[name][places], abs=1e-3)


def test_fitting_is_deterministic_and_starts_anew(true: Doubles) -> None:
    queries, contribution = _planted(true, np.full(40, 5))
    rule = GradientHalfLife(epochs=10)
    once = dict(rule.fit([(queries, contribution)]).parameters)
    rule.fit([(queries, -contribution)])
    again = rule.fit([(queries, contribution)]).parameters
    assert all(np.array_equal(once[name], again[name]) for name in once)


@pytest.mark.parametrize("clock", ["events", "time"])
def test_empty_histories_unknown_users_and_far_ages_do_no_harm(clock: AgeClock) -> None:
    queries = Queries.from_history([[], [1, 2], [3]], users=[0, -1, 1], times=[[], [0, 10**9], [5]])
    rule = GradientHalfLife(clock, epochs=5)
    rule.fit([(queries, np.random.default_rng(0).normal(size=(3, 4)))])
    assert bool(np.isfinite(rule.half_lives(queries)).all())
    assert bool(np.isfinite(rule.weights(queries)).all())


def test_invalid_arguments_are_refused() -> None:
    queries = Queries.from_history([[1, 2], [3]], users=[0, 1])
    rule = GradientHalfLife()
    with pytest.raises(NotFittedError, match="call fit"):
        rule.weights(queries)
    with pytest.raises(ConfigError, match="no history events"):
        rule.fit([])
    with pytest.raises(ValueError, match="one row per history event"):
        rule.fit([(queries, np.zeros((2, 3)))])
    with pytest.raises(ValueError, match="two columns"):
        rule.fit([(queries, np.zeros((3, 1)))])
    with pytest.raises(ConfigError, match=r"floor is 'shard'.*did you mean 'shared'"):
        GradientHalfLife(floor="shard")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="spread is 0; it must be positive"):
        GradientHalfLife(spread=0)
