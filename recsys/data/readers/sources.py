"""Opens files in folders and zip archives, and reads them in blocks of whole lines."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast, final

from recsys.errors import DataError

BLOCK_BYTES = 1 << 24

RATINGS_NAMES = ("u.data", "ratings.dat", "ratings.csv", "ratings.tsv", "ratings.parquet", "ratings.jsonl")
LOG_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".inter", ".parquet", ".jsonl", ".ndjson", ".json")


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
            if self.member is None:
                with self.path.open("rb") as raw, _unpacked(raw, self.path.name) as stream:
                    yield stream
            else:
                with (
                    zipfile.ZipFile(self.path) as archive,
                    archive.open(self.member) as inside,
                    _unpacked(inside, self.member) as stream,
                ):
                    yield stream
        except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{self.label} is damaged ({error}); fetch or copy it again") from error
        except OSError as error:
            raise DataError(f"{self.label} cannot be read: {error.strerror or error}") from error

    def siblings(self) -> list[Source]:
        """Return the files in the same folder of the disk or the archive."""
        if self.member is None:
            return [Source(path) for path in sorted(self.path.parent.iterdir()) if path.is_file()]
        folder = PurePosixPath(self.member).parent
        return [source for source in members(self.path) if PurePosixPath(source.member or "").parent == folder]


def _unpacked(stream: IO[bytes], name: str) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if name.lower().endswith(".gz") else stream


def members(archive: Path) -> list[Source]:
    """Return the files in a zip archive.

    Raises:
        DataError: it is not a zip archive.
    """
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
    is_archive = path.is_file() and path.suffix.lower() == ".zip"
    if path.is_file() and not is_archive:
        return Source(path)
    inside = members(path) if is_archive else [Source(entry) for entry in sorted(path.iterdir()) if entry.is_file()]
    for name in RATINGS_NAMES:
        named = [source for source in inside if source.base == name]
        if len(named) == 1:
            return named[0]
    candidates = [source for source in inside if source.base.endswith(LOG_SUFFIXES)]
    if len(candidates) == 1:
        return candidates[0]
    kind = "archive" if is_archive else "folder"
    names = ", ".join(source.member or source.path.name for source in candidates or inside) or "nothing"
    problem = "several files can be the log" if candidates else "no file is a log"
    raise DataError(f"{path}: in this {kind} {problem} ({names}); give the path of one file")


def line_blocks(source: Source, size: int = BLOCK_BYTES) -> Iterator[tuple[int, bytes]]:
    """Yield (1-based number of the first line, bytes) of consecutive blocks that end with a line.

    The blocks are about `size` bytes, so that memory does not grow with the file.
    """
    line = 1
    rest = b""
    with source.open() as stream:
        while piece := stream.read(size):
            cut = piece.rfind(b"\n") + 1
            if not cut:
                rest += piece
                continue
            block = rest + piece[:cut]
            rest = piece[cut:]
            yield line, block
            line += block.count(b"\n")
    if rest:
        yield line, rest
