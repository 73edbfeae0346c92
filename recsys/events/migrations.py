"""The schema of the SQL event store, as the steps that lead to it.

A step that was released is never changed: what comes next is appended. `{text}` is text that compares by code point,
`{sequence}` the primary key by sequence number, which in SQLite is the table's own order.
"""

from __future__ import annotations

SCHEMA = "CREATE TABLE IF NOT EXISTS recsys_schema (version INTEGER NOT NULL PRIMARY KEY, applied BIGINT)"
"""The versions that were applied, and when (Unix seconds)."""

_FIRST = (
    "CREATE TABLE recsys_store (id INTEGER PRIMARY KEY, last_sequence BIGINT NOT NULL)",
    "INSERT INTO recsys_store (id, last_sequence) VALUES (1, 0)",
    """
    CREATE TABLE recsys_events (
        sequence {sequence},
        event_id {text} NOT NULL UNIQUE,
        user_id {text} NOT NULL,
        item_id {text} NOT NULL,
        value DOUBLE PRECISION NOT NULL,
        time BIGINT NOT NULL,
        kind {text} NOT NULL
    )
    """,
    "CREATE INDEX recsys_events_history ON recsys_events (user_id, time, sequence)",
    "CREATE TABLE recsys_erasures (sequence {sequence}, user_hash {text} NOT NULL)",
    """
    CREATE TABLE recsys_corrections (
        sequence {sequence},
        user_id {text} NOT NULL,
        persona INTEGER NOT NULL,
        weight DOUBLE PRECISION NOT NULL,
        name {text},
        model {text} NOT NULL,
        UNIQUE (user_id, persona)
    )
    """,
    """
    CREATE TABLE recsys_tokens (
        token_hash {text} NOT NULL PRIMARY KEY,
        label {text} NOT NULL,
        scopes {text} NOT NULL,
        created BIGINT NOT NULL,
        user_id {text},
        expires BIGINT,
        revoked BIGINT
    )
    """,
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""Step n leads from schema version n to n + 1."""

TYPES = {
    "sqlite": {"text": "TEXT", "sequence": "INTEGER PRIMARY KEY"},
    "postgresql": {"text": 'TEXT COLLATE "C"', "sequence": "BIGINT PRIMARY KEY"},
}
