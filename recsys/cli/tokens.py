"""`recsys tokens create | list | revoke`: who may use the service."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import Any

from recsys.cli.arguments import Commands, add_actions, add_command, add_json, whole
from recsys.cli.events import add_store
from recsys.cli.render import print_json
from recsys.errors import DataError
from recsys.events.tokens import SCOPES, Token

_ID_DIGITS = 12
"""Digits of a token's hash that serve as its id."""


def add(commands: Commands) -> None:
    """Add `tokens` to the commands of a parser."""
    actions = add_actions(add_command(commands, "tokens", None, "make, list and revoke the tokens of a service"))
    summary = "make a token; its secret is shown this once and kept nowhere"
    creating = add_command(actions, "create", _create, summary)
    creating.add_argument("--label", required=True, help="what to call it, such as the name of the application")
    creating.add_argument(
        "--scopes", nargs="+", choices=SCOPES, default=["read", "write"], help="what it allows (default: read write)"
    )
    creating.add_argument("--user", help="the only user whom it may see and change (default: all)")
    creating.add_argument("--days", type=whole(1, 36_500), help="days until it expires (default: never)")
    listing = add_command(actions, "list", _list, "list the tokens; secrets are not kept")
    revoking = add_command(actions, "revoke", _revoke, "make a token worthless")
    revoking.add_argument("token", help=f"its id in `recsys tokens list`: {_ID_DIGITS} digits or more")
    for parser in (creating, listing, revoking):
        add_store(parser)
        add_json(parser)


def _create(options: argparse.Namespace) -> None:
    from recsys.events.addresses import open_store
    from recsys.serving.access import new_token
    from recsys.types import DAY

    if options.user is not None and "admin" in options.scopes:
        raise DataError("a token of one user cannot have the scope admin; leave out one of the two")
    expires = None if options.days is None else int(time.time()) + options.days * DAY
    secret, token = new_token(options.label, options.scopes, options.user, expires)
    with open_store(options.events) as store:
        store.put_token(token)
    if options.json:
        print_json({"token": secret, **_row(token)}, indent=None)
    else:
        print(secret)


def _list(options: argparse.Namespace) -> None:
    from recsys.events.addresses import open_store

    with open_store(options.events, create=False) as store:
        rows = [_row(token) for token in store.tokens()]
    if options.json:
        print_json(rows, indent=None)
        return
    for row in rows:
        user = f"user {row['user']}" if row["user"] else "all users"
        dates = [f"{name} {_date(row[name])}" for name in ("created", "expires", "revoked") if row[name] is not None]
        print("  ".join([row["id"], row["label"], ",".join(row["scopes"]), user, *dates]))


def _revoke(options: argparse.Namespace) -> None:
    from recsys.events.addresses import open_store

    with open_store(options.events, create=False) as store:
        matches = [token for token in store.tokens() if token.token_hash.startswith(options.token)]
        if len(options.token) < _ID_DIGITS or len(matches) != 1:
            raise DataError(f"{options.token!r} is the id of no token; take it from `recsys tokens list`")
        store.revoke_token(matches[0].token_hash, int(time.time()))
    identifier = _row(matches[0])["id"]
    if options.json:
        print_json({"revoked": identifier}, indent=None)
    else:
        print(f"revoked {identifier}")


def _row(token: Token) -> dict[str, Any]:
    return {
        "id": token.token_hash[:_ID_DIGITS],
        "label": token.label,
        "scopes": [scope for scope in SCOPES if scope in token.scopes],
        "user": token.user_id,
        "created": token.created,
        "expires": token.expires,
        "revoked": token.revoked,
    }


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
