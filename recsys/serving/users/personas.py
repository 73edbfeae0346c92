"""The personas of a user whose history grows: those of `WithPersonas.found`, from those at the last checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np

from recsys.data.queries import Queries
from recsys.explanations.found import names_of_found
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.growth import checkpoints
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.names.labels import TasteName


@final
@dataclass(frozen=True, eq=False)
class GrownPersonas:
    """The personas of one user, and what the next history need not find again.

    Attributes:
        queries: the user as one query.
        checkpoint: the personas at the last checkpoint of the history.
        found: the personas of the whole history.
        names: "K", their names.
    """

    queries: Queries
    checkpoint: FoundPersonas
    found: FoundPersonas
    names: list[TasteName | None]

    @classmethod
    def of(cls, model: WithPersonas, queries: Queries, former: GrownPersonas | None = None) -> Self:
        """Find the personas of one user.

        Args:
            model: fitted.
            queries: the user as one query.
            former: of the same user, of an earlier history; saves work and changes nothing.
        """
        same = former is not None and _same_checkpoint(queries, former.queries)
        checkpoint = former.checkpoint if former is not None and same else model.at_checkpoint(queries)
        found = model.found(queries, checkpoint)
        if former is not None and same and (found.numbers == checkpoint.numbers).all():  # names last until the next
            return cls(queries, checkpoint, found, former.names)
        return cls(queries, checkpoint, found, names_of_found(model, queries, found)[0])

    @property
    def nbytes(self) -> int:
        """Size in bytes, approximately."""
        return sum(
            sum(array.nbytes for array in (*vars(found.personas).values(), found.numbers, found.mass, found.former))
            for found in (self.checkpoint, self.found)
        )


def _same_checkpoint(queries: Queries, others: Queries) -> bool:
    """Return whether two histories have their last checkpoint and all events before it in common."""
    one, other = (checkpoints(len(each.times))[-1:].tolist() for each in (queries, others))
    if one != other:
        return False
    length = one[0] if one else 0
    one_kinds, other_kinds = queries.kinds, others.kinds
    if one_kinds is None or other_kinds is None:
        kinds_same = one_kinds is other_kinds
    else:
        kinds_same = np.array_equal(one_kinds[:length], other_kinds[:length])
    pairs = (queries.history.items, others.history.items), (queries.values, others.values)
    return kinds_same and all(np.array_equal(a[:length], b[:length], equal_nan=a.dtype.kind == "f") for a, b in pairs)
