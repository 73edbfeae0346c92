"""What a run's model would keep of a user in some bytes, what that says in words, and lists from a text alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recsys.errors import ConfigError, DataError
from recsys.evaluation.memory import mask_bytes
from recsys.experiments.questions import queries_of_run
from recsys.experiments.runs import load_model
from recsys.explanations.reasons.texts import explain_text, written_texts
from recsys.models.memories.exemplars import Exemplars
from recsys.models.memories.stored import item_bytes
from recsys.models.memories.text.grammar import parse, render
from recsys.models.memories.text.reading import TextReader, reading_model


def memory(
    run: Path,
    user: str,
    *,
    capacity: int = 24,
    at: str | None = None,
    source: str | None = None,
    columns: Mapping[str, Any] | None = None,
    allow: Iterable[type | str] = (),
) -> dict[str, Any]:
    """Return what is kept of a user in a number of bytes, and a text about the same history, as plain values.

    The titles in bytes are those that make the scores again; the text has at most as many, of the largest tastes.

    Args:
        run: directory of a finished run whose model folds in.
        user: an external user id of the run's log.
        capacity: bytes.
        at, source, columns, allow: see `recsys.experiments.questions.recommend`.

    Raises:
        ConfigError: the bytes do not hold one event.
        CapabilityError: the model does not fold in.
    """
    model = load_model(run, allow)
    each = item_bytes(model.n_items) + 1
    if capacity < each:
        raise ConfigError(f"bytes is {capacity}, and one event with its weight takes {each}; give at least {each}")
    queries = queries_of_run(model, run, user, None, at, source, columns)
    reader = TextReader(model)
    read = model.read(queries).queries
    kept = Exemplars(capacity // each)
    stored = kept.encode(reading_model(model), read)
    decoded = kept.decode(reading_model(model), stored)
    fitted, weights = model.fitted_on, decoded.weights
    assert weights is not None
    (text,) = written_texts(model, queries, reader, capacity // each)
    return {
        "user": user,
        "events": len(queries.history.items),
        "bytes": int(stored.sizes[0]),
        "bytes_of_what_is_seen": int(mask_bytes(queries, model.n_items)[0]),
        "titles": [
            {"item_id": fitted.items.id_of(item), "title": fitted.metadata.titles[item], "weight": round(weight, 3)}
            for item, weight in sorted(
                zip(decoded.history.items.tolist(), weights.tolist(), strict=True), key=lambda pair: -pair[1]
            )
        ],
        "text": render(text, reader.tables),
    }


def recommend_text(run: Path, path: Path, n: int = 10, allow: Iterable[type | str] = ()) -> list[dict[str, Any]]:
    """Return recommendations for somebody of whom nothing is known but a text, best first, as plain values.

    Args:
        run: directory of a finished run whose model folds in.
        path: file with the text, UTF-8.
        n: length of the list.
        allow: classes from elsewhere that the run's bundle may name.

    Raises:
        DataError: the text cannot be read; the message names the file and the word.
        CapabilityError: the model does not fold in.
    """
    model = load_model(run, allow)
    reader = TextReader(model)
    try:
        text = parse(path.read_text(encoding="utf-8"), reader.tables)
    except UnicodeDecodeError:
        raise DataError(f"{path}: this is no UTF-8 text; save it as UTF-8") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    items, scores = reader.recommend(text, np.zeros(model.n_items, np.bool_), min(n, model.n_items))
    ids = model.fitted_on.items.ids.tolist()
    return [one.to_dict() for one in explain_text(reader, text, items, scores, ids)]
