"""Ridge regression of each item on those who rated it, with weights that items may share.

    minimise  sum_{u in R_i} w_u (x_ui - f_u . theta_i)^2 + lambda theta_i' (I + W W')^-1 theta_i

f_u holds the features of all events of u but the one on item i. In the space of the raters R_i, with the kernel
K = F (I + W W') F' without the item's own features,

    (K + lambda w^-1) alpha_i = x_i,     theta_i = (I + W W') F' alpha_i

The prior W is learned from the weights of a first fit without it, Theta, "features items" (empirical Bayes):

    W_j = U_j (c d_j)^1/2,     d_j = S_j^2 lambda / (n v)

for its first left singular vectors U_j; d_j tells how many times the variance of the n items' weights along U_j is that
of the prior I, with v the variance of the targets. What many items learn from, such as a taste, is then hardly
penalised; what one item alone seems to learn from is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from recsys.training.progress import FitProgress
from recsys.types import Doubles, Floats

_LEAST = 20
"""Raters of an item whose weights tell of the prior."""


def work(raters: Doubles, fits: int) -> float:
    """Return the floating-point operations of so many fits, nearly."""
    return fits * float((raters**3).sum() / 3)


def solve(
    features: Sequence[sp.csr_matrix],
    targets: sp.csr_matrix,
    ridge: Doubles,
    progress: FitProgress,
    prior: Doubles | None = None,
) -> Floats:
    """Return theta, "features items", float32; 0 for the features of the item itself.

    Args:
        features: "users items" each.
        targets: "users items", with an entry, maybe 0, where it is rated.
        ridge: "users", lambda / w_u.
        progress: of the fit.
        prior: W, "features rank".
    """
    items = targets.shape[1]
    whole = sp.hstack(features).tocsr()
    gram = (whole @ whole.T).toarray().astype(np.float64)
    shared = None if prior is None else np.asarray(whole @ prior, np.float64)
    columns, own = targets.tocsc(), [part.tocsc() for part in features]
    for matrix in (columns, *own):
        matrix.sort_indices()
    dual = np.zeros(columns.nnz)
    common = np.zeros((0 if prior is None else prior.shape[1], items))
    for item in range(items):
        begin, end = columns.indptr[item : item + 2]
        raters = columns.indices[begin:end]
        if not len(raters):
            continue
        kernel = gram[np.ix_(raters, raters)]
        mine = np.stack([part.data[part.indptr[item] : part.indptr[item + 1]] for part in own], 1).astype(np.float64)
        kernel -= mine @ mine.T  # nobody's rating of the item predicts it
        kernel.flat[:: len(raters) + 1] += ridge[raters]
        others = None
        if prior is not None and shared is not None:
            others = shared[raters] - mine @ prior[item::items]
            kernel += others @ others.T
        alpha = scipy.linalg.solve(
            kernel, columns.data[begin:end], assume_a="pos", check_finite=False, overwrite_a=True
        )
        dual[begin:end] = alpha
        if others is not None:
            common[:, item] = others.T @ alpha
        progress.advance(float(len(raters)) ** 3 / 3)
    theta = np.asarray((whole.T @ sp.csc_matrix((dual, columns.indices, columns.indptr), columns.shape)).toarray())
    if prior is not None:
        theta += prior @ common
    theta = theta.astype(np.float32)
    for place in range(len(features)):
        np.fill_diagonal(theta[place * items : (place + 1) * items], 0.0)
    return theta


def learned_prior(theta: Floats, targets: sp.csr_matrix, regularization: float, rank: int, weight: float) -> Doubles:
    """Return W, "features rank", from the weights of a fit without it.

    Args:
        theta: "features items".
        targets: "users items".
        regularization: lambda of that fit.
        rank: number of directions that items share.
        weight: c.
    """
    many = np.bincount(targets.indices, minlength=targets.shape[1]) >= _LEAST
    weights = theta[:, many if many.any() else slice(None)].astype(np.float64)
    rank = min(rank, *weights.shape)
    if rank < min(weights.shape) - 1:
        left, size, _ = svds(weights, k=rank, v0=np.ones(min(weights.shape)))
    else:
        left, size, _ = np.linalg.svd(weights, full_matrices=False)
        left, size = left[:, :rank], size[:rank]
    variance = float(targets.multiply(targets).mean() * np.prod(targets.shape) / max(targets.nnz, 1))
    often = size**2 / weights.shape[1] * regularization / max(variance, 1e-12)
    return np.asarray(left * np.sqrt(weight * often))
