"""Opens files in folders and zip archives, and reads them in blocks of whole lines."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast, final

from recsys.errors import DataError

_BLOCK_BYTES = 1 << 24
_RATINGS_NAMES = ("u.data", "ratings.dat", "ratings.csv", "ratings.tsv", "ratings.parquet", "ratings.jsonl")
_LOG_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".inter", ".parquet", ".jsonl", ".ndjson", ".json")


@final
@dataclass(frozen=True)
class Source:
    """One file, on disk or in a zip archive; gzip is decompressed.

    Attributes:
        path: the file or the archive.
        member: the name inside the archive; None for a file.
    """

    path: Path
    member: str | None = None

    @property
    def label(self) -> str:
        """The name in errors: the path, with the member of an archive after a colon."""
        return str(self.path) if self.member is None else f"{self.path}: {self.member}"

    @property
    def base(self) -> str:
        """Name without folders and without ".gz", in lower case."""
        name = self.path.name if self.member is None else PurePosixPath(self.member).name
        return name.lower().removesuffix(".gz")

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open for reading bytes.

        Raises:
            DataError: the file cannot be read, or its compression is damaged.
        """
        try:
            with ExitStack() as stack:
                if self.member is None:
                    raw: IO[bytes] = stack.enter_context(self.path.open("rb"))
                else:
                    raw = stack.enter_context(stack.enter_context(zipfile.ZipFile(self.path)).open(self.member))
                packed = (self.member or self.path.name).lower().endswith(".gz")
                yield stack.enter_context(cast(IO[bytes], gzip.GzipFile(fileobj=raw))) if packed else raw
        except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{self.label} is damaged ({error}); fetch or copy it again") from error
        except OSError as error:
            raise DataError(f"{self.label} cannot be read: {error.strerror or error}") from error

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
    if archive.is_dir():
        return [Source(path) for path in sorted(archive.iterdir()) if path.is_file()]
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if not name.endswith("/")]
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{archive} is not a readable zip archive ({error}); fetch or copy it again") from error
    return [Source(archive, name) for name in names if not name.startswith("__MACOSX/")]


def find_log(path: Path) -> Source:
    """Return the log at `path`: the file itself, or the one in a folder or zip archive.

    In a folder or archive this is the file with one of GroupLens' names (`u.data`, `ratings.dat`, `ratings.csv`, ...),
    else the only file that can be a log.

    Raises:
        DataError: there is no log, or several files can be it.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; give the path of a log or the name of a dataset card")
    if path.is_file() and path.suffix.lower() != ".zip":
        return Source(path)
    inside = members(path)
    for name in _RATINGS_NAMES:
        named = [source for source in inside if source.base == name]
        if len(named) == 1:
            return named[0]
    candidates = [source for source in inside if source.base.endswith(_LOG_SUFFIXES)]
    if len(candidates) == 1:
        return candidates[0]
    names = ", ".join(source.member or source.path.name for source in candidates or inside) or "nothing"
    problem = "several files can be the log" if candidates else "no file is a log"
    raise DataError(f"{path}: {problem} ({names}); give the path of one file")


def line_blocks(source: Source, size: int = _BLOCK_BYTES) -> Iterator[tuple[int, bytes]]:
    """Yield (1-based number of the first line, bytes) of consecutive blocks that end with a line.

    The blocks are about `size` bytes, so that memory does not grow with the file.
    """
    line = 1
    with source.open() as stream:
        while block := stream.read(size) + stream.readline():
            yield line, block
            line += block.count(b"\n")
