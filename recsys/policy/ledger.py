"""An append-only record of decisions: JSON lines, each with the hash of the line before it.

A folder has one file for each process that writes at a time; a lock makes a file one process's own. A line is written
by one system call, so that a process that is killed leaves whole lines; after a loss of power the last line may be
torn, and is cut off when the file is opened again, before anything follows it. Lines reach the disk with the next line
that comes a second later, at the latest when the ledger is closed.

Who a line is about stands in it as a keyed hash. The key is not in the ledger: without it, as after an erasure, nobody
can tell whose line it is, not even by trying all ids.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from recsys.errors import DataError

FIRST: Final = "0" * 64
"""What stands as the hash of the line before the first."""

_NAME: Final = re.compile(r"[0-9]{4}\.jsonl")
_ID: Final = re.compile(r"([0-9]{1,4})-([0-9]{1,15})")
_SYNC = 1.0
"""Seconds between two synchronisations with the disk, while lines come."""


@final
class LedgerError(DataError):
    """A decision cannot be recorded."""


@final
@dataclass(frozen=True)
class Verified:
    """What a check of a ledger found.

    Attributes:
        lines: that are whole, in all files.
        heads: hash of the last line of each file, by its name. Kept elsewhere, they show whether the end was cut off.
        broken: file, line and fault of the first line of each file that is not as it was written.
    """

    lines: int
    heads: Mapping[str, str]
    broken: tuple[str, ...]


@final
class Ledger:
    """Appends decisions to a file that no other process writes. Safe to use from several threads.

    Args:
        folder: of the ledger; it is made where it is missing.

    Raises:
        DataError: the folder cannot be written, or the last line of a file is not a line of a ledger.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._number, self._file = self._own_file()
        except OSError as error:
            raise DataError(f"the ledger {folder} cannot be written: {error.strerror}; give another folder") from None
        self._next, self._previous = self._continued()
        self._synced = time.monotonic()
        self._lock = threading.Lock()
        self._is_torn = False

    def append(self, content: Mapping[str, Any]) -> str:
        """Append one decision and return the id of its line.

        Raises:
            LedgerError: it cannot be written; nothing of it is left in the file when the next line comes.
        """
        with self._lock:
            line = _line(self._next, self._previous, content)
            try:
                if self._is_torn:
                    os.ftruncate(self._file, self._size)
                self._is_torn = True  # until the whole line is there
                if os.write(self._file, line) != len(line):
                    raise OSError(0, "no room is left")
                if time.monotonic() - self._synced > _SYNC:
                    os.fdatasync(self._file)
                    self._synced = time.monotonic()
            except OSError as error:
                raise LedgerError(f"the ledger {self.folder} cannot be written: {error.strerror}; make room") from None
            self._is_torn = False
            self._size += len(line)
            self._previous, number = hashlib.sha256(line).hexdigest(), self._next
            self._next += 1
            return f"{self._number}-{number}"

    def close(self) -> None:
        """Cut off a line that could not be written whole, let everything reach the disk, and release the file."""
        with self._lock:
            if self._is_torn:
                os.ftruncate(self._file, self._size)
            os.fsync(self._file)
            os.close(self._file)

    def _own_file(self) -> tuple[int, int]:
        """Return the number and the descriptor of the first file that no other process has, locked."""
        for number in range(10_000):
            file = os.open(self.folder / f"{number:04}.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                continue
            return number, file
        raise DataError(f"the ledger {self.folder} has 10,000 files, all in use; give another folder")

    def _continued(self) -> tuple[int, str]:
        """Cut off a torn last line; return the number of the next line and the hash of the last."""
        path = self.folder / f"{self._number:04}.jsonl"
        size = path.stat().st_size
        self._size = size if size == 0 else _end_of_whole_lines(path, size)
        os.ftruncate(self._file, self._size)
        if self._size == 0:
            return 0, FIRST
        line = _line_before(path, self._size)
        return _read(line, str(path))["id"] + 1, hashlib.sha256(line).hexdigest()


def keyed_hash(key: str, text: str) -> str:
    """Return what stands in a ledger for a user, or for what the user wrote.

    Args:
        key: of the user, in hexadecimal.
        text: the external id, or what was written.

    >>> keyed_hash("00", "ada") == keyed_hash("01", "ada")
    False
    """
    return hmac.new(bytes.fromhex(key), text.encode(), hashlib.sha256).hexdigest()


def verify(folder: str | Path) -> Verified:
    """Check every line of a ledger against the one before it.

    Raises:
        DataError: there is no ledger.
    """
    lines, heads, broken = 0, {}, list[str]()
    files = _files(folder)
    missing = sorted(set(range(int(files[-1].stem))) - {int(path.stem) for path in files})
    broken += [f"{number:04}.jsonl: it is gone; a writer takes the first number that is free" for number in missing]
    for path in files:
        previous, expected = FIRST, 0
        for number, line in enumerate(_lines(path), start=1):
            fault = _fault(line, previous, expected)
            if fault:
                broken.append(f"{path.name}, line {number}: {fault}")
                break
            previous, expected, lines = hashlib.sha256(line).hexdigest(), expected + 1, lines + 1
        heads[path.name] = previous
    return Verified(lines, heads, tuple(broken))


def entry(folder: str | Path, name: str) -> tuple[dict[str, Any], bool] | None:
    """Return the line with an id, and whether the one after it has its hash (true for the last); None: there is none.

    Raises:
        DataError: the id cannot be read, or a line that was looked at.
    """
    parts = _ID.fullmatch(name)
    if parts is None:
        raise DataError("an id of the ledger is FILE-LINE, such as 0-17; take it from an answer")
    path = Path(folder) / f"{int(parts[1]):04}.jsonl"
    if not path.is_file():
        return None
    found = _search(path, int(parts[2]))
    if found is None:
        return None
    line, after = found
    follows = not after or _read(after, str(path)).get("previous") == hashlib.sha256(line).hexdigest()
    return _read(line, str(path)), follows


def _search(path: Path, wanted: int) -> tuple[bytes, bytes] | None:
    """Return the line with a number and the one after it, by halving: numbers rise by one a line."""
    low, high = 0, path.stat().st_size
    with path.open("rb") as stream:
        while low < high:
            start = _end_of_whole_lines(path, (low + high) // 2)
            stream.seek(start)
            line = stream.readline()
            number = _read(line, str(path))["id"] if line.endswith(b"\n") else wanted + 1
            if number == wanted:
                after = stream.readline()
                return line, after if after.endswith(b"\n") else b""
            low, high = (start + len(line), high) if number < wanted else (low, start)
    return None


def _fault(line: bytes, previous: str, expected: int) -> str:
    if not line.endswith(b"\n"):
        return "it is torn"
    try:
        content = _read(line, "")
    except DataError:
        return "it is not a line of a ledger"
    if content["id"] != expected:
        return f"its id is {content['id']}, after {expected - 1}" if expected else f"its id is {content['id']}, not 0"
    if content["previous"] != previous:
        return "the line before it is not the one after which it was written"
    return ""


def _line(number: int, previous: str, content: Mapping[str, Any]) -> bytes:
    whole = {"id": number, "previous": previous, **content}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode() + b"\n"


def _read(line: bytes, where: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("id"), int) or "previous" not in content:
        raise DataError(
            f"{where} has a line that is not of a ledger; see `recsys policy verify`, and keep it for proof"
        )
    return content


def _files(folder: str | Path) -> list[Path]:
    root = Path(folder)
    found = sorted(path for path in root.iterdir() if _NAME.fullmatch(path.name)) if root.is_dir() else []
    if not found:
        raise DataError(f"{folder} holds no ledger; give the folder that `recsys serve --ledger` writes")
    return found


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        yield from stream


def _end_of_whole_lines(path: Path, size: int) -> int:
    """Return where the last whole line ends."""
    with path.open("rb") as stream:
        end = size
        while end > 0:
            start = max(0, end - 65_536)
            stream.seek(start)
            place = stream.read(end - start).rfind(b"\n")
            if place >= 0:
                return start + place + 1
            end = start
    return 0


def _line_before(path: Path, end: int) -> bytes:
    """Return the line that ends at a place."""
    start = _end_of_whole_lines(path, end - 1)
    with path.open("rb") as stream:
        stream.seek(start)
        return stream.read(end - start)
