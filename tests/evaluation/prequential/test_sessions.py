"""Replay by sessions: against a loop over the sessions, by hand, interrupted, and of logs that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.sessions import PAUSE, sessions
from recsys.data.stream import Stream
from recsys.errors import ConfigError, DataError
from recsys.evaluation.prequential.replay import QuestionSettings, Replay, events_before, replay
from recsys.models.rank_utility import rank_utilities
from recsys.types import DAY, HOUR
from tests.evaluation.evaluation_models import FollowTheLeader, LastEvents, SumOfRows

START = 150 * HOUR
PAUSE_HERE = 4 * HOUR
SESSIONS = QuestionSettings("session", pause=PAUSE_HERE)


def visits(seed: int = 0) -> Interactions:
    """Few users with many events an hour or more apart, some at equal times, some of used items."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(7, size=400), rng.integers(60, size=400)
    return Interactions.from_columns(users, items, times=np.sort(rng.integers(300, size=400)) * HOUR)


def linear(log: Interactions) -> SumOfRows:
    rows = np.random.default_rng(1).random((log.n_items, log.n_items)).astype(np.float32)
    return SumOfRows(rows).fit(events_before(log, START))


def loop(model: SumOfRows, log: Interactions, forgetting: FollowTheLeader) -> pd.DataFrame:
    """Ask at the first event of one session after the other, then teach it."""
    known = model.fitted_on.item_counts > 0
    number = sessions(log, PAUSE_HERE)
    asked = []
    for user in range(log.n_users):
        used: set[int] = set()
        for session in range(int(number[log.user_num == user].max()) + 1):
            events = np.flatnonzero((log.user_num == user) & (number == session))
            fresh = []
            for item in log.item_num[events].tolist():
                if item not in used and item not in fresh:
                    fresh.append(item)
            used.update(fresh)
            if log.time[events[0]] >= START and fresh:
                asked.append((int(log.time[events[0]]), user, events[0], fresh))
    rows = []
    for now, user, first, fresh in sorted(asked, key=lambda entry: entry[0]):
        query = Queries.from_interactions(log, np.array([user]), np.array([now]))
        top = model.recommend(query.with_weights(forgetting.weights(query)), 60).items[0].tolist()
        ranks = [top.index(item) + 1 if known[item] and item in top else 0 for item in fresh]
        found = [rank for rank in ranks if rank]
        row: dict[str, Any] = {"user_num": user, "position": first - log.indptr[user], "time": now}
        row |= {"n_visible": len(query.history.items), "relevant": len(fresh), "rank": min(found, default=0)}
        row["known"] = sum(bool(known[item]) for item in fresh)
        gain = sum(1 / np.log2(1 + rank) for rank in found if rank <= 5)
        row["ndcg@5"] = gain / sum(1 / np.log2(2 + place) for place in range(min(5, len(fresh))))
        row["hr@5"] = float(any(rank <= 5 for rank in found))
        rows.append(row)
        learned = [item for item in fresh if known[item]]
        if learned:
            utility = rank_utilities(model, query, Ragged.of([learned]), forgetting.hypotheses(query))
            forgetting.observe(query, utility)
    return pd.DataFrame(rows)


@pytest.mark.parametrize("chunk", [1, 16, 1000])
def test_a_replay_by_sessions_is_a_loop_over_sessions(chunk: int) -> None:
    log = visits()
    model, forgetting, naive = linear(log), FollowTheLeader(log.n_users), FollowTheLeader(log.n_users)
    expected = loop(model, log, naive)
    assert expected["relevant"].max() > 3
    result = replay(model, log, START, forgetting, depth=60, chunk=chunk, question_settings=SESSIONS)
    pd.testing.assert_frame_equal(result.table[expected.columns], expected, check_dtype=False)
    np.testing.assert_allclose(forgetting.total, naive.total, atol=1e-5)
    for user in range(log.n_users):
        assert [s for s in forgetting.seen if s[0] == user] == [s for s in naive.seen if s[0] == user]
    assert (result.ask, result.pause) == ("session", PAUSE_HERE)
    # The state matters, or the test proves nothing.
    other = replay(model, log, START, LastEvents(10**6), depth=60, question_settings=SESSIONS)
    assert not result.table["rank"].equals(other.table["rank"])


def test_nothing_inside_a_session_is_visible_and_one_that_began_before_the_start_is_not_asked() -> None:
    times = np.array([0, 1, 20, 21, 22, 60, 61]) * HOUR
    log = Interactions.from_columns(["a"] * 7, [0, 1, 2, 0, 3, 4, 4], times=times)
    stream = Stream.of(log, 0, QuestionSettings("session"))
    assert stream.n_visible.tolist() == [0, 2, 5]
    assert stream.now.tolist() == [0, 20 * HOUR, 60 * HOUR]
    assert [stream.relevant.row(row).tolist() for row in range(3)] == [[0, 1], [2, 3], [4]]
    assert stream.gaps.tolist() == [-1, 19 * HOUR, 38 * HOUR]
    later = Stream.of(log, 21 * HOUR, QuestionSettings("session"))
    assert later.now.tolist() == [60 * HOUR]
    with pytest.raises(DataError, match="nothing to ask"):
        Stream.of(log, 61 * HOUR, QuestionSettings("session"))


def test_a_session_of_used_items_alone_is_no_question_and_dislikes_are_no_answers() -> None:
    times = np.array([0, 20, 40, 41]) * HOUR
    kinds = ["watch", "watch", "dislike", "watch"]
    log = Interactions.from_columns([1] * 4, [0, 0, 1, 2], times=times, kinds=kinds)
    stream = Stream.of(log, HOUR, QuestionSettings("session"))
    assert (stream.now.tolist(), stream.relevant.items.tolist(), stream.repeats) == ([40 * HOUR], [2], 1)


def test_days_are_those_of_the_calendar() -> None:
    log = Interactions.from_columns([1] * 3, [0, 1, 2], times=[DAY - HOUR, DAY + HOUR, DAY + 2 * HOUR])
    stream = Stream.of(log, 0, QuestionSettings("day"))
    assert (stream.n_visible.tolist(), stream.relevant.lengths.tolist()) == ([0, 1], [1, 2])
    assert len(Stream.of(log, 0, QuestionSettings("session"))) == 1


def test_sessions_are_the_default_wherever_there_are_times() -> None:
    times = np.array([0, 1, 30]) * HOUR
    assert Stream.of(Interactions.from_columns([1] * 3, [0, 1, 2], times=times), 0, QuestionSettings()).ask == "session"
    ordered = Interactions.from_columns([1] * 3, [0, 1, 2], times=[0, 1, 2], clock="order")
    assert Stream.of(ordered, 1, QuestionSettings()).ask == "event"
    with pytest.raises(DataError, match="without times there are no pauses"):
        Stream.of(ordered, 1, QuestionSettings("session"))
    with pytest.raises(ConfigError, match="for ask 'event'"):
        QuestionSettings("session", see_equal_times=True)
    with pytest.raises(ConfigError, match="pause is 0"):
        QuestionSettings(pause=0)


class _StopError(Exception):
    pass


def test_an_interrupted_replay_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    log = visits()
    model, rule = linear(log), FollowTheLeader(log.n_users)
    expected = replay(model, log, START, FollowTheLeader(log.n_users), chunk=15, question_settings=SESSIONS)
    parts: list[int] = []

    def interrupt(done: int, total: int) -> None:
        parts.append(done)
        if len(parts) == 3:
            raise _StopError

    options: dict[str, Any] = {"chunk": 15, "checkpoint": tmp_path, "progress": interrupt}
    with pytest.raises(_StopError):
        replay(model, log, START, rule, question_settings=SESSIONS, **options)
    with pytest.raises(DataError, match="another log, model, forgetting or settings"):
        replay(model, log, START, rule, question_settings=QuestionSettings("session", pause=PAUSE), **options)
    result = replay(model, log, START, rule, question_settings=SESSIONS, **options)
    pd.testing.assert_frame_equal(result.table, expected.table)
    assert parts == sorted(set(parts))


def test_what_was_asked_is_stored_with_the_table(tmp_path: Path) -> None:
    log = visits()
    result = replay(linear(log), log, START, question_settings=SESSIONS)
    read = Replay.load(result.save(tmp_path / "replay.parquet"))
    assert (read.ask, read.pause, read.counts) == ("session", PAUSE_HERE, result.counts)
    assert result.counts["relevant_items"] > result.counts["questions"]


def test_ndcg_of_several_relevant_items_by_hand() -> None:
    log = Interactions.from_columns(["a", "a", "a", "b", "b", "b"], [0, 1, 2, 1, 2, 3], times=[0, DAY, DAY, 0, 0, 1])
    rows: npt.NDArray[np.float32] = np.zeros((4, 4), np.float32)
    rows[0] = [0, 1, 3, 2]  # after item 0 the list is 2, 3, 1
    table = replay(SumOfRows(rows).fit(log), log, DAY, cutoffs=(1, 2, 3)).table
    assert table["rank"].tolist() == [1]
    discount = 1 / np.log2(1 + np.arange(1, 4))
    np.testing.assert_allclose(table["ndcg@1"], 1)
    np.testing.assert_allclose(table["ndcg@2"], discount[0] / discount[:2].sum())
    np.testing.assert_allclose(table["ndcg@3"], (discount[0] + discount[2]) / discount[:2].sum())


def test_an_event_that_a_later_one_replaces_is_there_until_then() -> None:
    """The reader keeps the last of several events of a user and item; a replay sees the first when it happened."""
    times = np.array([0, 2, 9, 12]) * DAY
    both = Interactions.from_columns([1, 1, 1, 1], [5, 6, 5, 7], times=times)
    log = both.superseding(np.array([True, False, False, False]))
    assert len(log) == 3
    model = SumOfRows(np.eye(3, dtype=np.float32)).fit(both)
    table = replay(model, log, DAY, question_settings=QuestionSettings("session")).table
    assert table["time"].tolist() == [2 * DAY, 12 * DAY], "item 5 is used again on day 9, so that nothing is asked"
    assert table["n_visible"].tolist() == [1, 3]
    early, late = events_before(log, 5 * DAY), events_before(log, 10 * DAY)
    assert (early.time.tolist(), early.superseded) == ([0, 2 * DAY], None)
    assert late.time.tolist() == [2 * DAY, 9 * DAY]
    assert len(late.every) == 3
