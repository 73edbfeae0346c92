"""The lists of a batch of users, with or without reasons: the one way in which a run's lists are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

from recsys.bundles.index import Recommend, recommender_of
from recsys.data.pairs import Splits
from recsys.data.queries import Queries
from recsys.experiments.runs import splits_of_run
from recsys.explanations.explain import explanation_columns
from recsys.explanations.reasons import with_splits
from recsys.explanations.reasons.columns import ExplanationColumns
from recsys.explanations.reasons.greedy_sets import BEYOND
from recsys.explanations.records import Explanation
from recsys.models.base import Recommendations, Recommender
from recsys.models.capabilities import OwnSlate
from recsys.models.personas.model import WithPersonas


@final
@dataclass(frozen=True, eq=False)
class RunLists:
    """Makes the lists of a run's model.

    Attributes:
        model: of the run.
        n: length of the lists; no more than there are items.
        listed_by: finds the n best items of each query.
        splits: how split people are over pairs of items, told of listed ones; None: the run does not keep it.
    """

    model: Recommender
    n: int
    listed_by: Recommend
    splits: Splits | None = None

    @classmethod
    def of(cls, run: Path, model: Recommender, n: int, *, exact: bool = False) -> Self:
        """Return what makes the lists of a run.

        Args:
            run: its directory.
            model: its model.
            n: length of the lists.
            exact: score every item, also where the run has an index. Personas always choose from all items.
        """
        exact = exact or isinstance(model, WithPersonas)
        listed_by = recommender_of(run / "model", model, exact=exact)
        return cls(model, min(n, model.n_items), listed_by, splits_of_run(run, model))

    @classmethod
    def of_model(cls, model: Recommender, n: int) -> Self:
        """Return what makes the lists of a model without a run: exactly, and without splits."""
        return cls(model, min(n, model.n_items), model.recommend)

    def lists(self, queries: Queries) -> Recommendations:
        """Return the lists without reasons."""
        return self.listed_by(queries, self.n)

    def explained(self, queries: Queries, lists: Recommendations | None = None) -> Sequence[Sequence[Explanation]]:
        """Return the lists with their reasons; `lists`, the result of `lists`, saves work."""
        ids = self.model.fitted_on.items.ids.tolist()
        explained = [one for part in self.columns(queries, lists) for one in part.records(ids)]
        if self.splits is None:
            return explained
        return [with_splits(one, self.splits, self.model.fitted_on) for one in explained]

    def columns(self, queries: Queries, lists: Recommendations | None = None) -> Iterator[ExplanationColumns]:
        """Yield the lists with their reasons as columns, of some queries after the other; see `explained`."""
        if lists is None and isinstance(self.model, WithPersonas):
            found = self.model.found(queries)
            lists = self.model.recommend_to(queries, found, self.n)
            return explanation_columns(self.model, queries, lists, found=found)
        if lists is not None or isinstance(self.model, OwnSlate) or self.listed_by != self.model.recommend:
            return explanation_columns(self.model, queries, self.lists(queries) if lists is None else lists)
        wide = self.model.recommend(queries, min(self.n + BEYOND, self.model.n_items))
        lists = Recommendations(wide.items[:, : self.n], wide.scores[:, : self.n])
        return explanation_columns(self.model, queries, lists, wide=wide)
