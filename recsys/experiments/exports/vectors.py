"""Vectors of items and users as tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.experiments.lists.rows import id_type
from recsys.explanations.personas import describe_personas
from recsys.models.base import Recommender
from recsys.models.capabilities import AdditivePersonas, PersonaRecommender, Retrievable
from recsys.models.personas.model import WithPersonas
from recsys.models.slated import Slated
from recsys.types import Floats, Items

_BATCH: Final = 1024


@final
@dataclass(frozen=True, eq=False)
class Vectors:
    """The vectors of a model.

    Attributes:
        kind: "points", whose inner products score, or "tastes", whose cosines say how alike items and personas are.
        meaning: a sentence.
        items: "items dim".
        model: that gives those of users.
    """

    kind: str
    meaning: str
    items: Floats
    model: Recommender

    def of_users(self, queries: Queries) -> tuple[Floats, Items, Floats]:
        """Return "queries K dim", "queries K", the public number of each persona, `UNKNOWN` for none, and its share."""
        if isinstance(self.model, WithPersonas):
            found = self.model.found(queries)
            return found.personas.centres.astype(np.float32), found.numbers, found.personas.shares.astype(np.float32)
        with torch.inference_mode():
            assert isinstance(self.model, Retrievable)
            points = self.model.persona_points(queries).points.float().cpu().numpy()
        numbers = np.broadcast_to(np.arange(points.shape[1], dtype=np.int32), points.shape[:2])
        return points, numbers, np.full(points.shape[:2], np.nan, np.float32)


def vectors_of(model: Recommender) -> list[Vectors] | str:
    """Return the vectors of a fitted model, or in a sentence why it has none."""
    found: list[Vectors] = []
    scoring = model.base if isinstance(model, WithPersonas | Slated) else model
    scored = not (isinstance(model, WithPersonas) and model.chosen_sharpness > 0)
    personas = isinstance(scoring, PersonaRecommender) and scoring.has_personas
    if isinstance(scoring, Retrievable) and scored:
        with torch.inference_mode():
            points = scoring.item_points().float().cpu().numpy()
        several = "the largest inner product over a user's vectors finds candidates, the attention over them scores"
        one = "the inner product is the score"
        found.append(Vectors("points", several if personas else one, points, scoring))
    if isinstance(model, WithPersonas):
        tastes = "the cosine of an item with a persona, the mean of its events, says how alike they are; no score"
        found.append(Vectors("tastes", tastes, model.dictionary.vectors.astype(np.float32), model))
    if found:
        return found
    if isinstance(scoring, AdditivePersonas):
        return f"vectors of {type(scoring).__name__} are as long as the catalogue"
    return f"{type(scoring).__name__} scores without vectors"


def item_table(model: Recommender, vectors: Floats) -> pa.Table:
    """Return `item_id`, `number` and `vector` of every item."""
    items = model.fitted_on.items
    return pa.table(
        {
            "item_id": pa.array(items.ids, id_type(items)),
            "number": pa.array(np.arange(len(items), dtype=np.int32)),
            "vector": _column(vectors),
        }
    )


def user_tables(vectors: Vectors, log: Interactions, users: Items) -> Iterator[pa.Table]:
    """Yield `user_id`, `persona`, `share` and `vector` of the personas of users of a log, batch by batch.

    A user without persona has no row; `share` is null where a model does not say it.
    """
    for start in range(0, len(users), _BATCH):
        batch = users[start : start + _BATCH]
        points, numbers, shares = vectors.of_users(vectors.model.fitted_on.queries(log, batch))
        row, place = np.nonzero(numbers != UNKNOWN)
        share = shares[row, place]
        yield pa.table(
            {
                "user_id": pa.array(log.users.ids[batch][row], id_type(log.users)),
                "persona": pa.array(numbers[row, place], pa.int32()),
                "share": pa.array(share, pa.float32(), mask=np.isnan(share)),
                "vector": _column(points[row, place]),
            }
        )


def persona_tables(model: Recommender, log: Interactions, users: Items) -> Iterator[pa.Table]:
    """Yield `user_id`, `persona`, `name`, `share`, `items` (titles) and `genres` of the personas of users."""
    for start in range(0, len(users), _BATCH):
        batch = users[start : start + _BATCH]
        described = describe_personas(model, model.fitted_on.queries(log, batch), recommended=False)
        rows = [
            (user, one.persona, one.name, one.share, [item.title for item in one.items], [g.genre for g in one.genres])
            for user, personas in zip(log.users.ids[batch].tolist(), described, strict=True)
            for one in personas
        ]
        yield _rows(rows, id_type(log.users))


def _rows(rows: list[tuple[Any, ...]], user: pa.DataType) -> pa.Table:
    types = (user, pa.int32(), pa.string(), pa.float64(), pa.list_(pa.string()), pa.list_(pa.string()))
    names = ("user_id", "persona", "name", "share", "items", "genres")
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pa.table(
        {name: pa.array(list(column), kind) for name, column, kind in zip(names, columns, types, strict=True)}
    )


def _column(vectors: npt.NDArray[np.float32]) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
