"""The file of rejected rows."""

from __future__ import annotations

import csv
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, final

from recsys.errors import DataError


@final
class Rejects:
    """Collects rejected rows in a CSV file with the columns line, reason, text.

    A context manager: the rows go to a temporary sibling, which is renamed when the block ends without an error. No
    file is made where nothing is rejected.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._stream: IO[str] | None = None
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def add(self, rejected: list[tuple[int, str]], texts: list[str]) -> None:
        """Write rows: number of the line and reason of each, and its raw text.

        Raises:
            DataError: the file cannot be written.
        """
        if not rejected:
            return
        if self._stream is None:
            self._stream = self._open()
            self._writer = csv.writer(self._stream)
            self._writer.writerow(["line", "reason", "text"])
        self.count += len(rejected)
        self._writer.writerows((line, reason, text) for (line, reason), text in zip(rejected, texts, strict=True))

    def _open(self) -> IO[str]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        except OSError as error:
            raise DataError(
                f"rejected rows cannot be written to {self.path} ({error.strerror}); name another file for them"
            ) from error
        self._temporary = Path(name)
        return os.fdopen(handle, "w", encoding="utf-8", newline="")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is None:
            return
        self._stream.close()
        if kind is None:
            self._temporary.chmod(0o644)
            self._temporary.replace(self.path)
        else:
            self._temporary.unlink(missing_ok=True)
