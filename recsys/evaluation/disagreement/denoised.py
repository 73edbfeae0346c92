"""How many users are really below a half: shares of small counts, freed of their noise."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import betainc, betaln

from recsys.types import Doubles

_LARGEST = 12.0  # of log(a + b): beyond, the shares are all alike


def beta_of(right: Doubles, judged: Doubles) -> tuple[float, float]:
    """Return (a, b) of the Beta distribution from which users' shares are most likely drawn.

    right_u ~ Binomial(judged_u, s_u), s_u ~ Beta(a, b); maximum likelihood over the logits of the mean and log(a + b).

    Args:
        right: "users", judgements that the rule got right; ties count a half.
        judged: "users", judgements, above 0.
    """
    mean = np.clip(right.sum() / judged.sum(), 1e-6, 1 - 1e-6)

    def loss(point: Doubles) -> float:
        a, b = _ab(point)
        return -float((betaln(a + right, b + judged - right) - betaln(a, b)).sum())

    start = np.array([np.log(mean / (1 - mean)), 3.0])
    return _ab(np.asarray(minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6}).x))


def share_below(right: Doubles, judged: Doubles, level: float = 0.5) -> float:
    """Return P(s_u < level) under the fitted Beta distribution; NaN without users.

    The raw share of users whose observed share is below a half is too large: of users who are all at .6, one in eight
    is observed below a half in 20 judgements. A fit takes the binomial noise out of the spread.

    >>> rng = np.random.default_rng(0)
    >>> judged = np.full(4000, 20.0)
    >>> right = rng.binomial(20, 0.6, 4000).astype(float)
    >>> round(float((right < 10).mean()), 2), round(share_below(right, judged), 2)
    (0.12, 0.0)
    """
    if len(right) == 0:
        return float("nan")
    a, b = beta_of(right, judged)
    return float(betainc(a, b, level))


def _ab(point: Doubles) -> tuple[float, float]:
    mean = 1 / (1 + np.exp(-point[0]))
    size = float(np.exp(min(point[1], _LARGEST)))
    return float(np.clip(mean, 1e-9, 1 - 1e-9) * size), float(np.clip(1 - mean, 1e-9, 1 - 1e-9) * size)
