"""Atomic writes of files, and conversion of values to JSON."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recsys.errors import DataError

PICTURES = (".png", ".svg", ".pdf")
"""The suffixes of pictures that can be written."""


def refuse_device(path: Path) -> None:
    """Raise OSError for a device: reading one may never end, and replacing one takes it from every other program."""
    if path.is_char_device() or path.is_block_device():
        raise OSError(errno.EINVAL, "it is a device, not a file", str(path))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, which replaces `path` when the block ends without an error.

    A concurrent reader of `path` sees the old file or the new one, never a part. Errors of the operating system name
    `path`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     [entry.name for entry in Path(folder).iterdir()]
    ['a.txt']
    """
    refuse_device(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary), temporary):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error  # the file that was meant
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, used: str) -> Iterator[None]:
    """Hold the lock of a file, which is made; a process that ends, however it does, releases it.

    Args:
        path: of the file.
        used: what is in use while another process holds the lock, and what to do, as a sentence.

    Raises:
        DataError: another process holds it.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(used) from None
        yield


def write_text(path: Path, text: str) -> Path:
    """Write a text file in one step; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, content: object) -> Path:
    """Write an indented JSON file in one step; NaN and infinity become null."""
    return write_text(path, json.dumps(json_values(content), indent=2, allow_nan=False) + "\n")


def json_values(value: Any) -> Any:  # noqa: ANN401 - any value of JSON
    """Return plain JSON values: numpy scalars as numbers, tuples as lists, NaN and infinity as None.

    >>> json_values({"a": (1.0, float("nan"))})
    {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): json_values(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(entry) for entry in value]
    if hasattr(value, "dtype") and hasattr(value, "item"):  # a numpy scalar, without importing numpy
        return json_values(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
