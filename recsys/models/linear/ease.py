"""EASE: the best linear item-item model, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import positive
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.base import Recommender, Validate
from recsys.models.capabilities import FoldIn, LinearRows, SampledContributions
from recsys.models.linear.operations import (
    CachedColumns,
    apply_event_weights,
    check_memory,
    cooccurrence_blocks,
    event_weights,
    pair_weights,
    regularized_factor,
    sum_of_rows,
)
from recsys.training.progress import FitProgress
from recsys.training.session import Session
from recsys.types import Floats, Items

_MATRICES = 3
"""Dense float32 matrices "items items" alive at the peak: the Gram matrix or its inverse, the factor, a work copy."""


@final
class EASE(Recommender, FoldIn, SampledContributions, LinearRows):
    """Embarrassingly shallow autoencoder: predict every item of a user from all the others, linearly.

        minimise ||X - X B||^2 + lambda ||B||^2  subject to diag(B) = 0
        P = (X^T X + lambda I)^-1,   B_ij = -P_ij / P_jj,   s_u = w_u B

    X is "users items", binary; w_u is the user's weighted history. Source: Steck, *Embarrassingly Shallow Autoencoders
    for Sparse Data*, WWW 2019, equations 3 and 8. The score is additive: event j adds w_j B_ji.

    Args:
        regularization: lambda; hundreds to thousands for dense logs, less for sparse ones.
        memory_limit_gb: refuse to fit when the estimate (10^9 bytes) exceeds this. B is quadratic in the items.

    Raises:
        ConfigError: an argument is not positive, or lambda is too small for single precision (when fitting).
        CapabilityError: the catalogue needs more memory than `memory_limit_gb` (when fitting).
    """

    def __init__(self, regularization: float = 500.0, memory_limit_gb: float = 8.0) -> None:
        positive("regularization", regularization)
        positive("memory_limit_gb", memory_limit_gb)
        self.regularization = regularization
        self.memory_limit_gb = memory_limit_gb
        self._weights: Tensor
        self._sample_columns = CachedColumns()

    @property
    def folds_in(self) -> bool:
        return True

    @staticmethod
    def memory_gb(n_items: int) -> float:
        """Return the peak memory of a fit in 10^9 bytes.

        >>> round(EASE.memory_gb(20_000), 1)
        4.8
        """
        return _MATRICES * 4 * n_items**2 / 1e9

    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        _ = self.fitted_on
        return apply_event_weights(queries, pair_weights(self._weights, queries, items))

    def contributions_to_sample(
        self, queries: Queries, item_sample: Items, items: Items
    ) -> tuple[Float[Tensor, "events item_sample"], Float[Tensor, "events 1"]]:
        _ = self.fitted_on
        sample = self._sample_columns.rows(self._weights, item_sample, queries.history.items)
        return apply_event_weights(queries, sample), self.contributions(queries, items[:, None])

    def rows(self) -> Float[Tensor, "items items"]:
        _ = self.fitted_on
        return self._weights

    def row_weights(self, queries: Queries) -> Floats:
        return event_weights(queries)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        needed, n_items = self.memory_gb(train.n_items), train.n_items
        fit = f"EASE on {n_items} items"
        check_memory(fit, needed, self.memory_limit_gb, "use ItemKNN, IALS or AMPCF")
        progress = FitProgress(fit, n_items**3, session, needed)
        gram = torch.empty(n_items, n_items)
        for start, block in cooccurrence_blocks(train.matrix()):
            gram[start : start + block.shape[0]] = torch.from_numpy(block.toarray())
        gram.diagonal().add_(self.regularization)
        factor = regularized_factor(gram, self.regularization)
        del gram
        progress.advance(n_items**3 / 3)
        # LAPACK returns columns; reading rows from that layout is twenty times slower.
        inverse = torch.cholesky_inverse(factor).contiguous()
        self._weights = inverse.div_(-inverse.diagonal().clone()).fill_diagonal_(0.0)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return sum_of_rows(self._weights, queries.history.items, queries.history.indptr, self.row_weights(queries))

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"weights": self._weights.numpy()}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._weights = torch.from_numpy(arrays["weights"].copy())
