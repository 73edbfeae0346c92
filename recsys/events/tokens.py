"""Bearer tokens, as a store holds them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, final, get_args

from recsys.errors import DataError, nearest
from recsys.events.checks import LONGEST_NAME, check_id, check_text, check_time

Scope = Literal["read", "write", "admin"]
"""What a token allows."""

SCOPES: tuple[Scope, ...] = get_args(Scope)


@final
@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; the secret itself never reaches the store.

    Attributes:
        token_hash: SHA-256 of the secret, 64 hexadecimal digits.
        label: a name for people.
        scopes: what it allows.
        created: Unix seconds.
        user_id: the only user it gives access to; None: all.
        expires: Unix seconds from which on it is invalid; None: never.
        revoked: Unix seconds of its revocation; None: not revoked.

    Raises:
        DataError: naming field, value and cure.
    """

    token_hash: str
    label: str
    scopes: frozenset[Scope]
    created: int
    user_id: str | None = None
    expires: int | None = None
    revoked: int | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.token_hash, str) and re.fullmatch("[0-9a-f]{64}", self.token_hash)):
            raise DataError("token_hash is not a SHA-256; give its 64 hexadecimal digits")
        check_text("label", self.label, LONGEST_NAME)
        for scope in sorted(self.scopes):
            if scope not in SCOPES:
                raise DataError(f"scope is {scope!r}; it must be one of {', '.join(SCOPES)}{nearest(scope, SCOPES)}")
        if not self.scopes:
            raise DataError(f"scopes is empty; a token needs at least one of {', '.join(SCOPES)}")
        if self.user_id is not None:
            check_id("user_id", self.user_id)
        check_time("created", self.created)
        for field in ("expires", "revoked"):
            if getattr(self, field) is not None:
                check_time(field, getattr(self, field))

    def is_valid(self, now: int) -> bool:
        """Return whether it is valid at a time in Unix seconds."""
        return self.revoked is None and (self.expires is None or now < self.expires)
