"""The tables of the SQL event store, its migrations, the statements that go to the driver, and rows as records."""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from recsys.events.migrations import MIGRATIONS, TYPES
from recsys.events.store import SCOPES, Change, Corrected, Correction, Erased, Event, Recorded, StoreError, Token

_MIGRATION_LOCK = 7_283_977_761
"""Any number: processes that open one PostgreSQL database at once migrate it one after the other."""

META = sa.MetaData()
STORE = sa.Table(
    "recsys_store", META, sa.Column("id", sa.Integer, primary_key=True), sa.Column("last_sequence", sa.BigInteger)
)
SCHEMA = sa.Table(
    "recsys_schema",
    META,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("applied", sa.BigInteger),
)
EVENTS = sa.Table(
    "recsys_events",
    META,
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("event_id", sa.Text),
    sa.Column("user_id", sa.Text),
    sa.Column("item_id", sa.Text),
    sa.Column("value", sa.Double),
    sa.Column("time", sa.BigInteger),
    sa.Column("kind", sa.Text),
)
ERASURES = sa.Table(
    "recsys_erasures",
    META,
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("user_hash", sa.Text),
)
CORRECTIONS = sa.Table(
    "recsys_corrections",
    META,
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("user_id", sa.Text),
    sa.Column("persona", sa.Integer),
    sa.Column("weight", sa.Double),
    sa.Column("name", sa.Text),
    sa.Column("model", sa.Text),
)
TOKENS = sa.Table(
    "recsys_tokens",
    META,
    sa.Column("token_hash", sa.Text, primary_key=True),
    sa.Column("label", sa.Text),
    sa.Column("scopes", sa.Text),
    sa.Column("created", sa.BigInteger),
    sa.Column("user_id", sa.Text),
    sa.Column("expires", sa.BigInteger),
    sa.Column("revoked", sa.BigInteger),
)

# Statements for the driver. A `?` is a parameter of SQLite's driver; for PostgreSQL's it becomes `%s`.

LAST = "SELECT last_sequence FROM recsys_store"
RESERVE = "UPDATE recsys_store SET last_sequence = last_sequence + ? RETURNING last_sequence"

# One statement sees one state of the database, so no change is missed between the tables. Each table is cut to the page
# by itself: PostgreSQL would read and sort all of them to cut their union.
SINCE = """
    SELECT * FROM (
        SELECT 0, sequence, event_id, user_id, item_id, value, time, kind FROM recsys_events
        WHERE sequence > ? ORDER BY sequence LIMIT ?
    ) AS recorded
    UNION ALL SELECT * FROM (
        SELECT 1, sequence, user_id, name, model, weight, persona, '' FROM recsys_corrections
        WHERE sequence > ? ORDER BY sequence LIMIT ?
    ) AS corrected
    UNION ALL SELECT * FROM (
        SELECT 2, sequence, user_hash, '', '', 0, 0, '' FROM recsys_erasures
        WHERE sequence > ? ORDER BY sequence LIMIT ?
    ) AS erased
"""
SEQUENCE = itemgetter(1)
"""The sequence number in a row of `SINCE`."""

STORED = "SELECT event_id, user_id, item_id, value, time, kind FROM recsys_events WHERE event_id"
INSERT_ROW = """
    INSERT INTO recsys_events (sequence, event_id, user_id, item_id, value, time, kind) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
INSERT_COLUMNS = """
    INSERT INTO recsys_events (sequence, event_id, user_id, item_id, value, time, kind)
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::double precision[], %s::bigint[],
        %s::text[])
"""
"""A whole batch in one statement of PostgreSQL."""


def migrate(connection: sa.Connection, label: str, *, create: bool) -> None:
    """Bring the schema of a database up to date.

    Args:
        connection: in a transaction that writes.
        label: of the store, for errors.
        create: whether to create the schema where there is none.

    Raises:
        StoreError: there is no schema and none may be created, or it is newer than this program.
    """
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    version = 0
    if sa.inspect(connection).has_table(SCHEMA.name):
        version = connection.execute(sa.select(sa.func.max(SCHEMA.c.version))).scalar_one() or 0
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the event store {label} has schema version {version}, this program knows versions up to "
            f"{len(MIGRATIONS)}; use a newer recsys, or another store"
        )
    if version == 0:
        if not create:
            raise StoreError(f"{label} holds no event store; give the address of one that was served from")
        connection.execute(sa.schema.CreateTable(SCHEMA))
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        for statement in statements:
            connection.exec_driver_sql(statement.format_map(TYPES[dialect]))
        connection.execute(SCHEMA.insert(), {"version": number, "applied": int(time.time())})


def reserve(connection: sa.Connection, count: int) -> int:
    """Become the only writer until the transaction ends; return the first of `count` new sequence numbers."""
    last = STORE.c.last_sequence
    update = STORE.update().values(last_sequence=last + count).returning(last)
    return int(connection.execute(update).scalar_one()) - count + 1


def token_of(token_hash: str) -> sa.Select[Any]:
    """Return the query of the token with a hash."""
    return sa.select(TOKENS).where(TOKENS.c.token_hash == token_hash)


def recorded(row: sa.Row[Any]) -> Recorded:
    """Return the record of a row of `EVENTS`."""
    return Recorded(row.sequence, Event(row.event_id, row.user_id, row.item_id, row.value, row.time, row.kind))


def correction(row: sa.Row[Any]) -> Correction:
    """Return the correction in a row of `CORRECTIONS`."""
    return Correction(row.weight, row.name, row.model)


def change(row: Sequence[Any]) -> Change:
    """Return the record of a row of `SINCE`."""
    kind, sequence, first, second, third, number, integer, last = row
    if kind == 0:
        return Recorded(sequence, Event(first, second, third, number, integer, last))
    if kind == 1:
        return Corrected(sequence, first, integer, Correction(number, second, third))
    return Erased(sequence, first)


def token(row: sa.Row[Any]) -> Token:
    """Return the token of a row of `TOKENS`."""
    scopes = frozenset(scope for scope in SCOPES if scope in row.scopes.split())
    return Token(row.token_hash, row.label, scopes, row.created, row.user_id, row.expires, row.revoked)
