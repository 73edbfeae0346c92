"""Logs of the service: one JSON object a line, and no more than a few lines of one kind a minute."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO, final

LINES: Final = 10
"""Lines of one kind (the same message, code and cause) in `SECONDS`; further ones are counted."""

SECONDS: Final = 60.0

_FIELDS: Final = ("code", "cause", "detail", "request_id")
"""What `extra` of a call to a logger may hold."""

_KINDS: Final = 256
"""The most kinds that are counted at once."""


_FOLDERS: Final = re.compile(r"[^\s'\"(=]*[/\\](?=[^\s/\\])")
"""The part of a path before its last name, in a message; a folder's name with a blank in it is not known as such."""


@dataclass
class _Kind:
    """Lines of one kind since some moment."""

    since: float
    last: dict[str, object]
    lines: int = 0
    suppressed: int = 0


@final
class LogLines(logging.Handler):
    """Writes records as lines of JSON, without tracebacks: they hold values that people sent.

    Of a path the line keeps the last name: where a file is, the operator knows, and nobody else shall.

    `suppressed` is the number of lines that were left out: in the next line of their kind, or in a last one at the end.

    Args:
        stream: to write to.
        clock: seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._stream = stream
        self._clock = clock
        self._kinds: dict[tuple[object, ...], _Kind] = {}

    def emit(self, record: logging.LogRecord) -> None:
        fields = {name: getattr(record, name) for name in _FIELDS if getattr(record, name, None)}
        key = (record.name, record.levelno, record.msg, fields.get("code"), fields.get("cause"))
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": " ".join(_FOLDERS.sub("", _message(record)).split()),
            **fields,
            "pid": os.getpid(),
        }
        now = self._clock()
        kind = self._kinds.get(key)
        if kind is None or now - kind.since >= SECONDS:
            if kind is not None and kind.suppressed:
                line["suppressed"] = kind.suppressed
            self._kinds[key] = kind = _Kind(now, line)
            if len(self._kinds) > _KINDS:
                self._report(self._kinds.pop(next(iter(self._kinds))))
        kind.lines += 1
        kind.last = line
        if kind.lines > LINES:
            kind.suppressed += 1
        else:
            self._write(line)

    def close(self) -> None:
        for kind in self._kinds.values():
            self._report(kind)
        self._kinds.clear()
        super().close()

    def _report(self, kind: _Kind) -> None:
        """Write the last line of a kind whose lines were suppressed."""
        if kind.suppressed:
            self._write({**kind.last, "suppressed": kind.suppressed})

    def _write(self, line: dict[str, object]) -> None:
        try:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads, or the disk is full: the service goes on
            pass


def _message(record: logging.LogRecord) -> str:
    """Return the message of a record, with the last names of paths among its arguments."""
    if not isinstance(record.args, tuple) or not record.args:
        return record.getMessage()
    return record.msg % tuple(
        Path(one).name if isinstance(one, (str, Path)) and Path(one).is_absolute() else one for one in record.args
    )


@contextmanager
def log_lines() -> Iterator[None]:
    """Write warnings and errors of all libraries as lines of JSON to standard error, in place of other handlers."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    lines = LogLines(sys.stderr)
    root.handlers[:] = [lines]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        lines.close()
        root.handlers[:] = before
        root.setLevel(level)
