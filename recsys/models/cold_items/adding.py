"""New items for any fitted model that has a `WithColdItems` in it."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np

from recsys.data.clusters import unit_rows
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.data.readers.metadata import read_new_items
from recsys.data.vocabulary import Vocabulary
from recsys.errors import CapabilityError
from recsys.models.base import Recommender
from recsys.models.capabilities import TakesNewItems
from recsys.models.cold_items.model import WithColdItems
from recsys.models.decayed.model import Decayed
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.model import WithPersonas
from recsys.models.reliable import Reliable
from recsys.models.slated import Slated

_AROUND = Decayed | Reliable | WithPersonas | Slated
"""Models that take new items if the model within does."""


def with_items_of(model: Recommender, path: str | Path, vectors: str | Path | None = None) -> Recommender:
    """Return a fitted model with the items of a file that it does not have; see `with_items`.

    Args:
        model: see `with_items`.
        path: a file of items in any format, with the columns `item`, `title`, `genres`; it may be the whole catalogue.
        vectors: a `.npy` or `.safetensors` file with a vector for each of its rows.
    """
    return with_items(model, *read_new_items(path, model.fitted_on.items, vectors))


def with_items(model: Recommender, items: Vocabulary, metadata: ItemMetadata) -> Recommender:
    """Return a fitted model with further items, without fitting it again; the given one stays as it is.

    With found personas a new item has the owner that its evidence says, as any item. The taste that it is counted to,
    where a taste is muted of which the user has no event, is the nearest to the vector that the regression predicts.

    Args:
        model: `WithColdItems`, or `Decayed`, `Reliable`, `WithPersonas` or `Slated` around it.
        items: the ids of the new items, none of which the model has.
        metadata: what is known of them.

    Raises:
        CapabilityError: the model takes no new items.
        DataError: see `WithColdItems.with_items`.
    """
    if isinstance(model, TakesNewItems):
        return model.with_items(items, metadata)
    if not isinstance(model, _AROUND):
        raise CapabilityError(
            f"{type(model).__name__} takes no new items without training again; wrap the model that scores in "
            "WithColdItems, as configs/ease_cold.yaml does, and put Decayed, Reliable, WithPersonas or Slated around it"
        )
    inner = with_items(model.base, items, metadata)
    if isinstance(model, WithPersonas):
        return model.with_inner(inner, _with_tastes(model.dictionary, inner, len(items)))
    if isinstance(model, Slated):
        return model.with_inner(inner)
    other = copy.copy(model)  # the weights of events do not depend on the items
    other._inner, other._fitted_on = inner, inner.fitted_on
    return other


def takes_items(model: Recommender) -> bool:
    """Return whether a fitted model takes new items without training again."""
    return isinstance(model, TakesNewItems) or (isinstance(model, _AROUND) and takes_items(model.base))


def _with_tastes(dictionary: TasteDictionary, model: Recommender, added: int) -> TasteDictionary:
    """Return a dictionary with the last items of a model, whose vectors its regression predicts."""
    cold = model
    while isinstance(cold, _AROUND):
        cold = cold.base
    assert isinstance(cold, WithColdItems)
    learned = np.flatnonzero(~cold.is_new)
    vectors, themes = (
        unit_rows(cold.predicted(each[learned])[-added:].astype(np.float64)).astype(np.float32)
        for each in (dictionary.vectors, dictionary.themes)
    )
    return dictionary.followed_by(model.fitted_on.items, vectors, themes)


def why_new(model: Recommender, queries: Queries, item: int, most: int = 3) -> dict[str, float]:
    """Return the features that add most to the score of a new item for one user, largest first; empty for a known item.

    Args:
        model: fitted.
        queries: the user.
        item: its number.
        most: how many features are told.
    """
    read = model.read(queries)
    if not isinstance(read.model, WithColdItems) or not read.model.is_new[item]:
        return {}
    (parts,) = read.model.feature_parts(read.queries, item)
    best = sorted(parts, key=lambda name: -parts[name])[:most]
    return {name: parts[name] for name in best if parts[name] > 0}
