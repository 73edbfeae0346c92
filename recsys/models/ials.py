"""iALS: matrix factorisation of implicit feedback by alternating least squares."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from recsys.checks import choice, positive, seed_of_draws
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import ConfigError
from recsys.models.base import Validate
from recsys.models.capabilities import FoldIn, PersonaPoints, PersonaRecommender, Retrievable, WeightedFit
from recsys.models.feedback import Feedback, FeedbackReader
from recsys.models.linear.operations import event_weights, regularized_factor
from recsys.models.retrieval.points import by_inner_product
from recsys.models.top_n import NAN_SCORES
from recsys.training.session import Session
from recsys.types import Floats, Items

_LOG = logging.getLogger(__name__)
_CHUNK = 16_000_000
"""Size of the largest temporary array of a fold-in: about 64 MB."""


@final
class IALS(PersonaRecommender, FoldIn, Retrievable, WeightedFit):
    """Factorise the matrix "users items" with weights: used items are 1, all others 0 with a smaller weight.

        minimise sum_ui c_ui (p_ui - x_u . y_i)^2 + lambda (sum_u |x_u|^2 + sum_i |y_i|^2),   c_ui = alpha or 1

    Item vectors are learned by `implicit`; users are always computed from the history of the query:

        A_u = Y^T Y + sum_j w_j (alpha - 1) y_j y_j^T + lambda I,   x_u = A_u^-1 sum_j w_j alpha y_j,   s_ui = x_u . y_i

    The event weight w_j scales what the event adds to a user without item j, so weight 0 is an unused item and weight 1
    the published model. lambda does not depend on the number of events, as in `implicit`. Source: Hu, Koren, Volinsky,
    *Collaborative Filtering for Implicit Feedback Datasets*, ICDM 2008, equation 4 and section 5. The score is additive
    (section 5): event j adds w_j alpha y_i^T A_u^-1 y_j.

    Where ratings or kinds of events count, an event has a confidence and a preference of its own, c_uj and r_uj:

        A_u = Y^T Y + sum_j w_j (c_uj - 1) y_j y_j^T + lambda I,    x_u = A_u^-1 sum_j w_j c_uj r_uj y_j

        feedback    c_uj                                      r_uj
        liked       alpha if p_j > 0, else 1                  1 if p_j > 0, else 0
        weighted    alpha (1 + p_j)                           1
        signed      alpha (1 + p_j) if p_j > 0,               1 if p_j > 0,
                    else 1 + (alpha - 1) |p_j|                else 0: an absence that is known, not assumed

    with p_j the preference (`recsys.models.feedback`). In the fold-in a dislike or a skip has r = -1 and
    c = alpha, times its faded weight, under each reading.

    Args:
        embedding_size: dimensions of users and items.
        regularization: lambda.
        alpha: confidence in a used item, where an unused one has 1.
        iterations: rounds of solving for all users, then for all items.
        seed: fixes the initial vectors.
        feedback: how ratings and kinds of events count.

    Raises:
        ConfigError: an argument is out of range, or lambda is too small for single precision (when fitting).
    """

    def __init__(
        self,
        embedding_size: int = 64,
        regularization: float = 30.0,
        alpha: float = 5.0,
        iterations: int = 15,
        seed: int = 0,
        feedback: Feedback = "events",
    ) -> None:
        self.embedding_size = embedding_size
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        seed_of_draws(seed)
        self.seed = seed
        for name in ("embedding_size", "regularization", "alpha", "iterations"):
            positive(name, getattr(self, name))
        choice("feedback", feedback, Feedback)
        self.feedback = feedback
        self._reader = FeedbackReader(feedback)
        self._training_weights: Floats | None = None
        self._items: Tensor
        self._gram: Tensor

    @property
    def folds_in(self) -> bool:
        return True

    def weighing(self, weights: Floats) -> Self:
        fresh = self.unfitted()
        fresh._training_weights = weights
        return fresh

    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        _ = self.fitted_on
        users = torch.zeros(len(queries), self.embedding_size)
        for chunk in self._systems(queries):
            target = torch.einsum("rl,rld->rd", chunk.target, chunk.vectors)
            users[chunk.rows] = torch.cholesky_solve(target[:, :, None], chunk.factor)[:, :, 0]
        return users[:, None, :]

    def item_vectors(self) -> Float[Tensor, "items dim"]:
        _ = self.fitted_on
        return self._items

    def attention(self, queries: Queries, items: Items) -> Float[Tensor, "queries personas n"]:
        return torch.ones(len(queries), 1, items.shape[1])

    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        _ = self.fitted_on
        numbers = torch.from_numpy(items.astype(np.int64))
        result = torch.zeros(len(queries.history.items), items.shape[1])
        for chunk in self._systems(queries):
            candidates = self._items[numbers[chunk.rows]].transpose(1, 2)
            if chunk.vectors.shape[1] < items.shape[1]:  # solve for the fewer: events or candidates
                solved = torch.cholesky_solve(chunk.vectors.transpose(1, 2), chunk.factor)
                products = torch.bmm(solved.transpose(1, 2), candidates)
            else:
                products = torch.bmm(chunk.vectors, torch.cholesky_solve(candidates, chunk.factor))
            contributions = chunk.target[:, :, None] * products
            real = chunk.event >= 0
            result[chunk.event[real]] = contributions[real]
        return result

    def item_points(self) -> Float[Tensor, "items point"]:
        return self.item_vectors()

    def persona_points(self, queries: Queries) -> PersonaPoints:
        return by_inner_product(self.personas(queries), self._items)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        from implicit.als import AlternatingLeastSquares  # noqa: PLC0415 (only a fit needs implicit)
        from implicit.recommender_base import ModelFitError  # noqa: PLC0415

        self._reader = FeedbackReader.of(self.feedback, train, "IALS")
        # implicit runs its own threads, and a threaded BLAS underneath slows it down tenfold. `use_gpu=False` because
        # its GPU solver is another algorithm: one seed would give two different models.
        with threadpool_limits(limits=1, user_api="blas"):
            model = AlternatingLeastSquares(
                factors=self.embedding_size,
                regularization=self.regularization,
                alpha=self.alpha,
                iterations=self.iterations,
                random_state=self.seed,
                use_gpu=False,
            )
            try:
                model.fit(self._confidences(train), show_progress=session.progress)
            except ModelFitError as error:
                raise ConfigError(NAN_SCORES) from error
        self._set(model.item_factors)
        # If the matrix of a user without events is invertible, so is every A_u.
        regularized_factor(self._gram + self.regularization * torch.eye(self.embedding_size), self.regularization)
        _LOG.info("IALS: %d iterations over %d events", self.iterations, len(train))
        return self.iterations, self.iterations * len(train)

    def _set(self, items: Floats) -> None:
        self._items = torch.from_numpy(items.copy())
        self._gram = self._items.T @ self._items

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return self.personas(queries)[:, 0] @ self._items.T

    def _confidences(self, train: Interactions) -> sp.csr_matrix:
        """Return c_ui / alpha, "users items", below 0 where the preference is 0, as `implicit` reads it."""
        (*_, last), _ = self._reader.matrices(train, self._training_weights)
        if self._reader.feedback == "signed":
            known = (1 + (self.alpha - 1) * np.abs(last.data)) / self.alpha
            last.data = np.where(last.data > 0, 1 + last.data, -known).astype(np.float32)
        return last

    def _coefficients(self, queries: Queries) -> tuple[Floats, Floats]:
        """Return what each event adds, "events" each: w_j (c_uj - 1) to A_u, and w_j c_uj r_uj, times y_j."""
        *_, last = self._reader.features(queries)
        if self._reader.is_plain(queries):
            return (self.alpha - 1) * last, self.alpha * last
        weight, size = event_weights(queries), np.abs(last)
        positive = last > 0
        if self._reader.feedback == "signed":
            sure = self.alpha * (weight + size)
            added = np.where(positive, sure - weight, (self.alpha - 1) * size)
            target = np.where(positive, sure, np.where(weight > 0, 0.0, -self.alpha * size))
        else:
            added = np.where(positive, self.alpha * last - weight, (self.alpha - 1) * size)
            target = self.alpha * last
        return added.astype(np.float32), target.astype(np.float32)

    def _systems(self, queries: Queries) -> Iterator[_Systems]:
        """Yield the equations A_u of all queries, in chunks of similar history length to limit padding."""
        added, target = self._coefficients(queries)
        length, start = queries.history.lengths, queries.history.indptr[:-1]
        order = np.argsort(-length, kind="stable")
        size = self.embedding_size
        base = self._gram + self.regularization * torch.eye(size)
        first = 0
        while first < len(order):
            width = int(length[order[first]])
            half = int(np.searchsorted(-length[order], -(width // 2), side="right"))  # at most half of it is padding
            rows = order[first : min(half, first + max(1, _CHUNK // (size * max(width, size))))]
            first += len(rows)
            position = np.arange(width)
            event = np.where(position < length[rows][:, None], start[rows][:, None] + position, -1)
            # Padding and unknown items read the vector of item 0 with weight 0.
            number = np.where(event >= 0, queries.history.items[event], 0)
            sure, wanted = (torch.from_numpy(np.where(event >= 0, part[event], 0)) for part in (added, target))
            vectors = self._items[torch.from_numpy(np.maximum(number, 0).astype(np.int64))]
            weighted = (sure[:, :, None] * vectors).transpose(1, 2)
            matrix = torch.baddbmm(base.expand(len(rows), size, size), weighted, vectors)
            # Not `torch.linalg.solve`, which is slower, and whose batched LU failed from 200 dimensions on with MKL and
            # several threads.
            factor = torch.linalg.cholesky(matrix)
            yield _Systems(torch.from_numpy(rows), torch.from_numpy(event), wanted, vectors, factor)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"items": self._items.numpy()} | self._reader.arrays()

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._set(arrays["items"])
        self._reader = FeedbackReader.restored(arrays)


@final
@dataclass(frozen=True)
class _Systems:
    """The normal equations of some queries, their histories padded to one length."""

    rows: Int[Tensor, " rows"]
    event: Int[Tensor, "rows length"]  # its position in `queries.history.items`, -1 where padded
    target: Float[Tensor, "rows length"]  # w_j c_uj r_uj, 0 where padded or not counted
    vectors: Float[Tensor, "rows length dim"]  # y_j
    factor: Float[Tensor, "rows dim dim"]  # lower Cholesky factor of A_u
