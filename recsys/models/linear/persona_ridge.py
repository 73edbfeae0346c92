"""Item-item ridge regression by persona experts, in closed form.

Every persona k has an expert B^(k), a linear model that predicts each item i of a user from all the others,

    minimise  sum_u omega_uk^2 n_u^{-2a} (x_ui - n_u^{-b} sum_{j != i} x_uj B^k_ji)^2 + sum_j lambda_jk (B^k_ji)^2

with omega_uk, the weight of user u, larger for users in whom persona k is strong, and lambda_jk, the shrinkage, smaller
for items j of persona k. A candidate item i attends to the experts by its routing r_ik, so that the mixture is one
matrix again, B_ji = sum_k r_ik B^k_ji. One persona with a = b = p = 0 is EASE (Steck, WWW 2019); mixtures of item-item
models are in the tradition of GLSLIM (Christakopoulou and Karypis, RecSys 2016); the form and its closed solution are
ours. With F the scaled histories, t_i the scaled targets, P = (F^T F + Lambda)^-1 and c_i = P F^T t_i the solution
without its constraint, the one that does not use item i is

    B_.i = c_i - P_.i c_ii / P_ii

which is Steck's equation 8. P is found in the space of items, or, by Woodbury's identity P F^T = F^T A / lambda with
A = (I + F F^T / lambda)^-1, in that of users, whichever is smaller. (Items are scaled so that all have one penalty.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.models.linear.operations import regularized_factor
from recsys.training.progress import FitProgress

_BLOCK = 512
_DENSE = 0.02
"""From this density of the log on, a dense product is faster than a sparse one."""
_SHARE_FLOOR = 0.02
"""Added to shares before their ratio is taken, so that no user's weight is 0."""


@final
@dataclass(frozen=True)
class PersonaRidge:
    """The regression, by its settings.

    Attributes:
        regularization: lambda, for an item of typical popularity, on average over the personas of items.
        user_power: a; users with n events count n^{-2a} each. 0 is EASE's choice; larger values limit the influence of
            heavy users.
        history_power: b; the history of a user with n events is scaled by n^{-b}. 0 is EASE's choice; .5 gives every
            history the same length.
        item_power: p; lambda_j is proportional to popularity^{2p}: the weights of popular items are shrunk more.
        cohesion: gamma; lambda_jk is proportional to 1 / (1 + gamma K r_jk): weights from items of the expert's own
            persona are shrunk less. 0 treats all equally.
        locality: omega_uk is proportional to (pi_uk / mean pi_k)^locality, pi_uk the share of persona k in the history
            of user u. 0 weights all users equally.
    """

    regularization: float
    user_power: float = 0.0
    history_power: float = 0.0
    item_power: float = 0.0
    cohesion: float = 0.0
    locality: float = 0.0

    @staticmethod
    def memory_gb(n_users: int, n_items: int) -> float:
        """Return the peak memory of `solve` in 10^9 bytes: the inverse in the smaller space, an expert, the mixture."""
        return 4 * (3 * min(n_users, n_items) ** 2 + 3 * n_items**2) / 1e9

    @staticmethod
    def work(n_users: int, n_items: int, personas: int) -> float:
        """Return the floating-point operations of `solve`: an inverse in the smaller space, and its products."""
        smaller = min(n_users, n_items)
        return float(personas * (smaller**3 + (4 if n_users < n_items else 2) * smaller**2 * n_items))

    def solve(
        self,
        matrix: sp.csr_matrix,
        routing: npt.NDArray[np.float32],
        progress: FitProgress | None = None,
        targets: sp.csr_matrix | None = None,
    ) -> Float[Tensor, "items items"]:
        """Return B_ji, the mixture of the experts.

        Args:
            matrix: "users items", the features; binary where all events count alike.
            routing: "items personas"; rows sum to 1.
            progress: of all experts, reported after each.
            targets: "users items"; the features where None.

        Raises:
            ConfigError: the regularisation is too small to invert in single precision.
        """
        several = np.flatnonzero(np.diff(matrix.indptr) > 1)  # a single item has no co-occurrence
        wanted = matrix[several] if targets is None else targets[several]
        matrix = matrix[several]
        if matrix.shape[0] == 0:
            return torch.zeros(matrix.shape[1], matrix.shape[1])
        common = self.of_popularity(np.bincount(matrix.indices, minlength=matrix.shape[1]))
        scaled = self.scaled(matrix, wanted, common)
        by = self._by_users if matrix.shape[0] < matrix.shape[1] else self._by_items
        learning = self._learning(matrix, routing)

        def solve(number: int, item: npt.NDArray[np.float64]) -> Float[Tensor, "targets items"]:
            return by(*self.weighted(scaled, learning[number], item))

        advance = None if progress is None else lambda: progress.advance(self.work(*matrix.shape, 1))
        return self.mixture(solve, routing, common, advance)

    def mixture(
        self,
        solve: Callable[[int, npt.NDArray[np.float64]], Float[Tensor, "targets items"]],
        routing: npt.NDArray[np.float32],
        common: npt.NDArray[np.float64],
        advance: Callable[[], object] | None = None,
    ) -> Float[Tensor, "items items"]:
        """Return B_ji.

        Args:
            solve: returns an expert, by its number and its scale of every item.
            routing: "items personas".
            common: "items", the scale that all experts share.
            advance: called after each expert.
        """
        # One row per target, so that every product below accesses memory in order.
        mixture = torch.zeros(len(routing), len(routing))
        for number, (variance, attention) in enumerate(zip(self._variance(routing), routing.T, strict=True)):
            item = np.sqrt(variance)
            expert = solve(number, item)
            # Back to unscaled items; targets weighted by their attention to this expert.
            expert.mul_(torch.from_numpy((common * item).astype(np.float32)))
            mixture += expert.mul_(torch.from_numpy(np.ascontiguousarray(attention))[:, None])
            if advance is not None:
                advance()
        return mixture.fill_diagonal_(0.0).T.contiguous()

    def of_popularity(self, counts: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """Return the scale of every item, given its users, that all experts share."""
        popularity = counts + 1.0
        return np.asarray((popularity / np.exp(np.log(popularity).mean())) ** -self.item_power)

    def scaled(
        self, matrix: sp.csr_matrix, targets: sp.csr_matrix, common: npt.NDArray[np.float64]
    ) -> tuple[sp.csr_array, sp.csr_array]:
        """Return features and targets, as all experts scale them."""
        counts = np.diff(matrix.indptr).astype(np.float64)
        user = counts**-self.user_power
        features = sp.diags_array(user * counts**-self.history_power) @ matrix @ sp.diags_array(common)
        return features, sp.diags_array(user) @ targets

    def weighted(
        self,
        scaled: tuple[sp.csr_array, sp.csr_array],
        learning: npt.NDArray[np.float64],
        item: npt.NDArray[np.float64],
    ) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Return scaled features and targets as an expert weights users and scales items."""
        by_user, (features, targets) = sp.diags_array(learning), scaled
        own = sp.csr_matrix(by_user @ features @ sp.diags_array(item), dtype=np.float32)
        return own, sp.csr_matrix(by_user @ targets, dtype=np.float32)

    def shares(self, matrix: sp.csr_matrix, routing: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return pi, "users personas", with a floor."""
        return np.asarray(matrix @ routing, dtype=np.float64) / np.diff(matrix.indptr)[:, None] + _SHARE_FLOOR

    def _learning(self, matrix: sp.csr_matrix, routing: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return omega, "personas users", of mean square 1 for every persona."""
        share = self.shares(matrix, routing)
        relative = (share / share.mean(0)) ** self.locality
        return np.asarray((relative / np.sqrt((relative**2).mean(0))).T)

    def _variance(self, routing: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the variance of the weights from each item, "personas items", of mean 1 for every persona."""
        variance = 1 + self.cohesion * routing.shape[1] * routing.astype(np.float64)
        return np.asarray((variance / variance.mean(0)).T)

    def _by_users(self, features: sp.csr_matrix, targets: sp.csr_matrix) -> Float[Tensor, "targets items"]:
        """Solve with the kernel matrix "users users", a block of targets at a time."""
        ridge = self.regularization
        inverse = _inverse((features @ features.T).toarray() / ridge, 1.0, ridge)
        by_item, of_target = features.T.tocsr(), targets.T.tocsr()
        dense = of_target.nnz / (of_target.shape[0] * of_target.shape[1]) > _DENSE

        def times_inverse(block: sp.csr_matrix) -> Float[Tensor, "users block"]:
            if dense:
                return inverse @ torch.from_numpy(block.toarray().T)
            return torch.from_numpy((block @ inverse.numpy()).T)

        n_items = features.shape[1]
        result = torch.empty(n_items, n_items)
        for start in range(0, n_items, _BLOCK):
            part = slice(start, start + _BLOCK)
            own = torch.from_numpy(by_item[part].toarray().T)
            solved, target = times_inverse(by_item[part]), times_inverse(of_target[part])
            # P_ii = (1 - f_i' A f_i / lambda) / lambda and c_ii = f_i' A t_i / lambda, in double precision.
            corner = 1 - (own * solved).sum(0).double() / ridge
            free = (own * target).sum(0).double()
            combined = target + solved * (free / (ridge * corner)).float()
            result[part] = torch.from_numpy(by_item @ combined.numpy()).T
        return result.div_(ridge)

    def _by_items(self, features: sp.csr_matrix, targets: sp.csr_matrix) -> Float[Tensor, "targets items"]:
        """Solve with the Gram matrix "items items"."""
        inverse = _inverse((features.T @ features).toarray(), self.regularization, self.regularization)
        if features.nnz / (features.shape[0] * features.shape[1]) > _DENSE:
            free = torch.from_numpy((targets.T @ features).toarray()) @ inverse
        else:
            free = torch.from_numpy(np.asarray(targets.T.tocsr() @ (features @ inverse.numpy())))
        return _without_own(free, inverse)

    def of_sums(self, gram: npt.NDArray[np.float32], cross: npt.NDArray[np.float32]) -> Float[Tensor, "targets items"]:
        """Return an expert, given F^T F, "items items", and T^T F, "targets items"."""
        inverse = _inverse(gram, self.regularization, self.regularization)
        return _without_own(torch.from_numpy(cross) @ inverse, inverse)


def _without_own(free: Tensor, inverse: Tensor) -> Tensor:
    """Return the solution that uses no item for itself, given the free one; writes over both."""
    own = free.diagonal().double() / inverse.diagonal().double()
    return free.sub_(inverse.mul_(own.float()[:, None]))


def _inverse(matrix: npt.NDArray[np.float32], ridge: float, regularization: float) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float32))
    tensor.diagonal().add_(ridge)
    factor = regularized_factor(tensor, regularization)
    del tensor
    return torch.cholesky_inverse(factor).contiguous()
