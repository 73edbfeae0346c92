"""Checks for Schemathesis, named by SCHEMATHESIS_HOOKS: every error is a documented one."""

from __future__ import annotations

import re
import time
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

from recsys.events.checks import LARGEST_TIME
from recsys.serving.access import CODES

_INTERNALS = ("Traceback", ".py", "site-packages", "sqlalchemy", "psycopg", "sqlite3")
_SECONDS = re.compile("[0-9]{10,11}")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


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
    """Mend what no schema says: what the future is, what takes the place of what, and the grammar of summaries."""
    if case.path == "/v1/recommendations" and isinstance(case.body, dict) and "summary" not in case.body:
        case.body.setdefault("history", [])
    for place in (case.body, case.query):
        if isinstance(place, dict):
            _into_the_past(place, "at")
            if any(place.get(name) is not None for name in ("history", "at", "persona")):
                place.pop("summary", None)
            for name in ("summary", "text"):
                if isinstance(place.get(name), str):
                    place[name] = ""
            for name in ("events", "history"):
                events = place.get(name)
                for event in events if isinstance(events, list) else []:
                    if isinstance(event, dict):
                        _into_the_past(event, "time")


def _into_the_past(fields: dict[str, Any], name: str) -> None:
    given = fields.get(name)
    if isinstance(given, int | float) and time.time() < given < LARGEST_TIME:
        fields[name] = type(given)(given % 1e9)
    elif isinstance(given, str) and name == "at":
        if _SECONDS.fullmatch(given):
            fields[name] = given[:9]
        elif _DATE.match(given) and given > "2020":
            fields[name] = f"2000{given[4:]}"  # a leap year
