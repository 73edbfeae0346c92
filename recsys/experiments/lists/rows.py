"""Lists as columns: one row for each place of each user's list, in the types of Arrow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.explanations.found import names_of_found
from recsys.explanations.records import Evidence, Explanation, PersonaShare
from recsys.models.base import Recommendations, Recommender
from recsys.models.personas.model import WithPersonas
from recsys.models.slated import Slated
from recsys.types import Ints

_EVIDENCE = ("title", "contribution", "share", "rating", "age", "recent")
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


def explained_table(
    model: Recommender, users: Vocabulary, ids: Sequence[Any], lists: Sequence[Sequence[Explanation]]
) -> pa.Table:
    """Return lists with their reasons: the columns of `plain_table` and those of an `Explanation`.

    `owner` and `owner_name` are also those of the persona that speaks most for an item, where a model learned the
    personas. `evidence` and `personas` are lists of structures, `without` and `genres` lists.

    Args:
        model: that made the lists.
        users: of the log.
        ids: "queries", of those whose lists they are.
        lists: "queries", the lists.
    """
    every = list(chain.from_iterable(lists))
    lengths = [len(each) for each in lists]
    item = id_type(model.fitted_on.items)
    row = np.repeat(np.arange(len(lists)), lengths)
    rank = np.concatenate([np.zeros(0, np.int32), *(np.arange(1, length + 1, dtype=np.int32) for length in lengths)])
    led = not isinstance(model, WithPersonas | Slated)
    owners = [_owner_of(one, led=led) for one in every]
    columns = {
        "user_id": pa.array(ids, id_type(users)).take(pa.array(row)),
        "rank": pa.array(rank),
        "item_id": pa.array([one.item_id for one in every], item),
        **{name: pa.array([getattr(one, name) for one in every], _TYPES[name]) for name in ("title", "score")},
        "owner": pa.array([number for number, _ in owners], pa.int32()),
        "owner_name": pa.array([name for _, name in owners], pa.string()),
        **{name: pa.array([getattr(one, name) for one in every], _TYPES[name]) for name in _REASONS},
        "without": _nested([one.without for one in every], lambda ids: pa.array(ids, item)),
        "genres": _nested([one.genres for one in every], lambda names: pa.array(names, pa.string())),
        "personas": _nested([one.personas for one in every], _personas),
        "evidence": _nested([one.evidence for one in every], lambda events: _evidence(events, item)),
    }
    return pa.table(columns)


def _owner_of(one: Explanation, *, led: bool) -> tuple[int | None, str | None]:
    if one.seat is not None:
        return None, one.seat
    if led and one.personas:
        return one.personas[0].persona, one.personas[0].name
    return one.owner, one.owner_name


def _nested(groups: Sequence[Sequence[Any]], column: Callable[[list[Any]], pa.Array]) -> pa.ListArray:
    """Return a column of lists, given the column of their entries."""
    offsets = np.concatenate([[0], np.cumsum([len(group) for group in groups])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), column(list(chain.from_iterable(groups))))


def _evidence(events: Sequence[Evidence], item: pa.DataType) -> pa.StructArray:
    ids = pa.array([one.item_id for one in events], item)
    others = [
        pa.array([getattr(one, name) for one in events], pa.bool_() if name == "recent" else _TYPES[name])
        for name in _EVIDENCE
    ]
    return pa.StructArray.from_arrays([ids, *others], ["item_id", *_EVIDENCE])


def _personas(shares: Sequence[PersonaShare]) -> pa.StructArray:
    names = ("persona", "name", "weight")
    parts = [pa.array([getattr(one, name) for one in shares], _TYPES[name]) for name in names]
    return pa.StructArray.from_arrays(parts, list(names))
