"""Detectors that reset: what raises an alarm, what is then forgotten, and that a restored one goes on as before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from recsys.data.queries import Queries
from recsys.decay.detectors import Detector, DetectorReset, Scope
from recsys.errors import ConfigError

pytest.importorskip("river", reason="the extra `drift` is not installed")

Floats = npt.NDArray[np.float32]
N_USERS, STEPS, EPISODE = 40, 200, 40
DETECTORS: tuple[Detector, ...] = ("adwin", "page_hinkley")

each_detector = pytest.mark.parametrize("detector", DETECTORS)


def _moment(users: npt.ArrayLike, now: int) -> Queries:
    users = np.asarray(users, dtype=np.int32)
    return Queries.from_history([[]] * len(users), users=users, now=np.full(len(users), now))


def _stream(change: npt.NDArray[np.int64], lasts: int = STEPS) -> Iterator[tuple[Queries, Floats]]:
    """One query of every user at each moment; a user's utility is low for a while from the moment of their change."""
    draw = np.random.default_rng(0)
    for now in range(STEPS):
        drifted = (now >= change) & (now < change + lasts)
        yield (
            _moment(np.arange(N_USERS), now),
            np.where(drifted, draw.uniform(0.0, 0.3, N_USERS), draw.uniform(0.5, 1.0, N_USERS))[:, None].astype(
                np.float32
            ),
        )


TOGETHER = np.full(N_USERS, 75)
APART = np.arange(N_USERS) * (STEPS + EPISODE) // N_USERS - EPISODE
"""One user after the other, each for an episode: at every moment the same number of users is badly predicted."""


@each_detector
def test_a_common_change_resets_all_users(detector: Detector) -> None:
    rule = DetectorReset(detector)
    for queries, utility in _stream(TOGETHER):
        rule.observe(queries, utility)
    assert rule.alarms[:, 0].tolist() == [-1] * len(rule.alarms)
    moment = int(rule.alarms[0, 1])
    assert 75 <= moment <= 80
    later = Queries.from_history(
        [[1, 2, 3], [4, 5], [6]],
        users=[0, -1, 999],
        times=[[moment - 1, moment, moment + 1], [3, 4], [moment + 2]],
        now=[STEPS] * 3,
    )
    assert rule.weights(later).tolist() == [0, 1, 1, 0, 1, 1]
    before = Queries.from_history([[1, 2]], users=[0], times=[[3, 4]], now=[moment - 1])
    assert rule.weights(before).tolist() == [1, 1]


@each_detector
def test_individual_changes_are_detected_per_user_only(detector: Detector) -> None:
    everybody, users = DetectorReset(detector), DetectorReset(detector, "user")
    for queries, utility in _stream(APART, lasts=EPISODE):
        everybody.observe(queries, utility)
        users.observe(queries, utility)
    assert len(everybody.alarms) == 0
    found = dict(reversed(users.alarms.tolist()))
    inside = [user for user in range(N_USERS) if 60 <= APART[user] <= STEPS - EPISODE]
    on_time = [user for user in inside if APART[user] <= found.get(user, -1) <= APART[user] + EPISODE]
    assert len(on_time) >= 0.9 * len(inside)


@each_detector
def test_a_users_alarm_resets_that_user_alone(detector: Detector) -> None:
    change = np.full(N_USERS, STEPS)
    change[3] = 75
    rule = DetectorReset(detector, "user")
    for queries, utility in _stream(change):
        rule.observe(queries, utility)
    assert set(rule.alarms[:, 0].tolist()) == {3}
    times = [[10, 20, 20]] * 4
    later = Queries.from_history([[1, 2, 3]] * 4, users=[3, 4, -1, 999], times=times, now=[STEPS] * 4)
    # nothing of user 3 is left: the newest event and the one of the same time stay
    assert rule.weights(later).tolist() == [0, 1, 1] + [1] * 9
    assert rule.hypotheses(later).tolist() == [rule.weights(later).tolist()]


def test_an_improvement_is_no_alarm_by_default() -> None:
    for detector in DETECTORS:
        alarms = []
        for only_worse in (True, False):
            rule = DetectorReset(detector, only_worse=only_worse)
            for queries, utility in _stream(TOGETHER):
                rule.observe(queries, 1 - utility)
            alarms.append(len(rule.alarms))
        assert alarms[0] == 0
        assert alarms[1] > 0


@each_detector
@pytest.mark.parametrize("scope", ["population", "user"])
def test_restored_equals_uninterrupted(detector: Detector, scope: Scope) -> None:
    stream = [
        *_stream(APART, lasts=EPISODE),
        *((_moment(q.users, STEPS + int(q.now[0])), u) for q, u in _stream(TOGETHER)),
    ]
    whole, first = DetectorReset(detector, scope), DetectorReset(detector, scope)
    for queries, utility in stream[:100]:
        whole.observe(queries, utility)
        first.observe(queries, utility)
    state = first.state()
    assert all(values.dtype != object for values in state.values())
    second = DetectorReset(detector, scope)
    second.observe(*stream[-1])  # what it knew before is gone
    second.restore({name: values.copy() for name, values in state.items()})
    for queries, utility in stream[100:]:
        whole.observe(queries, utility)
        second.observe(queries, utility)
    assert len(whole.alarms)
    assert np.array_equal(whole.alarms, second.alarms)
    for name, values in whole.state().items():
        assert np.array_equal(values, second.state()[name]), name


@each_detector
def test_batches_of_any_size_learn_the_same(detector: Detector) -> None:
    stream = list(_stream(TOGETHER))
    users = np.concatenate([queries.users for queries, _ in stream])
    now = np.concatenate([queries.now for queries, _ in stream])
    at_once = Queries.from_history([[]] * len(users), users=users, now=now)
    for scope in ("population", "user"):
        one = DetectorReset(detector, "user" if scope == "user" else "population")
        other = DetectorReset(detector, one.scope)
        one.observe(at_once, np.concatenate([utility for _, utility in stream]))
        for queries, utility in stream:
            other.observe(queries, utility)
        assert np.array_equal(one.alarms, other.alarms)


def test_state_bytes_and_reset() -> None:
    rule = DetectorReset(scope="user")
    assert rule.state_bytes() == 0
    empty = rule.state()
    for queries, utility in _stream(TOGETHER):
        rule.observe(queries, utility)
        rule.observe(_moment([-1], int(queries.now[0])), np.zeros((1, 1), np.float32))  # unknown users are skipped
    assert len(rule.state()["keys"]) == N_USERS
    assert 0 < rule.state_bytes() < 4 * STEPS + 100
    state = rule.state()
    state["errors"][:] = 9.0  # a copy: the rule does not see it
    assert float(rule.state()["errors"].max()) <= 1.0
    rule.reset()
    assert all(np.array_equal(rule.state()[name], empty[name]) for name in empty)
    rule.restore(empty)
    assert len(rule.alarms) == 0


def test_invalid_values_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"detector is 'adwim'.*did you mean 'adwin'"):
        DetectorReset("adwim")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"scope is 'users'.*did you mean 'user'"):
        DetectorReset(scope="users")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="significance is 1"):
        DetectorReset(significance=1)
    with pytest.raises(ConfigError, match="threshold is 0"):
        DetectorReset(threshold=0)
    rule = DetectorReset()
    with pytest.raises(ValueError, match="shape"):
        rule.observe(_moment([0], 1), np.zeros((1, 2), np.float32))
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        rule.observe(_moment([0], 1), np.full((1, 1), np.nan, np.float32))


def test_without_river_the_error_names_the_cure() -> None:
    code = (
        "import sys; sys.modules['river'] = None\n"
        "from recsys.decay.detectors import DetectorReset\n"
        "from recsys.errors import CapabilityError\n"
        "try:\n    DetectorReset()\n"
        "except CapabilityError as error:\n    print(error)\n"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'recsys[drift]'" in output.stdout


@pytest.mark.parametrize("scope", ["population", "user"])
def test_detector_without_an_alarm_says_that_nothing_decays(scope: Scope) -> None:
    queries = Queries.from_history([[1, 2, 3]], users=[0], times=[[1, 2, 3]], now=[4])
    (belief,) = DetectorReset("page_hinkley", scope).for_log(1, "seconds").describe(queries)
    assert (belief.never, belief.clocks["events"].median) == (1.0, np.inf)
