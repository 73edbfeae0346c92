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

_SECOND = (
    # Ids of events are unique per user. Schema 1 wrote 1 where an event had no rating, which becomes NULL: always for
    # likes and dismissals, which are no ratings; for uses only where no use in the store has another value. Else some
    # are ratings of 1, nothing tells which, and a lost rating could not be restored.
    """
    CREATE TABLE recsys_events_of_users (
        sequence {sequence},
        user_id {text} NOT NULL,
        event_id {text} NOT NULL,
        item_id {text} NOT NULL,
        value DOUBLE PRECISION,
        time BIGINT NOT NULL,
        kind {text} NOT NULL,
        UNIQUE (user_id, event_id)
    )
    """,
    """
    INSERT INTO recsys_events_of_users (sequence, user_id, event_id, item_id, value, time, kind)
    SELECT sequence, user_id, event_id, item_id,
        CASE WHEN value = 1
            AND (kind <> 'use' OR NOT EXISTS (SELECT 1 FROM recsys_events WHERE kind = 'use' AND value <> 1))
        THEN NULL ELSE value END,
        time, kind
    FROM recsys_events
    """,
    "DROP TABLE recsys_events",
    "ALTER TABLE recsys_events_of_users RENAME TO recsys_events",
    "CREATE INDEX recsys_events_history ON recsys_events (user_id, time, sequence)",
    """
    CREATE TABLE recsys_undone (
        sequence {sequence},
        user_id {text} NOT NULL,
        event_id {text} NOT NULL,
        UNIQUE (user_id, event_id)
    )
    """,
    # 1 while copies of erased rows may be left in SQLite's file. Schema 1 noted that in the file's header; the last
    # erasure takes over, at the price of one rewriting that may not be needed.
    "ALTER TABLE recsys_erasures ADD COLUMN traces INTEGER NOT NULL DEFAULT 0",
    "UPDATE recsys_erasures SET traces = 1 WHERE sequence = (SELECT max(sequence) FROM recsys_erasures)",
    "CREATE INDEX recsys_erasures_user ON recsys_erasures (user_hash)",
)

_THIRD = (
    """
    CREATE TABLE recsys_beliefs (
        user_id {text} NOT NULL PRIMARY KEY,
        model {text} NOT NULL,
        sequence BIGINT NOT NULL,
        events BIGINT NOT NULL,
        state {bytes} NOT NULL
    )
    """,
)

_FOURTH = (
    # Schema 3 knew three kinds: use, with or without a rating, like, and dismiss. A like and a dislike have no value.
    "UPDATE recsys_events SET value = NULL WHERE kind IN ('like', 'dismiss')",
    "UPDATE recsys_events SET kind = 'rating' WHERE kind = 'use' AND value IS NOT NULL",
    "UPDATE recsys_events SET kind = 'dislike' WHERE kind = 'dismiss'",
)

_FIFTH = (
    """
    CREATE TABLE recsys_settings (
        user_id {text} NOT NULL,
        name {text} NOT NULL,
        value {text} NOT NULL,
        PRIMARY KEY (user_id, name)
    )
    """,
)

_SIXTH = ("ALTER TABLE recsys_events ADD COLUMN condition {text}",)

_SEVENTH = (
    # What is NULL is as the model has it. Deleted items stay as rows without content: so every process learns of it.
    """
    CREATE TABLE recsys_items (
        item_id {text} NOT NULL PRIMARY KEY,
        sequence BIGINT NOT NULL,
        title {text},
        year INTEGER,
        genres {text},
        metadata {text},
        available INTEGER NOT NULL,
        deleted INTEGER NOT NULL,
        added_at BIGINT,
        changed_at BIGINT NOT NULL
    )
    """,
    "CREATE INDEX recsys_items_sequence ON recsys_items (sequence)",
)

_EIGHTH = (
    """
    CREATE TABLE recsys_impressions (
        user_id {text} NOT NULL,
        recommendation_id {text} NOT NULL,
        item_id {text} NOT NULL,
        variant {text} NOT NULL,
        model {text} NOT NULL,
        position INTEGER NOT NULL,
        shown BIGINT NOT NULL,
        clicked BIGINT,
        PRIMARY KEY (user_id, recommendation_id, item_id)
    )
    """,
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH, _SEVENTH, _EIGHTH)
"""Step n leads from schema version n to n + 1."""

TYPES = {
    "sqlite": {"text": "TEXT", "sequence": "INTEGER PRIMARY KEY", "bytes": "BLOB"},
    "postgresql": {"text": 'TEXT COLLATE "C"', "sequence": "BIGINT PRIMARY KEY", "bytes": "BYTEA"},
}
