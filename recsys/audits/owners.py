"""Which items are which persona's: what a system believes of its users, found in the log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.audits.loop import Seen
from recsys.checks import whole
from recsys.data.clusters import pure_svd, spherical_kmeans, unit_rows
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.models import PersonaEASE, Recommender, WithPersonas
from recsys.models.capabilities import as_fold_in
from recsys.slates import Owners, Seating
from recsys.types import Doubles, Ints, Items


class Partition(ABC):
    """Assigns the items to personas, for all users alike or for each. A frozen dataclass of settings."""

    @abstractmethod
    def owners(self, model: Recommender, seen: Seen) -> Items:
        """Return the persona of each item, "users items" or "1 items" where it is the same for all.

        Args:
            model: fitted on what is seen.
            seen: what the system knows.

        Raises:
            CapabilityError: the model has no personas of this kind.
        """


@final
@dataclass(frozen=True)
class Whole(Partition):
    """One persona, whose all items are."""

    def owners(self, model: Recommender, seen: Seen) -> Items:
        return np.zeros((1, seen.free.shape[1]), np.int32)


@final
@dataclass(frozen=True)
class Clusters(Partition):
    """Groups of items that the same users chose: PureSVD, then spherical k-means.

    Vectors are reduced by their mean over events, without which clusters mirror popularity.

    Args:
        count: number of groups.
        factors: dimensions of the vectors.
    """

    count: int = 8
    factors: int = 12

    def __post_init__(self) -> None:
        whole("count", self.count)
        whole("factors", self.factors)

    def owners(self, model: Recommender, seen: Seen) -> Items:
        log = seen.log()
        vectors = pure_svd(log.matrix(), self.factors)
        vectors = unit_rows(vectors - vectors[log.item_num].mean(0))
        return spherical_kmeans(vectors, self.count)[None].astype(np.int32)


@final
@dataclass(frozen=True)
class Routed(Partition):
    """The personas of PersonaEASE: each item is that of the persona to which most of it is routed."""

    def owners(self, model: Recommender, seen: Seen) -> Items:
        scoring = model.scoring_model
        if not isinstance(scoring, PersonaEASE):
            raise CapabilityError(f"{type(scoring).__name__} routes no items to personas; use Clusters or Found")
        return np.asarray(scoring.routing().argmax(1)[None], np.int32)


@final
@dataclass(frozen=True)
class Found(Partition):
    """The personas found in each user's own history (`recsys.models.personas`)."""

    def owners(self, model: Recommender, seen: Seen) -> Items:
        as_fold_in(model, "finding personas in histories")
        around = model if isinstance(model, WithPersonas) else WithPersonas(model).fit(seen.log())
        personas = around.found(seen.queries()).personas
        users, items = seen.free.shape
        return personas.of_items(around.dictionary, np.arange(users)[:, None], np.arange(items, dtype=np.int32)[None])


@final
@dataclass(frozen=True, eq=False)
class Owned(Owners):
    """A partition and what each persona is due, as owners of the seats of lists.

    Attributes:
        partition: "users items" or "1 items".
        shares: "users personas".
    """

    partition: Items
    shares: Doubles

    def seating(self, rows: Ints, items: Items) -> Seating:
        return Seating(owner_of(self.partition, rows, items), self.shares[rows])


def owner_of(partition: Items, rows: Ints, items: Items) -> Items:
    """Return the persona of some items, "rows n"; `UNKNOWN` where there is no item."""
    rows = rows if len(partition) > 1 else np.zeros(len(rows), np.int64)
    owner = partition[rows[:, None], np.maximum(items, 0)]
    return np.where(items == UNKNOWN, UNKNOWN, owner).astype(np.int32)
