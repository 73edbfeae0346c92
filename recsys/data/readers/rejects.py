"""Rows that cannot be used, and the file that lists them."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, final

from recsys.data.readers.columns import Role
from recsys.errors import DataError
from recsys.files import replacing


@final
class Reject(NamedTuple):
    """A row that cannot be used.

    Attributes:
        line: its line or row.
        reason: the fault and its cure.
        role: of the column at fault; None for a malformed row.
    """

    line: int
    reason: str
    role: Role | None = None


@final
class Rejects:
    """Collects rejected rows in a CSV file with the columns line, reason, text.

    A context manager: the file appears when the block ends without an error, and only if there are rejected rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._writer: Any = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def add(self, rejected: list[Reject], texts: list[str]) -> None:
        """Write rows, each with its raw text.

        Raises:
            DataError: the file cannot be written.
        """
        if not rejected:
            return
        if self._writer is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                temporary = self._open.enter_context(replacing(self.path))
                stream = self._open.enter_context(temporary.open("w", encoding="utf-8", newline=""))
            except OSError as error:
                raise DataError(
                    f"rejected rows cannot be written to {self.path} ({error.strerror}); name another file for them"
                ) from error
            self._writer = csv.writer(stream)
            self._writer.writerow(["line", "reason", "text"])
        self.count += len(rejected)
        self._writer.writerows((row.line, row.reason, text) for row, text in zip(rejected, texts, strict=True))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
