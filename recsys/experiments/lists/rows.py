"""Lists as columns: one row for each place of each user's list, in the types of Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.explanations.found import names_of_found
from recsys.explanations.reasons.columns import ExplanationColumns
from recsys.models.base import Recommendations, Recommender
from recsys.models.personas.model import WithPersonas
from recsys.models.slated import Slated
from recsys.types import Ints

_REASONS = (
    *("owner_share", "reason", "reason_kind", "certainty", "certainty_word", "low_certainty", "evidence_kind"),
    *("recent", "year"),
)
"""Columns that are fields of an `Explanation`, whose types follow from their annotations."""

_TYPES = {
    **dict.fromkeys(("title", "owner_name", "reason", "reason_kind", "certainty_word", "evidence_kind"), pa.string()),
    **dict.fromkeys(("owner_share", "certainty", "recent", "contribution", "share", "rating", "weight"), pa.float64()),
    **dict.fromkeys(("rank", "owner", "year", "persona"), pa.int32()),
    **{"score": pa.float32(), "low_certainty": pa.bool_(), "age": pa.int64(), "name": pa.string()},
}


_NOBODY: Final[Mapping[str, Sequence[Any]]] = {"persona": (), "name": (), "weight": ()}


def id_type(ids: Vocabulary) -> pa.DataType:
    """Return the type of a column of ids."""
    return pa.int64() if ids.is_integer else pa.string()


def plain_table(
    model: Recommender, users: Vocabulary, ids: Sequence[Any], queries: Queries, lists: Recommendations
) -> pa.Table:
    """Return lists without reasons: `user_id`, `rank` from 1, `item_id`, `title`, `score`, `owner`, `owner_name`.

    The owner has the item's seat: the persona, by its public number, or the taste. Null for lists without seats and
    for an item that nobody owns.

    Args:
        model: that made the lists.
        users: of the log.
        ids: "queries", of those whose lists they are.
        queries: of the same users.
        lists: the lists.
    """
    row, place = np.nonzero(lists.items != UNKNOWN)
    items, fitted = lists.items[row, place], model.fitted_on
    owner, names = _owners(model, queries, lists, row, place)
    return pa.table(
        {
            "user_id": pa.array(ids, id_type(users)).take(pa.array(row)),
            "rank": pa.array((place + 1).astype(np.int32)),
            "item_id": pa.array(fitted.items.ids[items], id_type(fitted.items)),
            "title": pa.array(fitted.metadata.titles, pa.string()).take(pa.array(items)),
            "score": pa.array(lists.scores[row, place]),
            "owner": owner,
            "owner_name": names,
        }
    )


def _owners(
    model: Recommender, queries: Queries, lists: Recommendations, row: Ints, place: Ints
) -> tuple[pa.Array, pa.Array]:
    """Return the numbers and the names of the owners of some seats."""
    if lists.owners is None or not isinstance(model, WithPersonas | Slated):
        return pa.nulls(len(row), pa.int32()), pa.nulls(len(row), pa.string())
    seat = lists.owners[row, place]
    mask = seat == UNKNOWN
    if isinstance(model, Slated):
        return pa.array(seat, pa.int32(), mask=mask), pa.array(model.seat_names, pa.string()).take(
            pa.array(seat, pa.int32(), mask=mask)
        )
    found = model.found(queries)
    names = names_of_found(model, queries, found)
    said = [
        None if owner == UNKNOWN or (name := names[user][owner]) is None else name.text
        for user, owner in zip(row.tolist(), seat.tolist(), strict=True)
    ]
    return pa.array(found.numbers[row, np.maximum(seat, 0)], pa.int32(), mask=mask), pa.array(said, pa.string())


def explained_table(model: Recommender, users: Vocabulary, ids: Sequence[Any], columns: ExplanationColumns) -> pa.Table:
    """Return lists with their reasons: the columns of `plain_table` and those of an `Explanation`.

    `owner` and `owner_name` are also those of the persona that speaks most for an item, where a model learned the
    personas. `evidence` and `personas` are lists of structures, `without` and `genres` lists.

    Args:
        model: that made the lists.
        users: of the log.
        ids: "queries", of those whose lists they are.
        columns: the lists.
    """
    fitted = model.fitted_on
    item, numbers = id_type(fitted.items), fitted.items.ids.tolist()
    fields = columns.fields(numbers)
    types = _TYPES | {"item_id": item}
    first = np.searchsorted(columns.row, columns.row)
    owners: dict[str, Sequence[Any]] = {name: fields[name] for name in ("owner", "owner_name")}
    if columns.seats:
        owners = {"owner": [None] * len(columns), "owner_name": columns.seats}
    elif columns.personas and not isinstance(model, WithPersonas | Slated):
        most = [personas[0] if personas else None for personas in columns.personas]
        owners = {"owner": [one and one.persona for one in most], "owner_name": [one and one.name for one in most]}
    genres, evidence = fields["genres"], columns.evidence(numbers)
    shares = [(one.persona, one.name, one.weight) for personas in columns.personas for one in personas]
    personas = dict(zip(("persona", "name", "weight"), zip(*shares, strict=True), strict=True)) if shares else _NOBODY
    return pa.table(
        {
            "user_id": pa.array(ids, id_type(users)).take(pa.array(columns.row)),
            "rank": pa.array((np.arange(len(columns)) - first + 1).astype(np.int32)),
            **{name: pa.array(fields[name], types[name]) for name in ("item_id", "title", "score")},
            **{name: pa.array(values, types[name]) for name, values in owners.items()},
            **{name: pa.array(fields[name], types[name]) for name in _REASONS},
            "without": _nested(columns.counts(columns.without), pa.array(columns.gone(numbers), item)),
            "genres": _nested([len(each) for each in genres], pa.array(list(chain.from_iterable(genres)), pa.string())),
            "personas": _nested([len(each) for each in fields["personas"]], _structures(personas, types)),
            "evidence": _nested(columns.counts(columns.shown), _structures(evidence, types | {"recent": pa.bool_()})),
        }
    )


def _nested(counts: Sequence[int] | Ints, entries: pa.Array) -> pa.ListArray:
    """Return a column of lists, given how long each is and the entries of all."""
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)), entries)


def _structures(fields: Mapping[str, Sequence[Any]], types: Mapping[str, pa.DataType]) -> pa.StructArray:
    return pa.StructArray.from_arrays([pa.array(values, types[name]) for name, values in fields.items()], list(fields))
