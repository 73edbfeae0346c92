"""What a refusal looks like, and a list that was shown."""

from __future__ import annotations

from typing import Any

from recsys.serving.access import CODES

INVALID = (422, "invalid_request")
VALUE = (422, "invalid_value")
NO_JSON = (400, "invalid_request")
SHOWN = {"user_id": "u0", "recommendation_id": "0123456789abcdef-main-x"}


def code_of(response: Any) -> tuple[int, str]:
    """Return status and code of a refusal, which says nothing of the inside."""
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    assert error["code"] in CODES[response.status_code]
    assert "Traceback" not in error["message"]
    return response.status_code, error["code"]
