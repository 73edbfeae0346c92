"""The statements of the SQL event store, and its rows as records.

A `?` is a parameter, as SQLite's driver writes it; `SqlStore` replaces it for PostgreSQL's.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from recsys.data.kinds import NEGATIVE_KINDS
from recsys.events.items.records import ITEM_COLUMNS
from recsys.events.store import Change, Corrected, Correction, Erased, Event, Recorded, Undone
from recsys.events.tokens import SCOPES, Token
from recsys.types import DAY

LAST = "SELECT last_sequence FROM recsys_store"
RESERVE = "UPDATE recsys_store SET last_sequence = last_sequence + ? RETURNING last_sequence"

# One statement sees one state of the database, so no change is missed between the tables. Each table is cut to the page
# by itself: PostgreSQL would read and sort all of them to cut their union.
SINCE = """
    SELECT * FROM (
        SELECT 0, sequence, event_id, user_id, item_id, value, time, kind, condition FROM recsys_events
        WHERE sequence > ? ORDER BY sequence LIMIT ?
    ) AS recorded
    UNION ALL SELECT * FROM (
        SELECT 1, sequence, user_id, name, model, weight, persona, '', '' FROM recsys_corrections
        WHERE sequence > ? ORDER BY sequence LIMIT ?
    ) AS corrected
    UNION ALL SELECT * FROM (
        SELECT 2, sequence, user_hash, '', '', 0, 0, '', '' FROM recsys_erasures
        WHERE sequence > ? ORDER BY sequence LIMIT ?
    ) AS erased
    UNION ALL SELECT * FROM (
        SELECT 3, sequence, user_id, event_id, '', 0, 0, '', '' FROM recsys_undone
        WHERE sequence > ? ORDER BY sequence LIMIT ?
    ) AS undone
"""
SINCE_TABLES = 4
SEQUENCE = itemgetter(1)
"""The sequence number in a row of `SINCE`."""

STORED_ROWS = """
    WITH sent (sender, id) AS (VALUES {keys})
    SELECT event_id, user_id, item_id, value, time, kind, condition FROM sent
    JOIN recsys_events ON user_id = sender AND event_id = id
    UNION ALL
    SELECT event_id, user_id, NULL, NULL, NULL, NULL, NULL FROM sent
    JOIN recsys_undone ON user_id = sender AND event_id = id
"""
STORED_COLUMNS = """
    SELECT held.* FROM unnest(?::text[], ?::text[]) AS sent (sender, id)
    CROSS JOIN LATERAL (
        SELECT event_id, user_id, item_id, value, time, kind, condition FROM recsys_events
        WHERE user_id = sender AND event_id = id
        UNION ALL
        SELECT event_id, user_id, NULL, NULL, NULL, NULL, NULL FROM recsys_undone
        WHERE user_id = sender AND event_id = id
    ) AS held
"""
"""Stored events, and the ids of undone ones, by user and id: a search of the index for each, in either database."""

INSERT_ROW = """
    INSERT INTO recsys_events (sequence, event_id, user_id, item_id, value, time, kind, condition)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_COLUMNS = """
    INSERT INTO recsys_events (sequence, event_id, user_id, item_id, value, time, kind, condition)
    SELECT * FROM unnest(
        ?::bigint[], ?::text[], ?::text[], ?::text[], ?::double precision[], ?::bigint[], ?::text[], ?::text[]
    )
"""
"""A whole batch in one statement of PostgreSQL."""

HISTORIES = """
    SELECT sequence, event_id, user_id, item_id, value, time, kind, condition FROM recsys_events
    WHERE user_id {among} ORDER BY user_id, time, sequence
"""
COUNT = "SELECT count(*) FROM recsys_events"

UNDO = "DELETE FROM recsys_events WHERE user_id = ? AND event_id = ?"
UNDONE = "SELECT sequence FROM recsys_undone WHERE user_id = ? AND event_id = ?"
INSERT_UNDONE = "INSERT INTO recsys_undone (sequence, user_id, event_id) VALUES (?, ?, ?)"

_OF_USERS = ("events", "undone", "corrections", "settings", "beliefs", "impressions", "tokens")
ERASE = tuple(f"DELETE FROM recsys_{table} WHERE user_id = ?" for table in _OF_USERS)  # noqa: S608
ERASURE = "SELECT max(sequence) FROM recsys_erasures WHERE user_hash = ?"
INSERT_ERASURE = "INSERT INTO recsys_erasures (sequence, user_hash, traces) VALUES (?, ?, ?)"
UNSCRUBBED = "SELECT count(*), coalesce(max(sequence), 0) FROM recsys_erasures WHERE traces = 1"
SCRUBBED = "UPDATE recsys_erasures SET traces = 0 WHERE traces = 1 AND sequence <= ?"

CORRECTIONS = "SELECT persona, weight, name, model FROM recsys_corrections WHERE user_id = ? ORDER BY persona"
DELETE_CORRECTION = "DELETE FROM recsys_corrections WHERE user_id = ? AND persona = ?"
INSERT_CORRECTION = """
    INSERT INTO recsys_corrections (sequence, user_id, persona, weight, name, model) VALUES (?, ?, ?, ?, ?, ?)
"""

SETTINGS = "SELECT name, value FROM recsys_settings WHERE user_id = ? ORDER BY name"
DELETE_SETTING = "DELETE FROM recsys_settings WHERE user_id = ? AND name = ?"
INSERT_SETTING = "INSERT INTO recsys_settings (user_id, name, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

_BELIEF_COLUMNS = "model, sequence, events, state"
BELIEFS = f"SELECT user_id, {_BELIEF_COLUMNS} FROM recsys_beliefs WHERE model = ?"  # noqa: S608
BELIEF = f"SELECT {_BELIEF_COLUMNS} FROM recsys_beliefs WHERE user_id = ?"  # noqa: S608
DELETE_BELIEF = "DELETE FROM recsys_beliefs WHERE user_id = ?"
HAS_EVENT = "SELECT 1 FROM recsys_events WHERE sequence = ? AND user_id = ?"
SAVE_BELIEF = f"""
    INSERT INTO recsys_beliefs (user_id, {_BELIEF_COLUMNS}) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (user_id) DO UPDATE
    SET model = excluded.model, sequence = excluded.sequence, events = excluded.events, state = excluded.state
    WHERE recsys_beliefs.model <> excluded.model OR recsys_beliefs.sequence <= excluded.sequence
"""  # noqa: S608

ITEMS_SINCE = f"SELECT {ITEM_COLUMNS} FROM recsys_items WHERE sequence > ? ORDER BY sequence, item_id"  # noqa: S608
ITEMS = f"SELECT {ITEM_COLUMNS} FROM recsys_items WHERE item_id {{among}}"  # noqa: S608
PUT_ITEM = f"""
    INSERT INTO recsys_items ({ITEM_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (item_id) DO UPDATE SET sequence = excluded.sequence, title = excluded.title, year = excluded.year,
    genres = excluded.genres, metadata = excluded.metadata, available = excluded.available, deleted = excluded.deleted,
    added_at = excluded.added_at, changed_at = excluded.changed_at
"""  # noqa: S608

DAILY_USERS = f"""
    SELECT item_id, time / {DAY}, count(DISTINCT user_id) FROM recsys_events
    WHERE kind NOT IN ({", ".join(repr(kind) for kind in sorted(NEGATIVE_KINDS))}) GROUP BY item_id, time / {DAY}
"""  # noqa: S608

PUT_IMPRESSION = """
    INSERT INTO recsys_impressions (user_id, recommendation_id, item_id, variant, model, position, shown)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
CLICK = """
    UPDATE recsys_impressions SET clicked = coalesce(clicked, ?)
    WHERE user_id = ? AND recommendation_id = ? AND item_id = ?
"""
IMPRESSIONS = """
    SELECT user_id, recommendation_id, item_id, position, shown, clicked FROM recsys_impressions
    WHERE user_id = ? ORDER BY shown, recommendation_id, position
"""
CLICKS_BY_USER = """
    SELECT variant, model, count(DISTINCT recommendation_id), count(*), count(clicked) FROM recsys_impressions
    GROUP BY variant, model, user_id
"""
CLICKS_BY_POSITION = """
    SELECT variant, model, position, count(*), count(clicked) FROM recsys_impressions
    GROUP BY variant, model, position ORDER BY variant, model, position
"""

_TOKEN_COLUMNS = "token_hash, label, scopes, created, user_id, expires, revoked"  # noqa: S105
TOKENS = f"SELECT {_TOKEN_COLUMNS} FROM recsys_tokens ORDER BY created, token_hash"  # noqa: S608
TOKEN = f"SELECT {_TOKEN_COLUMNS} FROM recsys_tokens WHERE token_hash = ?"  # noqa: S608
INSERT_TOKEN = f"INSERT INTO recsys_tokens ({_TOKEN_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
REVOKE = "UPDATE recsys_tokens SET revoked = ? WHERE token_hash = ? AND revoked IS NULL"


def event_row(sequence: int, event: Event) -> tuple[object, ...]:
    """Return an event as the columns of `INSERT_ROW`."""
    said = event.value, event.time, event.kind, event.condition
    return sequence, event.event_id, event.user_id, event.item_id, *said


def token_row(token: Token) -> tuple[object, ...]:
    """Return a token as the columns of `INSERT_TOKEN`."""
    scopes = " ".join(scope for scope in SCOPES if scope in token.scopes)
    return token.token_hash, token.label, scopes, token.created, token.user_id, token.expires, token.revoked


def token_of(row: Sequence[Any]) -> Token:
    """Return the token in a row of `TOKENS`."""
    token_hash, label, scopes, *rest = row
    return Token(token_hash, label, frozenset(scope for scope in SCOPES if scope in scopes.split()), *rest)


def change_of(row: Sequence[Any]) -> Change:
    """Return the change in a row of `SINCE`."""
    kind, sequence, first, second, third, number, integer, last, condition = row
    if kind == 0:
        return Recorded(sequence, Event(first, second, third, number, integer, last, condition))
    if kind == 1:
        return Corrected(sequence, first, integer, Correction(number, second, third))
    return Erased(sequence, first) if kind == 2 else Undone(sequence, first, second)
