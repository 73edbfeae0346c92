"""Reads one person's history from a file, by the rules for logs: ids of items, perhaps with times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from recsys.data.readers.coded import Coded
from recsys.data.readers.columns import Clock, Columns, clock_of
from recsys.data.readers.layout import detect, is_bare_list
from recsys.data.readers.parsing import chunks
from recsys.data.readers.sources import find_log
from recsys.data.readers.validation import Validator
from recsys.data.uses import kinds_of_values
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import DataError
from recsys.types import Floats, Ints, Items, Kinds


@final
@dataclass(frozen=True, eq=False)
class FileHistory:
    """One person's history.

    Attributes:
        items: "events", int32, numbers of the items; `UNKNOWN` for those that the model does not know.
        times: "events", int64, in the unit of `clock`; None where the file has none.
        clock: the meaning of `times`.
        values: "events", float32, the ratings, NaN for events without one.
        kinds: "events", int8, what was done; without a column for it, events with a rating are ratings.
        unknown_items: the ids that the model does not know, each once.
    """

    items: Items
    times: Ints | None
    clock: Clock
    values: Floats
    kinds: Kinds
    unknown_items: tuple[str, ...]


def read_history(path: Path, items: Vocabulary) -> FileHistory:
    """Return the history in a file of any format that a log can have, without a column for the user.

    It may also be ids one to a line, or a JSON list of ids.

    Raises:
        DataError: naming file, line and value: nothing readable, no item column, no known item.
    """
    source = find_log(path)
    columns = Columns(names=("item",)) if is_bare_list(source) else Columns()
    layout = detect(source, columns, required=("item",))
    validator = Validator(columns)
    ids: list[str] = []
    times: list[Ints] = []
    values: list[Floats] = []
    kinds: list[Kinds] = []
    for chunk in chunks(layout):
        nobody = Coded.of_one("history", len(chunk.lines))
        checked = validator.check(chunk.with_column("user", nobody))
        if checked.rejected:
            raise DataError(f"{checked.where}, {layout.unit} {checked.rejected[0].line}: {checked.rejected[0].reason}")
        ids += checked.item.decoded()
        times.append(checked.time)
        rating = checked.value if "value" in layout.roles else np.full(len(checked.value), np.nan, np.float32)
        values.append(rating)
        kinds.append(kinds_of_values(rating) if checked.kinds is None else checked.kinds)
    if not ids:
        raise DataError(f"{path}: only a header; give the ids of the items, one to a line")
    numbers = items.numbers(ids)
    unknown = tuple(dict.fromkeys(one for one, number in zip(ids, numbers.tolist(), strict=True) if number == UNKNOWN))
    if (numbers == UNKNOWN).all():
        known = ", ".join(str(identifier) for identifier in items.ids[:5])
        raise DataError(
            f"{path}: none of its {len(ids)} items is known to the model, the first is {ids[0]!r}; "
            f"the model's items are such as {known}"
        )
    clock = clock_of(layout.roles)
    time = None if clock == "none" else np.concatenate(times)
    return FileHistory(numbers, time, clock, np.concatenate(values), np.concatenate(kinds), unknown)
