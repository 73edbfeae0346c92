"""Any model, with items that it has not learned: their scores follow from what is known of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Self, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import positive
from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import CapabilityError, DataError
from recsys.models.base import FittedOn, ReadOut, Recommender, Validate
from recsys.models.capabilities import FoldIn, TakesNewItems, as_fold_in, refuse_own_slate
from recsys.models.cold_items.features import FeatureSpace, ItemFeatures, ridge_inverse
from recsys.models.wrapping import fitted, part_of, prefixed
from recsys.training.session import Session
from recsys.types import Doubles, Floats, Items, Mask

_LOG = logging.getLogger(__name__)
_MODEL, _SPACE, _WARM, _INVERSE = "model.", "features.", "warm", "inverse"
_PARTS: Final = ("data", "indices", "indptr")
_FEATURES = ItemFeatures()
_ENTRIES: Final = 16_000_000
"""Entries of the largest temporary array: 64 MB."""


@final
class WithColdItems(Recommender, FoldIn, TakesNewItems):
    """A model and the items without a training event, scored by a ridge regression on what is known of items.

        theta_u = (F^T F + lambda I)^-1 F^T s_u,    s_un = scale f_n . theta_u

    s_u are the scores that the model gives u for the items that it learned, F "items features" is what is known of
    these (`ItemFeatures`), f_n what is known of a new item. For a model with item vectors, s_u = V x_u, it is the same
    as giving the new item the vector that a ridge regression of V on F predicts (Gantner et al., *Learning
    Attribute-to-Feature Mappings for Cold-Start Recommendations*, ICDM 2010, section 4.2); for a linear item-item
    model, as predicting its column of B. That one map serves both, and any other model, is ours. Scores of learned
    items stay what they are, to the last bit.

    The prediction is a conditional mean, so on average it is as large as the scores of items with these features, and
    smaller than the best of them: `scale` > 1 lists new items more often. An event on a new item hides the item, and
    tells nothing else until the model is fitted again.

    Items that occur in no event of the training log, but in its vocabulary, are new from the start, as in the split
    `cold_items`; `with_items` adds others at any time.

    Args:
        model: the model to wrap, such as `EASE` or `Decayed`. It stays as it is: `fit` fits copies, on the items that
            have events.
        features: what is read of the metadata.
        ridge: lambda.
        scale: what the scores of new items are multiplied by.

    Raises:
        CapabilityError: the model has a slate of its own, or wraps new items already.
        DataError: nothing is known of the items of the log (when fitting).
    """

    def __init__(
        self,
        model: Recommender,
        features: ItemFeatures = _FEATURES,
        ridge: float = 10.0,
        scale: float = 1.0,
    ) -> None:
        if isinstance(model, WithColdItems):
            raise CapabilityError("WithColdItems cannot wrap WithColdItems: new items are scored once")
        refuse_own_slate(model, "WithColdItems")
        positive("ridge", ridge)
        positive("scale", scale)
        self.model = model
        self.features = features
        self.ridge = ridge
        self.scale = scale
        self._inner = model.unfitted()
        self._space: FeatureSpace
        self._inverse: Doubles
        self._warm: Items
        self._known: sp.csr_matrix  # "warm features"
        self._cold: sp.csr_matrix  # "new features", in the order of their numbers

    @property
    def base(self) -> Recommender:
        """The fitted model within, of the items with events."""
        _ = self.fitted_on
        return self._inner

    @property
    def folds_in(self) -> bool:
        return self._inner.folds_in

    @property
    def needs_known_users(self) -> bool:
        return self._inner.needs_known_users

    @property
    def scoring_model(self) -> Recommender:
        scoring = self.base.scoring_model
        return self if scoring is self._inner else self._around(scoring)

    @property
    def is_new(self) -> Mask:
        """ "items", bool: which items are scored by their features."""
        new = np.ones(self.n_items, np.bool_)
        new[self._warm] = False
        return new

    def with_items(self, items: Vocabulary, metadata: ItemMetadata) -> Self:
        """Return the model with further items; this one stays as it is, and the two share what was learned.

        It takes milliseconds, needs no log, and may be called while other threads ask this model.

        Args:
            items: their ids; of the same kind, whole numbers or texts, as those of the model.
            metadata: what is known of them.

        Raises:
            DataError: the model has one of them already, ids are of the other kind, or vectors of another size.
        """
        fitted_on = self.fitted_on
        known = fitted_on.items.numbers(items.ids) != UNKNOWN
        if known.any():
            raise DataError(
                f"item {str(items.ids[known][0])!r} is known to the model already; give only items that it lacks"
            )
        if len(items) and items.is_integer != fitted_on.items.is_integer:
            kind = "whole numbers" if fitted_on.items.is_integer else "texts"
            raise DataError(
                f"ids of items are {kind} in this model, and {items.id_of(0)!r} is not; give ids of that kind"
            )
        cold = self._space.matrix(_named(items, metadata))
        other = self._copy(self._inner)
        other._cold = _below(self._cold, cold)
        other._fitted_on = replace(
            fitted_on,
            items=Vocabulary(np.concatenate([fitted_on.items.ids, items.ids])),
            metadata=fitted_on.metadata.followed_by(metadata),
            item_counts=np.concatenate([fitted_on.item_counts, np.zeros(len(items), np.int64)]),
        )
        return other

    def predicted(self, learned: Floats) -> Floats:
        """Return what the regression says of new items, "new d", given the same of the others, "learned d"."""
        return np.asarray(self._cold @ (self._inverse @ (self._known.T @ learned)), np.float32)

    def feature_parts(self, queries: Queries, item: int) -> list[dict[str, float]]:
        """Return what each feature of a new item adds to its score, for each query: feature in words -> f_nd theta_ud.

        The parts, with that of "every item" and of the given vector, sum to the score.

        Raises:
            CapabilityError: the item is not new: its score was learned, and not made of features.
        """
        new = np.flatnonzero(self.is_new)
        place = int(np.searchsorted(new, item))
        if place == len(new) or new[place] != item:
            raise CapabilityError(
                f"{self.fitted_on.metadata.titles[item]!r} is no new item: its score was learned from events; ask "
                "`recsys.explain` which"
            )
        row = self._cold[place]
        names = self._space.names(_named(self.fitted_on.items, self.fitted_on.metadata), item)
        theta = self._theta(self._inner.score(self._within(queries)).numpy())[:, row.indices]
        words = [names.get(int(at), "the given vector") for at in row.indices[:-1]] + ["every item"]
        told: list[dict[str, float]] = []
        for parts in self.scale * theta * row.data:
            summed: dict[str, float] = {}
            for word, part in zip(words, parts.tolist(), strict=True):
                summed[word] = summed.get(word, 0.0) + part
            told.append(summed)
        return told

    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        """Return what each event adds; to a new item what it adds to the learned items, by the same regression."""
        inner = as_fold_in(self.base, "contributions")
        place = self._place
        within, learned = self._within(queries), np.maximum(place[items], 0).astype(np.int32)
        each = inner.contributions(within, learned)
        new = self.is_new
        if not new[items].any():
            return each
        number = np.cumsum(new) - 1
        size = max(1, _ENTRIES // max(1, len(self._warm)))
        start = 0
        while start < len(queries):  # as many queries at a time as the events of the chunk allow
            ends = queries.history.indptr[start + 1 :]
            stop = start + max(1, int(np.searchsorted(ends, queries.history.indptr[start] + size, side="right")))
            rows = np.arange(start, min(stop, len(queries)))
            wanted = np.unique(items[rows][new[items[rows]]])
            if len(wanted):
                chunk = within.take(rows)
                parts = self._new_contributions(inner, chunk, self._cold[number[wanted]])
                event = slice(*queries.history.indptr[[rows[0], rows[-1] + 1]])
                asked = items[rows][chunk.history.rows]
                column = np.minimum(np.searchsorted(wanted, asked), len(wanted) - 1)
                own = np.take_along_axis(parts, column, 1)
                each[event] = torch.where(torch.from_numpy(new[asked]), torch.from_numpy(own), each[event])
            start = int(rows[-1]) + 1
        return each

    def _new_contributions(self, inner: FoldIn, within: Queries, cold: sp.csr_matrix) -> Floats:
        """Return "events wanted": what events add to some new items, whose features are "wanted features"."""
        everything = np.broadcast_to(np.arange(len(self._warm), dtype=np.int32), (len(within), len(self._warm)))
        each = inner.contributions(within, everything).numpy()
        weights = self._known @ (self._inverse @ cold.T.toarray())
        return np.asarray(self.scale * (each @ weights.astype(np.float32)), np.float32)

    @property
    def _place(self) -> Items:
        """ "items+1": the number of each item in the model within, `UNKNOWN` for new ones; the last is `UNKNOWN`."""
        place = np.full(self.n_items + 1, UNKNOWN, np.int32)
        place[self._warm] = np.arange(len(self._warm), dtype=np.int32)
        return place

    def _within(self, queries: Queries) -> Queries:
        """Return queries in the numbers of the model within."""
        if len(self._warm) == self.n_items:
            return queries
        place = self._place
        history = Ragged(queries.history.indptr, place[queries.history.items])
        exclude = queries.exclude
        if exclude is not None:
            exclude = Ragged(exclude.indptr, place[exclude.items])
        return replace(queries, history=history, exclude=exclude)

    def _theta(self, scores: Floats) -> Floats:
        """Return theta, "queries features", of scores "queries warm"."""
        return np.asarray((self._known.T @ scores.T).T @ self._inverse, np.float32)

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        learned = self._inner.score(self._within(queries))
        if len(self._warm) == self.n_items:
            return learned
        scores = torch.empty(len(queries), self.n_items)
        scores[:, torch.from_numpy(self._warm.astype(np.int64))] = learned.float()
        predicted = self.scale * (self._cold @ self._theta(learned.float().numpy()).T).T
        scores[:, torch.from_numpy(np.flatnonzero(self.is_new))] = torch.from_numpy(predicted.astype(np.float32))
        return scores

    def _read(self, queries: Queries) -> ReadOut:
        within = self._within(queries)
        read = self._inner.read(within)
        seen = queries if read.queries is within else replace(queries, weights=read.queries.weights)
        return ReadOut(self if read.model is self._inner else self._around(read.model), seen, read.recent)

    def _around(self, scoring: Recommender) -> Self:
        """Return the same features around another fitted model of the same items."""
        other = self._copy(scoring)
        other._cold, other._fitted_on = self._cold, self._fitted_on
        return other

    def _copy(self, inner: Recommender) -> Self:
        other = type(self)(inner.unfitted(), self.features, self.ridge, self.scale)
        other._inner, other._space, other._inverse = inner, self._space, self._inverse
        other._warm, other._known = self._warm, self._known
        return other

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        warm = np.unique(train.uses.item_num).astype(np.int32)
        self._warm = warm
        metadata = _named(train.items, train.metadata)
        self._space = FeatureSpace.of(self.features, metadata.take(warm))
        if len(self._space) == 1:
            if self.n_items > len(warm):
                raise DataError(
                    f"{train.name}: {self.n_items - len(warm)} items have no event, and nothing is known of items that "
                    "could score them; give titles and genres (--items FILE), or vectors of the items"
                )
            _LOG.warning("%s: nothing is known of its items, so new items will all be scored alike", train.name)
        everything = self._space.matrix(metadata)
        self._known, self._cold = everything[warm], everything[np.flatnonzero(self.is_new)]
        self._inverse = ridge_inverse(self._known, self.ridge).astype(np.float32)
        learned = train if len(warm) == train.n_items else _only(train, warm)

        def asked(model: Recommender) -> float:  # while it is fitted: the questions have the numbers of all items
            assert validate is not None
            self._inner = model
            return validate(self)

        inner = self.model.unfitted()
        self._inner, effort = fitted(inner, learned, None if validate is None else asked, session)
        return effort

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = prefixed(_MODEL, self._inner.arrays()) | prefixed(_SPACE, self._space.arrays())
        for name, matrix in (("known.", self._known), ("cold.", self._cold)):
            arrays |= {name + part: getattr(matrix, part) for part in _PARTS}
        return arrays | {_WARM: self._warm, _INVERSE: self._inverse}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        fitted_on, self._warm = self.fitted_on, arrays[_WARM]
        within = FittedOn(
            fitted_on.users,
            fitted_on.items.take(self._warm),
            fitted_on.metadata.take(self._warm),
            fitted_on.item_counts[self._warm],
            fitted_on.clock,
            fitted_on.dataset,
            fitted_on.fingerprint,
        )
        self._inner = self.model.unfitted().restore(within, part_of(arrays, _MODEL))
        self._space = FeatureSpace.restored(self.features, part_of(arrays, _SPACE))
        self._inverse = arrays[_INVERSE]
        self._known, self._cold = (self._matrix(arrays, name) for name in ("known.", "cold."))

    def _matrix(self, arrays: Mapping[str, npt.NDArray[Any]], name: str) -> sp.csr_matrix:
        data, indices, indptr = (arrays[name + part] for part in _PARTS)
        return sp.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, len(self._space)))


def _named(items: Vocabulary, metadata: ItemMetadata) -> ItemMetadata:
    """Return metadata without the ids that stand for titles where there are none."""
    texts = (str(one) for one in items.ids.tolist())
    titles = tuple("" if title == text else title for title, text in zip(metadata.titles, texts, strict=True))
    return replace(metadata, titles=titles)


def _below(one: sp.csr_matrix, other: sp.csr_matrix) -> sp.csr_matrix:
    return sp.csr_matrix(sp.vstack([one, other], format="csr", dtype=np.float32))


def _only(train: Interactions, warm: Items) -> Interactions:
    """Return a log with a vocabulary of the items that occur; users keep their numbers."""
    place = np.full(train.n_items, UNKNOWN, np.int32)
    place[warm] = np.arange(len(warm), dtype=np.int32)
    kept = train.select(place[train.item_num] != UNKNOWN)
    return replace(
        kept,
        item_num=place[kept.item_num],
        items=train.items.take(warm),
        metadata=train.metadata.take(warm),
        superseded=None,
    )
