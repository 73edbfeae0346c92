"""The contract of every model."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import arguments_of, whole
from recsys.data.clusters import popularity_parts
from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries, Ragged
from recsys.data.translation import Translation
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import CapabilityError, ConfigError, NotFittedError
from recsys.models.item_sample import ItemSample
from recsys.models.parameters import to_call, to_plain
from recsys.models.top_n import SparseScores, mask, sparse_top_n, top_n
from recsys.slates import Greedy, Owners, Pool, Slate
from recsys.training.session import Effort, Session
from recsys.types import Doubles, Floats, Ints, Items, Mask

Validate = Callable[["Recommender"], float]
"""A validation metric of a model, larger is better. Models trained by gradient use it for early stopping."""


_SEATED: Final = 256
"""Users whose owners and lists are made at a time: what is known of their candidates is a few MB."""


@final
@dataclass(frozen=True, eq=False)
class FittedOn:
    """What a fitted model stores of its training log: ids, item metadata and counts.

    Attributes:
        users: the users of the log.
        items: the items of the log, which the model ranks.
        metadata: titles, genres and tags of the items.
        item_counts: "items", int64, uses of each item; they break ties between equal scores.
        clock: the meaning of the log's times.
        dataset: name of the log.
        fingerprint: SHA-256 of the log.
    """

    users: Vocabulary
    items: Vocabulary
    metadata: ItemMetadata
    item_counts: Ints
    clock: str
    dataset: str
    fingerprint: str

    @classmethod
    def of(cls, train: Interactions) -> FittedOn:
        """Describe a training log."""
        counts = np.bincount(train.uses.item_num, minlength=train.n_items).astype(np.int64)
        return cls(train.users, train.items, train.metadata, counts, train.clock, train.name, train.fingerprint)

    def translation(self, log: Interactions) -> Translation:
        """Return the model's numbers of every user and item of a log."""
        return Translation.of(log, self.users, self.items)

    def queries(self, log: Interactions, users: Items | None = None, now: Ints | None = None) -> Queries:
        """Return queries for users of a log, which need not be the training log, in the model's numbers.

        Args:
            log: the visible log.
            users: "queries", numbers of the log's users; every user when None.
            now: "queries", only events strictly before it are visible; everything when None.
        """
        queries = Queries.from_interactions(log, users, now)
        # Only the ids that occur are looked up: the query of one user costs the same in a large catalogue.
        items = queries.history.items
        if len(items) < log.n_items:
            occurring, place = np.unique(items, return_inverse=True)
            known = self.items.numbers(log.items.ids[occurring])[place]
        else:
            known = self.items.numbers(log.items.ids)[items]
        history = Ragged(queries.history.indptr, known)
        return replace(queries, users=self.users.numbers(log.users.ids[queries.users]), history=history)

    @cached_property
    def tie_order(self) -> Tensor:
        """ "items", int64: item numbers in the order in which equal scores are listed, most used first."""
        return torch.from_numpy(np.argsort(-self.item_counts, kind="stable"))

    @cached_property
    def tie_rank(self) -> Tensor:
        """ "items", int64: the position of each item in `tie_order`."""
        rank = torch.empty_like(self.tie_order)
        rank[self.tie_order] = torch.arange(len(rank))
        return rank

    @cached_property
    def genre_shares(self) -> Doubles:
        """ "genres", the share of everybody's uses that are of items with each genre."""
        has = self.metadata.genre_matrix[1]
        return np.asarray(self.item_counts @ has / max(1, int(self.item_counts.sum())))

    @cached_property
    def popularity_parts(self) -> Doubles:
        """ "items 3": whether each item is of the head, the middle or the tail; see `recsys.data.clusters`."""
        return popularity_parts(self.item_counts)

    @cached_property
    def item_sample(self) -> ItemSample:
        """The item sample of rank utilities."""
        return ItemSample.of(self.item_counts)


@final
@dataclass(frozen=True)
class Recommendations:
    """The lists for a batch of queries.

    Attributes:
        items: "queries n", int32, best first; `UNKNOWN` (-1) where fewer than n items may be recommended.
        scores: "queries n", float32; -inf where there is no item. A slate may list a lower score first.
        owners: "queries n", int32: who owns the item's seat, `UNKNOWN` for nobody; None without owners.
    """

    items: Items
    scores: Floats
    owners: Items | None = None

    def take(self, rows: Ints | slice) -> Recommendations:
        """Return the lists of some queries."""
        return Recommendations(self.items[rows], self.scores[rows], None if self.owners is None else self.owners[rows])


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

    Subclasses are final, store every constructor argument in an attribute of the same name (with a leading underscore
    where a method has that name), and implement the four underscored methods. The public methods are final, so that
    masking, ties, checks and serialisation are the same for every model. What only some models can do is in
    `recsys.models.capabilities`.
    """

    _fitted_on: FittedOn | None = None
    _effort: Effort | None = None

    # Implemented by subclasses

    @abstractmethod
    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int] | None:
        """Learn from the log. May call `validate(self)` at any time at which `_score` works.

        Returns:
            The epochs and the positives presented, or None for one pass over the log.
        """

    @abstractmethod
    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        """Return the scores of all items. Only fold-in models are called with unknown users."""

    def _read(self, queries: Queries) -> ReadOut:
        """Return how the queries are read. A wrapper that weights events overrides it together with `scoring_model`."""
        return ReadOut(self, queries, None)

    def _seating(self, queries: Queries) -> tuple[Slate | None, Owners | None]:
        """Return the slate and the owners of lists for which the caller names none; `WithPersonas` overrides it."""
        return None, None

    @abstractmethod
    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything learned, as arrays by name."""

    @abstractmethod
    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore the state from the result of `_arrays`. `fitted_on` is already set."""

    # Public

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
        """Fit the model to a log, replacing any earlier fit.

        Args:
            train: the training log.
            validate: a validation metric, used by models trained by gradient for early stopping.
            session: where to log and checkpoint, whether to resume; by default nothing is written.

        Raises:
            ConfigError: several devices or nodes, and the model is trained by one process.
        """
        started = time.perf_counter()
        session = session or Session()
        self.check_session(session)
        self._fitted_on = FittedOn.of(train)
        events = train if self.reads_kinds else train.uses
        epochs, examples = self._fit(events, validate, session) or (1, len(events))
        self._effort = Effort(epochs, examples, time.perf_counter() - started)
        return self

    @property
    def shares_batches(self) -> bool:
        """Whether several processes can train the model together, each on a share of every batch."""
        return False

    @final
    def check_session(self, session: Session) -> None:
        """Raise a ConfigError when the model cannot be trained in this way."""
        if session.is_parallel and not self.shares_batches:
            raise ConfigError(
                f"{type(self).__name__} is trained by one process, which several devices, nodes and the strategy "
                "'ddp' do not help; leave them out, or train AMPCF, MF or SequentialAMPCF"
            )

    @property
    @final
    def reads_kinds(self) -> bool:
        """Whether the model, or one within, reads dislikes and skips; the others are fitted on the uses alone."""
        given = arguments_of(self)
        return "feedback" in given or any(isinstance(value, Recommender) for value in given.values())

    @final
    def score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        """Score every item for every query; across models only the order within a row is comparable.

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
        """Raise if the model cannot answer the queries.

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
        self,
        queries: Queries,
        n: int,
        *,
        candidates: Ragged | None = None,
        batch_size: int | None = None,
        slate: Slate | None = None,
        owners: Owners | None = None,
    ) -> Recommendations:
        """Return the n best items of each query, best first.

        Items in `queries.excluded` are never returned. Items with equal scores are ordered by training events, then by
        number, so that a user without history, for whom all scores of a linear model are 0, is recommended popular
        items.

        Args:
            queries: the queries.
            n: length of the lists.
            candidates: rank only these items of each query; everything when None.
            batch_size: queries scored at a time; by default as many as keep the score matrix under about 256 MB.
            slate: makes the list of the best-scored candidates; by default that of the model, which for most is the n
                best scores.
            owners: who owns the candidates of these queries, for slates that ask.

        Raises:
            ConfigError: `n` or `batch_size` is not a whole number, or below 1; or the slate needs owners that are not
                given.
            NotFittedError, CapabilityError: see `check_queries`.
        """
        whole("n", n)
        if batch_size is not None:
            whole("batch_size", batch_size)
        size = batch_size or max(1, min(2048, 64_000_000 // max(1, self.n_items)))
        items = np.full((len(queries), n), UNKNOWN, np.int32)
        scores = np.full((len(queries), n), -np.inf, np.float32)
        owned = np.full((len(queries), n), UNKNOWN, np.int32)
        has_owners = False
        if slate is None and owners is not None:
            slate = Greedy()
        for start in range(0, len(queries), size):
            rows = np.arange(start, min(start + size, len(queries)))
            batch = queries.take(rows)
            self.check_queries(batch)
            chosen = None if candidates is None else candidates.take(rows)
            made_by, seated = (slate, owners) if slate is not None else self._seating(batch)
            if made_by is None:
                items[rows], scores[rows] = self._best(batch, chosen, n)
                continue
            places = rows if slate is not None else rows - start
            listed = self._slated(batch, chosen, n, made_by, seated, places, max(n, made_by.pool))
            items[rows], scores[rows] = listed.items, listed.scores
            if listed.owners is not None:
                owned[rows], has_owners = listed.owners, True
        return Recommendations(items, scores, owned if has_owners else None)

    def _slated(
        self,
        queries: Queries,
        candidates: Ragged | None,
        n: int,
        slate: Slate,
        owners: Owners | None,
        rows: Ints,
        size: int,
    ) -> Recommendations:
        """Let a slate choose from the `size` best candidates; from more, where too few of them may be listed."""
        pool = Pool(*self._best(queries, candidates, min(size, self.n_items)))
        chosen, owned = np.empty((len(rows), n), np.int64), np.full((len(rows), n), UNKNOWN, np.int32)
        for start in range(0, len(rows), _SEATED):
            few = slice(start, start + _SEATED)
            some = pool.take(few)
            if owners is not None:
                some = replace(some, seating=owners.seating(rows[few], some.items))
            chosen[few] = slate.choose(some, n)
            if some.seating is not None:
                owned[few] = np.take_along_axis(some.seating.owner, np.maximum(chosen[few], 0), 1)
        place, empty = np.maximum(chosen, 0), chosen == UNKNOWN
        items, scores = np.take_along_axis(pool.items, place, 1), np.take_along_axis(pool.scores, place, 1)
        items[empty], scores[empty], owned[empty] = UNKNOWN, -np.inf, UNKNOWN
        short = np.flatnonzero(empty.any(1) & (pool.items[:, -1] != UNKNOWN))
        if len(short) and size < self.n_items:
            rest = None if candidates is None else candidates.take(short)
            more = self._slated(queries.take(short), rest, n, slate, owners, rows[short], 4 * size)
            items[short], scores[short] = more.items, more.scores
            if more.owners is not None:
                owned[short] = more.owners
        return Recommendations(items, scores, None if owners is None else owned)

    @torch.inference_mode()
    def _best(self, queries: Queries, candidates: Ragged | None, n: int) -> tuple[Items, Floats]:
        """Score, mask, cut."""
        if candidates is None and isinstance(self, SparseScores) and self.is_sparse(queries):
            order = self.fitted_on.tie_order.numpy(), self.fitted_on.tie_rank.numpy()
            return sparse_top_n(self.sparse_scores(queries), queries.excluded, n, *order)
        scores = self._score(queries).float()
        mask(scores, queries.excluded, candidates)
        return top_n(scores, n, self.fitted_on.tie_rank)

    @final
    def parameters_of_constructor(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values.

        Nested dataclasses become dictionaries, a wrapped model or a rule one of `class_path` and `init_args`.
        """
        return {name: to_plain(value) for name, value in arguments_of(self).items()}

    @final
    def __repr__(self) -> str:
        return to_call(self)

    @final
    def unfitted(self) -> Self:
        """Return a new, unfitted model with the same constructor arguments."""
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
        """Restore the result of `arrays` of a model with the same constructor arguments."""
        self._fitted_on = fitted_on
        self._restore(arrays)
        return self
