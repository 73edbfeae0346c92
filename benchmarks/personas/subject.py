"""A log, a model with personas that is fitted to it, and the questions that are asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.splits.holdout import Holdout, Split
from recsys.evaluation.metrics import ranking_metrics
from recsys.models import WithPersonas
from recsys.models.base import Recommendations, Recommender
from recsys.models.personas.clusters import Personas
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.ownership import PersonaOwners
from recsys.slates import Seats, Slate
from recsys.types import Items

N: Final = 10
LONG: Final = 30
"""Events of a history from which several personas are expected."""

Figures = dict[str, float]


@final
@dataclass(frozen=True, eq=False)
class Subject:
    """A fitted model, its tastes and its slate, some questions, and everybody's personas.

    Attributes:
        served: the model with personas.
        model: the model within, of plain scores.
        train: what it was fitted on.
        questions: of users with a history and something relevant.
        dictionary, slate: of `served`.
    """

    served: WithPersonas
    model: Recommender
    train: Interactions
    questions: Holdout
    dictionary: TasteDictionary
    slate: Slate

    @classmethod
    def of(
        cls,
        model: Recommender,
        split: Split,
        *,
        sharpness: float | None = 0.0,
        most: int | None = None,
        seed: int = 0,
    ) -> Subject:
        """Fit a model with personas, whose slate and sharpness are chosen on validation where they are not given.

        Args:
            model: within.
            split: the validation questions choose, the test questions are asked.
            sharpness: of the attention.
            most: questions of either, at most; everybody if None.
            seed: of the sample.
        """
        asked = sample(split.valid, most, seed)

        def validate(candidate: Recommender) -> float:
            return ndcg(candidate.recommend(asked.queries, N).items, asked)

        served = WithPersonas(model, sharpness=sharpness).fit(split.train, validate)
        questions = sample(split.test, most, seed)
        return cls(served, served.base, split.train, questions, served.dictionary, served.chosen_slate)

    @property
    def queries(self) -> Queries:
        return self.questions.queries

    @cached_property
    def found(self) -> FoundPersonas:
        return self.served.found(self.queries)

    @property
    def personas(self) -> Personas:
        return self.found.personas

    @cached_property
    def lists(self) -> Recommendations:
        """The lists that are served."""
        owners = PersonaOwners(self.model, self.queries, self.dictionary, self.personas)
        return self.model.recommend(self.queries, N, slate=self.slate, owners=owners)

    @property
    def pool(self) -> Items:
        """ "queries pool", the candidates of which the lists are made."""
        return self.model.recommend(self.queries, max(N, self.slate.pool)).items

    @property
    def listed_owners(self) -> Items:
        assert self.lists.owners is not None
        return self.lists.owners

    @property
    def weights(self) -> Figures:
        """The weights of the slate."""
        chosen = self.slate if isinstance(self.slate, Seats) else Seats(0.0, 0.0)
        return {"weight": chosen.weight, "calibration": chosen.calibration}


def sample(holdout: Holdout, most: int | None, seed: int) -> Holdout:
    """Return at most so many questions with a history and something relevant; all of them if None."""
    rows = np.flatnonzero((holdout.queries.history.lengths > 0) & (holdout.relevant.lengths > 0))
    if most is not None and len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return holdout.take(rows)


def ndcg(items: Items, questions: Holdout) -> float:
    """Return the mean NDCG of lists."""
    return float(ranking_metrics(items, questions.relevant, [N], ["ndcg"])[f"ndcg@{N}"].mean())
