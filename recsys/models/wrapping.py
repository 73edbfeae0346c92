"""Models around a model: what they share, and how the arrays of a model within are saved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, final

import numpy.typing as npt
import scipy.sparse as sp
from jaxtyping import Float
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.models.base import Recommender, Validate
from recsys.models.capabilities import FoldIn, PersonaRecommender, as_fold_in
from recsys.models.top_n import SparseScores
from recsys.training.session import Session
from recsys.types import Items


class Wrapper(PersonaRecommender, FoldIn, SparseScores):
    """A model around a model, its base, which answers for it: scores, contributions and personas are the base's.

        answer(queries) = base's answer(seen(queries))

    A subclass says what is seen, sets `_inner` to the base when it is made, fitted and restored, and can do what the
    base can do.
    """

    _inner: Recommender

    @abstractmethod
    def _seen(self, queries: Queries) -> Queries:
        """Return what the base is asked instead of the queries."""

    @property
    @final
    def base(self) -> Recommender:
        """The fitted model within."""
        _ = self.fitted_on
        return self._inner

    @property
    @final
    def folds_in(self) -> bool:
        return self._inner.folds_in

    @property
    @final
    def needs_known_users(self) -> bool:
        return self._inner.needs_known_users

    @property
    @final
    def has_personas(self) -> bool:
        return isinstance(self._inner, PersonaRecommender) and self._inner.has_personas

    @final
    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        return as_fold_in(self.base, "contributions").contributions(self._seen(queries), items)

    @final
    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        return self._with_personas().personas(self._seen(queries))

    @final
    def item_vectors(self) -> Float[Tensor, "items dim"]:
        return self._with_personas().item_vectors()

    @final
    def attention(self, queries: Queries, items: Items) -> Float[Tensor, "queries personas n"]:
        return self._with_personas().attention(self._seen(queries), items)

    @final
    def is_sparse(self, queries: Queries) -> bool:
        return isinstance(self._inner, SparseScores) and self._inner.is_sparse(queries)

    @final
    def sparse_scores(self, queries: Queries) -> sp.csr_matrix:
        assert isinstance(self._inner, SparseScores)
        return self._inner.sparse_scores(self._seen(queries))

    @final
    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return self._inner.score(self._seen(queries))

    @final
    def _with_personas(self) -> PersonaRecommender:
        base = self.base
        if isinstance(base, PersonaRecommender) and base.has_personas:
            return base
        raise CapabilityError(
            f"{type(base).__name__}, which {type(self).__name__} wraps, has no personas; wrap PersonaEASE, AMPCF or MF"
        )


def fitted(
    model: Recommender, train: Interactions, validate: Validate | None, session: Session
) -> tuple[Recommender, tuple[int, int]]:
    """Fit an unfitted model, and return it with the epochs and positives that its fit took."""
    effort = model.fit(train, validate, session).effort
    assert effort is not None
    return model, (effort.epochs, effort.examples)


def prefixed(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a part under a prefix."""
    return {prefix + name: array for name, array in arrays.items()}


def part_of(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays under a prefix, by their names without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
