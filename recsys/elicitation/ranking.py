"""The ranking belief: what is liked, given what was answered, with the full covariance of known and liked items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, final

import numpy as np
import scipy.sparse as sp

from recsys.checks import positive, whole
from recsys.elicitation.crowd import Crowd
from recsys.elicitation.questions import Answer
from recsys.types import Doubles, Floats, Ints


@final
@dataclass(frozen=True, eq=False)
class RankingBases:
    """What answers on some candidates say about all items: second moments of the crowd.

        f_u = (known_u, liked_u) of the candidates,   C = sum_u (f_u - mean)(f_u - mean)'

    Attributes:
        candidates: "candidates", numbers of the items that may be asked about, the best known first.
        within: "2 candidates 2 candidates", C + regularization I; the known flags come first, then the liked ones.
        to_items: "2 candidates items", sum_u (f_u - mean)(liked_uj - q_j).
        mean: "2 candidates".
        liked: "items", q_j, the share of the crowd that likes each item.
        people: size of the crowd.
    """

    candidates: Ints
    within: Doubles
    to_items: Floats
    mean: Doubles
    liked: Doubles
    people: int

    @classmethod
    def of(cls, crowd: Crowd, candidates: Ints | None = None, *, most: int = 400, regularization: float = 30.0) -> Self:
        """Measure a crowd.

        Args:
            crowd: the other people.
            candidates: items that may be asked about; None: all.
            most: so many of them at most, the best known ones.
            regularization: added to the diagonal of C, in people.

        Raises:
            ConfigError: a setting is out of range.
        """
        whole("most", most)
        positive("regularization", regularization)
        allowed = np.arange(crowd.n_items) if candidates is None else np.asarray(candidates, np.int64)
        chosen = allowed[np.argsort(-crowd.known_shares[allowed], kind="stable")][:most]
        features = sp.hstack([crowd.known[:, chosen], crowd.liked[:, chosen]], format="csr")
        mean = np.asarray(features.mean(0)).ravel()
        people, liked = crowd.n_users, crowd.liked_shares
        within = (features.T @ features).toarray() - people * np.outer(mean, mean)
        within[np.diag_indices_from(within)] += regularization
        to_items = (features.T @ crowd.liked).toarray() - people * np.outer(mean, liked)
        return cls(chosen, within, to_items.astype(np.float32), mean, liked, people)

    def __len__(self) -> int:
        return len(self.candidates)


@final
class RankingBelief:
    """What somebody likes, given the answers so far.

        E[liked_j | answers on S] = q_j + C_jS (C_SS + lambda I)^-1 (f_S - mean)

    "Don't know" is the answer f = (0, 0). The belief is the same whatever the order of the answers; answers about items
    that are no candidates say nothing to it. Of a pair, the preferred item counts as liked and the other as known.

    Args:
        bases: of the crowd.
        answers: one for each item; of several the last counts.
        likes: the lowest rating that counts as liked; None: every one.
    """

    def __init__(self, bases: RankingBases, answers: Sequence[Answer] = (), likes: float | None = None) -> None:
        self.bases = bases
        said: dict[int, tuple[float, float]] = {}
        for answer in answers:
            said |= _flags(answer, likes)
        place = {item: number for number, item in enumerate(bases.candidates.tolist())}
        asked = np.array([place[item] for item in said if item in place], np.int64)
        flags = np.array([said[item] for item in said if item in place]).reshape(-1, 2)
        self._rows = np.concatenate([asked, asked + len(bases)])
        self._flags = flags.T.ravel()

    @property
    def expected(self) -> Doubles:
        """ "items", E[liked_j | answers], which may leave [0, 1] a little."""
        if not len(self._rows):
            return self.bases.liked.copy()
        rows = self._rows
        weights = np.linalg.solve(self.bases.within[np.ix_(rows, rows)], self._flags - self.bases.mean[rows])
        return np.asarray(self.bases.liked + weights.astype(np.float32) @ self.bases.to_items[rows])

    @property
    def known(self) -> float:
        """The share of all that answers on every candidate would tell of what is liked; see `variance_told`.

        It is 0 where answers tell nothing, as in a crowd of people who all like the same.
        """
        everything = variance_told(self.bases, np.arange(2 * len(self.bases)))
        return variance_told(self.bases, self._rows) / everything if everything > 0 else 0.0


def variance_told(bases: RankingBases, rows: Ints) -> float:
    """Return by how much answers make sum_j q_j^2 Var(liked_j) fall, in people; it does not depend on what is answered.

        sum_j q_j^2 C_jS (C_SS + lambda I)^-1 C_Sj

    Args:
        bases: of the crowd.
        rows: "features", of the answered candidates.
    """
    if not len(rows):
        return 0.0
    told = bases.to_items[rows] * bases.liked
    return float(np.sum(told * np.linalg.solve(bases.within[np.ix_(rows, rows)], told)))


def _flags(answer: Answer, likes: float | None) -> dict[int, tuple[float, float]]:
    """Return (known, liked) of the items of an answer."""
    if answer.kind == "dont_know":
        return {} if answer.other is not None else {answer.item: (0.0, 0.0)}
    if answer.kind == "rating":
        assert answer.value is not None
        return {answer.item: (1.0, float(likes is None or answer.value >= likes))}
    if answer.kind in ("like", "dislike"):
        return {answer.item: (1.0, float(answer.kind == "like"))}
    assert answer.other is not None
    if answer.kind == "prefer":
        return {answer.item: (1.0, 1.0), answer.other: (1.0, 0.0)}
    return {}
