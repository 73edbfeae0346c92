"""Any model with a slate of its own: lists that are calibrated, diverse, or give tastes their seats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from recsys.data.clusters import pure_svd, spherical_kmeans
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.models.base import ReadOut, Recommender, Validate
from recsys.models.capabilities import OwnSlate, RoutesItems
from recsys.models.personas.content import LABELLED, contents_of
from recsys.models.personas.model import WithPersonas
from recsys.models.wrapping import Wrapper, fitted, part_of, prefixed
from recsys.slates import Exact, Owners, Seating, Seats, Slate
from recsys.training.session import Session
from recsys.types import Doubles, Ints, Items

_MODEL, _LABELS = "model.", "labels"
"""Arrays: prefix of those of the wrapped model; the label of each item, where items have no genres."""

_CLUSTERS: Final = 20
_FACTORS: Final = 32
_SEED: Final = 0


@final
class Slated(Wrapper, OwnSlate):
    """A model whose lists a slate makes: `recommend`, evaluations and the service all get them.

        scores -> mask -> the best `slate.pool` -> slate.choose -> list

    Scores are those of the model. Who owns a seat is the label of the item of which the user's history holds most: a
    genre, or, where most items have none, a cluster of items that is found at fit. With a model that routes items to
    personas (PersonaEASE, AMPCF) and `Seats` over personas it is the persona to which the item belongs most.

    Args:
        model: any model. It stays as it is: `fit` fits a copy.
        slate: makes the lists.

    Raises:
        CapabilityError: the model has a slate, or the slate wants personas to have seats.
    """

    def __init__(self, model: Recommender, slate: Slate) -> None:
        if isinstance(model, WithPersonas):
            raise CapabilityError("WithPersonas has a slate already; set its own: WithPersonas(model, slate=...)")
        if isinstance(model, Slated):
            raise CapabilityError("Slated cannot wrap Slated; only one slate makes a list")
        self._over_personas = isinstance(slate, Seats) and slate.over == "personas" and slate.weight > 0
        self._over_personas |= isinstance(slate, Exact) and "personas" in slate.axes
        if self._over_personas and not isinstance(model, RoutesItems):
            raise CapabilityError(
                f"{type(model).__name__} has no personas that could have seats; use Seats(over='tastes'), or "
                "WithPersonas(model, slate=Seats())"
            )
        self.model = model
        self.slate = slate
        self._inner = model.unfitted()
        self._labels: Items | None = None

    @property
    def scoring_model(self) -> Recommender:
        scoring = self.base.scoring_model
        return self if scoring is self._inner else self._around(scoring, self._labels)

    @property
    def chosen_slate(self) -> Slate:
        return self.slate

    @property
    def seats_personas(self) -> bool:
        """Whether the owners of seats are the personas of the model within; else labels of items."""
        return self._over_personas

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of what items are about, by the numbers of the owners of seats."""
        names = self.fitted_on.metadata.genre_matrix[0]
        return names if self._labels is None else tuple(f"taste {number}" for number in range(_CLUSTERS))

    @property
    def seat_names(self) -> tuple[str, ...]:
        """Names of the owners of seats, by their numbers."""
        if self._over_personas:
            return tuple(f"persona {number + 1}" for number in range(self.routing().shape[1]))
        return self.labels

    @property
    def parts(self) -> Doubles:
        """ "items labels", the part of each item that is about each label; rows sum to 1, or to 0."""
        if self._labels is None:
            return self.fitted_on.metadata.genre_parts
        return np.asarray(self._labels[:, None] == np.arange(_CLUSTERS), np.float64)

    @classmethod
    def around(cls, model: Recommender, slate: Slate, train: Interactions) -> Slated:
        """Return a fitted model with a slate, without fitting it again.

        Args:
            model: fitted, without a slate.
            slate: makes the lists.
            train: what it was fitted on.
        """
        return cls(model.unfitted(), slate)._around(model, _clusters(train))

    def owners(self, queries: Queries) -> Owners:
        """Return who owns the seats of the lists of some users: labels of the items, or personas of the model."""
        return LabelOwners(self, queries)

    def routing(self) -> Doubles:
        """Return "items personas", the part of each item that belongs to each persona.

        Raises:
            CapabilityError: the model within routes no items.
        """
        if not isinstance(self.base, RoutesItems):
            raise CapabilityError(f"{type(self.base).__name__} routes no items to personas; use PersonaEASE or AMPCF")
        return self.base.routing().astype(np.float64)

    def _around(self, scoring: Recommender, labels: Items | None) -> Slated:
        """Return a model that is fitted already with this slate."""
        other = Slated(scoring.unfitted(), self.slate)
        other._fitted_on, other._inner, other._labels = scoring.fitted_on, scoring, labels
        return other

    def with_inner(self, inner: Recommender) -> Slated:
        """Return the model around the model within after it took further items, which have no cluster."""
        labels = self._labels
        if labels is not None:
            labels = np.pad(labels, (0, inner.n_items - len(labels)), constant_values=UNKNOWN)
        return self._around(inner, labels)

    def _seen(self, queries: Queries) -> Queries:
        return queries

    def _read(self, queries: Queries) -> ReadOut:
        read = self._inner.read(queries)
        return ReadOut(
            self if read.model is self._inner else self._around(read.model, self._labels), read.queries, read.recent
        )

    def _seating(self, queries: Queries) -> tuple[Slate | None, Owners | None]:
        return self.slate, self.owners(queries)

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        self._inner, effort = fitted(self.model.unfitted(), train, validate, session)
        self._labels = _clusters(train)
        return effort

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = prefixed(_MODEL, self._inner.arrays())
        return arrays if self._labels is None else arrays | {_LABELS: self._labels}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._inner = self.model.unfitted().restore(self.fitted_on, part_of(arrays, _MODEL))
        labels = arrays.get(_LABELS)
        self._labels = None if labels is None else np.asarray(labels, np.int32)


def _clusters(train: Interactions) -> Items | None:
    """Return the cluster of each item where most have no genre; `UNKNOWN` for those without uses."""
    if train.metadata.labelled >= LABELLED:
        return None
    vectors = pure_svd(train.uses.matrix(), _FACTORS, _SEED)
    placed = np.flatnonzero(vectors.any(1))
    labels = np.full(train.n_items, UNKNOWN, np.int32)
    if len(placed):
        labels[placed] = spherical_kmeans(vectors[placed], min(_CLUSTERS, len(placed)), _SEED)
    return labels


@final
class LabelOwners(Owners):
    """The labels of items as owners of the seats of lists.

    Args:
        model: knows the labels.
        queries: the users.
    """

    def __init__(self, model: Slated, queries: Queries) -> None:
        self._model, self._queries = model, queries

    def seating(self, rows: Ints, items: Items) -> Seating:
        fitted = self._model.fitted_on
        read = self._model.read(self._queries.take(rows)).queries
        tables = [self._model.parts, fitted.popularity_parts]
        if self._model.seats_personas:
            routed = self._model.routing()
            tables.append((routed.argmax(1)[:, None] == np.arange(routed.shape[1])).astype(np.float64))
        content, popularity, *routes = contents_of(tables, read, items)
        owners = routes[0] if routes else content
        return Seating(owners.home, owners.shares, content=content, popularity=popularity)
