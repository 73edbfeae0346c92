"""Axes along which a list may say of a user what is not so: tastes, popularity, and the user's own personas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Self, final

import numpy as np

from recsys.data.clusters import POPULARITY, popularity_parts
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.evaluation.tastes import Tastes, normalised
from recsys.models.base import Recommender
from recsys.models.personas.model import WithPersonas
from recsys.types import Doubles, Ints, Items

_ORDINALS: Final = ("largest", "second", "third", "fourth", "fifth", "sixth")


@final
@dataclass(frozen=True, eq=False)
class Axis:
    """What histories and lists are about, in classes: tastes, classes of popularity, or personas.

    Attributes:
        name: of the axis.
        classes: names of the classes.
        parts: "entries+1 classes", rows that sum to 1; the last one, where `UNKNOWN` (-1) points, is zeros.
        own: rows of entries: what each history consists of.
        listed: "queries n", entries; `UNKNOWN` for what is in no class.
    """

    name: str
    classes: tuple[str, ...]
    parts: Doubles
    own: Ragged
    listed: Items

    def __len__(self) -> int:
        return len(self.listed)

    @cached_property
    def histories(self) -> Doubles:
        """ "queries classes", P_u; a row of zeros for a history of which nothing is in a class."""
        return normalised(np.asarray(self.own.matrix(len(self.parts)) @ self.parts))

    @cached_property
    def lists(self) -> Doubles:
        """ "queries classes", Q_u."""
        return normalised(self.parts[self.listed].sum(1))

    @cached_property
    def sizes(self) -> Ints:
        """ "queries": how many items of the list are in a class."""
        return np.asarray((self.listed != UNKNOWN).sum(1), np.int64)

    @property
    def delta(self) -> Doubles:
        """ "queries classes", Q_u - P_u; NaN for a user without a list or without a history in classes."""
        known = (self.sizes > 0) & (self.own.lengths > 0)
        return np.where(known[:, None], self.lists - self.histories, np.nan)

    def listing(self, listed: Items) -> Self:
        """Return the axis of other lists of the same users; histories are not computed again."""
        other = replace(self, listed=listed)
        other.__dict__["histories"] = self.histories
        return other


def popularity_tastes(train: Interactions) -> Tastes:
    """Return head, middle and tail of a training log, each a third of its events, as if they were tastes.

    The classes are those of training alone: popularity of the test period would leak.
    """
    parts = popularity_parts(np.bincount(train.uses.item_num, minlength=train.n_items))
    return Tastes(parts, POPULARITY, parts, "clusters")


def taste_axis(name: str, tastes: Tastes, history: Ragged, top: Items) -> Axis:
    """Return the axis of a partition of the items; each item of a history counts once.

    Args:
        name: of the axis.
        tastes: the partition.
        history: "queries" rows of item numbers.
        top: "queries n", the lists.
    """
    tasted = tastes.tasted(history)
    own = Ragged(tasted.indptr.astype(np.int64), tasted.indices.astype(np.int32))
    return Axis(name, tastes.names, tastes.padded_shares, own, np.where(tastes.has_taste[top], top, UNKNOWN))


def persona_axis(model: Recommender, queries: Queries, top: Items, owners: Items | None = None) -> Axis:
    """Return the axis of every user's own personas, largest first; their number differs from user to user.

    A class is a rank, "largest" or "second", so that users can be compared: what pulls all of them towards their
    largest persona is a distortion, too. No outside judge: the model made the personas.

    Args:
        model: with found personas.
        queries: the users.
        top: "queries n", the lists.
        owners: "queries n", the place of the persona that owns each item; asked of the model when None.

    Raises:
        CapabilityError: the model has no found personas.
    """
    if not isinstance(model, WithPersonas):
        raise CapabilityError(
            f"{type(model).__name__} has no found personas, so that lists have no axis of personas; use tastes and "
            "popularity, or train configs/ease_personas.yaml"
        )
    found = model.found(queries)
    if owners is None:
        owners = model.owners(queries, found).seating(np.arange(len(queries)), top).owner
    of_event = found.personas.of_events(model.dictionary, queries)
    width = found.numbers.shape[1]
    rows = queries.history.rows[of_event != UNKNOWN]
    counts = np.bincount(rows * width + of_event[of_event != UNKNOWN], minlength=len(queries) * width)
    order = np.argsort(-counts.reshape(len(queries), width), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(width)[None], 1)
    own = queries.history.select(of_event != UNKNOWN)
    own = Ragged(own.indptr, rank[rows, of_event[of_event != UNKNOWN]].astype(np.int32))
    owned = (owners != UNKNOWN) & (top != UNKNOWN)
    listed = np.where(owned, np.take_along_axis(rank, np.maximum(owners, 0).astype(np.int64), 1), UNKNOWN)
    names = tuple(_ORDINALS[place] if place < len(_ORDINALS) else f"persona {place + 1}" for place in range(width))
    parts = np.vstack([np.eye(width), np.zeros((1, width))])
    return Axis("personas", names, parts, own, listed.astype(np.int32))
