"""Reads one person's history from a file: ids of items, perhaps with times."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from recsys.data.readers.columns import Role, recognised
from recsys.data.readers.times import moment
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import DataError
from recsys.types import Ints, Items


def read_history(path: Path, items: Vocabulary, clock: str = "seconds") -> tuple[Items, Ints | None]:
    """Return the item numbers of a history, and their times where the file has them.

    The file holds ids one to a line, a CSV with an item and perhaps a time column, or a JSON list of ids or of objects
    with "item" and perhaps "time".

    Raises:
        DataError: naming file, line and value: nothing readable, no item column, no known item.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give a file with the ids of the items, one to a line") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    if not text:
        raise DataError(f"{path}: empty; give the ids of the items, one to a line")
    ids, raw_times = _from_json(path, text) if text[0] == "[" else _from_lines(path, text)
    numbers = items.numbers(ids)
    if (numbers == UNKNOWN).all():
        known = ", ".join(str(identifier) for identifier in items.ids[:5])
        raise DataError(
            f"{path}: none of its {len(ids)} items is known to the model, the first is {ids[0]!r}; "
            f"the model's items are such as {known}"
        )
    times = None if raw_times is None else np.asarray([moment(value, clock) for value in raw_times], dtype=np.int64)
    return numbers, times


def _from_json(path: Path, text: str) -> tuple[list[str], list[str] | None]:
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error})") from error
    if all(isinstance(entry, dict) and "item" in entry for entry in entries):
        timed = [entry["time"] for entry in entries if "time" in entry]
        if timed and len(timed) != len(entries):
            raise DataError(f"{path}: some entries have a time and others do not; give all a time, or none")
        return [str(entry["item"]) for entry in entries], [str(time) for time in timed] or None
    if any(isinstance(entry, dict | list) for entry in entries):
        raise DataError(f'{path}: a history is a list of ids, or of objects with "item" and perhaps "time"')
    return [str(entry) for entry in entries], None


def _from_lines(path: Path, text: str) -> tuple[list[str], list[str] | None]:
    lines = text.splitlines()
    rows = list(csv.reader(lines, delimiter="\t" if "\t" in lines[0] else ","))
    names = [name.strip() for name in rows[0]]
    columns = recognised(names)
    if "item" not in columns:
        if len(names) == 1:
            return [row[0].strip() for row in rows if row], None
        raise DataError(f"{path}, line 1: no item column in {', '.join(names)}; name one 'item'")
    clocks: tuple[Role, ...] = ("time", "order", "period")
    time = next((columns[role] for role in clocks if role in columns), None)
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            line = lines[number - 1]
            raise DataError(f"{path}, line {number}: {len(row)} fields where the header has {len(names)}: {line!r}")
    body = [[field.strip() for field in row] for row in rows[1:]]
    if not body:
        raise DataError(f"{path}: only a header; give the ids of the items, one to a line")
    return [row[columns["item"]] for row in body], None if time is None else [row[time] for row in body]
