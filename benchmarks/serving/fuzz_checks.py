"""Checks for Schemathesis, named by SCHEMATHESIS_HOOKS: every error is a documented one; and which texts are tried.

Nothing here imports torch, which would take longer than most of the cases.
"""

from __future__ import annotations

import re
import time
from typing import Any

import schemathesis
from hypothesis import strategies
from schemathesis import Case, CheckContext, HookContext, Response

from recsys.events.checks import LARGEST_TIME
from recsys.serving.access import CODES
from recsys.serving.items.cursor import PATTERN

_INTERNALS = ("Traceback", ".py", "site-packages", "sqlalchemy", "psycopg", "sqlite3")
_SECONDS = re.compile("[0-9]{10,11}")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TEXTS = {("PUT", "/v1/users/{user_id}/summary"): "text", ("POST", "/v1/recommendations"): "summary"}
"""Operations that read a text about a taste, and its field: what the schema allows may be no text of the grammar."""

_WORDS = ("mostly ", "Often ", "sometimes ", "A little ", "lately ", "avoids ", "loves ", "never ", "no ")
_PARTS = (
    *(
        "like ",
        " like ",
        "titles ",
        "of the 1990s",
        "of 1991 to 1996",
        "from 2008 on",
        "before 1970",
        "Drama",
        "action",
    ),
    *("i1", "i2", "i1 (1994)", '"i3"', '"', '""', ", ", " and ", ", and ", " & ", "; ", ". ", ".", " ", "\u200b", "\n"),
)
schemathesis.openapi.format(
    "taste-text",
    strategies.just("")
    | strategies.builds(
        "".join,
        strategies.tuples(
            strategies.sampled_from(_WORDS),
            strategies.lists(strategies.sampled_from(_WORDS + _PARTS) | strategies.text(max_size=5), max_size=12).map(
                "".join
            ),
        ),
    ),
)
"""Texts near the grammar, of which some can be read: its words, titles of the service under test, and anything."""


schemathesis.openapi.format(
    "cursor", strategies.sampled_from(["*", "eNqLVjJUiuWCUQAKuAJR"]) | strategies.from_regex(PATTERN)
)
"""The first page, and texts that may be one that no page gave: only the service can tell."""


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


@schemathesis.check
def unreadable_text_alone(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """What the schema allows is refused for nothing but a text that the grammar cannot read, or a cursor of no page."""
    allowed = case.meta is not None and case.meta.generation.mode.is_positive
    if not allowed or response.status_code != 422:
        return
    error = response.json()["error"]
    if error["code"] == "unreadable_cursor":
        given = case.body if isinstance(case.body, dict) and "cursor" in case.body else case.query
        assert (given or {}).get("cursor") not in (None, "*"), "the cursor of the first page can be read"
        return
    assert error["code"] == "unreadable_text", f"refused for something other than a text: {error}"
    field = _TEXTS[case.method.upper(), case.path]
    assert isinstance(case.body, dict), f"there is no {field}"
    assert case.body.get(field), f"an empty {field} says nothing, and can be read"


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    """Mend what no schema says: what the future is."""
    for place in (case.body, case.query):
        if isinstance(place, dict):
            _into_the_past(place, "at")
            _into_the_past(place, "time")
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
