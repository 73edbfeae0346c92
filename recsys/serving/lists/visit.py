"""The shelf of the visit that is going on: more like what a user just did, gone when the visit ends."""

from __future__ import annotations

from typing import final

from recsys.data.queries import Queries
from recsys.decay import ShortTerm
from recsys.explanations import Explanation, UserFacts, explain_read
from recsys.models.base import ReadOut, Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.personas.model import WithPersonas
from recsys.models.slated import Slated
from recsys.serving.items.catalogue import Catalogue

_RULE = ShortTerm()


@final
class VisitShelf:
    """Lists what goes with the events of a user's present visit, whatever came before.

    It is computed from the query alone, on request: nothing is kept between answers and nothing is learned.

    Args:
        model: a fitted model; what scores is the model within, without its decay and its slate.
        catalogue: of its items.
    """

    def __init__(self, model: Recommender, catalogue: Catalogue) -> None:
        self._scoring = (model.base if isinstance(model, WithPersonas | Slated) else model).scoring_model
        self._catalogue = catalogue

    def is_open(self, queries: Queries) -> bool:
        """Return whether one user did anything in a visit that goes on at the moment of the query.

        Raises:
            CapabilityError: the model does not fold in.
        """
        as_fold_in(self._scoring, "a shelf of the present visit")
        return bool(_RULE.going_on(queries).any())

    def items(self, queries: Queries, n: int) -> tuple[Explanation, ...]:
        """Return at most n items that an event of the visit speaks for, best first.

        Args:
            queries: one user, who may weigh events less or not at all; what it excludes is not listed.
            n: length of the shelf.
        """
        visit = _RULE.visit(queries)
        if not visit.matrix(self._scoring.n_items).sum() > 0:
            return ()
        best = self._scoring.recommend(visit, n)
        read, facts = ReadOut(self._scoring, visit, None), UserFacts.of(self._scoring, visit)
        (explained,) = explain_read(read, facts, best, self._catalogue.ids, searched=0)
        return tuple(one for one in explained if one.evidence)
