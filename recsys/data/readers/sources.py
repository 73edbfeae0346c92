"""Opens files in folders and archives, decompressed, and reads them in blocks of whole lines."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast, final

import pyarrow as pa

from recsys.errors import DataError
from recsys.files import refuse_device

_BLOCK_BYTES = 1 << 24
_HEAD_BYTES = 1 << 16
_NAMED = 8
_RATINGS_NAMES = ("u.data", "ratings.dat", "ratings.csv", "ratings.tsv", "ratings.parquet", "ratings.jsonl")
_TABLES = (".parquet", ".feather", ".arrow")
_LOG_SUFFIXES = (
    *(".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".inter", ".jsonl", ".ndjson", ".json", ".arrows", ".ipc"),
    *_TABLES,
)
_PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
_ZIP = b"PK\x03\x04"
# The first bytes tell: a name can promise a compression that the file does not have, or not mention one.
_PACKED: dict[bytes, Callable[[IO[bytes]], object]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": lambda raw: pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd"),
}
_MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""


@final
@dataclass(frozen=True)
class Source:
    """One file, on disk or in a zip archive, or the parts of one table; gzip, bzip2, xz and zstd are decompressed.

    Attributes:
        path: the file, the archive, or the folder of the parts.
        member: the name inside the archive; None for a file.
        parts: files of one table, in their order; empty for a file.
    """

    path: Path
    member: str | None = None
    parts: tuple[Source, ...] = ()

    @property
    def label(self) -> str:
        """The name in errors: the path, with the member of an archive after a colon."""
        return str(self.path) if self.member is None else f"{self.path}: {self.member}"

    @property
    def base(self) -> str:
        """Name without folders and without the suffix of a compression, in lower case."""
        name = (self.path.name if self.member is None else PurePosixPath(self.member).name).lower()
        return next((name.removesuffix(suffix) for suffix in _PACKED_SUFFIXES if name.endswith(suffix)), name)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open for reading bytes.

        Raises:
            DataError: the file cannot be read, or its compression is damaged.
        """
        try:
            with ExitStack() as stack:
                yield self._unpacked(stack)
        except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as error:
            raise DataError(f"{self.label} is damaged ({error}); fetch or copy it again") from error
        except OSError as error:
            if error.errno is None:
                raise DataError(f"{self.label} is damaged ({error}); fetch or copy it again") from error
            cure = "give a file" if isinstance(error, IsADirectoryError) else "check its path and rights"
            raise DataError(f"{self.label} cannot be read ({error.strerror}); {cure}") from error

    def _unpacked(self, stack: ExitStack) -> IO[bytes]:
        try:
            refuse_device(self.path)
            if self.member is None:
                raw: IO[bytes] = stack.enter_context(self.path.open("rb"))
            else:
                raw = stack.enter_context(stack.enter_context(zipfile.ZipFile(self.path)).open(self.member))
        except (ValueError, RuntimeError) as error:  # a name that no file can have; a member with a password
            raise DataError(f"{self.label} cannot be read ({error}); give the path of a plain file") from error
        packed = stack.enter_context(io.BufferedReader(cast(io.RawIOBase, raw), _HEAD_BYTES))
        head = packed.peek(8)
        opener = next((opener for magic, opener in _PACKED.items() if head.startswith(magic)), None)
        if opener is None:
            return packed
        return stack.enter_context(io.BufferedReader(cast(io.RawIOBase, opener(packed)), _HEAD_BYTES))

    @contextmanager
    def open_text(self) -> Iterator[IO[bytes]]:
        """Open for reading lines: as `open`, without a byte order mark, with lines that end with a line feed."""
        with self.open() as stream:
            reader = cast(io.BufferedReader, stream)
            if reader.peek(3).startswith(_MARK):
                reader.read(len(_MARK))
            head = reader.peek(_HEAD_BYTES)
            returns = b"\r" in head.rstrip(b"\r") and b"\n" not in head
            yield io.BufferedReader(_CarriageReturns(reader)) if returns else reader

    def siblings(self) -> list[Source]:
        """Return the files in the same folder of the disk or the archive."""
        if self.member is None:
            return members(self.path.parent)
        folder = PurePosixPath(self.member).parent
        return [source for source in members(self.path) if PurePosixPath(source.member or "").parent == folder]


def members(archive: Path) -> list[Source]:
    """Return the files in a folder or zip archive.

    Raises:
        DataError: it is neither.
    """
    try:
        if archive.is_dir():
            return [Source(path) for path in sorted(archive.iterdir()) if path.is_file()]
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if not name.endswith("/")]
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive} is not a readable zip archive ({error}); fetch or copy it again") from error
    except OSError as error:
        raise DataError(f"{archive} cannot be read ({error.strerror or error}); check its path and rights") from error
    return [Source(archive, name) for name in names if not name.startswith("__MACOSX/")]


def find_log(path: Path) -> Source:
    """Return the log at `path`: the file itself, or the one in a folder or zip archive.

    In a folder or archive this is the file with one of GroupLens' names (`u.data`, `ratings.dat`, `ratings.csv`, ...),
    else the only file that can be a log, else all Parquet or Arrow files as the parts of one log.

    Raises:
        DataError: there is no log, or several files can be it.
    """
    try:
        path.stat()
        archive = path.is_dir() or path.suffix.lower() == ".zip" or _starts_with(path, _ZIP)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; give the path of a log or the name of a dataset card") from None
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({cause}); give the path of a readable file") from error
    if not archive:
        return Source(path)
    inside = members(path)
    for name in _RATINGS_NAMES:
        named = [source for source in inside if source.base == name]
        if len(named) == 1:
            return named[0]
    candidates = [source for source in inside if source.base.endswith(_LOG_SUFFIXES)]
    if not candidates and path.is_dir():  # of a table that is divided by a column: year=2020/part-0.parquet
        candidates = [Source(part) for part in sorted(path.glob("*=*/**/*")) if part.suffix.lower() in _TABLES]
    if len(candidates) == 1:
        return candidates[0]
    if candidates and any(all(part.base.endswith(suffix) for part in candidates) for suffix in _TABLES):
        return Source(path, parts=tuple(candidates))
    names = ", ".join(source.member or source.path.name for source in (candidates or inside)[:_NAMED]) or "nothing"
    problem = "several files can be the log" if candidates else "no file is a log"
    more = ", ..." if len(candidates or inside) > _NAMED else ""
    raise DataError(f"{path}: {problem} ({names}{more}); give the path of one file")


def line_blocks(source: Source, size: int = _BLOCK_BYTES) -> Iterator[tuple[int, bytes]]:
    """Yield (1-based number of the first line, bytes) of consecutive blocks that end with a line.

    The blocks are about `size` bytes, so that memory does not grow with the file.
    """
    line = 1
    with source.open_text() as stream:
        while block := stream.read(size) + stream.readline():
            yield line, block
            line += block.count(b"\n")


@final
class _CarriageReturns(io.RawIOBase):
    """A file whose lines end with carriage returns, read with line feeds instead."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any writable buffer
        block = self._stream.read(len(buffer)).replace(b"\r", b"\n")
        buffer[: len(block)] = block
        return len(block)


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(magic)) == magic
