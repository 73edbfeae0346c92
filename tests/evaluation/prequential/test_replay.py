"""Prequential replay: by hand, against an event-by-event loop, in windows, interrupted, refitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from recsys.data import stream
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.decay.base import OnlineForgetting
from recsys.errors import CapabilityError, ConfigError, DataError
from recsys.evaluation.prequential.replay import QuestionSettings, Refitting, Replay, events_before, replay
from recsys.models.base import Recommender
from recsys.models.rank_utility import rank_utilities
from tests.evaluation.evaluation_models import FixedScores, FollowTheLeader, LastEvents, MostUsed, SumOfRows, random_log

START = 150
EVENTS = QuestionSettings("event")
FULL: dict[str, Any] = {"cutoffs": (1, 5, 10), "depth": 60, "question_settings": EVENTS}


def crowded(seed: int = 0) -> Interactions:
    """Few users, many events, equal times within and between users, repeats."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(7, size=400), rng.integers(60, size=400)
    return Interactions.from_columns(users, items, times=np.sort(rng.integers(300, size=400)))


def linear(log: Interactions, start: int = START, seed: int = 1) -> SumOfRows:
    rows = np.random.default_rng(seed).random((log.n_items, log.n_items)).astype(np.float32)
    return SumOfRows(rows).fit(events_before(log, start))


def loop(
    model: SumOfRows, log: Interactions, forgetting: OnlineForgetting | None, now_of: Callable[[int], int], start: int
) -> pd.DataFrame:
    """Ask and teach one moment after the other: the same user's events at the same `now` are a moment."""
    known = model.fitted_on.item_counts > 0
    used: set[tuple[int, int]] = set()
    asked = []
    for event in range(len(log)):
        pair = (int(log.user_num[event]), int(log.item_num[event]))
        if log.time[event] >= start and pair not in used:
            asked.append(event)
        used.add(pair)
    asked.sort(key=lambda event: int(log.time[event]))
    rows = []
    taught: list[tuple[int, Queries, npt.NDArray[np.float32]]] = []
    for event in asked:
        user, item, now = log.user_num[event], log.item_num[[event]], now_of(int(log.time[event]))
        if forgetting is not None and taught and now != taught[0][0]:
            for _, query, utility in taught:
                forgetting.observe(query, utility)
            taught = []
        query = Queries.from_interactions(log, np.array([user]), np.array([now]))
        weighted = query if forgetting is None else query.with_weights(forgetting.weights(query))
        top = model.recommend(weighted, 60).items[0].tolist()
        rank = top.index(item[0]) + 1 if known[item[0]] and item[0] in top else 0
        rows.append((user, event - log.indptr[user], len(query.history.items), log.time[event], rank))
        if forgetting is not None and known[item[0]]:
            taught.append((now, query, rank_utilities(model, query, item, forgetting.hypotheses(query))))
    for _, query, utility in taught:
        assert forgetting is not None
        forgetting.observe(query, utility)
    return pd.DataFrame(rows, columns=["user_num", "position", "n_visible", "time", "rank"])


def same(replayed: Replay, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(replayed.table[expected.columns], expected, check_dtype=False)


def test_replay_by_hand() -> None:
    # Item j is followed by item j + 1 (of 6): score 2 for the next, 1 for the one after.
    rows = np.zeros((6, 6), np.float32)
    for item in range(6):
        rows[item, (item + 1) % 6], rows[item, (item + 2) % 6] = 2, 1
    users = ["a", "b", "a", "b", "a", "a", "a", "b"]
    items = [0, 3, 1, 4, 2, 4, 0, 2]
    log = Interactions.from_columns(users, items, times=[1, 2, 3, 4, 5, 6, 7, 8])
    # item 5 does not occur; numbers are ids 0 .. 4
    model = SumOfRows(rows[:5, :5]).fit(events_before(log, 3))
    result = replay(model, log, 3, LastEvents(1), cutoffs=(1, 2), question_settings=EVENTS)
    # t=3 a saw 0: list 1, 2. But item 1 has no training event: a miss. t=4 b saw 3: 4 first, untrained too.
    # t=5 a saw 0, 1: 2 is first, untrained. t=6 a saw 0, 1, 2: 3, 4: untrained. t=7 a used 0 before. t=8 b: untrained.
    assert result.table["known"].tolist() == [0] * 5
    assert result.table["rank"].tolist() == [0] * 5
    assert result.counts == {
        "questions": 5,
        "users": 2,
        "relevant_items": 5,
        "unknown_items": 5,
        "empty_histories": 0,
        "repeats": 1,
    }

    model = SumOfRows(rows[:5, :5]).fit(log)
    result = replay(model, log, 3, LastEvents(1), cutoffs=(2, 1, 2), question_settings=EVENTS)
    table = result.table
    assert table["user_id"].tolist() == ["a", "b", "a", "a", "b"]
    assert table["position"].tolist() == [1, 1, 2, 3, 2]
    assert table["n_visible"].tolist() == [1, 1, 2, 3, 2]
    assert table["time"].tolist() == [3, 4, 5, 6, 8]
    assert result.counts["relevant_items"] == 5
    # b's last event is 4, which has no next item: the others tie at 0 (and 0 at 1), and 0 is used most: 0 (1), then 2.
    assert table["rank"].tolist() == [1, 1, 1, 2, 2]
    assert table["hr@1"].tolist() == [1, 1, 1, 0, 0]
    np.testing.assert_allclose(table["ndcg@2"], [1, 1, 1, 1 / np.log2(3), 1 / np.log2(3)])
    assert result.summary["hr@2"] == 1
    assert result.table["known"].all()
    assert result.cutoffs == (1, 2)
    assert result.state_bytes == 0
    # Without forgetting a's question at t=6 has 1 2 0 behind it: 3 gets 1 + 2, 4 gets 1.
    everything = replay(model, log, 3, cutoffs=(1,), depth=5, question_settings=EVENTS).table
    assert everything["rank"].tolist() == [1, 1, 1, 2, 2]
    assert everything["hr@1"].tolist() == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("chunk", [1, 16, 1000])
@pytest.mark.parametrize("entries", [30, 1_000_000])
def test_chunks_and_rounds_are_an_event_by_event_loop(
    chunk: int, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_ENTRIES", entries)
    log = crowded()
    model = linear(log)
    forgetting, naive = FollowTheLeader(log.n_users), FollowTheLeader(log.n_users)
    expected = loop(model, log, naive, lambda time: time, START)
    result = replay(model, log, START, forgetting, chunk=chunk, **FULL)
    same(result, expected)
    np.testing.assert_allclose(forgetting.total, naive.total, atol=1e-5)
    assert sorted(forgetting.seen) == sorted(naive.seen)
    for user in range(log.n_users):
        assert [s for s in forgetting.seen if s[0] == user] == [s for s in naive.seen if s[0] == user]
    assert result.state_bytes == 24
    assert result.repeats == (log.time >= START).sum() - len(expected)
    assert (result.table["rank"] > 0).mean() > 0.9
    # The state matters, or the test proves nothing.
    assert not result.table["rank"].equals(replay(model, log, START, LastEvents(10**6), **FULL).table["rank"])


def test_a_plain_forgetting_needs_no_rounds() -> None:
    log = crowded()
    model = linear(log)
    expected = loop(model, log, None, lambda time: time, START)
    same(replay(model, log, START, **FULL), expected)
    same(replay(model, log, START, LastEvents(1000), chunk=7, **FULL), expected)
    assert not replay(model, log, START, LastEvents(1), **FULL).table["rank"].equals(expected["rank"])


def test_questions_of_a_window_use_the_state_at_its_beginning() -> None:
    log = crowded()
    model = linear(log)
    forgetting, naive = FollowTheLeader(log.n_users), FollowTheLeader(log.n_users)
    expected = loop(model, log, naive, lambda time: START + (time - START) // 40 * 40, START)
    same(
        replay(
            model, log, START, forgetting, chunk=5, **FULL | {"question_settings": QuestionSettings("event", window=40)}
        ),
        expected,
    )
    np.testing.assert_allclose(forgetting.total, naive.total, atol=1e-5)


def test_equal_times_are_hidden_by_default() -> None:
    log = Interactions.from_columns([1] * 4, [0, 1, 2, 3], times=[1, 5, 5, 5])
    model = SumOfRows(np.ones((4, 4), np.float32)).fit(log)
    assert replay(model, log, 5, question_settings=EVENTS).table["n_visible"].tolist() == [1, 1, 1]
    shown = FollowTheLeader(1)
    assert replay(
        model, log, 5, shown, question_settings=QuestionSettings("event", see_equal_times=True), chunk=2
    ).table["n_visible"].tolist() == [
        1,
        2,
        3,
    ]
    assert shown.seen == [(0, 1, 5), (0, 2, 5), (0, 3, 5)]


@pytest.mark.parametrize("clock", ["order", "none"])
def test_without_comparable_times_the_start_is_a_number_of_events(clock: Any) -> None:
    times = [10, 20, 20, 30, 5, 6] if clock == "order" else None
    log = Interactions.from_columns([1, 1, 1, 1, 2, 2], [0, 1, 2, 3, 0, 2], times=times, clock=clock)
    assert len(events_before(log, 1)) == 2
    model = SumOfRows(np.ones((4, 4), np.float32)).fit(log)
    table = replay(model, log, 1).table
    if clock == "order":  # the events at 20 share a place
        assert table["time"].tolist() == [1, 1, 1, 3]
        assert table["n_visible"].tolist() == [1, 1, 1, 3]
    else:
        assert table["time"].tolist() == [1, 1, 2, 3]
        assert table["n_visible"].tolist() == [1, 1, 2, 3]


def test_empty_history_has_equal_utilities() -> None:
    log = Interactions.from_columns([1, 2, 2], [0, 1, 0], times=[1, 5, 6])
    model = SumOfRows(np.ones((2, 2), np.float32)).fit(log)
    forgetting = FollowTheLeader(2)
    result = replay(model, log, 5, forgetting, question_settings=QuestionSettings("event", limit=1))
    assert result.counts["empty_histories"] == len(result.table) == 1
    np.testing.assert_array_equal(forgetting.total, [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_items_and_users_are_found_by_their_ids_in_a_compact_model() -> None:
    log = random_log()
    train = events_before(log, 40)
    rows = np.random.default_rng(2).random((log.n_items, log.n_items)).astype(np.float32)
    seen = np.unique(train.item_num)
    assert len(seen) < log.n_items
    # What was never used says nothing and scores 0, as in EASE, ItemKNN and IALS.
    unused = np.setdiff1d(np.arange(log.n_items), seen)
    rows[unused], rows[:, unused] = 0, 0
    whole = SumOfRows(rows).fit(train)
    compact = SumOfRows(rows[np.ix_(seen, seen)]).fit(train.compact())
    a, b = FollowTheLeader(log.n_users), FollowTheLeader(log.n_users)
    first = replay(whole, log, 40, a, depth=30, question_settings=EVENTS).table
    second = replay(compact, log, 40, b, depth=30, question_settings=EVENTS).table
    pd.testing.assert_frame_equal(first, second)
    assert 0 < first["known"].sum() < len(first)
    assert (first["rank"] > 0).equals(first["known"] > 0)
    np.testing.assert_allclose(a.total, b.total, atol=1e-5)


class _StopError(Exception):
    pass


def test_an_interrupted_replay_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    log = crowded()
    model = linear(log)
    whole, parts = FollowTheLeader(log.n_users), FollowTheLeader(log.n_users)
    expected = replay(model, log, START, whole, chunk=15, **FULL)
    told: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) in (3, 5):
            raise _StopError

    for _ in range(2):
        with pytest.raises(_StopError):
            replay(model, log, START, parts, chunk=15, checkpoint=tmp_path, progress=interrupt, **FULL)
    result = replay(model, log, START, parts, chunk=15, checkpoint=tmp_path, progress=interrupt, **FULL)
    pd.testing.assert_frame_equal(result.table, expected.table)
    np.testing.assert_array_equal(parts.total, whole.total)
    done = [number for number, _ in told]
    assert done == sorted(set(done))
    assert told[-1] == (len(expected.table), len(expected.table))
    assert [path.name for path in tmp_path.iterdir()] == ["replay.npz"]
    again = replay(model, log, START, parts, chunk=15, checkpoint=tmp_path, **FULL)
    pd.testing.assert_frame_equal(again.table, expected.table)
    np.testing.assert_array_equal(parts.total, whole.total)
    for other, rule in ((START + 1, parts), (START, LastEvents(3)), (START, None)):
        with pytest.raises(DataError, match="another log, model, forgetting or settings"):
            replay(model, log, other, rule, chunk=15, checkpoint=tmp_path, **FULL)
    (tmp_path / "replay.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="delete it"):
        replay(model, log, START, parts, chunk=15, checkpoint=tmp_path, **FULL)


class _ObjectsError(OnlineForgetting):
    """A rule whose state cannot be kept without pickle."""

    def hypotheses(self, queries: Queries) -> npt.NDArray[np.float32]:
        return np.ones((1, len(queries.history.items)), np.float32)

    def weights(self, queries: Queries) -> npt.NDArray[np.float32]:
        return np.ones(len(queries.history.items), np.float32)

    def observe(self, queries: Queries, utility: npt.NDArray[np.float32]) -> None:
        pass

    def reset(self) -> None:
        pass

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {"things": np.array([{}], dtype=object)}

    def restore(self, state: Any) -> None:
        raise AssertionError

    def state_bytes(self) -> float:
        return 0.0


def test_nothing_is_pickled(tmp_path: Path) -> None:
    log = crowded()
    with pytest.raises(TypeError, match="plain arrays"):
        replay(linear(log), log, START, _ObjectsError(), checkpoint=tmp_path, question_settings=EVENTS)
    assert list(tmp_path.iterdir()) == []


def test_a_schedule_refits_on_everything_before_each_boundary(tmp_path: Path) -> None:
    log = crowded()
    fitted: list[tuple[int, int]] = []

    def refit(train: Interactions) -> Recommender:
        fitted.append((len(train), int(train.time.max())))
        assert train.items == log.items
        return linear(train, 10**6, seed=len(train))

    options: dict[str, Any] = {"refitting": Refitting(refit, 50), "chunk": 15, **FULL}
    result = replay(linear(log), log, START, FollowTheLeader(log.n_users), **options)
    boundaries = [200, 250]
    assert [count for count, _ in fitted] == [int((log.time < b).sum()) for b in boundaries]
    assert all(last < b for (_, last), b in zip(fitted, boundaries, strict=True))
    table = result.table
    assert (table["trained_until"] == START + (table["time"] - START) // 50 * 50).all()
    # Each part is what a replay with that model gives; the state of the forgetting goes on, so compare without one.
    plain = replay(linear(log), log, START, **options).table
    for number, begin in enumerate([START, *boundaries]):
        model = linear(log) if number == 0 else refit(events_before(log, begin))
        alone = replay(model, log, begin, **FULL).table
        part = plain[plain["trained_until"] == begin]
        np.testing.assert_array_equal(part["rank"], alone["rank"][: len(part)])

    def interrupt(done: int, total: int) -> None:
        if done > total - 30:
            raise _StopError

    rule = FollowTheLeader(log.n_users)
    with pytest.raises(_StopError):
        replay(linear(log), log, START, rule, checkpoint=tmp_path, progress=interrupt, **options)
    resumed = replay(linear(log), log, START, rule, checkpoint=tmp_path, **options)
    pd.testing.assert_frame_equal(resumed.table, table)


def test_a_table_is_written_and_read(tmp_path: Path) -> None:
    log = crowded()
    result = replay(linear(log), log, START, LastEvents(2), question_settings=EVENTS)
    read = Replay.load(result.save(tmp_path / "deep" / "replay.parquet"))
    pd.testing.assert_frame_equal(read.table, result.table)
    assert (read.cutoffs, read.repeats, read.seconds, read.state_bytes) == (
        result.cutoffs,
        result.repeats,
        result.seconds,
        0.0,
    )
    assert read.summary == result.summary
    assert set(read.seconds) == {"queries", "weights", "scoring", "judging", "observing", "refitting"}
    assert read.seconds["scoring"] > 0
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["replay.parquet"]
    with pytest.raises(DataError, match="cannot read"):
        Replay.load(tmp_path / "none.parquet")
    result.table.to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="not written by a replay"):
        Replay.load(tmp_path / "other.parquet")


@pytest.mark.parametrize(
    "options",
    [
        lambda: {"cutoffs": ()},
        lambda: {"cutoffs": (0, 5)},
        lambda: {"cutoffs": (10,), "depth": 5},
        lambda: {"question_settings": QuestionSettings("event", window=0)},
        lambda: {"question_settings": QuestionSettings("event", window=3, see_equal_times=True)},
        lambda: {"question_settings": QuestionSettings("event", limit=0)},
        lambda: {"chunk": 0},
        lambda: {"refitting": Refitting(lambda train: MostUsed().fit(train), 0)},
        lambda: {
            "refitting": Refitting(lambda train: MostUsed().fit(train), 10),
            "question_settings": QuestionSettings("event", window=4),
        },
    ],
)
def test_impossible_settings_are_refused(options: Callable[[], dict[str, Any]]) -> None:
    log = crowded()
    with pytest.raises(ConfigError):
        replay(linear(log), log, START, **options())


def test_impossible_requests_are_refused() -> None:
    log = crowded()
    with pytest.raises(DataError, match="nothing to ask"):
        replay(linear(log), log, 10_000)
    scores = FixedScores(np.zeros((log.n_users, log.n_items), np.float32)).fit(log)
    with pytest.raises(CapabilityError, match="cannot fold in"):
        replay(scores, log, START, question_settings=EVENTS)
    # What asks for no user can be replayed, but not with a forgetting.
    assert len(replay(MostUsed().fit(log), log, START, question_settings=EVENTS).table) > 0
    with pytest.raises(CapabilityError, match="cannot fold in"):
        replay(MostUsed().fit(log), log, START, LastEvents(1))
    other = Interactions.from_columns(["x"], ["y"])
    with pytest.raises(DataError, match="knows none"):
        replay(SumOfRows(np.zeros((1, 1), np.float32)).fit(other), log, START, question_settings=EVENTS)
