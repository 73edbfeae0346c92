"""What some models can do beyond the contract: personas, fold-in, retrieval, and faster read-outs."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.data.vocabulary import Vocabulary
from recsys.errors import CapabilityError
from recsys.models.base import FittedOn, Recommender, Validate
from recsys.models.linear.exact_sums import ExactSums
from recsys.models.linear.operations import CoUse
from recsys.slates import Slate
from recsys.training.session import Effort, Session
from recsys.types import Floats, Ints, Items

Sums = dict[str, npt.NDArray[Any]]
"""Arrays by name that add up over users."""

Statistic = Callable[[Interactions], Sums]
"""A statistic of the users of a log; it can be pickled, so that it can be computed where the users are."""


class TrainingUsers(ABC):
    """The users of a training log, in one place or in several: what a model that learns from sums may ask of them."""

    @abstractmethod
    def total(self, statistic: Statistic) -> Sums:
        """Return the sum of a statistic over all users; the arrays belong to the caller."""

    @abstractmethod
    def co_use(self) -> CoUse:
        """Return how many users used both of two items."""

    @abstractmethod
    def some(self, users: Items) -> Queries:
        """Return some users with all of their training events.

        Args:
            users: numbers in the training log, ascending.
        """

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of parts in which the users are."""

    @abstractmethod
    def here(self) -> dict[int, Interactions]:
        """Return the training events of the parts that this process holds, by the number of the part.

        Several processes that fit the same model hold each part once.
        """

    @property
    @abstractmethod
    def events(self) -> int:
        """Number of training events."""

    @property
    @abstractmethod
    def validate(self) -> Validate | None:
        """The validation metric, if there is one."""


@final
class WholeLog(TrainingUsers):
    """The users of a log in memory.

    Args:
        train: the log.
        validate: the validation metric.
    """

    def __init__(self, train: Interactions, validate: Validate | None = None) -> None:
        self._train = train
        self._validate = validate

    @property
    def validate(self) -> Validate | None:
        return self._validate

    def total(self, statistic: Statistic) -> Sums:
        return statistic(self._train)

    def co_use(self) -> CoUse:
        return CoUse.of(self._train.matrix())

    def some(self, users: Items) -> Queries:
        return Queries.from_interactions(self._train, users)

    @property
    def count(self) -> int:
        return 1

    def here(self) -> dict[int, Interactions]:
        return {0: self._train}

    @property
    def events(self) -> int:
        return len(self._train)


class PersonaRecommender(Recommender):
    """A model whose users are one or more latent vectors. A single-vector model has one persona.

    A class that has personas only under some settings (a wrapper of another model) says so through `has_personas`.
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
    def attention(self, queries: Queries, items: Items) -> Float[Tensor, "queries personas n"]:
        """Return the attention of each persona for each item ("queries n", known items); sums to 1 over personas."""


class SummedFit(Recommender):
    """A model that learns from sums over users, so that users may be in several places.

    `fit` has them in one; `fit_sums` is told where they are. Counts are whole numbers, and their sums the same in any
    order up to 2^24, the last that float32 holds. A model that is trained by gradient (`shares_batches`) learns from
    sums over the users of each batch: all processes that hold a part call `fit_sums` (`recsys.training.parts`). A class
    that learns so only under some settings, or around some models, says so through `learns_from_sums`.
    """

    @property
    def learns_from_sums(self) -> bool:
        """Whether `fit_sums` can be used."""
        return True

    @abstractmethod
    def _prepare(self, train: FittedOn) -> None:
        """Prepare to learn from sums alone.

        Raises:
            CapabilityError: these settings need more than sums.
        """

    @abstractmethod
    def _learn(self, users: TrainingUsers, session: Session) -> tuple[int, int] | None:
        """Learn from the users of the training log, of which `fitted_on` says the rest.

        Returns:
            The epochs and the positives presented, or None for one pass over the log.

        Raises:
            CapabilityError: the model needs more memory than its limit.
        """

    @final
    def fit_sums(self, train: FittedOn, users: TrainingUsers, session: Session | None = None) -> Self:
        """Fit the model to sums over users, replacing any earlier fit.

        Args:
            train: what is known of the training log.
            users: those of the training log.
            session: whether to report progress.

        Raises:
            CapabilityError: these settings need more than sums, or more memory than the model's limit.
        """
        started = time.perf_counter()
        self._fitted_on = train
        self._prepare(train)
        epochs, examples = self._learn(users, session or Session()) or (1, users.events)
        self._effort = Effort(epochs, examples, time.perf_counter() - started)
        return self


class FoldIn(ABC):
    """A model whose user state is a function of a weighted history.

    It serves unknown users, accepts `Queries.weights`, and attributes its scores to past events. A class that folds in
    only under some settings says so through `Recommender.folds_in`; use `as_fold_in` to check.
    """

    @abstractmethod
    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        """Return what each history event adds to the score of each item.

        Where the score is additive, the sum over a query's events is its score, less what does not depend on the
        history (a bias). With attention over personas it is additive given the attention, which is held fixed.

        Args:
            queries: the queries; "events" are the entries of `queries.history.items`; unknown items contribute 0.
            items: "queries n", known item numbers.
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


class OwnSlate(ABC):
    """A model whose lists a slate of its own makes; a model around it would make them without."""

    @property
    @abstractmethod
    def chosen_slate(self) -> Slate:
        """What makes the lists."""


def refuse_own_slate(model: Recommender, wrapper: str) -> None:
    """Raise a CapabilityError, naming the wrapper, where a model has a slate that a model around it would lose."""
    if isinstance(model, OwnSlate):
        name = type(model).__name__
        raise CapabilityError(
            f"{wrapper} cannot wrap {name}, whose slate would make no list; put it within: {name}({wrapper}(model, "
            "...), ...)"
        )


class WeightedFit(ABC):
    """A model whose fit can count each training event by a weight of its own."""

    @abstractmethod
    def weighing(self, weights: Floats) -> Recommender:
        """Return an unfitted copy whose `fit` counts the events of the log, "events", by these weights in [0, 1].

        The copy is for a log with exactly these events.
        """


class TakesNewItems(ABC):
    """A model that scores items which training did not know, from what is known of them."""

    @abstractmethod
    def with_items(self, items: Vocabulary, metadata: ItemMetadata) -> Recommender:
        """Return the model with further items, without fitting it again; this one stays as it is.

        Args:
            items: their ids, none of which the model has.
            metadata: what is known of them.
        """


class SampledContributions(ABC):
    """A fold-in model that computes contributions to a fixed sample of items faster than to arbitrary items.

    The rank utilities of an event (`recsys.models.rank_utility`) take .3 instead of .7 ms for a history of 50 events
    and 1.3 instead of 3.6 ms for one of 400 (EASE). The seam is the function `sample_contributions`.
    """

    @abstractmethod
    def contributions_to_sample(
        self, queries: Queries, item_sample: Items, items: Items
    ) -> tuple[Float[Tensor, "events item_sample"], Float[Tensor, "events n"]]:
        """See `sample_contributions`. The result may be cached by the identity of `item_sample`."""


def sample_contributions(
    model: FoldIn, queries: Queries, item_sample: Items, items: Items
) -> tuple[Float[Tensor, "events item_sample"], Float[Tensor, "events n"]]:
    """Return the contributions to an item sample and to n further items of each query.

    All contributions of a query may be multiplied by one positive number, which changes no ranking. `item_sample` is
    the same for every query, `items` is "queries n"; all are known.
    """
    if isinstance(model, SampledContributions):
        return model.contributions_to_sample(queries, item_sample, items)
    sample = np.broadcast_to(item_sample, (len(queries), len(item_sample)))
    return model.contributions(queries, sample), model.contributions(queries, items)


class RoutesItems(ABC):
    """A model that assigns its items to personas."""

    @abstractmethod
    def routing(self) -> Floats:
        """Return r_jk, "items personas": the share of item j that belongs to persona k; rows sum to 1."""


class AdditivePersonas(ABC):
    """A fold-in model with personas whose persona scores are sums of contributions.

    Its item vectors are as long as the catalogue, so that attention is computed from contributions instead.
    """

    @abstractmethod
    def attention_of(
        self, queries: Queries, contributions: Float[Tensor, "events n"]
    ) -> Float[Tensor, "queries personas n"]:
        """Return the attention on items, given `contributions(queries, items)`."""

    @abstractmethod
    def attention_and_persona_scores(
        self, queries: Queries, items: Items
    ) -> tuple[Float[Tensor, "queries personas n"], Float[Tensor, "queries personas n"]]:
        """See the function `attention_and_persona_scores`."""


def attention_and_persona_scores(
    model: PersonaRecommender, queries: Queries, items: Items
) -> tuple[Float[Tensor, "queries personas n"], Float[Tensor, "queries personas n"]]:
    """Return the attention and the persona scores U_uk . v_i of some known items, "queries n"."""
    if isinstance(model, AdditivePersonas):
        return model.attention_and_persona_scores(queries, items)
    vectors = model.item_vectors()
    numbers = torch.from_numpy(items.astype(np.int64)).to(vectors.device)
    scores = torch.einsum("qkd,qnd->qkn", model.personas(queries), vectors[numbers])
    return model.attention(queries, items), scores


class IncrementalPersonas(ABC):
    """A model that updates the persona scores of a history's own items event by event, without rounding errors.

    On histories of 1,450 events of ml-latest-small an answer after a new event takes 4.9 instead of 16.3 ms; on
    histories of 150 events 2.8 instead of 2.9 ms.
    """

    @abstractmethod
    def counts_alike(self, queries: Queries) -> bool:
        """Whether all events of the histories count alike, as in these sums, apart from their weights."""

    @abstractmethod
    def exact_sums(self, items: Items, former: ExactSums | None = None) -> ExactSums:
        """Return the persona sums of a history without weights.

        Args:
            items: known items of the history, ascending and distinct; at most `exact_sums.MOST_ITEMS`.
            former: sums of a history that shares most of its items; saves work, and does not change the result.
        """

    @abstractmethod
    def attention_and_scores_of(
        self, sums: ExactSums
    ) -> tuple[Float[Tensor, "personas items"], Float[Tensor, "personas items"]]:
        """Return the attention and the persona scores of the history's own items, up to rounding."""


class LinearRows(ABC):
    """A model whose scores are weighted sums of rows of one matrix: s_i = sum_j w_j B_ji.

    A class of which that is true only under some settings says so through `sums_rows`.
    """

    @property
    def sums_rows(self) -> bool:
        """Whether the two methods can be used."""
        return True

    @abstractmethod
    def rows(self) -> Float[Tensor, "items items"]:
        """Return B, contiguous float32: from an item of the history to a candidate."""

    @abstractmethod
    def row_weights(self, queries: Queries) -> Floats:
        """Return w, "events": the weight of each event of the history; 0 for those that are not counted."""


class AdditiveEvents(ABC):
    """A fold-in model whose score is a sum over events, each of which adds the same whatever the other weights are.

    So the scores without some events (weight 0) are the scores less what these add, up to a factor for all items.
    """

    @abstractmethod
    def event_rows(self, queries: Queries, events: Ints, items: Items | None = None) -> Floats:
        """Return what some events of the histories add to the scores of items, "chosen n", or of all, "chosen items".

        Args:
            queries: the queries.
            events: "chosen", positions in `queries.history.items`, of known items.
            items: "chosen n", the items for each event; None: all.
        """


class ScoringNetwork(ABC):
    """A model whose scores are those of one torch module, which other programs can run.

    The module reads histories, `items` "queries length", distinct and oldest first, and their `weights` "queries
    length", 0 for padding; or, where the model learned its users (`Recommender.folds_in`), `users` "queries".
    """

    @abstractmethod
    def scoring_network(self) -> nn.Module:
        """Return the module, "queries items" of these."""

    @abstractmethod
    def network_weights(self, queries: Queries) -> Floats:
        """Return "events", the weights of the events as the module reads them; 0 for what is not counted."""


@final
@dataclass(frozen=True, eq=False)
class PersonaPoints:
    """The search vectors of a batch of queries.

    Attributes:
        points: "queries personas point": persona k ranks items by their inner product with it.
        score: returns the model's scores "queries n" of item numbers "queries n", equal to those of
            `Recommender.score`.
    """

    points: Float[Tensor, "queries personas point"]
    score: Callable[[Items], Float[Tensor, "queries n"]]


class Retrievable(ABC):
    """A model that scores by inner products of a user's vectors with one vector per item.

    With a point per item, x_i = (v_i, b_i), and one per persona, z_uk = (U_uk, 1), the inner product
    z_uk . x_i = U_uk . v_i + b_i is the score of the item for the persona. No score exceeds the largest of these (a
    log-sum-exp without prior: by at most log K / tau). So an item outside the first m of every persona scores no higher
    than the best of their m-th items, and the first m of all personas are good candidates.
    """

    @abstractmethod
    def item_points(self) -> Float[Tensor, "items point"]:
        """Return x_i."""

    @abstractmethod
    def persona_points(self, queries: Queries) -> PersonaPoints:
        """Return z_uk of each query, with the exact scoring function."""
