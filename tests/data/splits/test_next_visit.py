"""The split by time, asked at each user's next session, day or event."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.sessions import sessions
from recsys.data.splits.standard import split
from recsys.errors import ConfigError, DataError
from recsys.types import DAY, HOUR


def visits(seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    users, items = rng.integers(12, size=500), rng.integers(40, size=500)
    return Interactions.from_columns(users, items, times=rng.integers(60 * DAY // HOUR, size=500) * HOUR)


def test_each_user_is_asked_at_the_first_session_after_the_cut_with_all_before_it() -> None:
    log = visits()
    cut = split(log, "global_time", ask="session")
    number = sessions(log)
    start = int(cut.notes[0].split("cut 2 at ")[1].split()[0])
    assert (cut.train.time < start).all()
    expected = {}
    for user in range(log.n_users):
        own = np.flatnonzero(log.user_num == user)
        begins = {session: log.time[own[number[own] == session]].min() for session in number[own].tolist()}
        after = [session for session, begin in begins.items() if begin >= start]
        if not after:
            continue
        first = min(after)
        past = own[log.time[own] < begins[first]]
        items = set(log.items.ids[log.item_num[own[number[own] == first]]].tolist())
        seen = log.items.ids[log.item_num[past]].tolist()
        expected[int(log.users.ids[user])] = (begins[first], len(past), items - set(seen))
    queries, ids = cut.test.queries, cut.train.items.ids
    assert cut.test.user_ids.tolist() == list(expected)
    for row, (now, length, items) in enumerate(expected.values()):
        assert (queries.now[row], queries.history.lengths[row]) == (now, length)
        assert {int(ids[item]) for item in cut.test.relevant.row(row)} == items
    assert (cut.leaks_time, cut.notes[1]) == (False, "asked at the first session after the cut, pause 43200 seconds")


def test_an_event_has_fewer_answers_than_its_session_and_that_fewer_than_all_that_is_later() -> None:
    log = visits()
    answers = [len(split(log, "global_time", ask=ask).test.relevant.items) for ask in ("event", "session", None)]
    assert answers == sorted(answers)
    assert len(set(answers)) == 3


def test_what_cannot_be_asked_is_refused() -> None:
    log = visits()
    with pytest.raises(ConfigError, match="did you mean 'session'"):
        split(log, "global_time", ask="sesion")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="without ask"):
        split(log, "global_time", pause=5)
    with pytest.raises(ConfigError, match="belongs to global_time"):
        split(log, "last_one", ask="session")
    with pytest.raises(ConfigError, match="pause is 0"):
        split(log, "global_time", ask="session", pause=0)
    periods = Interactions.from_columns([1] * 20, range(20), times=range(20), clock="period")
    with pytest.raises(DataError, match="knows no days"):
        split(periods, "global_time", ask="day")
