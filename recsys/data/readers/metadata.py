"""Reads titles, genres and tags from the files beside a log."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recsys.checks import path_of
from recsys.data.items import ItemMetadata
from recsys.data.readers.coded import Coded
from recsys.data.readers.columns import OF_ITEMS, Columns
from recsys.data.readers.layout import detect, split_fields
from recsys.data.readers.parsing import chunks
from recsys.data.readers.rows import genre_names, genres_in
from recsys.data.readers.sources import Source, find_log
from recsys.data.readers.validation import Validator
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import DataError
from recsys.types import Floats

_ITEM_FILES = ("u.item", "movies.dat", "movies.csv")
_TAG_FILES = ("tags.dat", "tags.csv")
_U_ITEM_GENRES_FROM = 5

Described = tuple[str, str, tuple[str, ...]]
"""Item id, title, genres."""


def read_metadata(log: Source, items: Vocabulary, metadata: ItemMetadata) -> ItemMetadata:
    """Read the descriptions of items from the files beside a log.

    Known are `u.item` with `u.genre`, `movies.dat` and `tags.dat`, `movies.csv` and `tags.csv`, as GroupLens writes
    them. They are read only beside a log with one of GroupLens' own names. Items that they lack keep their `metadata`.

    Raises:
        DataError: such a file exists but has a malformed line.
    """
    if log.base not in ("u.data", "ratings.dat", "ratings.csv"):
        return metadata
    beside = {source.base: source for source in log.siblings()}
    for name in _ITEM_FILES:
        if name in beside:
            flags = list(_genre_flags(beside["u.genre"])) if name == "u.item" and "u.genre" in beside else []
            metadata = _described(metadata, items, _descriptions(beside[name], flags))
            break
    for name in _TAG_FILES:
        if name in beside:
            return replace(metadata, tags=_tags(beside[name], items))
    return metadata


def read_items(path: Path, items: Vocabulary, metadata: ItemMetadata, vectors: Path | None = None) -> ItemMetadata:
    """Read titles and genres from a file of items, in any format of logs or as GroupLens writes it.

    Columns are recognised by name: the item (also `id`), `title` or `name`, `genres`, `genre` or `category`. Items that
    the file lacks keep their `metadata`.

    Args:
        path: the file of items.
        items: the items to describe.
        metadata: what is known of them.
        vectors: a file with a vector for each row of the file of items, see `read_vectors`.

    Raises:
        DataError: the file has no such columns or a bad row, or describes none of the items; or there are not as many
            vectors as rows.
    """
    described = _all_described(path)
    ids = [item for item, _, _ in described]
    numbers = items.numbers(ids)
    if not (numbers != UNKNOWN).any():
        known, found = (", ".join(map(str, some[:3])) for some in (items.ids.tolist(), ids))
        raise DataError(
            f"{path}: it describes no item of the log, whose ids are such as {known}; its own are {found or 'none'}; "
            "give a file with the ids of the log in a column named 'item' or 'id'"
        )
    metadata = _described(metadata, items, described)
    if vectors is None:
        return metadata
    rows = _vectors_of(vectors, path, len(ids))
    placed = np.zeros((len(items), rows.shape[1]), np.float32)
    placed[numbers[numbers != UNKNOWN]] = rows[numbers != UNKNOWN]
    return metadata.with_vectors(placed)


def read_new_items(
    path: str | Path, known: Vocabulary, vectors: str | Path | None = None
) -> tuple[Vocabulary, ItemMetadata]:
    """Read the items of a file that a vocabulary does not have, with what the file says of them.

    Args:
        path: a file of items, see `read_items`; it may be the whole catalogue.
        known: the items that are left out.
        vectors: a file with a vector for each of its rows.

    Returns:
        The new ids, of the kind that the known ones have, and their metadata.

    Raises:
        DataError: the file cannot be read, an id comes twice or is of another kind, or no item is new.
    """
    file = path_of("new items", path).expanduser()
    described = _all_described(file)
    ids = [item for item, _, _ in described]
    if repeated := [item for item, count in Counter(ids).items() if count > 1]:
        raise DataError(f"{file}: item {repeated[0]!r} comes twice; list it once")
    new = np.flatnonzero(known.numbers(ids) == UNKNOWN)
    if not len(new):
        raise DataError(f"{file}: the model knows all of its {len(ids)} items already; give a file with new ones")
    chosen = [ids[row] for row in new.tolist()]
    if known.is_integer:
        wrong = [item for item in chosen if not re.fullmatch(r"-?[0-9]{1,18}", item.strip())]
        if wrong:
            raise DataError(
                f"{file}: item {wrong[0]!r} is no whole number, as the ids of the model are; give ids of that kind"
            )
    found = Vocabulary([int(item) for item in chosen] if known.is_integer else chosen)
    metadata = _described(ItemMetadata.untitled(found), found, [described[row] for row in new.tolist()])
    if vectors is not None:
        metadata = metadata.with_vectors(_vectors_of(path_of("item vectors", vectors), file, len(ids))[new])
    return found, metadata


def _vectors_of(path: Path, items: Path, count: int) -> Floats:
    vectors = read_vectors(path.expanduser())
    if len(vectors) != count:
        raise DataError(f"{path}: {len(vectors)} vectors for the {count} rows of {items}; give one for each row")
    return vectors


def _all_described(path: Path) -> list[Described]:
    source = find_log(path)
    if source.base in ("u.item", "movies.dat"):
        beside = {other.base: other for other in source.siblings()}
        flags = list(_genre_flags(beside["u.genre"])) if source.base == "u.item" and "u.genre" in beside else []
        return list(_descriptions(source, flags))
    return list(_described_items(source))


def _described_items(source: Source) -> Iterator[Described]:
    columns = Columns()
    layout = detect(source, columns, required=(), common=OF_ITEMS)
    for roles, what, cure in (
        ({"item"}, "item", "'item' or 'id'"),
        ({"title", "genres"}, "title or the genres", "'title' or 'genres'"),
    ):
        if not roles & layout.roles.keys():
            found = ", ".join(map(repr, layout.names))
            raise DataError(f"{source.label}: no column for the {what} among {found}; name one {cure}")
    validator = Validator(columns)
    for chunk in chunks(layout):
        checked = validator.check(chunk.with_column("user", Coded.of_one("nobody", len(chunk.lines))))
        if checked.rejected:
            line, reason, _ = checked.rejected[0]
            raise DataError(f"{checked.where}, {layout.unit} {line}: {reason}")
        ids = checked.item.decoded()
        texts = {role: column.decoded() for role, column in checked.attributes.items()}
        titles, genres = (texts.get(role, [""] * len(ids)) for role in ("title", "genres"))
        for item, title, names in zip(ids, titles, genres, strict=True):
            yield item, title.strip(), genres_in(names)


def read_attributes(path: Path, items: Vocabulary, metadata: ItemMetadata) -> ItemMetadata:
    """Add attributes from a JSON file `{"item id": [attribute number, ...], ...}` as tags "attribute N".

    They are tags, not genres: there are hundreds of them and they have no names.

    Raises:
        DataError: the file is not such a JSON object.
    """
    try:
        entries = json.loads(_text(Source(path)))
        rows = [tuple(f"attribute {number}" for number in numbers) for numbers in entries.values()]
    except (ValueError, TypeError, AttributeError) as error:
        form = '{"item id": [1, 2]}'
        raise DataError(f"{path} is not a JSON object of the form {form} ({error}); correct it") from error
    tags: list[tuple[str, ...]] = [()] * len(items)
    for number, row in zip(items.numbers(list(entries)).tolist(), rows, strict=True):
        if number != UNKNOWN:
            tags[number] = row
    return replace(metadata, tags=tuple(tags))


def read_vectors(path: Path) -> Floats:
    """Read a matrix from a .npy or .safetensors file; nothing in either is run."""
    try:
        if path.suffix.lower() == ".npy":
            found: np.ndarray[Any, Any] = np.load(path, allow_pickle=False)
        elif path.suffix.lower() == ".safetensors":
            from safetensors.numpy import load_file  # noqa: PLC0415 (only for files of this kind)

            arrays = load_file(path)
            if len(arrays) != 1:
                raise DataError(f"{path}: it has {len(arrays)} arrays ({', '.join(arrays)}); one matrix is expected")
            found = next(iter(arrays.values()))
        else:
            raise DataError(f"{path}: vectors are read from .npy or .safetensors, not {path.suffix or 'no suffix'!r}")
    except DataError:
        raise
    except Exception as error:  # the format's own exceptions
        raise DataError(f"{path}: cannot be read ({str(error) or type(error).__name__}); write it again") from error
    if found.ndim != 2 or found.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: an array of shape {found.shape} and type {found.dtype}; a matrix of numbers is needed"
        )
    return found.astype(np.float32)


def _text(source: Source) -> str:
    """Return the text of a file in UTF-8, or else Latin-1, as in the older MovieLens releases."""
    with source.open() as stream:
        raw = stream.read()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _lines(source: Source) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(_text(source).split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def _genre_flags(source: Source) -> Iterator[str]:
    for number, line in _lines(source):
        name, _, position = line.partition("|")
        if not position.strip().isdigit():
            raise DataError(f"{source.label}, line {number}: {line!r} is not NAME|NUMBER; correct it")
        yield name


def _descriptions(source: Source, genre_flags: list[str]) -> Iterator[Described]:
    if source.base == "u.item":
        for number, line in _lines(source):
            fields = line.split("|")
            if len(fields) < _U_ITEM_GENRES_FROM:
                raise _malformed(source, number, line, "ID|TITLE|DATE|DATE|URL|FLAGS")
            flags = fields[_U_ITEM_GENRES_FROM:]
            names = (name for name, flag in zip(genre_flags, flags, strict=False) if flag.strip() == "1")
            yield fields[0], fields[1], genre_names(names)
    elif source.base == "movies.dat":
        for number, line in _lines(source):
            fields = split_fields(line, "::")
            # A title may hold the separator; the id is before the first, the genres after the last.
            if len(fields) < 3:
                raise _malformed(source, number, line, "ID::TITLE::GENRE|GENRE")
            yield fields[0], "::".join(fields[1:-1]), genre_names(fields[-1].split("|"))
    else:
        for item, title, genres in _csv_rows(source, ("movieId", "title", "genres")):
            yield item, title, genre_names(genres.split("|"))


def _csv_rows(source: Source, names: tuple[str, ...]) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(_text(source), newline=""), strict=True)
    header = next(reader, [])
    missing = [name for name in names if name not in header]
    if missing:
        raise DataError(f"{source.label}, line 1: no column {missing[0]!r} among {header}; fetch the file again")
    positions = [header.index(name) for name in names]
    try:
        for row in reader:
            if len(row) not in (0, len(header)):
                raise _malformed(source, reader.line_num, ",".join(row), ",".join(header))
            if row:
                yield [row[position] for position in positions]
    except csv.Error as error:
        raise DataError(f"{source.label}, line {reader.line_num}: {error}; fetch the file again") from error


def _described(metadata: ItemMetadata, items: Vocabulary, descriptions: Iterable[Described]) -> ItemMetadata:
    ids, titles, genres = zip(*descriptions, strict=True)
    new_titles, new_genres = list(metadata.titles), list(metadata.genres)
    for number, title, names in zip(items.numbers(list(ids)).tolist(), titles, genres, strict=True):
        if number != UNKNOWN:
            new_titles[number] = title or new_titles[number]
            new_genres[number] = names or new_genres[number]
    return replace(metadata, titles=tuple(new_titles), genres=tuple(new_genres))


def _tags(source: Source, items: Vocabulary) -> tuple[tuple[str, ...], ...]:
    """Return the distinct tags of each item, the most used first."""
    tags: list[list[str]] = []
    if source.base == "tags.csv":
        tags.extend(_csv_rows(source, ("movieId", "tag")))
    else:
        for number, line in _lines(source):
            fields = split_fields(line, "::")
            if len(fields) < 4:
                raise _malformed(source, number, line, "USER::ITEM::TAG::TIME")
            tags.append([fields[1], "::".join(fields[2:-1])])
    counts: list[Counter[str]] = [Counter() for _ in range(len(items))]
    for number, (_, text) in zip(items.numbers([item for item, _ in tags]).tolist(), tags, strict=True):
        if number != UNKNOWN and text.strip():
            counts[number][text.strip()] += 1
    return tuple(tuple(sorted(count, key=lambda text: (-count[text], text))) for count in counts)


def _malformed(source: Source, number: int, line: str, form: str) -> DataError:
    return DataError(f"{source.label}, line {number}: malformed row {line[:80]!r}, not {form}; correct it")
