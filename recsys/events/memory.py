"""The event store in memory, for tests and experiments."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, final

from recsys.data.kinds import NEGATIVE_KINDS
from recsys.events.batches import Key, distinct, fresh, key_of
from recsys.events.beliefs import SavedBelief
from recsys.events.checks import check_id, check_page, check_persona
from recsys.events.impressions.records import Impression, PositionClicks, UserClicks
from recsys.events.items.records import ItemsPut, StoredItem, distinct_items, patched, put_over
from recsys.events.store import (
    Appended,
    Change,
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
from recsys.types import DAY


@final
class MemoryStore(EventStore):
    """See `EventStore`. One lock makes every call a transaction."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._changes: list[Change] = []
        self._by_key: dict[Key, Event | None] = {}  # None: undone
        self._histories: dict[str, list[Recorded]] = {}
        self._corrections: dict[str, dict[int, Correction]] = {}
        self._settings: dict[str, dict[str, str]] = {}
        self._beliefs: dict[str, SavedBelief] = {}
        self._tokens: dict[str, Token] = {}
        self._shown: dict[tuple[str, str, str], Impression] = {}
        self._items: dict[str, tuple[int, StoredItem]] = {}

    def append(self, events: Sequence[Event]) -> Appended:
        batch = distinct(events)
        with self._lock:
            new = fresh(batch, {key: self._by_key[key] for key in batch if key in self._by_key})
            for event in new:
                record = Recorded(self._next(), event)
                self._changes.append(record)
                self._by_key[key_of(event)] = event
                insort(
                    self._histories.setdefault(event.user_id, []),
                    record,
                    key=lambda one: (one.event.time, one.sequence),
                )
        return Appended(len(new), len(events) - len(new))

    def of_users(self, user_ids: Iterable[str]) -> dict[str, tuple[Recorded, ...]]:
        with self._lock:
            return {user: tuple(self._histories.get(user, ())) for user in user_ids}

    def since(self, sequence: int, limit: int) -> tuple[Change, ...]:
        check_page(sequence, limit)
        with self._lock:
            start = bisect_right(self._changes, sequence, key=lambda change: change.sequence)
            return tuple(self._changes[start : start + limit])

    def last_sequence(self) -> int:
        with self._lock:
            return self._last

    def count(self) -> int:
        with self._lock:
            return sum(map(len, self._histories.values()))

    def erase_user(self, user_id: str) -> Erased:
        check_id("user_id", user_id)
        digest = user_hash(user_id)
        with self._lock:
            kept = [one for one in self._changes if isinstance(one, Erased) or _user(one) != user_id]
            tokens = {key: token for key, token in self._tokens.items() if token.user_id != user_id}
            earlier = [one for one in kept if isinstance(one, Erased) and one.user_hash == digest]
            unset = not self._settings.pop(user_id, None)
            shown = {key: one for key, one in self._shown.items() if key[0] != user_id}
            unset &= len(shown) == len(self._shown)
            self._shown = shown
            if earlier and unset and (len(kept), len(tokens)) == (len(self._changes), len(self._tokens)):
                return earlier[-1]
            self._changes, self._tokens = kept, tokens
            self._by_key = {key: event for key, event in self._by_key.items() if key[0] != user_id}
            self._histories.pop(user_id, None)
            self._corrections.pop(user_id, None)
            self._beliefs.pop(user_id, None)
            erased = Erased(self._next(), digest)
            self._changes.append(erased)
        return erased

    def undo_event(self, user_id: str, event_id: str) -> Undone | None:
        check_id("user_id", user_id)
        check_id("event_id", event_id)
        key = user_id, event_id
        with self._lock:
            event = self._by_key.get(key)
            if event is None:
                undone = (one for one in self._changes if isinstance(one, Undone))
                return next((one for one in undone if (one.user_id, one.event_id) == key), None)
            self._by_key[key] = None
            self._beliefs.pop(user_id, None)
            self._histories[user_id] = [one for one in self._histories[user_id] if one.event != event]
            self._changes = [one for one in self._changes if not (isinstance(one, Recorded) and one.event == event)]
            change = Undone(self._next(), user_id, event_id)
            self._changes.append(change)
        return change

    def unscrubbed(self) -> int:
        return 0

    def scrub(self) -> None:
        pass

    def put_correction(self, user_id: str, persona: int, correction: Correction) -> Corrected:
        check_id("user_id", user_id)
        check_persona(persona)
        with self._lock:
            self._changes = [
                change
                for change in self._changes
                if not (isinstance(change, Corrected) and (change.user_id, change.persona) == (user_id, persona))
            ]
            corrected = Corrected(self._next(), user_id, persona, correction)
            self._changes.append(corrected)
            self._corrections.setdefault(user_id, {})[persona] = correction
        return corrected

    def corrections(self, user_id: str) -> dict[int, Correction]:
        with self._lock:
            return dict(sorted(self._corrections.get(user_id, {}).items()))

    def put_setting(self, user_id: str, name: str, value: str | None) -> None:
        check_id("user_id", user_id)
        with self._lock:
            self._next()
            own = self._settings.setdefault(user_id, {})
            own.pop(name, None)
            if value is not None:
                own[name] = value

    def add_setting(self, user_id: str, name: str, value: str) -> str:
        check_id("user_id", user_id)
        with self._lock:
            own = self._settings.setdefault(user_id, {})
            if name not in own:
                self._next()
            return own.setdefault(name, value)

    def settings(self, user_id: str) -> dict[str, str]:
        with self._lock:
            return dict(sorted(self._settings.get(user_id, {}).items()))

    def save_beliefs(self, beliefs: Mapping[str, SavedBelief]) -> None:
        with self._lock:
            for user, belief in beliefs.items():
                stored = any(record.sequence == belief.sequence for record in self._histories.get(user, ()))
                former = self._beliefs.get(user)
                later = former is not None and former.model == belief.model and former.sequence > belief.sequence
                if stored and not later:
                    self._beliefs[user] = belief

    def beliefs(self, model: str) -> dict[str, SavedBelief]:
        with self._lock:
            return {user: belief for user, belief in self._beliefs.items() if belief.model == model}

    def belief(self, user_id: str) -> SavedBelief | None:
        with self._lock:
            return self._beliefs.get(user_id)

    def put_items(self, items: Sequence[StoredItem], now: int) -> ItemsPut:
        batch = distinct_items(items)
        with self._lock:
            stored = {item: self._items[item][1] for item in batch if item in self._items}
            changed, added = put_over(stored, batch.values(), now)
            if changed:
                sequence = self._next()
                self._items.update({item.item_id: (sequence, item) for item in changed})
        return ItemsPut(added, len(changed) - added, len(batch) - len(changed))

    def patch_item(self, item_id: str, changes: Mapping[str, Any], now: int) -> StoredItem:
        with self._lock:
            former = self._items.get(item_id, (0, None))[1]
            item = patched(former, item_id, changes, now)
            if item is not None:
                self._items[item_id] = self._next(), item
            return self._items[item_id][1]

    def delete_item(self, item_id: str, now: int) -> bool:
        with self._lock:
            former = self._items.get(item_id, (0, None))[1]
            if former is not None and former.deleted:
                return False
            self._items[item_id] = self._next(), StoredItem(item_id, available=False, changed_at=now, deleted=True)
            return True

    def items_since(self, sequence: int) -> tuple[int, tuple[StoredItem, ...]]:
        with self._lock:
            changed = sorted((at, item.item_id) for at, item in self._items.values() if at > sequence)
            last = changed[-1][0] if changed else sequence
            return last, tuple(self._items[item_id][1] for _, item_id in changed)

    def daily_users(self) -> tuple[tuple[str, int, int], ...]:
        with self._lock:
            used = {
                (one.event.item_id, one.event.time // DAY, user)
                for user, records in self._histories.items()
                for one in records
                if one.event.kind not in NEGATIVE_KINDS
            }
        return tuple((item, day, count) for (item, day), count in Counter((i, d) for i, d, _ in used).items())

    def put_impressions(self, impressions: Sequence[Impression]) -> int:
        with self._lock:
            before = len(self._shown)
            for one in impressions:
                self._shown.setdefault((one.user_id, one.recommendation_id, one.item_id), one)
            return len(self._shown) - before

    def put_click(self, user_id: str, recommendation_id: str, item_id: str, time: int) -> bool:
        key = user_id, recommendation_id, item_id
        with self._lock:
            one = self._shown.get(key)
            if one is not None and one.clicked is None:
                self._shown[key] = replace(one, clicked=time)
            return one is not None

    def impressions(self, user_id: str) -> tuple[Impression, ...]:
        with self._lock:
            own = [one for one in self._shown.values() if one.user_id == user_id]
        return tuple(sorted(own, key=lambda one: (one.shown, one.recommendation_id, one.position)))

    def clicks_by_user(self) -> tuple[UserClicks, ...]:
        groups: dict[tuple[str, str, str], list[Impression]] = {}
        with self._lock:
            for one in self._shown.values():
                groups.setdefault((one.variant, one.model, one.user_id), []).append(one)
        return tuple(
            UserClicks(variant, model, len({one.recommendation_id for one in group}), len(group), _clicks(group))
            for (variant, model, _), group in groups.items()
        )

    def clicks_by_position(self) -> tuple[PositionClicks, ...]:
        groups: dict[tuple[str, str, int], list[Impression]] = {}
        with self._lock:
            for one in self._shown.values():
                groups.setdefault((one.variant, one.model, one.position), []).append(one)
        return tuple(PositionClicks(*key, len(group), _clicks(group)) for key, group in sorted(groups.items()))

    def put_token(self, token: Token) -> None:
        with self._lock:
            if token.token_hash in self._tokens:
                raise StoreError("there is a token with this hash; make another secret")
            self._tokens[token.token_hash] = token

    def token(self, token_hash: str) -> Token | None:
        with self._lock:
            return self._tokens.get(token_hash)

    def tokens(self) -> list[Token]:
        with self._lock:
            return sorted(self._tokens.values(), key=lambda token: (token.created, token.token_hash))

    def revoke_token(self, token_hash: str, now: int) -> bool:
        with self._lock:
            token = self._tokens.get(token_hash)
            if token is not None and token.revoked is None:
                self._tokens[token_hash] = replace(token, revoked=now)
            return token is not None

    def close(self) -> None:
        pass

    def _next(self) -> int:
        self._last += 1
        return self._last


def _clicks(impressions: Sequence[Impression]) -> int:
    return sum(one.clicked is not None for one in impressions)


def _user(change: Recorded | Corrected | Undone) -> str:
    return change.event.user_id if isinstance(change, Recorded) else change.user_id
