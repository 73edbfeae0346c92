"""SignedLinear: what a user says of the items rated, linearly from what the user says of all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import choice, positive
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.base import Recommender, Validate
from recsys.models.capabilities import AdditiveEvents, FoldIn
from recsys.models.linear import feedback_ridge
from recsys.models.linear.operations import check_memory, pair_weights, sum_of_rows, weighted_sum
from recsys.models.preference.residuals import Residuals
from recsys.training.progress import FitProgress
from recsys.training.session import Session
from recsys.types import Floats, Ints, Items

Targets = Literal["rated", "all"]
"""Whether an item's weights are fitted on those who rated it, or on everybody, for whom it is then 0."""


@final
class SignedLinear(Recommender, FoldIn, AdditiveEvents):
    """Predict a user's residual on an item from the residuals on all other items, and from which items were rated.

        s_ui = b_i + sum_{l in H_u} ( x_ul B_li + presence |H_u|^-1/2 P_li ),   B_ii = P_ii = 0

    x_ul is what u says of l beyond the usual (`Residuals`). With `targets="rated"` each item i is a ridge regression
    over the users R_i who rated it,

        minimise  sum_{u in R_i} w_u (x_ui - f_u . theta_i)^2 + lambda |theta_i|^2,    w_u = (mean n / n_u)^user_weight

    where f_u holds both features of all items but i; it is solved in the space of R_i. With `targets="all"` it is EASE
    (Steck, WWW 2019) on signed residuals, in closed form (`recsys.models.linear.feedback_ridge`). A rating is not
    missing at random, but who did not rate an item said nothing of it: "rated" takes no silence for an average opinion.

    The user's state is a function of the visible history, so unknown users are served. Scores are additive up to b_i.
    As a ranking of the whole catalogue it is one by predicted liking, not by what will be used next.

    Args:
        regularization: lambda.
        presence: weight of the feature "was rated at all"; 0: it is not read.
        targets: whom an item's weights are fitted on.
        user_weight: above 0, users with many ratings count less each.
        memory_limit_gb: refuse to fit when the estimate (10^9 bytes) exceeds this.

    Raises:
        ConfigError: a setting is out of range.
        DataError: the log has no two different ratings (when fitting).
        CapabilityError: the log needs more memory than `memory_limit_gb` (when fitting).
    """

    def __init__(
        self,
        regularization: float = 400.0,
        presence: float = 8.0,
        targets: Targets = "rated",
        user_weight: float = 0.0,
        memory_limit_gb: float = 8.0,
    ) -> None:
        positive("regularization", regularization)
        positive("presence", presence, zero=True)
        choice("targets", targets, Targets)
        positive("user_weight", user_weight, zero=True)
        positive("memory_limit_gb", memory_limit_gb)
        self.regularization = regularization
        self.presence = presence
        self.targets: Targets = targets
        self.user_weight = user_weight
        self.memory_limit_gb = memory_limit_gb
        self._residuals: Residuals
        self._tables: list[Tensor]

    @property
    def folds_in(self) -> bool:
        return True

    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        """Return x_l B_li + presence |H|^-1/2 P_li, the exact contribution of each event, without b_i."""
        _ = self.fitted_on
        return weighted_sum(self._features(queries), (pair_weights(table, queries, items) for table in self._tables))

    def event_rows(self, queries: Queries, events: Ints) -> Floats:
        items = queries.history.items[events]
        parts = [
            feature[events, None] * table.numpy()[items]
            for feature, table in zip(self._features(queries), self._tables, strict=True)
        ]
        return np.asarray(sum(parts[1:], parts[0]), np.float32)

    def _features(self, queries: Queries) -> tuple[Floats, ...]:
        signed, present = self._residuals.features(queries)
        return (signed, np.float32(self.presence) * present) if self.presence else (signed,)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        users, items, parts = train.n_users, train.n_items, 2 if self.presence else 1
        needed = 4 * (parts * items**2 + 2 * users**2) / 1e9
        if self.targets == "all":
            needed = feedback_ridge.memory_gb(users, items, parts)
        fit = f"SignedLinear on {users} users and {items} items"
        check_memory(fit, needed, self.memory_limit_gb, "use PairwisePreference")
        self._residuals = Residuals.of(train)
        signed, present = self._residuals.matrices(train)
        features = [signed, sp.csr_matrix(self.presence * present)] if self.presence else [signed]
        if self.targets == "all":
            progress = FitProgress(fit, feedback_ridge.work(users, items, parts), session, needed)
            self._tables = feedback_ridge.solve(features, signed, self.regularization, progress)
            return
        raters = np.bincount(signed.indices, minlength=items).astype(np.float64)
        progress = FitProgress(fit, float((raters**3).sum() / 3), session, needed)
        dual = self._dual(signed, features, progress)
        self._tables = [torch.from_numpy((part.T @ dual).toarray(order="C").astype(np.float32)) for part in features]
        for table in self._tables:
            table.fill_diagonal_(0.0)

    def _dual(self, signed: sp.csr_matrix, features: list[sp.csr_matrix], progress: FitProgress) -> sp.csc_matrix:
        """Return alpha, "users items": theta_i = F_{R_i}^T alpha_i, with (K + lambda W^-1) alpha_i = x_{R_i, i}."""
        gram = sum((part @ part.T).toarray() for part in features)
        assert isinstance(gram, np.ndarray)
        counts = np.maximum(np.diff(signed.indptr), 1)
        ridge = self.regularization * (counts / counts.mean()) ** self.user_weight
        columns, own = signed.tocsc(), [part.tocsc() for part in features]
        for matrix in (columns, *own):
            matrix.sort_indices()
        dual = np.zeros(columns.nnz, np.float32)
        for item in range(columns.shape[1]):
            begin, end = columns.indptr[item : item + 2]
            raters = columns.indices[begin:end]
            kernel = gram[np.ix_(raters, raters)]
            for part in own:  # nobody's rating of the item predicts it
                mine = part.data[part.indptr[item] : part.indptr[item + 1]]
                kernel -= np.outer(mine, mine)
            kernel.flat[:: len(raters) + 1] += ridge[raters]
            if len(raters):
                dual[begin:end] = scipy.linalg.solve(
                    kernel, columns.data[begin:end], assume_a="pos", check_finite=False, overwrite_a=True
                )
            progress.advance(float(len(raters)) ** 3 / 3)
        return sp.csc_matrix((dual, columns.indices, columns.indptr), shape=columns.shape)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        history = queries.history
        scores = torch.from_numpy(self._residuals.item.astype(np.float32)).expand(len(queries), -1).clone()
        for feature, table in zip(self._features(queries), self._tables, strict=True):
            scores += sum_of_rows(table, history.items, history.indptr, feature)
        return scores

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        tables = {f"weights_{number}": table.numpy() for number, table in enumerate(self._tables)}
        return {"item": self._residuals.item, "mean": np.asarray(self._residuals.mean), **tables}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._residuals = Residuals(float(arrays["mean"]), arrays["item"].copy())
        names = sorted(name for name in arrays if name.startswith("weights_"))
        self._tables = [torch.from_numpy(arrays[name].copy()) for name in names]
