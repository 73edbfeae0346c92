"""Recommendations, personas and similar items in external ids, as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.checks import path_of, whole
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.readers.times import Moment
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.explanations.explain import explain, explain_items
from recsys.explanations.external_ids import Id, check_model, known_numbers, queries_by_id, user_numbers
from recsys.explanations.personas import describe_personas
from recsys.explanations.records import Explanation
from recsys.explanations.similarity import similar
from recsys.files import replacing
from recsys.models.base import Recommendations, Recommender
from recsys.models.personas.model import WithPersonas

Progress = Callable[[int, int], None]
"""Called after each batch with the number of users done and of all users."""


def recommend(
    model: Recommender,
    users: Id | Iterable[Id] | None = None,
    *,
    history: Id | Iterable[Id] | None = None,
    log: Interactions | None = None,
    n: int = 10,
    at: Moment | None = None,
    reasons: bool = True,
) -> pd.DataFrame:
    """Recommend n items to users of a log, or to a person with a given history.

    Args:
        model: a fitted model.
        users: ids of users of the log; all of its users when None.
        history: item ids of one person, oldest first, in place of users and log.
        log: holds the users' events; items that they have used are not recommended.
        n: length of the lists; they are shorter where fewer items may be recommended.
        at: only events strictly before this moment are visible: ISO text, a datetime (UTC if without a zone), or
            a number in the unit of the log's clock.
        reasons: also explain each item. Without, a large batch is several times as fast.

    Returns:
        One row per item, best first: `user_id` (None for a history), `rank` from 1, `item_id`, `title`, `score`, and
        with reasons `reason` and `owner_name`: of the persona that owns the item's seat, or, where a model learned the
        personas, that speaks for it most; None without personas, and for an item that nobody owns.

    Raises:
        ConfigError: neither a log nor a history, or both.
        DataError: users that the log lacks, or a history of which the model knows no item.
        CapabilityError: users that the model cannot serve.
    """
    whole("n", n)
    queries, user_ids = queries_by_id(model, users, history=history, log=log, at=at)
    return _frame(model, queries, user_ids, n, reasons=reasons)


def recommend_all(
    model: Recommender,
    log: Interactions,
    path: str | Path,
    *,
    users: Iterable[Id] | None = None,
    n: int = 10,
    reasons: bool = False,
    batch_size: int = 1024,
    progress: Progress | None = None,
) -> Path:
    """Write the recommendations of all users of a log to one Parquet file, which appears whole or not at all.

    Args:
        model: a fitted model.
        log: holds the users' events.
        path: the .parquet file; its folder is made, and a file that is there is replaced.
        users: ids of users of the log; all of its users when None.
        n: length of the lists.
        reasons: also write `owner_name` and `reason`.
        batch_size: users at a time; memory is bounded by their scores.
        progress: called after each batch.

    Returns:
        The path. The columns are those of `recommend`.

    Raises:
        ConfigError: the path is not one of a .parquet file.
        DataError: users that the log lacks.
        CapabilityError: users that the model cannot serve.
    """
    whole("n", n)
    whole("batch_size", batch_size)
    check_model(model)
    target = path_of("recommend_all", path)
    if target.suffix.lower() != ".parquet" or target.is_dir():
        raise ConfigError(
            f"{target} is {'a directory' if target.is_dir() else 'no .parquet file'}; name a .parquet file"
        )
    if blocked := [str(parent) for parent in target.parents if parent.exists() and not parent.is_dir()]:
        raise ConfigError(f"{target} cannot be made, because {blocked[0]} is a file; choose another folder")
    numbers = user_numbers(model, log, users)
    target.parent.mkdir(parents=True, exist_ok=True)
    user, item = (pa.int64() if ids.is_integer else pa.string() for ids in (log.users, model.fitted_on.items))
    fields = {"user_id": user, "rank": pa.int32(), "item_id": item, "title": pa.string(), "score": pa.float32()}
    schema = pa.schema(fields | ({"owner_name": pa.string(), "reason": pa.string()} if reasons else {}))
    with replacing(target) as partial, pq.ParquetWriter(partial, schema) as writer:
        for start in range(0, len(numbers), batch_size):
            batch = numbers[start : start + batch_size]
            frame = _frame(model, model.fitted_on.queries(log, batch), log.users.ids[batch], n, reasons=reasons)
            writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))
            if progress is not None:
                progress(start + len(batch), len(numbers))
    return target


def explain_to(
    model: Recommender,
    user: Id | None = None,
    *,
    items: Id | Iterable[Id] | None = None,
    history: Id | Iterable[Id] | None = None,
    log: Interactions | None = None,
    n: int = 10,
    at: Moment | None = None,
    evidence: int = 3,
) -> list[Explanation]:
    """Explain to one person why these items would be recommended, or the n best ones.

    Args:
        model: a fitted model.
        user: id of a user of the log.
        items: ids of items to explain, whether or not they are among the n best; None: these. Only an item of the list
            can be told to leave it without some events.
        history: item ids of one person, oldest first, in place of user and log.
        log: holds the user's events.
        n: length of the list without `items`.
        at: only events strictly before this moment are visible: ISO text, a datetime (UTC if without a zone), or
            a number in the unit of the log's clock.
        evidence: past events shown at most for each item.

    Raises:
        ConfigError: neither a log nor a history, or both.
        DataError: the log lacks the user, or the model an item.
        CapabilityError: the model cannot serve the user.
    """
    whole("n", n)
    whole("evidence", evidence, least=0)
    queries, _ = queries_by_id(model, user, history=history, log=log, at=at)
    if len(queries) != 1:
        raise ConfigError(f"explain is for one user, and {len(queries)} are asked for; call it with the id of each")
    if items is None:
        return explain(model, queries, n, evidence=evidence)[0]
    numbers = known_numbers(model.fitted_on.items, items, "items", "the model")
    listed = {one.item_id: one for one in explain(model, queries, min(n, model.n_items), evidence=evidence)[0]}
    scores = model.score(queries)[0].float().cpu().numpy()[numbers]
    asked = explain_items(model, queries, Recommendations(numbers[None], scores[None]), evidence=evidence, searched=0)
    return [listed.get(one.item_id, one) for one in asked[0]]


def personas(
    model: Recommender,
    users: Id | Iterable[Id] | None = None,
    *,
    history: Id | Iterable[Id] | None = None,
    log: Interactions | None = None,
    at: Moment | None = None,
    top: int = 5,
) -> pd.DataFrame:
    """Describe the personas of users.

    Args:
        model: a fitted model with personas.
        users, history, log, at: see `recommend`.
        top: items and genres of each persona at most.

    Returns:
        One row per persona, largest share first: `user_id`, `persona` (its number), `name`, `share` of the history, and
        lists of the titles of its `items` and of its `genres`.

    Raises:
        CapabilityError: the model has no personas, or cannot serve a user.
        ConfigError, DataError: see `recommend`.
    """
    whole("top", top)
    queries, user_ids = queries_by_id(model, users, history=history, log=log, at=at)
    descriptions = describe_personas(model, queries, top=top, recommended=False)
    rows = [
        (user, one.persona, one.name, one.share, [item.title for item in one.items], [has.genre for has in one.genres])
        for user, personas_of_user in zip(user_ids.tolist(), descriptions, strict=True)
        for one in sorted(personas_of_user, key=lambda persona: -persona.share)
    ]
    return pd.DataFrame(rows, columns=["user_id", "persona", "name", "share", "items", "genres"])


def similar_items(model: Recommender, items: Id | Iterable[Id], *, n: int = 10) -> pd.DataFrame:
    """Return the items that go with others, see `recsys.explanations.similarity.similar`.

    Args:
        model: a fitted model.
        items: ids of items that the model knows.
        n: length of the lists.

    Returns:
        One row per pair, best first: `item_id`, `rank` from 1, `similar_item_id`, its `title`, `score`.

    Raises:
        CapabilityError: the model has no similarity between items.
        DataError: ids that the model does not know.
    """
    whole("n", n)
    check_model(model)
    numbers = known_numbers(model.fitted_on.items, items, "items", "the model")
    return _ranked(model, similar(model, numbers, n), "item_id", model.fitted_on.items.ids[numbers], "similar_item_id")


def _frame(model: Recommender, queries: Queries, user_ids: npt.NDArray[Any], n: int, *, reasons: bool) -> pd.DataFrame:
    recommendations = model.recommend(queries, min(n, model.n_items))
    frame = _ranked(model, recommendations, "user_id", user_ids, "item_id")
    if reasons:
        explanations = [one for row in explain_items(model, queries, recommendations) for one in row]
        frame["owner_name"] = _texts([_owner_name(model, one) for one in explanations])
        frame["reason"] = _texts([one.reason for one in explanations])
    return frame


def _owner_name(model: Recommender, explanation: Explanation) -> str | None:
    if isinstance(model, WithPersonas) or not explanation.personas:
        return explanation.owner_name
    return explanation.personas[0].name


def _ranked(
    model: Recommender, lists: Recommendations, owner: str, owner_ids: npt.NDArray[Any], item: str
) -> pd.DataFrame:
    """Return one row per item of the lists; `owner` and `item` name the columns of ids."""
    row, place = np.nonzero(lists.items != UNKNOWN)
    items, fitted = lists.items[row, place], model.fitted_on
    columns = {owner: owner_ids[row], "rank": (place + 1).astype(np.int32), item: fitted.items.ids[items]}
    titles = [fitted.metadata.titles[number] for number in items.tolist()]
    return pd.DataFrame(columns | {"title": _texts(titles), "score": lists.scores[row, place]})


def _texts(values: list[Any]) -> pd.Series[Any]:
    """Return a column of texts, also where it is empty, which pandas would take for numbers."""
    return pd.Series(values, dtype=None if values else object)
