"""Checks for Schemathesis, named by SCHEMATHESIS_HOOKS: every error is a documented one."""

from __future__ import annotations

import time
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

from recsys.events.checks import LARGEST_TIME
from recsys.serving.access import CODES

_INTERNALS = ("Traceback", ".py", "site-packages", "sqlalchemy", "psycopg", "sqlite3")


@schemathesis.check
def documented_error(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """An error has a code of its status, names a cure, and reveals nothing of the implementation."""
    if response.status_code < 400 or case.method.upper() == "HEAD":
        return
    content = response.json()
    assert set(content) == {"error"}, f"not the shape of an error: {content}"
    code, message = content["error"]["code"], content["error"]["message"]
    assert code in CODES[response.status_code], f"{code} does not belong to {response.status_code}"
    assert ";" in message or ":" in message, f"names no cure: {message}"
    assert not any(word in message for word in _INTERNALS), f"reveals internals: {message}"


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    """Put events of the future into the past: what the future is changes while cases are made, so no schema says it."""
    events = case.body.get("events") if isinstance(case.body, dict) else None
    for event in events if isinstance(events, list) else []:
        if not isinstance(event, dict):
            continue
        at = event.get("time")
        if isinstance(at, int | float) and time.time() < at < LARGEST_TIME:
            event["time"] = type(at)(at % 1e9)
