"""SignedLinear: what a user says of the items rated, linearly from what the user says of all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import choice, positive, whole
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models.base import Recommender, Validate
from recsys.models.capabilities import AdditiveEvents, FoldIn
from recsys.models.linear import feedback_ridge
from recsys.models.linear.operations import check_memory, pair_weights, sum_of_rows, table_rows, weighted_sum
from recsys.models.preference import rated_ridge
from recsys.models.preference.residuals import Residuals
from recsys.training.progress import FitProgress
from recsys.training.session import Session
from recsys.types import Floats, Ints, Items

_USUAL = 150.0
"""Ratings of a user whose opinions `damping` leaves as they are."""

Targets = Literal["rated", "all"]
"""Whether an item's weights are fitted on those who rated it, or on everybody, for whom it is then 0."""


@final
class SignedLinear(Recommender, FoldIn, AdditiveEvents):
    """Predict a user's residual on an item from the residuals on all other items, and from which items were rated.

        s_ui = b_i + sum_{l in H_u} ( g_u x_ul B_li + presence |H_u|^-1/2 P_li ),   B_ii = P_ii = 0

    with g_u = (|H_u| / 150)^-damping, without which a taste would seem the stronger the more its user rated. x_ul is
    what u says of l beyond the usual (`Residuals`). With `targets="rated"` each item i is a ridge regression over the
    users R_i who rated it,

        minimise  sum_{u in R_i} w_u (x_ui - f_u . theta_i)^2 + lambda |theta_i|^2,    w_u = (mean n / n_u)^user_weight

    where f_u holds both features of all items but i; it is solved in the space of R_i. Then the weights are fitted
    again, under a prior in which items share `rank` directions of the weights (`rated_ridge`): what a user is like in
    general, which every item can learn from, as a model of vectors does. With `targets="all"` it is EASE
    (Steck, WWW 2019) on signed residuals, in closed form (`recsys.models.linear.feedback_ridge`). A rating is not
    missing at random, but who did not rate an item said nothing of it: "rated" takes no silence for an average opinion.

    The user's state is a function of the visible history, so unknown users are served. Scores are additive up to b_i.
    As a ranking of the whole catalogue it is one by predicted liking, not by what will be used next.

    Args:
        regularization: lambda.
        presence: weight of the feature "was rated at all"; 0: it is not read.
        targets: whom an item's weights are fitted on.
        user_weight: above 0, users with many ratings count less each.
        rank: directions that items share; 0: none. Read with "rated".
        shared: weight of these directions in the prior, as a multiple of what a first fit says of them.
        damping: above 0, an opinion of somebody with many ratings says less.
        memory_limit_gb: refuse to fit when the estimate (10^9 bytes) exceeds this.

    Raises:
        ConfigError: a setting is out of range.
        DataError: the log has no two different ratings (when fitting).
        CapabilityError: the log needs more memory than `memory_limit_gb` (when fitting).
    """

    def __init__(
        self,
        regularization: float = 1000.0,
        presence: float = 8.0,
        targets: Targets = "rated",
        user_weight: float = 0.0,
        rank: int = 16,
        shared: float = 64.0,
        damping: float = 0.5,
        memory_limit_gb: float = 8.0,
    ) -> None:
        positive("regularization", regularization)
        positive("presence", presence, zero=True)
        choice("targets", targets, Targets)
        positive("user_weight", user_weight, zero=True)
        whole("rank", rank, least=0)
        positive("shared", shared, zero=True)
        positive("damping", damping, zero=True)
        positive("memory_limit_gb", memory_limit_gb)
        self.regularization = regularization
        self.presence = presence
        self.targets: Targets = targets
        self.user_weight = user_weight
        self.rank, self.shared, self.damping = rank, shared, damping
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

    def event_rows(self, queries: Queries, events: Ints, items: Items | None = None) -> Floats:
        past = queries.history.items[events]
        parts = [
            feature[events, None] * table_rows(table, past, items)
            for feature, table in zip(self._features(queries), self._tables, strict=True)
        ]
        return np.asarray(sum(parts[1:], parts[0]), np.float32)

    def _features(self, queries: Queries) -> tuple[Floats, ...]:
        signed, present = self._residuals.features(queries)
        if self.damping:
            counted = np.maximum(np.bincount(queries.history.rows, queries.counted, len(queries)), 1.0)
            signed = signed * (counted / _USUAL)[queries.history.rows].astype(np.float32) ** -np.float32(self.damping)
        return (signed, np.float32(self.presence) * present) if self.presence else (signed,)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None:
        users, items, parts = train.n_users, train.n_items, 2 if self.presence else 1
        needed = 4 * (4 * parts * items**2 + 4 * users**2) / 1e9
        if self.targets == "all":
            needed = feedback_ridge.memory_gb(users, items, parts)
        fit = f"SignedLinear on {users} users and {items} items"
        check_memory(fit, needed, self.memory_limit_gb, "use PairwisePreference")
        self._residuals = Residuals.of(train)
        signed, present = self._residuals.matrices(train)
        counts = np.maximum(np.diff(signed.indptr), 1)
        damped = signed.copy()  # a product of matrices would drop entries that are 0
        damped.data *= np.repeat((counts / _USUAL) ** -self.damping, np.diff(signed.indptr)).astype(np.float32)
        features = [damped, sp.csr_matrix(self.presence * present)] if self.presence else [damped]
        if self.targets == "all":
            progress = FitProgress(fit, feedback_ridge.work(users, items, parts), session, needed)
            self._tables = feedback_ridge.solve(features, signed, self.regularization, progress)
            return
        shares = self.rank > 0 and self.shared > 0
        raters = np.bincount(signed.indices, minlength=items).astype(np.float64)
        progress = FitProgress(fit, rated_ridge.work(raters, 2 if shares else 1), session, needed)
        ridge = self.regularization * (counts / counts.mean()) ** self.user_weight
        theta = rated_ridge.solve(features, signed, ridge, progress)
        if shares:
            prior = rated_ridge.learned_prior(theta, signed, self.regularization, self.rank, self.shared)
            theta = rated_ridge.solve(features, signed, ridge, progress, prior)
        self._tables = [torch.from_numpy(part.copy()) for part in np.split(theta, parts)]

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
