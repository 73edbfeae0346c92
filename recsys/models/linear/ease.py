"""EASE: the best linear item-item model, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import choice, positive
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.base import FittedOn, Validate
from recsys.models.capabilities import (
    AdditiveEvents,
    FoldIn,
    LinearRows,
    SampledContributions,
    SummedFit,
    Sums,
    TrainingUsers,
    WeightedFit,
    WholeLog,
)
from recsys.models.feedback import Feedback, FeedbackReader
from recsys.models.linear import feedback_ridge
from recsys.models.linear.operations import (
    CachedColumns,
    check_memory,
    gram_matrix,
    pair_weights,
    regularized_factor,
    sum_of_rows,
    table_rows,
    weighted_sum,
)
from recsys.training.progress import FitProgress
from recsys.training.session import Session
from recsys.types import Floats, Ints, Items

_TABLES = ("weights", "second_weights")
"""Names of B of each feature."""

_MATRICES = 2
"""Dense float32 matrices "items items" alive at the peak: the Gram matrix or its inverse, and the factor."""


@final
@dataclass(frozen=True)
class Cooccurrence:
    """The Gram matrix X^T X, "items items", of the uses of a log.

    Attributes:
        reader: how events are read, with one feature each that is the target, too.
        weights: "events" of the log; None: 1.
    """

    reader: FeedbackReader
    weights: Floats | None = None

    def __call__(self, log: Interactions) -> Sums:
        (uses,), _ = self.reader.matrices(log, self.weights)
        return {"gram": gram_matrix(uses)}


@final
class EASE(SummedFit, FoldIn, SampledContributions, LinearRows, AdditiveEvents, WeightedFit):
    """Embarrassingly shallow autoencoder: predict every item of a user from all the others, linearly.

        minimise ||X - X B||^2 + lambda ||B||^2  subject to diag(B) = 0
        P = (X^T X + lambda I)^-1,   B_ij = -P_ij / P_jj,   s_u = w_u B

    X is "users items", binary; w_u is the user's weighted history. Source: Steck, *Embarrassingly Shallow Autoencoders
    for Sparse Data*, WWW 2019, equations 3 and 8. The score is additive: event j adds w_j B_ji.

    Where ratings or kinds of events count, the features f and the targets T of `FeedbackReader` take the place of X:

        minimise ||T - sum_a F_a B^(a)||^2 + lambda sum_a ||B^(a)||^2  subject to diag(B^(a)) = 0
        s_u = sum_a sum_j f^(a)_uj B^(a)_j       a: the one feature of an event, or both (`feedback="signed"`)

    in closed form (`recsys.models.linear.feedback_ridge`). Event j adds the sum of its parts, which may be below 0.

    Args:
        regularization: lambda; hundreds to thousands for dense logs, less for sparse ones.
        feedback: how ratings and kinds of events count; "signed" has twice the parameters.
        memory_limit_gb: refuse to fit when the estimate (10^9 bytes) exceeds this. B is quadratic in the items.

    Raises:
        ConfigError: an argument is not positive, or lambda is too small for single precision (when fitting).
        CapabilityError: the catalogue needs more memory than `memory_limit_gb` (when fitting).
    """

    def __init__(
        self, regularization: float = 500.0, memory_limit_gb: float = 8.0, feedback: Feedback = "events"
    ) -> None:
        positive("regularization", regularization)
        positive("memory_limit_gb", memory_limit_gb)
        choice("feedback", feedback, Feedback)
        self.regularization = regularization
        self.memory_limit_gb = memory_limit_gb
        self.feedback = feedback
        self._weights: list[Tensor]
        self._reader = FeedbackReader(feedback)
        self._training_weights: Floats | None = None
        self._sample_columns: list[CachedColumns] = []

    @property
    def folds_in(self) -> bool:
        return True

    def weighing(self, weights: Floats) -> Self:
        fresh = self.unfitted()
        fresh._training_weights = weights
        return fresh

    @staticmethod
    def memory_gb(n_items: int) -> float:
        """Return the peak memory of a fit in 10^9 bytes.

        >>> round(EASE.memory_gb(20_000), 1)
        3.2
        """
        return _MATRICES * 4 * n_items**2 / 1e9

    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        """Return sum_a f^(a)_j B^(a)_ji, the exact contribution of each event."""
        _ = self.fitted_on
        return weighted_sum(
            self._reader.features(queries), (pair_weights(table, queries, items) for table in self._weights)
        )

    def contributions_to_sample(
        self, queries: Queries, item_sample: Items, items: Items
    ) -> tuple[Float[Tensor, "events item_sample"], Float[Tensor, "events n"]]:
        _ = self.fitted_on
        caches = zip(self._sample_columns, self._weights, strict=True)
        sampled = (cache.rows(table, item_sample, queries.history.items) for cache, table in caches)
        return weighted_sum(self._reader.features(queries), sampled), self.contributions(queries, items)

    @property
    def sums_rows(self) -> bool:
        return self._reader.parts == 1

    def rows(self) -> Float[Tensor, "items items"]:
        _ = self.fitted_on
        (table,) = self._weights
        return table

    def row_weights(self, queries: Queries) -> Floats:
        (feature,) = self._reader.features(queries)
        return feature

    def event_rows(self, queries: Queries, events: Ints, items: Items | None = None) -> Floats:
        features, past = self._reader.features(queries), queries.history.items[events]
        parts = [
            feature[events, None] * table_rows(table, past, items)
            for feature, table in zip(features, self._weights, strict=True)
        ]
        return np.asarray(sum(parts[1:], parts[0]), np.float32)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        self._reader = FeedbackReader.of(self.feedback, train, "EASE")
        if self._reader.feedback in ("weighted", "signed") or train.n_users < train.n_items:
            self._set(self._fit_ridge(train, session))
            return
        self._learn(WholeLog(train), session)

    def _prepare(self, train: FittedOn) -> None:
        self._reader = FeedbackReader.of_each(self.feedback, train.clock, "EASE")

    def _learn(self, users: TrainingUsers, session: Session) -> None:
        needed, n_items = self.memory_gb(self.n_items), self.n_items
        fit = f"EASE on {n_items} items"
        check_memory(fit, needed, self.memory_limit_gb, "use ItemKNN, IALS or AMPCF")
        progress = FitProgress(fit, n_items**3, session, needed)
        sums = users.total(Cooccurrence(self._reader, self._training_weights))
        gram = torch.from_numpy(sums.pop("gram"))
        gram.diagonal().add_(self.regularization)
        factor = regularized_factor(gram, self.regularization)
        del gram
        progress.advance(n_items**3 / 3)
        inverse = torch.cholesky_inverse(factor)
        del factor
        # LAPACK returns columns; reading rows from that layout is twenty times slower. The inverse is symmetric.
        inverse = inverse.T
        self._set([inverse.div_(-inverse.diagonal().clone()).fill_diagonal_(0.0)])

    def _fit_ridge(self, train: Interactions, session: Session) -> list[Tensor]:
        """Fit with targets of their own, or, where users are fewer than items, in the space of users."""
        size = train.n_users, train.n_items, self._reader.parts
        needed = feedback_ridge.memory_gb(*size)
        fit = f"EASE on {train.n_users} users and {train.n_items} items"
        check_memory(fit, needed, self.memory_limit_gb, "use ItemKNN, IALS or AMPCF")
        progress = FitProgress(fit, feedback_ridge.work(*size), session, needed)
        features, targets = self._reader.matrices(train, self._training_weights)
        return feedback_ridge.solve(features, targets, self.regularization, progress)

    def _set(self, tables: list[Tensor]) -> None:
        self._weights, self._sample_columns = tables, [CachedColumns() for _ in tables]

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        features = zip(self._reader.features(queries), self._weights, strict=True)
        history = queries.history
        parts = [sum_of_rows(table, history.items, history.indptr, feature) for feature, table in features]
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        names = zip(_TABLES, self._weights, strict=False)
        return {name: table.numpy() for name, table in names} | self._reader.arrays()

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._set([torch.from_numpy(arrays[name].copy()) for name in _TABLES if name in arrays])
        self._reader = FeedbackReader.restored(arrays)
