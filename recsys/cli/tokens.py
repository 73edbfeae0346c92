"""`recsys tokens create | list | revoke`: who may use the service."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from recsys.cli.events import add_action
from recsys.errors import DataError
from recsys.events.addresses import open_store
from recsys.events.store import SCOPES, Token
from recsys.serving.access import new_token
from recsys.types import DAY

_PREFIX = 12
"""Digits of a hash by which people call a token."""


def add_tokens(commands: Any) -> None:  # noqa: ANN401 (argparse's collection of subcommands has no public type)
    """Add `tokens` to the commands of a parser."""
    summary = "make, list and revoke the tokens of a service"
    parser = commands.add_parser("tokens", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    actions = parser.add_subparsers(title="actions", dest="action", required=True, metavar="ACTION")
    making = add_action(actions, "create", _create, "make a token; its secret is shown this once and kept nowhere")
    making.add_argument("--label", required=True, help="what to call it, such as the name of the application")
    making.add_argument(
        "--scopes", nargs="+", choices=SCOPES, default=["read", "write"], help="what it allows (default: read write)"
    )
    making.add_argument("--user", help="the only user whom it may see and change (default: all)")
    making.add_argument("--days", type=int, help="days until it expires (default: never)")
    add_action(actions, "list", _list, "list the tokens; secrets are not kept")
    revoking = add_action(actions, "revoke", _revoke, "make a token worthless")
    revoking.add_argument("token", help=f"its id in `recsys tokens list`: {_PREFIX} digits or more")


def _create(options: argparse.Namespace) -> None:
    if options.days is not None and options.days < 1:
        raise DataError(f"--days is {options.days}; give at least 1")
    if options.user is not None and "admin" in options.scopes:
        raise DataError("a token of one user cannot have the scope admin; leave out one of the two")
    expires = None if options.days is None else int(time.time()) + options.days * DAY
    secret, token = new_token(options.label, options.scopes, options.user, expires)
    with open_store(options.events) as store:
        store.put_token(token)
    if options.json:
        sys.stdout.write(json.dumps({"token": secret, **_row(token)}) + "\n")
    else:
        sys.stdout.write(f"{secret}\n")


def _list(options: argparse.Namespace) -> None:
    with open_store(options.events, create=False) as store:
        rows = [_row(token) for token in store.tokens()]
    if options.json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    for row in rows:
        facts = [
            row["id"],
            row["label"],
            ",".join(row["scopes"]),
            f"user {row['user']}" if row["user"] else "all users",
        ]
        facts += [f"{name} {_date(row[name])}" for name in ("created", "expires", "revoked") if row[name] is not None]
        sys.stdout.write("  ".join(facts) + "\n")


def _revoke(options: argparse.Namespace) -> None:
    with open_store(options.events, create=False) as store:
        found = [token for token in store.tokens() if token.token_hash.startswith(options.token)]
        if len(options.token) < _PREFIX or len(found) != 1:
            raise DataError(f"{options.token!r} is the id of no token; take it from `recsys tokens list`")
        store.revoke_token(found[0].token_hash, int(time.time()))
        row = _row(found[0])
    sys.stdout.write((json.dumps({"revoked": row["id"]}) if options.json else f"revoked {row['id']}") + "\n")


def _row(token: Token) -> dict[str, Any]:
    return {
        "id": token.token_hash[:_PREFIX],
        "label": token.label,
        "scopes": [scope for scope in SCOPES if scope in token.scopes],
        "user": token.user_id,
        "created": token.created,
        "expires": token.expires,
        "revoked": token.revoked,
    }


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
