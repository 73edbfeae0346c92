"""The contract that every model keeps and everything else talks to."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries, Ragged
from recsys.data.translation import Translation
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import CapabilityError, NotFittedError
from recsys.models.item_sample import ItemSample
from recsys.models.parameters import arguments_of, to_plain
from recsys.models.sparse_top_n import sparse_top_n
from recsys.training.session import Effort, Session
from recsys.types import Mask

Validate = Callable[["Recommender"], float]
"""A validation ranking metric of a model, larger is better. Models trained by gradient stop early on it."""


@final
@dataclass(frozen=True, eq=False)
class FittedOn:
    """What a model remembers of the log it was fitted on: the ids it knows, and what the items are called.

    Attributes:
        users: the users it knows.
        items: the items it ranks.
        metadata: titles, genres and tags of the items.
        item_counts: "items", int64, events of each item; they decide between equal scores.
        clock: the meaning of the log's times.
        dataset: name of the log.
        fingerprint: SHA-256 of the log.
    """

    users: Vocabulary
    items: Vocabulary
    metadata: ItemMetadata
    item_counts: npt.NDArray[np.int64]
    clock: str
    dataset: str
    fingerprint: str

    @classmethod
    def of(cls, train: Interactions) -> FittedOn:
        """Describe a training log."""
        counts = np.bincount(train.item_num, minlength=train.n_items)
        return cls(
            train.users,
            train.items,
            train.metadata,
            counts.astype(np.int64),
            train.clock,
            train.name,
            train.fingerprint,
        )

    def translation(self, log: Interactions) -> Translation:
        """Return the model's numbers of every user and item of a log."""
        return Translation.of(log, self.users, self.items)

    def queries(
        self,
        log: Interactions,
        users: npt.NDArray[np.int32] | None = None,
        now: npt.NDArray[np.int64] | None = None,
    ) -> Queries:
        """Return queries for users of a log, which need not be the training log, in the model's numbers.

        Args:
            log: the visible log.
            users: "queries", numbers of the log's users; every user when None.
            now: "queries", only events strictly before it are visible; everything when None.
        """
        queries = Queries.from_interactions(log, users, now)
        # Only the ids that occur are looked up: the query of one user costs the same in a large catalogue.
        occurring, place = np.unique(queries.history.items, return_inverse=True)
        history = Ragged(queries.history.indptr, self.items.numbers(log.items.ids[occurring])[place])
        return replace(queries, users=self.users.numbers(log.users.ids[queries.users]), history=history)

    @cached_property
    def tie_order(self) -> Tensor:
        """ "items", int64: item numbers in the order in which equal scores are listed, most used first."""
        return torch.from_numpy(np.argsort(-self.item_counts, kind="stable"))

    @cached_property
    def tie_rank(self) -> Tensor:
        """ "items", int64: the place of each item in `tie_order`."""
        rank = torch.empty_like(self.tie_order)
        rank[self.tie_order] = torch.arange(len(rank))
        return rank

    @cached_property
    def item_sample(self) -> ItemSample:
        """The items against which it is judged how well something predicts."""
        return ItemSample.of(self.item_counts)


@final
@dataclass(frozen=True)
class Recommendations:
    """The answer to a batch of queries.

    Attributes:
        items: "queries n", int32, best first; `UNKNOWN` (-1) where fewer than n items may be recommended.
        scores: "queries n", float32; -inf where there is no item.
    """

    items: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]


@final
@dataclass(frozen=True, eq=False)
class ReadOut:
    """How a model reads queries: `read.model.recommend(read.queries, n)` is what `model.recommend(queries, n)` returns.

    Attributes:
        model: the model that scores, `Recommender.scoring_model`.
        queries: the queries with the event weights that it sees.
        recent: "events", which are younger than their user's half-life; None where nothing decays.
    """

    model: Recommender
    queries: Queries
    recent: Mask | None


class Recommender(ABC):
    """A model that learns from `Interactions` and answers `Queries`.

    Subclasses are final, keep every constructor argument in an attribute of the same name (with a leading underscore
    where a method has that name), and implement the four underscored methods. The public methods are final, so that
    masking, ties, checks and serialisation are the same for every model.
    """

    _fitted_on: FittedOn | None = None
    _effort: Effort | None = None

    # What a subclass provides

    @abstractmethod
    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int] | None:
        """Learn from the log. May call `validate(self)` at any time at which `_score` works.

        Returns:
            The epochs and the positives presented, or None for one pass over the log.
        """

    @abstractmethod
    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        """Return the scores of all items. Unknown users reach this method only in fold-in models."""

    def _is_sparse(self, queries: Queries) -> bool:
        """Return whether lists for these questions are better made from `_sparse_score`; weights do not matter."""
        return False

    def _sparse_score(self, queries: Queries) -> sp.csr_matrix:
        """Return `_score` as a sparse matrix, "queries items": equal to it, and 0 or more.

        A model of which most scores are 0 overrides both, so that lists from a large catalogue need no dense scores.
        """
        return sp.csr_matrix(self._score(queries).float().cpu().numpy())

    def _read(self, queries: Queries) -> ReadOut:
        """Return how the queries are read. A wrapper that weights events overrides it together with `scoring_model`."""
        return ReadOut(self, queries, None)

    @abstractmethod
    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything learned, as arrays by name."""

    @abstractmethod
    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `_arrays` returned. `fitted_on` is already set."""

    # What a user calls

    @property
    def folds_in(self) -> bool:
        """Whether a user's state is a function of the (weighted) history, so that unknown users can be served."""
        return False

    @property
    def scoring_model(self) -> Recommender:
        """The model that scores: this one, or the fitted model that it wraps."""
        return self

    @property
    @final
    def fitted_on(self) -> FittedOn:
        """What the model was fitted on.

        Raises:
            NotFittedError: before `fit`.
        """
        if self._fitted_on is None:
            raise NotFittedError(f"{type(self).__name__} is not fitted; call fit(interactions) first")
        return self._fitted_on

    @property
    @final
    def n_items(self) -> int:
        """Number of items the model ranks."""
        return len(self.fitted_on.items)

    @property
    @final
    def effort(self) -> Effort | None:
        """Epochs, examples and seconds of the last `fit`; None for a model that was loaded."""
        return self._effort

    @final
    def fit(self, train: Interactions, validate: Validate | None = None, session: Session | None = None) -> Self:
        """Learn from a log, forgetting anything learned before.

        Args:
            train: the training log; its vocabularies are the ids the model will know.
            validate: a validation metric, used by models trained by gradient for early stopping.
            session: where to log and checkpoint, whether to resume; by default nothing is written.
        """
        started = time.perf_counter()
        self._fitted_on = FittedOn.of(train)
        epochs, examples = self._fit(train, validate, session or Session()) or (1, len(train))
        self._effort = Effort(epochs, examples, time.perf_counter() - started)
        return self

    @final
    def score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        """Score every item for every query; only the order within a row has a meaning common to all models.

        Raises:
            NotFittedError: before `fit`.
            CapabilityError: unknown users or event weights, and the model cannot fold in.
        """
        self.check_queries(queries)
        return self._score(queries)

    @final
    def read(self, queries: Queries) -> ReadOut:
        """Return the model that scores, the queries with the weights that it sees, and which events are recent.

        Raises:
            NotFittedError: before `fit`.
        """
        _ = self.fitted_on
        return self._read(queries)

    @final
    def check_queries(self, queries: Queries) -> None:
        """Refuse questions that the model cannot answer.

        Raises:
            NotFittedError: before `fit`.
            CapabilityError: unknown users or event weights, and the model cannot fold in.
        """
        _ = self.fitted_on
        if not self.folds_in:
            name = type(self).__name__
            if queries.weights is not None:
                raise CapabilityError(
                    f"{name} cannot use event weights: its users are learned vectors, not a function of the history; "
                    "use a fold-in model (EASE, ItemKNN, IALS, or AMPCF and MF with users='history')"
                )
            if self.needs_known_users and bool(np.any(queries.users == UNKNOWN)):
                raise CapabilityError(
                    f"{name} cannot serve a user it was not trained on; retrain with the user in the log, or use a "
                    "fold-in model (EASE, ItemKNN, IALS, or AMPCF and MF with users='history')"
                )

    @property
    def needs_known_users(self) -> bool:
        """Whether an unknown user is an error. False for fold-in models and for those that ignore the user."""
        return not self.folds_in

    @final
    def recommend(
        self, queries: Queries, n: int, *, candidates: Ragged | None = None, batch_size: int | None = None
    ) -> Recommendations:
        """Return the n best items of each query, best first.

        Items in `queries.excluded` are never returned. Of items with equal scores the more used comes first, then the
        one with the smaller number: somebody without a history, to whom a linear model has nothing to say, is
        recommended what is popular.

        Args:
            queries: the questions.
            n: length of the lists.
            candidates: rank only these items of each query; everything when None.
            batch_size: queries scored at a time; by default as many as keep the score matrix under about 256 MB.
        """
        size = batch_size or max(1, min(2048, 64_000_000 // max(1, self.n_items)))
        items = np.full((len(queries), n), UNKNOWN, np.int32)
        scores = np.full((len(queries), n), -np.inf, np.float32)
        for start in range(0, len(queries), size):
            rows = np.arange(start, min(start + size, len(queries)))
            batch = queries.take(rows)
            self.check_queries(batch)
            if candidates is None and self._is_sparse(batch):
                order = self.fitted_on.tie_order.numpy(), self.fitted_on.tie_rank.numpy()
                items[rows], scores[rows] = sparse_top_n(self._sparse_score(batch), batch.excluded, n, *order)
                continue
            with torch.inference_mode():
                matrix = self._score(batch).float()
                _mask(matrix, batch.excluded, None if candidates is None else candidates.take(rows))
                items[rows], scores[rows] = top_n(matrix, n, self.fitted_on.tie_rank)
        return Recommendations(items, scores)

    @final
    def parameters_of_constructor(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values.

        Nested dataclasses become dictionaries, a wrapped model one of `class_path` and `init_args`.
        """
        return {name: to_plain(value) for name, value in arguments_of(self).items()}

    @final
    def unfitted(self) -> Self:
        """Return a new model with the same constructor arguments, which has learned nothing."""
        given = arguments_of(self)
        fresh = {name: value.unfitted() for name, value in given.items() if isinstance(value, Recommender)}
        return type(self)(**(given | fresh))

    @final
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything learned, as arrays by name, for `recsys.bundles.bundle`."""
        _ = self.fitted_on
        return self._arrays()

    @final
    def restore(self, fitted_on: FittedOn, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Take back what `arrays` returned; the inverse of `arrays` on a model with the same constructor arguments."""
        self._fitted_on = fitted_on
        self._restore(arrays)
        return self


class PersonaRecommender(Recommender):
    """A model whose users are one or more latent vectors. A single-vector model has one persona.

    Retrieval, audits and explanations use these three methods and need no special case. A class that has personas only
    under some settings (a wrapper of another model) says so through `has_personas`.
    """

    @property
    def has_personas(self) -> bool:
        """Whether the three methods can be used."""
        return True

    @abstractmethod
    def personas(self, queries: Queries) -> Float[Tensor, "queries personas dim"]:
        """Return the persona vectors U_uk of each query."""

    @abstractmethod
    def item_vectors(self) -> Float[Tensor, "items dim"]:
        """Return the item vectors v_i."""

    @abstractmethod
    def attention(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "queries personas n"]:
        """Return how much each persona speaks for each item; sums to 1 over personas.

        Args:
            queries: the questions.
            items: "queries n", known item numbers, other items for each query.
        """

    def persona_scores(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "queries personas n"]:
        """Return U_uk . v_i, what each persona thinks of each item.

        A model overrides this where it can be faster.

        Args:
            queries: the questions.
            items: "queries n", known item numbers, other items for each query.
        """
        vectors = self.item_vectors()
        numbers = torch.from_numpy(items.astype(np.int64)).to(vectors.device)
        return torch.einsum("qkd,qnd->qkn", self.personas(queries), vectors[numbers])

    def opinions(
        self, queries: Queries, items: npt.NDArray[np.int32]
    ) -> tuple[Float[Tensor, "queries personas n"], Float[Tensor, "queries personas n"]]:
        """Return `attention` and `persona_scores`. A model overrides this where the one follows from the other."""
        return self.attention(queries, items), self.persona_scores(queries, items)


class FoldIn(ABC):
    """The capability of models whose user state is a function of a weighted history.

    Such a model serves unknown users, accepts `Queries.weights`, and can say what each past event contributes. A class
    that folds in only under some settings says so through `Recommender.folds_in`; ask with `as_fold_in`.
    """

    @abstractmethod
    def contributions(self, queries: Queries, items: npt.NDArray[np.int32]) -> Float[Tensor, "events n"]:
        """Return what each history event adds to the score of each asked item.

        Where the score is additive, the sum over a query's events is its score, less what does not depend on the
        history (a bias). With attention over personas it is additive given the attention (which is held fixed).

        Args:
            queries: the questions; "events" are the entries of `queries.history.items`; unknown items contribute 0.
            items: "queries n", known item numbers.
        """

    def sample_contributions(
        self, queries: Queries, item_sample: npt.NDArray[np.int32]
    ) -> Float[Tensor, "events item_sample"]:
        """Return `contributions` to items that are the same for every query.

        A model overrides this where it can be faster.

        Args:
            queries: the questions.
            item_sample: "item_sample", known item numbers; give the same array again, and what it takes is kept.
        """
        return self.contributions(queries, np.broadcast_to(item_sample, (len(queries), len(item_sample))))

    def scaled_contributions(
        self, queries: Queries, item_sample: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
    ) -> tuple[Float[Tensor, "events item_sample"], Float[Tensor, "events 1"]]:
        """Return `contributions` to a item_sample and to one item of each query, all of a query times one positive number.

        Which items are listed before the one is the same; a model overrides this where it can save a factor.

        Args:
            queries: the questions.
            item_sample: "item_sample", as for `sample_contributions`.
            items: "queries", known item numbers.
        """
        return self.sample_contributions(queries, item_sample), self.contributions(queries, items[:, None])


class AdditivePersonas(ABC):
    """The capability of fold-in models with personas whose attention follows from what each event contributes."""

    @abstractmethod
    def attention_of(
        self, queries: Queries, contributions: Float[Tensor, "events n"]
    ) -> Float[Tensor, "queries personas n"]:
        """Return `attention` on the items to whose scores the events contribute this.

        Args:
            queries: the questions.
            contributions: of `contributions(queries, items)`, which need not be looked up twice.
        """


def as_fold_in(model: Recommender, purpose: str) -> FoldIn:
    """Return the model as a `FoldIn`.

    Raises:
        CapabilityError: naming the model and the purpose, when it cannot fold in.
    """
    if isinstance(model, FoldIn) and model.folds_in:
        return model
    raise CapabilityError(
        f"{type(model).__name__} cannot fold in a history, which {purpose} needs; use EASE, ItemKNN, IALS, or AMPCF "
        "and MF with users='history'"
    )


def _mask(matrix: Float[Tensor, "queries items"], excluded: Ragged, candidates: Ragged | None) -> None:
    """Set what must not be recommended to -inf, in place."""
    n_items = matrix.shape[1]
    known = excluded.items != UNKNOWN
    flat = torch.from_numpy(excluded.rows[known] * n_items + excluded.items[known]).to(matrix.device)
    matrix.view(-1)[flat] = -torch.inf
    if candidates is not None:
        allowed = torch.zeros(matrix.numel(), dtype=torch.bool, device=matrix.device)
        known = candidates.items != UNKNOWN
        flat = torch.from_numpy(candidates.rows[known] * n_items + candidates.items[known]).to(matrix.device)
        allowed[flat] = True
        matrix.masked_fill_(~allowed.view_as(matrix), -torch.inf)


def top_n(
    scores: Float[Tensor, "queries items"], n: int, tie_rank: Int[Tensor, " items"] | None = None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the n largest scores of each row, best first; equal scores in the order of their ranks.

    `torch.topk` breaks ties arbitrarily, so where the n-th score is shared with an item left out, the items with it are
    chosen anew. NaN scores are a defect of the model and raise.

    Args:
        scores: -inf where an item must not be returned.
        n: length of the lists.
        tie_rank: of all items; their own numbers when None.

    Returns:
        items "queries n" int32 (`UNKNOWN` where the score is -inf) and scores "queries n" float32.
    """
    rank = (torch.arange(scores.shape[1]) if tie_rank is None else tie_rank).to(scores.device)
    width = min(n, scores.shape[1])
    values, index = torch.topk(scores, width, dim=1)
    if bool(torch.isnan(values).any()):  # which count as the largest
        raise FloatingPointError("a model produced NaN scores")
    last = values[:, -1:]
    tied = ((scores == last).sum(1) > (values == last).sum(1)) & (last[:, 0] > -torch.inf)
    by_rank = torch.argsort(rank[index], dim=1, stable=True)
    values, index = values.gather(1, by_rank), index.gather(1, by_rank)
    best = torch.argsort(values, dim=1, descending=True, stable=True)
    values, index = values.gather(1, best), index.gather(1, best)
    if bool(tied.any()):
        # What is above the last score is right already; the rest is filled with the first of those that equal it.
        equal = torch.where(scores[tied] == last[tied], -rank.float(), -torch.inf)
        fill = torch.topk(equal, width, dim=1).indices
        place = torch.arange(width, device=rank.device) - (values[tied] > last[tied]).sum(1, keepdim=True)
        index[tied] = torch.where(place < 0, index[tied], fill.gather(1, place.clamp(min=0)))
    index = index.masked_fill(values == -torch.inf, UNKNOWN)
    items = np.full((len(scores), n), UNKNOWN, np.int32)
    top = np.full((len(scores), n), -np.inf, np.float32)
    items[:, :width] = index.cpu().numpy()
    top[:, :width] = values.cpu().numpy()
    return items, top
