"""Errors as answers: status, code, message with the cure and the id of the request; the log gets the cause."""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from pathlib import Path
from typing import Final

from recsys.errors import CapabilityError, DataError
from recsys.events.store import ConflictError, StoreError
from recsys.models.memories.text.state import TextError
from recsys.policy.ledger import LedgerError
from recsys.serving.access import Code, Denied
from recsys.serving.answers import UnknownError
from recsys.serving.items.cursor import CursorError

LOGGER = logging.getLogger("recsys.serving")

_ERRORS: Final[tuple[tuple[type[Exception], int, Code, str | None], ...]] = (
    (TimeoutError, 503, "timeout", "it took too long; send the same again, events count once"),
    (ConflictError, 409, "event_conflict", None),
    (UnknownError, 404, "not_found", None),
    (StoreError, 503, "store_unavailable", "the event store does not answer; send the same again, events count once"),
    (LedgerError, 503, "ledger_unavailable", "decisions cannot be recorded, so no list is given; try again later"),
    (TextError, 422, "unreadable_text", None),
    (CursorError, 422, "unreadable_cursor", None),
    (DataError, 422, "invalid_value", None),
    (CapabilityError, 409, "not_supported", None),
)
"""Status and code of errors, and a message where not their own. The first that matches counts."""


def new_request_id() -> str:
    """Return an id under which an answer is found in the log."""
    return secrets.token_hex(8)


def denial(error: Exception, request_id: str) -> Denied:
    """Return the answer to an error, without paths, secrets or internals; log what the operator has to know."""
    if isinstance(error, Denied):
        return error
    for kind, status, code, message in _ERRORS:
        if isinstance(error, kind):
            if isinstance(error, StoreError) and status == 503:
                _log("the event store failed", code, error.cause, error.detail, request_id)
            elif isinstance(error, LedgerError):
                _log("a decision could not be recorded", code, "ledger", str(error), request_id)
            elif status == 503:
                _log("an answer took too long, or its body did not come", code, "timeout", "", request_id)
            return Denied(status, code, message or str(error))
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    _log("defect", "internal", type(error).__name__, place, request_id)
    return Denied(500, "internal", "this is a defect of the service; tell its operator the request_id")


def content_of(denied: Denied, request_id: str) -> bytes:
    """Return the JSON of a refusal."""
    error = {"code": denied.code, "message": denied.message, "request_id": request_id}
    return json.dumps({"error": error}).encode()


def _log(message: str, code: Code, cause: str, detail: str, request_id: str) -> None:
    extra = {"code": code, "cause": cause, "detail": detail, "request_id": request_id}
    LOGGER.error("%s (%s%s)", message, cause, f": {detail}" if detail else "", extra=extra)
