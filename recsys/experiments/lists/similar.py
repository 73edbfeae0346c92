"""Items that go with items, by a run's model: of one item, or of all in a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from recsys.bundles.index import digest_of
from recsys.bundles.manifest import read_manifest
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import DataError, nearest
from recsys.experiments.lists.files import check_out, write_lines, write_table
from recsys.experiments.lists.parts import PartedFile
from recsys.experiments.lists.rows import id_type
from recsys.experiments.runs import load_model
from recsys.explanations.similarity import similar
from recsys.models.base import Recommender
from recsys.types import Items

_ITEMS: Final = 1024
"""Items of a part."""


def similar_to(run: Path, item: str, n: int, allow: Iterable[type | str] = ()) -> list[dict[str, Any]]:
    """Return the items that go with an item best, as plain values: `item_id`, `title`, `score`.

    Args:
        run: directory of a finished run.
        item: an external id of an item that its model knows.
        n: how many.
        allow: classes from elsewhere that the run's bundle may name.

    Raises:
        CapabilityError: the model has no similarity between items.
        DataError: it does not know the item; the nearest id, or title, is named.
    """
    model = load_model(run, allow)
    fitted = model.fitted_on
    (number,) = fitted.items.numbers([item]).tolist()
    if number == UNKNOWN:
        titled = [place for place, title in enumerate(fitted.metadata.titles) if title.casefold() == item.casefold()]
        hint = f"; {item!r} is the title of {fitted.items.id_of(titled[0])}" if titled else ""
        hint = hint or nearest(item, map(str, fitted.items.ids)) or f"; its items are such as {fitted.items.id_of(0)}"
        raise DataError(f"the model of {run} does not know the item {item!r}{hint}")
    table = _table(model, np.asarray([number], np.int32), n).drop_columns(["item_id", "rank"])
    return [{"item_id": row.pop("similar_item_id"), **row} for row in table.to_pylist()]


def write_similar(
    run: Path,
    out: Path,
    n: int,
    *,
    allow: Iterable[type | str] = (),
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write the items that go with each item of a run's model, in parts as everybody's lists.

    Parquet and CSV have a row for each pair, best first: `item_id`, `rank` from 1, `similar_item_id`, its `title`,
    `score`; JSON lines a line for each item, with its similar `items`.

    Args:
        run: directory of a finished run.
        out: the file: .parquet, .csv or .jsonl.
        n: of each item.
        allow: classes from elsewhere that the run's bundle may name.
        overwrite: replace the file, and parts of another question.
        progress: called with the number of items done and of all items.

    Returns:
        `items`, `kept` from an interrupted command, `seconds`.

    Raises:
        CapabilityError: the model has no similarity between items.
        ConfigError: the ending of the file is none of those that can be written.
        DataError: the file is there.
    """
    check_out(out)
    model = load_model(run, allow)
    count = model.n_items
    _table(model, np.zeros(1, np.int32), 1)  # refused before anything is written
    file = PartedFile(out, {"n": n, "model": digest_of(read_manifest(run / "model")), "items of a part": _ITEMS})
    file.begin(overwrite=overwrite)
    started = time.perf_counter()

    def make(piece: tuple[Items, Path]) -> None:
        numbers, part = piece
        table = _table(model, numbers, n)
        if part.suffix != ".jsonl":
            write_table(part, table)
            return
        of_item: dict[Any, list[dict[str, Any]]] = {}
        for row in table.to_pylist():
            item = {"item_id": row["similar_item_id"], "title": row["title"], "score": row["score"]}
            of_item.setdefault(row["item_id"], []).append(item)
        write_lines(part, ({"item_id": item, "items": items} for item, items in of_item.items()))

    names = ("item_id", "rank", "similar_item_id", "title", "score")
    pieces = [np.arange(start, min(start + _ITEMS, count), dtype=np.int32) for start in range(0, count, _ITEMS)]
    kept = file.write(pieces, make, names, lambda done: progress(min(done * _ITEMS, count), count))
    return {"items": count, "kept": min(kept * _ITEMS, count), "seconds": round(time.perf_counter() - started, 3)}


def _table(model: Recommender, numbers: Items, n: int) -> pa.Table:
    lists = similar(model, numbers, min(n, model.n_items))
    row, place = np.nonzero(lists.items != UNKNOWN)
    items, fitted = lists.items[row, place], model.fitted_on
    return pa.table(
        {
            "item_id": pa.array(fitted.items.ids[numbers[row]], id_type(fitted.items)),
            "rank": pa.array((place + 1).astype(np.int32)),
            "similar_item_id": pa.array(fitted.items.ids[items], id_type(fitted.items)),
            "title": pa.array(fitted.metadata.titles, pa.string()).take(pa.array(items)),
            "score": pa.array(lists.scores[row, place]),
        }
    )
