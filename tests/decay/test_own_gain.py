"""A person's own half-lives are used where the calibration shows that they find more than everybody's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from recsys.data.queries import Queries
from recsys.decay.base import Calibration, OnlineForgetting
from recsys.decay.own_gain import OwnGain
from recsys.decay.population import PopulationDecay
from recsys.decay.temporal import TemporalDecay
from recsys.errors import ConfigError
from recsys.types import DAY, Doubles, Floats, Ints

N_USERS, LESSONS, EVENTS = 30, 12, 8


class Lessons(Calibration):
    """Lessons of users, each predicted by the user's newest event alone or by all the others alone.

    Args:
        newest: "lessons", by which of the two.
    """

    def __init__(self, newest: npt.NDArray[np.bool_]) -> None:
        self._newest = newest

    @property
    def users(self) -> npt.NDArray[np.int64]:
        return np.tile(np.arange(N_USERS), LESSONS)

    @property
    def visible(self) -> Ints:
        return np.repeat(np.arange(LESSONS) + EVENTS, N_USERS)

    @property
    def n_items(self) -> int:
        return 100

    def batches(self) -> Iterator[Queries]:
        rows = [np.arange(length) for length in self.visible.tolist()]
        days = [np.arange(len(row)) * 4 * DAY for row in rows]
        now = [int(each[-1]) + 4 * DAY for each in days]
        yield Queries.from_history(rows, users=self.users, times=days, now=now)

    def utilities(self, hypotheses: Callable[[Queries, Ints, Doubles | None], Floats]) -> Floats:
        queries = next(self.batches())
        weights = hypotheses(queries, np.arange(len(queries)), None)
        last = queries.history.indptr[1:] - 1
        shares = np.stack([row[last] / np.maximum(queries.history.sum(row), 1e-9) for row in weights], axis=1)
        return np.where(self._newest[:, None], shares, 1 - shares).astype(np.float32)

    def contributions(self, most: int) -> list[tuple[Queries, Floats]]:
        raise NotImplementedError

    def replay(self, rule: OnlineForgetting, chunk: int) -> None:
        raise NotImplementedError


def _calibrated(newest: npt.NDArray[np.bool_], *, changepoints: bool = True) -> TemporalDecay:
    rule = TemporalDecay(sharpness=1.0, caution=0.0, changepoints=changepoints, own="earned")
    rule = rule.for_log(N_USERS, "seconds")
    rule.calibrate(Lessons(newest))
    return rule


DIFFERENT = np.tile(np.arange(N_USERS) % 2 == 0, LESSONS)
ALIKE = np.random.default_rng(0).random(N_USERS * LESSONS) < 0.5  # by lot: no user differs from another


def test_the_gain_is_that_of_each_users_later_lessons() -> None:
    users = np.asarray([7, 7, 3, 7, 3, 5])
    gain = OwnGain.of(users, np.asarray([9.0, 1.0, 8.0, 3.0, 2.0, 6.0], np.float32))
    each = np.asarray([2.0, 2.0, 6.0])  # of user 7 the last two of three, of user 3 the last, of user 5 the only one
    assert gain.mean == pytest.approx(each.mean())
    assert gain.error == pytest.approx(each.std(ddof=1) / 3**0.5)
    assert not gain.used, "2.5 standard errors; of three users it takes 2.9"
    assert OwnGain.restored(gain.state()) == gain
    alone = OwnGain.of(np.asarray([1, 1]), np.ones(2, np.float32))
    assert not alone.used, "one user says nothing of others"
    assert OwnGain.restored(alone.state()) == alone
    assert str(alone).endswith("+1.0000 (of a single user) to a visit: not used, all users forget alike")


@pytest.mark.parametrize("users", [2, 3, 30])
def test_users_who_do_not_differ_seldom_have_a_part_of_their_own(users: int) -> None:
    draws = np.random.default_rng(1).normal(size=(1000, users)).astype(np.float32)
    used = [OwnGain.of(np.arange(users), row).used for row in draws]
    assert 0.03 < np.mean(used) < 0.07


@pytest.mark.parametrize("changepoints", [True, False])
def test_users_who_differ_have_a_part_of_their_own(changepoints: bool) -> None:
    rule = _calibrated(DIFFERENT, changepoints=changepoints)
    assert rule.own_gain is not None
    assert rule.own_gain.used
    assert rule.observes
    always = TemporalDecay(sharpness=1.0, caution=0.0, changepoints=changepoints).for_log(N_USERS, "seconds")
    always.calibrate(Lessons(DIFFERENT))
    queries = next(Lessons(DIFFERENT).batches())
    np.testing.assert_array_equal(rule.weights(queries), always.weights(queries))
    assert rule.describe(queries)[0].kind == "own"


def test_users_who_are_alike_forget_alike() -> None:
    rule = _calibrated(ALIKE)
    assert not rule.observes
    everybody = PopulationDecay(TemporalDecay(sharpness=1.0, caution=0.0, changepoints=False))
    everybody = everybody.for_log(N_USERS, "seconds")
    everybody.calibrate(Lessons(ALIKE))
    queries = next(Lessons(ALIKE).batches())
    np.testing.assert_array_equal(rule.weights(queries), everybody.weights(queries))
    assert {belief.kind for belief in rule.describe(queries)} == {"shared"}
    before = rule.state()
    rule.observe(queries, np.random.default_rng(0).random((len(queries), len(rule.half_lives)), np.float32))
    for name, value in rule.state().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("newest", [DIFFERENT, ALIKE])
@pytest.mark.parametrize("before", [None, DIFFERENT, ALIKE])
def test_what_the_calibration_said_is_restored(
    before: npt.NDArray[np.bool_] | None, newest: npt.NDArray[np.bool_]
) -> None:
    rule = _calibrated(newest)
    other = rule.for_log(N_USERS, "seconds")
    assert other.own_gain is None, "another log, another answer"
    if before is not None:
        other.calibrate(Lessons(before))
    other.restore(rule.state())
    assert other.own_gain == rule.own_gain
    queries = next(Lessons(newest).batches())
    np.testing.assert_array_equal(other.weights(queries), rule.weights(queries))
    assert other.user_state(3) == rule.user_state(3)


def test_what_was_learned_of_a_user_is_restored() -> None:
    rule = _calibrated(DIFFERENT)
    queries = next(Lessons(DIFFERENT).batches())
    before, state = rule.weights(queries), rule.user_state(3)
    own = queries.users == 3
    lessons = own.sum(), len(rule.hypotheses(queries))
    rule.observe(queries.take(np.flatnonzero(own)), np.random.default_rng(0).random(lessons, np.float32))
    assert not np.array_equal(rule.weights(queries), before)
    rule.restore_user(3, state)
    np.testing.assert_array_equal(rule.weights(queries), before)


def test_nothing_is_kept_of_users_who_are_alike() -> None:
    rule = _calibrated(ALIKE)
    assert (rule.user_state(3), rule.state_bytes(), rule.n_users) == (b"", 0, 0)
    rule.extend(2 * N_USERS)
    rule.reset_user(3)
    rule.restore_user(3, b"")
    assert rule.posterior(2 * N_USERS - 1).events == 0
    with pytest.raises(ValueError, match="learns of no user"):
        rule.restore_user(3, _calibrated(DIFFERENT).user_state(3))


@pytest.mark.parametrize("newest", [DIFFERENT, ALIKE])
def test_a_second_calibration_forgets_the_first(newest: npt.NDArray[np.bool_]) -> None:
    fresh, again = _calibrated(newest), _calibrated(~newest)
    again.calibrate(Lessons(newest))
    for name, value in fresh.state().items():
        np.testing.assert_array_equal(again.state()[name], value)
    queries = next(Lessons(newest).batches())
    np.testing.assert_array_equal(again.weights(queries), fresh.weights(queries))


def test_without_lessons_to_ask_users_learn() -> None:
    rule = TemporalDecay(own="earned").for_log(N_USERS, "seconds")
    rule.calibrate(None)
    assert rule.observes
    assert rule.own_gain is None


def test_invalid_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="own is 'sometimes'; it must be one of always, earned"):
        TemporalDecay(own="sometimes")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="under PopulationDecay users have no part of their own"):
        PopulationDecay(TemporalDecay(own="earned"))
