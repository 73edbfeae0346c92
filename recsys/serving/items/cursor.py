"""Cursors: where the next page of a list begins, as a text that clients hand back as it is."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from typing import Any, Final, final

from recsys.errors import DataError

FIRST: Final = "*"
"""The cursor of the first page, which asks for one of the next."""

PATTERN: Final = r"^(\*|[A-Za-z0-9_-]+)$"

LONGEST: Final = 8_000
"""Characters of a cursor, so that it fits into the head of a request."""


@final
class CursorError(DataError):
    """A cursor that no page gave, or one of another question."""


_LARGEST = 1_000_000
"""Bytes that a cursor may unfold to."""


def encoded(place: Sequence[Any]) -> str | None:
    """Return a place as a cursor; None where it would be too long for one.

    >>> decoded(encoded(["a", 7]) or "")
    ['a', 7]
    """
    packed = zlib.compress(json.dumps(place, separators=(",", ":"), ensure_ascii=False).encode(), 9)
    text = base64.urlsafe_b64encode(packed).decode().rstrip("=")
    return text if len(text) <= LONGEST else None


def decoded(cursor: str) -> list[Any]:
    """Return the place of a cursor; nothing for the first page.

    Raises:
        CursorError: no page gave this cursor.
    """
    if cursor == FIRST:
        return []
    try:
        unfold = zlib.decompressobj()
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = json.loads(unfold.decompress(packed, _LARGEST))
    except (ValueError, binascii.Error, zlib.error, RecursionError):
        place = None
    if not isinstance(place, list) or not place:
        raise CursorError(
            f"cursor cannot be read; give {FIRST!r} for the first page, then the next_cursor of each page"
        )
    return place
