"""The event store in SQLite (WAL mode) and PostgreSQL (psycopg 3).

Order of changes. A serial column hands out numbers in the order of asking, while transactions become visible in the
order of committing: a reader that has seen 7 may find 6 appear later, and would never look there again. Here a writer
first updates the one row of `recsys_store`, which holds the last number, and so locks it to the end of its transaction.
The next writer starts from committed numbers, and a rolled-back transaction leaves no gap. In SQLite the lock is BEGIN
IMMEDIATE.

Erasure. The rows are gone when `erase_user` returns; `recsys.events.scrubbing` removes their copies from SQLite's file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any, TypeVar, final

from recsys.events import sql_statements as sql
from recsys.events.batches import Key, distinct, fresh
from recsys.events.beliefs import SavedBelief
from recsys.events.checks import check_id, check_page, check_persona
from recsys.events.impressions.records import (
    Impression,
    PositionClicks,
    UserClicks,
    impression_of,
    impression_row,
)
from recsys.events.items.records import (
    ItemsPut,
    StoredItem,
    distinct_items,
    item_of,
    item_row,
    patched,
    put_over,
)
from recsys.events.migrations import MIGRATIONS, SCHEMA, TYPES
from recsys.events.scrubbing import Scrubber
from recsys.events.sql_database import Cursor, Database
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

T = TypeVar("T")

_CHUNK = 1000
"""Users or events in one statement, which bounds its parameters."""

_MIGRATION_LOCK = 7_283_977_761
"""Any number: processes that open one PostgreSQL database at once migrate it one after the other."""


@final
class SqlStore(EventStore):
    """See `EventStore`.

    Args:
        database: holds the events; the store closes it.
        create: whether to create the schema where there is none.

    Raises:
        StoreError: the database cannot be used, or has no schema that this program can use.
    """

    def __init__(self, database: Database, *, create: bool = True) -> None:
        self._database = database
        self._run = database.run
        self._read = database.read
        self._transaction = database.transaction
        self._sqlite = database.dialect == "sqlite"
        try:
            with self._transaction("be opened", writing=True) as cursor:
                self._migrate(cursor, create=create)
            self._scrubber = Scrubber(database) if self._sqlite else None
            if self._scrubber is not None and self._scrubber.pending():
                self._scrubber.wake()
        except BaseException:
            database.close()
            raise

    def append(self, events: Sequence[Event]) -> Appended:
        batch = distinct(events)
        if not batch:
            return Appended(0, 0)
        with self._transaction("take events", writing=True) as cursor:
            first = self._reserve(cursor, len(batch))
            new = fresh(batch, self._stored(cursor, list(batch)))
            rows = [sql.event_row(sequence, event) for sequence, event in enumerate(new, start=first)]
            if rows and self._sqlite:
                cursor.executemany(sql.INSERT_ROW, rows)
            elif rows:
                self._run(cursor, sql.INSERT_COLUMNS, [list(column) for column in zip(*rows, strict=True)])
            if len(new) < len(batch):
                self._reserve(cursor, len(new) - len(batch))
        return Appended(len(new), len(events) - len(new))

    def of_users(self, user_ids: Iterable[str]) -> dict[str, tuple[Recorded, ...]]:
        histories: dict[str, list[Recorded]] = {user: [] for user in user_ids}
        with self._transaction("read histories") as cursor:
            for users in _chunks(list(histories)):
                among, parameters = self._among(users)
                for row in self._run(cursor, sql.HISTORIES.format(among=among), parameters):
                    histories[row[2]].append(Recorded(row[0], Event(*row[1:])))
        return {user: tuple(records) for user, records in histories.items()}

    def since(self, sequence: int, limit: int) -> tuple[Change, ...]:
        check_page(sequence, limit)
        rows = self._read("read changes", sql.SINCE, (sequence, limit) * sql.SINCE_TABLES)
        return tuple(map(sql.change_of, sorted(rows, key=sql.SEQUENCE)[:limit]))

    def last_sequence(self) -> int:
        ((last,),) = self._read("be read", sql.LAST)
        return int(last)

    def count(self) -> int:
        ((count,),) = self._read("count events", sql.COUNT)
        return int(count)

    def erase_user(self, user_id: str) -> Erased:
        check_id("user_id", user_id)
        digest = user_hash(user_id)
        with self._transaction("erase a user", writing=True) as cursor:
            self._reserve(cursor, 0)
            removed = 0
            for statement in sql.ERASE:
                self._run(cursor, statement, (user_id,))
                removed += cursor.rowcount
            ((earlier,),) = self._run(cursor, sql.ERASURE, (digest,))
            if earlier is not None and not removed:
                return Erased(earlier, digest)
            erased = Erased(self._reserve(cursor, 1), digest)
            traces = int(self._sqlite and removed > 0)
            self._run(cursor, sql.INSERT_ERASURE, (erased.sequence, digest, traces))
        if self._scrubber is not None and traces:
            self._scrubber.wake()
        return erased

    def undo_event(self, user_id: str, event_id: str) -> Undone | None:
        check_id("user_id", user_id)
        check_id("event_id", event_id)
        key = user_id, event_id
        with self._transaction("undo an event", writing=True) as cursor:
            self._reserve(cursor, 0)
            self._run(cursor, sql.UNDO, key)
            if not cursor.rowcount:
                rows = self._run(cursor, sql.UNDONE, key)
                return Undone(rows[0][0], *key) if rows else None
            self._run(cursor, sql.DELETE_BELIEF, (user_id,))
            undone = Undone(self._reserve(cursor, 1), *key)
            self._run(cursor, sql.INSERT_UNDONE, (undone.sequence, *key))
        return undone

    def unscrubbed(self) -> int:
        return 0 if self._scrubber is None else self._scrubber.pending()

    def scrub(self) -> None:
        if self._scrubber is not None:
            self._scrubber.scrub()

    def put_correction(self, user_id: str, persona: int, correction: Correction) -> Corrected:
        check_id("user_id", user_id)
        check_persona(persona)
        with self._transaction("keep a correction", writing=True) as cursor:
            corrected = Corrected(self._reserve(cursor, 1), user_id, persona, correction)
            self._run(cursor, sql.DELETE_CORRECTION, (user_id, persona))
            values = (correction.weight, correction.name, correction.model)
            self._run(cursor, sql.INSERT_CORRECTION, (corrected.sequence, user_id, persona, *values))
        return corrected

    def corrections(self, user_id: str) -> dict[int, Correction]:
        rows = self._read("read corrections", sql.CORRECTIONS, (user_id,))
        return {persona: Correction(*values) for persona, *values in rows}

    def put_setting(self, user_id: str, name: str, value: str | None) -> None:
        check_id("user_id", user_id)
        with self._transaction("keep a setting", writing=True) as cursor:
            self._reserve(cursor, 1)
            self._run(cursor, sql.DELETE_SETTING, (user_id, name))
            if value is not None:
                self._run(cursor, sql.INSERT_SETTING, (user_id, name, value))

    def add_setting(self, user_id: str, name: str, value: str) -> str:
        check_id("user_id", user_id)
        with self._transaction("keep a setting", writing=True) as cursor:
            self._reserve(cursor, 0)
            self._run(cursor, sql.INSERT_SETTING, (user_id, name, value))
            if cursor.rowcount:
                self._reserve(cursor, 1)
            return str(dict(self._run(cursor, sql.SETTINGS, (user_id,)))[name])

    def settings(self, user_id: str) -> dict[str, str]:
        return dict(self._read("read settings", sql.SETTINGS, (user_id,)))

    def save_beliefs(self, beliefs: Mapping[str, SavedBelief]) -> None:
        with self._transaction("save beliefs", writing=True) as cursor:
            self._reserve(cursor, 0)  # no erasure comes in between
            for user, belief in beliefs.items():
                if self._run(cursor, sql.HAS_EVENT, (belief.sequence, user)):
                    self._run(cursor, sql.SAVE_BELIEF, (user, *astuple(belief)))

    def beliefs(self, model: str) -> dict[str, SavedBelief]:
        return {user: SavedBelief(*values) for user, *values in self._read("read beliefs", sql.BELIEFS, (model,))}

    def belief(self, user_id: str) -> SavedBelief | None:
        rows = self._read("read a belief", sql.BELIEF, (user_id,))
        return SavedBelief(*rows[0]) if rows else None

    def put_items(self, items: Sequence[StoredItem], now: int) -> ItemsPut:
        batch = distinct_items(items)
        with self._transaction("put items", writing=True) as cursor:
            self._reserve(cursor, 0)
            changed, added = put_over(self._items(cursor, list(batch)), batch.values(), now)
            if changed:
                self._write_items(cursor, changed)
        return ItemsPut(added, len(changed) - added, len(batch) - len(changed))

    def patch_item(self, item_id: str, changes: Mapping[str, Any], now: int) -> StoredItem:
        with self._transaction("change an item", writing=True) as cursor:
            self._reserve(cursor, 0)
            former = self._items(cursor, [item_id]).get(item_id)
            item = patched(former, item_id, changes, now)
            if item is not None:
                self._write_items(cursor, [item])
                return item
        assert former is not None
        return former

    def delete_item(self, item_id: str, now: int) -> bool:
        with self._transaction("delete an item", writing=True) as cursor:
            self._reserve(cursor, 0)
            former = self._items(cursor, [item_id]).get(item_id)
            if former is not None and former.deleted:
                return False
            self._write_items(cursor, [StoredItem(item_id, available=False, changed_at=now, deleted=True)])
        return True

    def items_since(self, sequence: int) -> tuple[int, tuple[StoredItem, ...]]:
        rows = [item_of(row) for row in self._read("read items", sql.ITEMS_SINCE, (sequence,))]
        return (rows[-1][0] if rows else sequence), tuple(item for _, item in rows)

    def daily_users(self) -> tuple[tuple[str, int, int], ...]:
        return tuple((item, day, users) for item, day, users in self._read("count users", sql.DAILY_USERS))

    def put_impressions(self, impressions: Sequence[Impression]) -> int:
        new = 0
        with self._transaction("record impressions", writing=True) as cursor:
            for one in impressions:
                self._run(cursor, sql.PUT_IMPRESSION, impression_row(one))
                new += cursor.rowcount
        return new

    def put_click(self, user_id: str, recommendation_id: str, item_id: str, time: int) -> bool:
        with self._transaction("record a click", writing=True) as cursor:
            self._run(cursor, sql.CLICK, (time, user_id, recommendation_id, item_id))
            return bool(cursor.rowcount)

    def impressions(self, user_id: str) -> tuple[Impression, ...]:
        return tuple(map(impression_of, self._read("read impressions", sql.IMPRESSIONS, (user_id,))))

    def clicks_by_user(self) -> tuple[UserClicks, ...]:
        return tuple(UserClicks(*row) for row in self._read("count clicks", sql.CLICKS_BY_USER))

    def clicks_by_position(self) -> tuple[PositionClicks, ...]:
        return tuple(PositionClicks(*row) for row in self._read("count clicks", sql.CLICKS_BY_POSITION))

    def put_token(self, token: Token) -> None:
        with self._transaction("keep a token", writing=True) as cursor:
            self._reserve(cursor, 0)
            if self._run(cursor, sql.TOKEN, (token.token_hash,)):
                raise StoreError("there is a token with this hash; make another secret")
            self._run(cursor, sql.INSERT_TOKEN, sql.token_row(token))

    def token(self, token_hash: str) -> Token | None:
        rows = self._read("read a token", sql.TOKEN, (token_hash,))
        return sql.token_of(rows[0]) if rows else None

    def tokens(self) -> list[Token]:
        return [sql.token_of(row) for row in self._read("list tokens", sql.TOKENS)]

    def revoke_token(self, token_hash: str, now: int) -> bool:
        with self._transaction("revoke a token", writing=True) as cursor:
            self._run(cursor, sql.REVOKE, (now, token_hash))
            return bool(self._run(cursor, sql.TOKEN, (token_hash,)))

    def close(self) -> None:
        if self._scrubber is not None:
            self._scrubber.close()
        self._database.close()

    def _reserve(self, cursor: Cursor, count: int) -> int:
        """Become the only writer until the transaction ends; return the first of `count` new sequence numbers."""
        ((last,),) = self._run(cursor, sql.RESERVE, (count,))
        return int(last) - count + 1

    def _stored(self, cursor: Cursor, keys: Sequence[Key]) -> dict[Key, Event | None]:
        """Return the stored events of some users and ids, None for undone ones."""
        stored: dict[Key, Event | None] = {}
        for some in _chunks(keys):
            if self._sqlite:
                statement = sql.STORED_ROWS.format(keys=", ".join(["(?, ?)"] * len(some)))
                rows = self._run(cursor, statement, [part for key in some for part in key])
            else:
                rows = self._run(cursor, sql.STORED_COLUMNS, [list(column) for column in zip(*some, strict=True)])
            stored.update(((row[1], row[0]), None if row[2] is None else Event(*row)) for row in rows)
        return stored

    def _items(self, cursor: Cursor, ids: Sequence[str]) -> dict[str, StoredItem]:
        """Return what is stored of some items."""
        found: dict[str, StoredItem] = {}
        for some in _chunks(ids):
            among, parameters = self._among(some)
            for row in self._run(cursor, sql.ITEMS.format(among=among), parameters):
                found[row[0]] = item_of(row)[1]
        return found

    def _write_items(self, cursor: Cursor, items: Sequence[StoredItem]) -> None:
        """Write items under one new number."""
        sequence = self._reserve(cursor, 1)
        statement = sql.PUT_ITEM if self._sqlite else sql.PUT_ITEM.replace("?", "%s")
        cursor.executemany(statement, [item_row(sequence, item) for item in items])

    def _among(self, ids: Sequence[str]) -> tuple[str, Sequence[object]]:
        """Return the condition that a column is one of some ids, and its parameters."""
        return (f"IN ({', '.join('?' * len(ids))})", ids) if self._sqlite else ("= ANY(?)", (ids,))

    def _migrate(self, cursor: Cursor, *, create: bool) -> None:
        if not self._sqlite:
            self._run(cursor, "SELECT pg_advisory_xact_lock(?)", (_MIGRATION_LOCK,))
        self._run(cursor, SCHEMA)
        ((version,),) = self._run(cursor, "SELECT coalesce(max(version), 0) FROM recsys_schema")
        label = self._database.label
        if version > len(MIGRATIONS):
            raise StoreError(
                f"the event store {label} has schema version {version}, this program knows versions up to "
                f"{len(MIGRATIONS)}; use a newer recsys, or another store"
            )
        if version == 0 and not create:  # the transaction is rolled back
            raise StoreError(
                f"{self._database.label} holds no event store; give the address of one that was served from"
            )
        types = TYPES[self._database.dialect]
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in statements:
                self._run(cursor, statement.format_map(types))
            applied = "INSERT INTO recsys_schema (version, applied) VALUES (?, ?)"
            self._run(cursor, applied, (number, int(time.time())))


def _chunks(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    return (keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK))
