"""BPR: matrix factorisation that ranks a used item above an unused one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import positive, seed_of_draws
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import ConfigError
from recsys.models.base import Validate
from recsys.models.capabilities import PersonaPoints, PersonaRecommender, Retrievable
from recsys.models.retrieval.points import by_inner_product
from recsys.models.top_n import NAN_SCORES
from recsys.training.session import Session
from recsys.types import Items


@final
class BPR(PersonaRecommender, Retrievable):
    """Learn user and item vectors so that each used item outscores sampled others.

        maximise sum_(u,i,j) ln sigma(s_ui - s_uj) - lambda |theta|^2,   s_ui = x_u . y_i + b_i

    by stochastic gradient, with `implicit`. Users are learned vectors: the history of a query is ignored, unknown users
    and event weights raise. Vectors have `embedding_size + 1` dimensions: the last is 1 for users and the bias b_i for
    items. Source: Rendle, Freudenthaler, Gantner, Schmidt-Thieme, *BPR: Bayesian Personalized Ranking from
    Implicit Feedback*, UAI 2009.

    The paper draws the negative j uniformly, `implicit` in proportion to its number of events n_j. The optimal s_ui is
    the log-ratio of the probabilities of i as a positive of u and as a negative: log p(i|u) there, log p(i|u) / n_i
    here, which ranks rare items far too high. `popularity_correction` adds log(n_i + 1) to b_i after training, which
    restores the paper's optimum (the sampled softmax's logQ correction, applied to the trained scores; ours).

    Training runs on one thread: `implicit`'s threads write to shared vectors without locks, so that a seed would not
    determine the result.

    Args:
        embedding_size: dimensions, without the bias.
        learning_rate: step size.
        regularization: lambda.
        epochs: passes over as many sampled events as the log has.
        popularity_correction: whether log(n_i + 1) is added; False is `implicit`'s own ranking.
        seed: fixes initial vectors and samples.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        embedding_size: int = 64,
        learning_rate: float = 0.02,
        regularization: float = 0.02,
        epochs: int = 60,
        popularity_correction: bool = True,
        seed: int = 0,
    ) -> None:
        self.embedding_size = embedding_size
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.epochs = epochs
        self.popularity_correction = popularity_correction
        seed_of_draws(seed)
        self.seed = seed
        for name in ("embedding_size", "learning_rate", "epochs"):
            positive(name, getattr(self, name))
        positive("regularization", regularization, zero=True)
        self._users: Tensor
        self._items: Tensor

    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        self.check_queries(queries)
        return self._users[torch.from_numpy(queries.users.astype(np.int64))][:, None, :]

    def item_vectors(self) -> Float[Tensor, "items dim"]:
        _ = self.fitted_on
        return self._items

    def attention(self, queries: Queries, items: Items) -> Float[Tensor, "queries personas n"]:
        return torch.ones(len(queries), 1, items.shape[1])

    def item_points(self) -> Float[Tensor, "items point"]:
        return self.item_vectors()

    def persona_points(self, queries: Queries) -> PersonaPoints:
        return by_inner_product(self.personas(queries), self._items)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        from implicit.bpr import BayesianPersonalizedRanking  # noqa: PLC0415 (only a fit needs implicit)
        from implicit.recommender_base import ModelFitError  # noqa: PLC0415

        model = BayesianPersonalizedRanking(
            factors=self.embedding_size,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            iterations=self.epochs,
            random_state=self.seed,
            num_threads=1,
            use_gpu=False,
        )
        matrix = train.matrix()
        try:
            model.fit(matrix, show_progress=session.progress)
        except ModelFitError as error:
            raise ConfigError(NAN_SCORES) from error
        self._users = torch.from_numpy(model.user_factors.copy())
        self._items = torch.from_numpy(model.item_factors.copy())
        if self.popularity_correction:
            # One more than the count keeps items without events finite.
            self._items[:, -1] += torch.from_numpy(np.log1p(np.asarray(matrix.sum(0), np.float32).ravel()))
        return self.epochs, self.epochs * len(train)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return self.personas(queries)[:, 0] @ self._items.T

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"users": self._users.numpy(), "items": self._items.numpy()}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._users = torch.from_numpy(arrays["users"].copy())
        self._items = torch.from_numpy(arrays["items"].copy())
