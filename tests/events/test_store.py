"""The contract of an event store: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data.feedback import KINDS as EVERY_KIND
from recsys.errors import DataError
from recsys.events.addresses import open_store
from recsys.events.beliefs import SavedBelief
from recsys.events.memory import MemoryStore
from recsys.events.store import (
    Appended,
    Change,
    ConflictError,
    Corrected,
    Correction,
    Erased,
    Event,
    EventStore,
    Recorded,
    StoreError,
    Undone,
    user_hash,
)
from recsys.events.tokens import Token
from tests.events.store_addresses import KINDS, address_of, event, users_of

if TYPE_CHECKING:
    pass

SHARED_KINDS = KINDS[1:]


# What an event may be.


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"event_id": ""}, "event_id is empty; give"),
        ({"user_id": "a\x00b"}, "user_id is 'a\\x00b'; character 2 is the control character U+0000: remove it"),
        ({"user_id": "a\u2028b"}, "U+2028"),
        ({"item_id": "\ud800x"}, "item_id is '\\ud800x'"),
        ({"item_id": " x"}, "item_id is ' x'; remove the space"),
        ({"item_id": 7}, "item_id is 7; it must be text"),
        ({"item_id": "x" * 257}, "257 characters; shorten it to 256"),
        ({"condition": ""}, "condition is empty; give"),
        ({"condition": "x" * 81}, "81 characters; shorten it to 80"),
        ({"value": float("nan")}, "value is nan; it must be a finite number"),
        ({"value": float("inf")}, "value is inf"),
        ({"value": 10**400}, "value is a number of 1329 bits"),
        ({"value": True}, "value is True; it must be a number"),
        ({"time": 1.5}, "time is 1.5; it must be a whole number"),
        ({"time": 1_600_000_000_000}, "time is 1600000000000, too large for Unix seconds; divide milliseconds by 1000"),
        (
            {"kind": "likes"},
            "kind is 'likes'; it must be one of use, rating, view, click, like, dislike, buy, skip; "
            "did you mean 'like'?",
        ),
        ({"kind": "rating", "value": None}, "value is None beside kind 'rating'; give the rating, or kind 'use'"),
        ({"kind": "like", "value": 4.5}, "value is 4.5 beside kind 'like', which has none; leave value out"),
        ({"kind": "dislike", "value": 1}, "value is 1 beside kind 'dislike', which has none; leave value out"),
        ({"kind": "skip", "value": 0}, "value is 0 beside kind 'skip', which has none; leave value out"),
    ],
)
def test_an_event_is_refused_with_field_value_and_cure(changed: dict[str, object], told: str) -> None:
    good: dict[str, object] = {"event_id": "e", "user_id": "u", "item_id": "i", "value": 1.0, "time": 5}
    with pytest.raises(DataError) as error:
        Event(**(good | changed))  # type: ignore[arg-type]
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Correction(weight=-1), "weight is -1"),
        (lambda: Correction(weight=11), "from 0 to 10"),
        (lambda: Correction(name="x" * 81), "shorten it to 80"),
        (lambda: Token("secret", "x", frozenset({"read"}), 0), "token_hash is not a SHA-256"),
        (lambda: Token("0" * 64, "x", frozenset(), 0), "scopes is empty"),
        (lambda: MemoryStore().put_correction("ada", -1, Correction()), "persona is -1"),
        (lambda: MemoryStore().since(0, 0), "limit is 0"),
        (lambda: MemoryStore().since(-1, 1), "sequence is -1"),
    ],
)
def test_other_bad_values_are_refused(make: object, told: str) -> None:
    assert callable(make)
    with pytest.raises(DataError) as error:
        make()
    assert told in str(error.value)
    assert "'secret'" not in str(error.value)


# Appending and reading.


def test_a_new_store_is_empty(store: EventStore) -> None:
    assert (store.count(), users_of(store), store.last_sequence(), store.since(0, 10)) == (0, [], 0, ())
    assert store.of_users(["ada"]) == {"ada": ()}
    assert store.append([]) == Appended(0, 0)


def test_events_come_back_as_they_were(store: EventStore) -> None:
    odd = Event('quoted "id", with comma', "Ада 🎬", "ITEM", -0.0, -5, "buy")
    tiny = Event("tiny", "ada", "item", 5e-324, 99_999_999_999)
    every = [event(number, kind=kind) for number, kind in enumerate(EVERY_KIND, start=10)]
    store.append([odd, tiny, event(1), *every])
    assert [change.event for change in store.replay() if isinstance(change, Recorded)] == [odd, tiny, event(1), *every]
    assert users_of(store) == ["ada", "Ада 🎬"]


def test_sending_again_changes_nothing(store: EventStore) -> None:
    assert store.append([event(1), event(2), event(1)]) == Appended(2, 1)
    before = list(store.replay())
    assert store.append([event(2), event(1)]) == Appended(0, 2)
    assert store.append([event(2), event(3)]) == Appended(1, 1)
    assert list(store.replay()) == [*before, Recorded(3, event(3))]
    assert (store.count(), store.last_sequence()) == (3, 3)


@pytest.mark.parametrize("other", [replace(event(1), item_id="x"), event(1, time=7), event(1, kind="like")])
def test_an_id_with_other_content_refuses_the_whole_batch(store: EventStore, other: Event) -> None:
    store.append([event(1)])
    with pytest.raises(ConflictError, match="event_id 'e1' was used before") as error:
        store.append([event(5), other, event(6)])
    assert error.value.event_id == "e1"
    with pytest.raises(ConflictError):
        store.append([event(7), event(8), event(8, time=9)])
    assert (store.count(), store.last_sequence(), list(store.replay())) == (1, 1, [Recorded(1, event(1))])
    store.append([event(5)])
    assert store.last_sequence() == 2


def test_ids_of_events_are_unique_per_user(store: EventStore) -> None:
    """Nobody can take an id that another user's events will need, or learn which ids those have."""
    store.append([event(1, "eve")])
    assert store.append([event(1), event(2), event(1, "bob", time=7)]) == Appended(3, 0)
    assert store.append([event(1), event(1, "bob", time=7)]) == Appended(0, 2)
    with pytest.raises(ConflictError):
        store.append([event(1, "bob")])
    assert store.undo_event("eve", "e2") is None
    assert store.undo_event("eve", "e1") == Undone(5, "eve", "e1")
    store.erase_user("bob")
    assert store.of_users(["ada", "bob", "eve"]) == {
        "ada": (Recorded(2, event(1)), Recorded(3, event(2))),
        "bob": (),
        "eve": (),
    }
    assert store.append([event(1), event(2)]) == Appended(0, 2)


def test_a_value_that_does_not_exist_is_none_and_as_good_as_the_1_of_older_senders(store: EventStore) -> None:
    bare = Event("e1", "ada", "item 1", None, 1001)
    store.append([bare])
    assert store.of_users(["ada"])["ada"] == (Recorded(1, bare),)
    assert store.append([bare, replace(bare, value=1.0)]) == Appended(0, 2)
    assert store.append([replace(event(2), value=1.0), replace(event(2), kind="use", value=None)]) == Appended(1, 1)
    for value in (0.0, 2.0):
        with pytest.raises(ConflictError):
            store.append([replace(bare, value=value)])
    assert next(iter(store.replay())) == Recorded(1, bare)


def test_an_undone_event_stays_undone_until_its_user_is_erased(store: EventStore) -> None:
    store.append([event(1), event(2), event(3)])
    undone = store.undo_event("ada", "e2")
    assert undone == Undone(4, "ada", "e2")
    assert store.undo_event("ada", "e2") == undone
    assert store.undo_event("ada", "e4") is None
    assert store.since(0, 10) == (Recorded(1, event(1)), Recorded(3, event(3)), undone)
    assert (store.count(), store.last_sequence()) == (2, 4)
    assert store.append([event(2), event(4)]) == Appended(1, 1)
    assert store.append([event(2, time=7)]) == Appended(0, 1)
    assert [record.event for record in store.of_users(["ada"])["ada"]] == [event(1), event(3), event(4)]
    store.erase_user("ada")
    assert store.append([event(2)]) == Appended(1, 0)
    with pytest.raises(DataError, match="event_id is empty"):
        store.undo_event("ada", "")


def test_histories_are_in_time_order_then_in_order_of_arrival(store: EventStore) -> None:
    late, early, same = event(1, time=30), event(2, time=10), event(3, time=30)
    store.append([late, early])
    store.append([same, event(4, "bob", time=5)])
    histories = store.of_users(["ada", "nobody", "bob"])
    assert [record.event for record in histories["ada"]] == [early, late, same]
    assert [record.event for record in histories["bob"]] == [event(4, "bob", time=5)]
    assert histories["nobody"] == ()


def test_many_users_and_many_events_at_once(store: EventStore) -> None:
    events = [event(number, f"user {number}") for number in range(2500)]
    assert store.append(events) == Appended(2500, 0)
    assert store.append(events) == Appended(0, 2500)
    histories = store.of_users([f"user {number}" for number in range(3000)])
    assert sum(map(len, histories.values())) == 2500
    assert len(histories) == 3000


def test_pages_follow_one_another_without_a_gap(store: EventStore) -> None:
    store.append([event(number) for number in range(1, 8)])
    store.put_correction("ada", 0, Correction(weight=0))
    store.append([event(8)])
    pages, after = [], 0
    while page := store.since(after, 2):
        pages.append(page)
        after = page[-1].sequence
    assert [change.sequence for page in pages for change in page] == list(range(1, 10))
    assert all(len(page) == 2 for page in pages[:-1])
    assert [change.sequence for change in store.replay(after=4, page=3)] == [5, 6, 7, 8, 9]


# Corrections, erasure, tokens.


def test_the_last_correction_of_a_persona_counts(store: EventStore) -> None:
    store.put_correction("ada", 1, Correction(weight=0))
    store.put_correction("ada", 0, Correction(name="Nights in", model="abc"))
    last = store.put_correction("ada", 1, Correction(weight=2.5))
    store.put_correction("bob", 1, Correction(weight=3))
    assert store.corrections("ada") == {0: Correction(name="Nights in", model="abc"), 1: Correction(weight=2.5)}
    assert store.corrections("nobody") == {}
    assert last == Corrected(3, "ada", 1, Correction(weight=2.5))
    assert [change.sequence for change in store.since(0, 10)] == [2, 3, 4]
    assert not Correction(weight=2.5).muted
    assert Correction(weight=0).muted


def test_erasing_leaves_nothing_but_the_erasure(store: EventStore) -> None:
    token = Token("a" * 64, "of ada", frozenset({"read"}), 5, user_id="ada")
    store.append([event(1), event(2, "bob")])
    store.put_correction("ada", 0, Correction(weight=0))
    store.put_token(token)
    erased = store.erase_user("ada")
    assert erased == Erased(4, user_hash("ada"))
    assert erased.user_hash != user_hash("bob")
    assert store.since(0, 10) == (Recorded(2, event(2, "bob")), erased)
    assert (store.of_users(["ada"]), store.corrections("ada"), store.tokens()) == ({"ada": ()}, {}, [])
    assert (store.count(), users_of(store), store.last_sequence()) == (1, ["bob"], 4)
    assert store.append([event(1)]) == Appended(1, 0)
    assert store.since(4, 10) == (Recorded(5, event(1)),)
    assert "ada" not in repr(erased)


def test_numbers_are_not_given_again_after_an_erasure(store: EventStore) -> None:
    store.append([event(1)])
    store.erase_user("ada")
    store.append([event(1)])
    assert store.since(2, 5) == (Recorded(3, event(1)),)


@pytest.mark.parametrize("left", ["event", "undone", "correction", "token"])
def test_an_erasure_that_finds_nothing_to_remove_is_the_last_one(store: EventStore, left: str) -> None:
    first = store.erase_user("ada")
    assert first == Erased(1, user_hash("ada"))
    assert [store.erase_user("ada"), store.erase_user("ada")] == [first, first]
    assert (store.erase_user("bob").sequence, store.last_sequence(), store.unscrubbed()) == (2, 2, 0)
    if left in ("event", "undone"):
        store.append([event(1)])
    if left == "undone":
        store.undo_event("ada", "e1")
    if left == "correction":
        store.put_correction("ada", 0, Correction(weight=0))
    if left == "token":
        store.put_token(Token("a" * 64, "of ada", frozenset({"read"}), 5, user_id="ada"))
    again = store.erase_user("ada")
    assert again.sequence == store.last_sequence() > 2 - (left == "token")
    assert store.erase_user("ada") == again


def test_beliefs_are_saved_by_user_and_are_those_of_one_model(store: EventStore) -> None:
    store.append([event(1), event(2, "bob"), event(3)])
    first, second = SavedBelief("one", 1, 1, b"\x00\xff"), SavedBelief("one", 3, 2, bytes(range(256)))
    of_bob = SavedBelief("one", 2, 1, b"")
    store.save_beliefs({"ada": first, "bob": of_bob})
    assert store.beliefs("one") == {"ada": first, "bob": of_bob}
    store.save_beliefs({"ada": second})
    store.save_beliefs({"ada": first})  # of a process that is behind
    assert (store.beliefs("one"), store.belief("ada")) == ({"ada": second, "bob": of_bob}, second)
    other = SavedBelief("other", 1, 1, b"x")
    store.save_beliefs({"ada": other})
    assert (store.beliefs("one"), store.beliefs("other")) == ({"bob": of_bob}, {"ada": other})
    assert (store.beliefs("nobody's"), store.belief("carol")) == ({}, None)


def test_the_belief_of_an_erased_user_is_gone_and_is_not_saved_again(store: EventStore) -> None:
    store.append([event(1), event(2, "bob")])
    late = SavedBelief("one", 1, 1, b"x")
    store.save_beliefs({"ada": late})
    store.erase_user("ada")
    assert store.belief("ada") is None
    store.save_beliefs({"ada": late, "carol": late})  # of a process that has not read of the erasure yet
    assert store.beliefs("one") == {}
    store.append([event(1)])
    store.save_beliefs({"ada": late})
    assert store.belief("ada") is None


def test_tokens_are_kept_found_and_revoked_once(store: EventStore) -> None:
    one = Token("a" * 64, "page", frozenset({"read", "write"}), 20, user_id="ada", expires=90)
    two = Token("b" * 64, "operator", frozenset({"admin"}), 10)
    store.put_token(one)
    store.put_token(two)
    assert store.tokens() == [two, one]
    assert store.token("a" * 64) == one
    assert store.token("c" * 64) is None
    with pytest.raises(StoreError, match="there is a token with this hash"):
        store.put_token(one)
    assert [store.revoke_token("a" * 64, 30), store.revoke_token("a" * 64, 40)] == [True, True]
    assert not store.revoke_token("c" * 64, 30)
    revoked = store.token("a" * 64)
    assert revoked is not None
    assert (revoked.revoked, revoked.is_valid(31), one.is_valid(89), one.is_valid(90)) == (30, False, True, False)


# Any sequence of operations has the same effect on every store.

_USERS = st.sampled_from(["ada", "Ада", "b b", "A", "a"])
_EVENTS = st.builds(
    Event,
    st.integers(0, 6).map(str),
    _USERS,
    st.sampled_from(["1", "é"]),
    st.none() | st.floats(-1e9, 1e9),
    st.integers(-3, 3),
    st.sampled_from(["use", "view", "buy"]),
) | st.builds(
    Event,
    st.integers(0, 6).map(str),
    _USERS,
    st.sampled_from(["1", "é"]),
    st.none(),
    st.integers(-3, 3),
    st.sampled_from(["use", "like", "dislike", "skip"]),
)
_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(_EVENTS, max_size=4)),
        st.tuples(st.just("erase"), _USERS),
        st.tuples(st.just("undo"), st.tuples(_USERS, st.integers(0, 6).map(str))),
        st.tuples(st.just("correct"), st.tuples(_USERS, st.integers(0, 2), st.floats(0, 10))),
    ),
    max_size=12,
)


def _done(store: EventStore, operation: tuple[str, object]) -> object:
    name, subject = operation
    try:
        if name == "append":
            assert isinstance(subject, list)
            return store.append(subject)
        if name == "erase":
            return store.erase_user(str(subject))
        assert isinstance(subject, tuple)
        if name == "undo":
            return store.undo_event(*subject)
        return store.put_correction(subject[0], subject[1], Correction(weight=subject[2]))
    except ConflictError as error:
        return error.event_id


def _state(store: EventStore) -> object:
    users = ["ada", "Ада", "b b", "A", "a"]
    return (
        list(store.replay(page=2)),
        store.of_users(users),
        [store.corrections(user) for user in users],
        (store.count(), users_of(store), store.last_sequence()),
    )


@pytest.mark.parametrize("kind", SHARED_KINDS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=_OPERATIONS)
def test_every_store_does_what_the_one_in_memory_does(
    kind: str, tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, object]]
) -> None:
    with address_of(kind, tmp_path_factory.mktemp("store")) as address:
        oracle = MemoryStore()
        with open_store(address) as store:
            for operation in operations:
                assert _done(store, operation) == _done(oracle, operation)
            assert _state(store) == _state(oracle)
        with open_store(address) as again:
            assert _state(again) == _state(oracle)


@settings(max_examples=50)
@given(operations=_OPERATIONS, cuts=st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_a_reader_in_step_knows_what_one_who_reads_it_all_at_the_end_knows(
    operations: list[tuple[str, object]], cuts: list[int]
) -> None:
    """Replay rebuilds the same state, however it is cut into pages and wherever changes come in between."""
    store, in_step, pages = MemoryStore(), _Reader(), itertools.cycle(cuts)
    for operation in operations:
        _done(store, operation)
        in_step.read(store, next(pages))
    while in_step.read(store, next(pages)):
        pass
    at_the_end = _Reader()
    while at_the_end.read(store, 1000):
        pass
    for reader in (in_step, at_the_end):
        reader.histories = {user: history for user, history in reader.histories.items() if history}
    assert in_step.histories == at_the_end.histories
    by_user = store.of_users(users_of(store))
    known = {user: sorted(history.values()) for user, history in in_step.histories.items() if history}
    assert {user: sorted(r.sequence for r in history) for user, history in by_user.items()} == known


class _Reader:
    """What another worker knows: the sequence numbers of each user's events by id, from reading changes alone."""

    def __init__(self) -> None:
        self.after = 0
        self.histories: dict[str, dict[str, int]] = {}

    def read(self, store: EventStore, limit: int) -> bool:
        changes = store.since(self.after, limit)
        for change in changes:
            self._take(change)
            self.after = change.sequence
        return bool(changes)

    def _take(self, change: Change) -> None:
        if isinstance(change, Erased):
            self.histories = {user: h for user, h in self.histories.items() if user_hash(user) != change.user_hash}
        elif isinstance(change, Recorded):
            self.histories.setdefault(change.event.user_id, {})[change.event.event_id] = change.sequence
        elif isinstance(change, Undone):
            self.histories.get(change.user_id, {}).pop(change.event_id, None)


def test_what_an_event_says_of_its_circumstances_is_kept_and_erased(store: EventStore) -> None:
    said, silent = Event("e1", "ada", "x", 4.0, 5, "rating", "phone"), Event("e2", "ada", "y", 3.0, 6, "rating")
    assert store.append([said, silent]) == Appended(2, 0)
    assert [record.event for record in store.of_users(["ada"])["ada"]] == [said, silent]
    assert [change.event for change in store.replay() if isinstance(change, Recorded)] == [said, silent]
    # Senders of before say nothing; one that says something else speaks of another event.
    assert store.append([replace(said, condition=None), replace(silent, condition="desk")]) == Appended(0, 2)
    assert [record.event for record in store.of_users(["ada"])["ada"]] == [said, silent]
    with pytest.raises(ConflictError, match="'e1'"):
        store.append([replace(said, condition="desk")])
    store.erase_user("ada")
    assert store.of_users(["ada"])["ada"] == ()


def test_settings_are_kept_by_user_and_name_until_the_user_is_erased(store: EventStore) -> None:
    assert store.settings("ada") == {}
    store.put_setting("ada", "policy", "[1]")
    store.put_setting("ada", "policy", "[2]")
    assert store.add_setting("ada", "key", "first") == "first"
    assert store.add_setting("ada", "key", "second") == "first"
    assert (store.last_sequence(), store.since(0, 10)) == (3, ())  # one that keeps what is there takes no number
    store.put_setting("bob", "policy", "[3]")
    store.put_setting("ada", "gone", "x")
    store.put_setting("ada", "gone", None)
    assert store.settings("ada") == {"key": "first", "policy": "[2]"}
    first = store.erase_user("ada")
    assert store.settings("ada") == {}
    assert store.settings("bob") == {"policy": "[3]"}
    assert store.erase_user("ada") == first
    store.put_setting("ada", "policy", "[4]")
    assert store.erase_user("ada").sequence > first.sequence
