"""Matrix factorisation: one vector per user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.ampcf.model import AMPCF
from recsys.models.ampcf.settings import Attention, HistoryPooling, Objective, Users
from recsys.models.base import FittedOn, Validate
from recsys.models.capabilities import (
    FoldIn,
    PersonaPoints,
    PersonaRecommender,
    Retrievable,
    ScoringNetwork,
    SummedFit,
    TrainingUsers,
)
from recsys.models.feedback import Weighting, check_weighting
from recsys.training.session import Session
from recsys.training.trainable import Optimization
from recsys.types import Floats, Items


@final
class MF(PersonaRecommender, SummedFit, FoldIn, Retrievable, ScoringNetwork):
    """One vector per user: s_ui = U_u . v_i + b_i. The single-vector twin of `AMPCF`, trained by the same code.

    With `users="embedding"` it is matrix factorisation for implicit feedback (Koren, Bell, Volinsky, IEEE Computer
    2009, with a ranking loss); with `users="history"` the user vector is the weighted sum of the items used (as in
    FISM, Kabbur et al., KDD 2013), so that unknown users can be served.

    Args:
        embedding_size: dimensions of users and items.
        users: "embedding", or "history" to fold users in.
        item_bias: whether b_i is learned.
        initial_bias: standard deviation of b_i at the start; 0 starts at 0.
        history: how histories become vectors; used with `users="history"`.
        objective: loss and negatives; the entropy and balance terms have no meaning here and are not applied.
        optimization: epochs, batches, step size, early stopping.
        seed: fixes initial values, batches and negatives.
        feedback: how ratings and kinds of events count, as in `AMPCF`.
    """

    def __init__(
        self,
        embedding_size: int = 64,
        users: Users = "embedding",
        item_bias: bool = True,
        initial_bias: float = 0.0,
        history: HistoryPooling = HistoryPooling(),
        objective: Objective = Objective(),
        optimization: Optimization = Optimization(),
        seed: int = 0,
        feedback: Weighting = "events",
    ) -> None:
        check_weighting(feedback, "MF")
        self.embedding_size = embedding_size
        self.users = users
        self.item_bias = item_bias
        self.initial_bias = initial_bias
        self.history = history
        self.objective = objective
        self.optimization = optimization
        self.seed = seed
        self.feedback = feedback
        self._model = AMPCF(
            embedding_size,
            personas=1,
            users=users,
            attention=Attention(item_bias=item_bias, initial_bias=initial_bias),
            history=history,
            objective=objective,
            optimization=optimization,
            seed=seed,
            feedback=feedback,
        )

    @property
    def shares_batches(self) -> bool:
        return True

    @property
    def learns_from_sums(self) -> bool:
        return self._model.learns_from_sums

    @property
    def folds_in(self) -> bool:
        return self._model.folds_in

    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        return self._model.personas(queries)

    def item_vectors(self) -> Float[Tensor, "items dim"]:
        return self._model.item_vectors()

    def attention(self, queries: Queries, items: Items) -> Float[Tensor, "queries personas n"]:
        return self._model.attention(queries, items)

    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        return self._model.contributions(queries, items)

    def item_points(self) -> Float[Tensor, "items point"]:
        return self._model.item_points()

    def persona_points(self, queries: Queries) -> PersonaPoints:
        return self._model.persona_points(queries)

    def scoring_network(self) -> nn.Module:
        return self._model.scoring_network()

    def network_weights(self, queries: Queries) -> Floats:
        return self._model.network_weights(queries)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        effort = self._model.fit(train, validate, session).effort
        assert effort is not None
        return effort.epochs, effort.examples

    def _prepare(self, train: FittedOn) -> None:
        pass  # the model within does

    def _learn(self, users: TrainingUsers, session: Session) -> tuple[int, int]:
        effort = self._model.fit_sums(self.fitted_on, users, session).effort
        assert effort is not None
        return effort.epochs, effort.examples

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return self._model.score(queries)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return self._model.arrays()

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._model.restore(self.fitted_on, arrays)
