"""The arms of an audit: no system, systems that know nothing, oracles, and models with what is done to their lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch

from recsys.audits.beliefs import Record
from recsys.audits.loop import Seen, Serve
from recsys.audits.mitigations import Mitigation, seats
from recsys.audits.owners import Clusters, Owned, Partition, owner_of
from recsys.checks import whole
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.slates import Greedy, Pool, Seating, Slate
from recsys.types import Doubles, Floats, Ints, Items, Mask
from recsys.worlds.loops import Population
from recsys.worlds.loops.base import first_of

_RANDOM, _EXPLORE, _SAMPLE = 101, 102, 103
"""Streams of random numbers of arms, apart from those of the worlds."""

_DOUBT = 5.0
"""Choices by which the appeal of an item is shrunken to 1."""


class Arm(ABC):
    """One way to be served. A frozen dataclass of settings."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name in reports, unique within an audit."""

    @abstractmethod
    def begin(self, population: Population, n: int) -> Serve:
        """Return the system, which makes lists of n; only oracles look at the people."""


@final
@dataclass(frozen=True)
class Alone(Arm):
    """No system: users search by themselves. What every other arm is compared with."""

    @property
    def name(self) -> str:
        return "none"

    def begin(self, population: Population, n: int) -> Serve:
        return lambda seen: None


@final
@dataclass(frozen=True)
class Random(Arm):
    """Items at random."""

    @property
    def name(self) -> str:
        return "random"

    def begin(self, population: Population, n: int) -> Serve:
        return lambda seen: first_of(_drawn(seen, _RANDOM), seen.free, n)


@final
@dataclass(frozen=True)
class Popular(Arm):
    """What most users chose."""

    @property
    def name(self) -> str:
        return "popularity"

    def begin(self, population: Population, n: int) -> Serve:
        def serve(seen: Seen) -> Items:
            counts = (~seen.free).sum(0).astype(np.float64)
            return first_of(np.broadcast_to(-counts, seen.free.shape), seen.free, n)

        return serve


@final
@dataclass(frozen=True)
class Content(Arm):
    """Items whose attributes are like those of what the user chose: the cosine with their mean."""

    @property
    def name(self) -> str:
        return "content"

    def begin(self, population: Population, n: int) -> Serve:
        def serve(seen: Seen) -> Items:
            length = np.linalg.norm(seen.attributes, axis=1, keepdims=True)
            vectors = seen.attributes / np.where(length > 0, length, 1.0)
            return first_of(-((~seen.free).astype(np.float64) @ vectors) @ vectors.T, seen.free, n)

        return serve


@final
@dataclass(frozen=True)
class ExpectedOracle(Arm):
    """Knows the truth, and lists what the mean persona likes best."""

    @property
    def name(self) -> str:
        return "oracle"

    def begin(self, population: Population, n: int) -> Serve:
        return lambda seen: first_of(-population.expected(), seen.free, n)


@final
@dataclass(frozen=True)
class SlateOracle(Arm):
    """Knows the truth, and gives each persona seats by how often it acts, with what it likes best.

    Seats are Sainte-Lague's. A persona likes its own items, the others follow by expected utility.
    """

    @property
    def name(self) -> str:
        return "slate oracle"

    def begin(self, population: Population, n: int) -> Serve:
        def serve(seen: Seen) -> Items:
            truth, best = population.truth(), population.best()
            value = np.where(truth.owner == UNKNOWN, population.expected() - 1e3, best)
            return _seated(value, seen.free, truth.owner, truth.weights, seats(), n)

        return serve


@final
@dataclass(frozen=True)
class Recommended(Arm):
    """A model, fitted again to what it caused, with or without a mitigation.

    Attributes:
        label: of the model, in reports.
        model: returns a new, unfitted model; its seed is its own.
        mitigation: how lists are made; None: as the model makes them.
        every: rounds from one fit to the next; histories are current in every round, for models that fold in.
        partition: whose the items are, for mitigations that ask.
        again: whether that is found anew with every fit, in the whole log, or once in the organic log.
    """

    label: str
    model: Callable[[], Recommender]
    mitigation: Mitigation | None = None
    every: int = 1
    partition: Partition = field(default_factory=Clusters)
    again: bool = True

    def __post_init__(self) -> None:
        whole("every", self.every)

    @property
    def name(self) -> str:
        return self.label if self.mitigation is None else f"{self.label} + {self.mitigation.name}"

    def begin(self, population: Population, n: int) -> Serve:
        return _Served(self, n).serve


@final
class _Served:
    """A model in the loop."""

    def __init__(self, arm: Recommended, n: int) -> None:
        self._arm, self._n = arm, n
        self._model: Recommender
        self._fitted: int | None = None
        self._partition: Items | None = None

    @torch.inference_mode()
    def serve(self, seen: Seen) -> Items:
        arm, mitigation = self._arm, self._arm.mitigation
        if self._fitted is None or seen.round - self._fitted >= arm.every:
            with torch.inference_mode(mode=False):
                self._model = arm.model().fit(seen.log())
            self._fitted = seen.round
        queries = seen.queries()
        if mitigation is None:
            return self._model.recommend(queries, self._n).items
        if mitigation.weighted:
            as_fold_in(self._model, "inverse exposure")
            queries = queries.with_weights(_inverse_exposure(seen, queries))
        slate = self._listed(mitigation, seen, queries)
        return _explored(slate, seen, mitigation.explore) if mitigation.explore else slate

    def _listed(self, mitigation: Mitigation, seen: Seen, queries: Queries) -> Items:
        if mitigation.belief is None or mitigation.slate is None:
            return self._model.recommend(queries, self._n, slate=Greedy()).items
        if self._partition is None or (self._arm.again and self._fitted == seen.round):
            self._partition = self._arm.partition.owners(self._model, seen)
        shares = mitigation.belief.shares(_recorded(seen, self._partition))
        if mitigation.appeal == 0:
            owned = Owned(self._partition, shares)
            return self._model.recommend(queries, self._n, slate=mitigation.slate, owners=owned).items
        value = _with_appeal(self._model.score(queries).numpy(), seen, self._partition, shares, mitigation.appeal)
        if mitigation.sampled > 0:
            drawn = np.maximum(_drawn(seen, _SAMPLE), 1e-300)
            value -= mitigation.sampled * np.log(-np.log(drawn))
        owner = np.broadcast_to(self._partition, seen.free.shape)
        return _seated(value, seen.free, owner, shares, mitigation.slate, self._n)


def _recorded(seen: Seen, partition: Items) -> Record:
    """Return what is known of the personas of a partition."""
    width, users = int(partition.max()) + 1, np.arange(len(seen.free))
    owner = owner_of(partition, users, np.stack(seen.chosen, axis=1)).T
    organic = np.stack([(owner[: seen.organic] == persona).sum(0) for persona in range(width)], axis=1)
    shown = np.zeros((seen.round - seen.organic, len(users), width), np.int64)
    for round_, slate in enumerate(seen.slates[seen.organic :]):
        listed = owner_of(partition, users, slate)
        place = (users[:, None] * width + listed)[listed != UNKNOWN]
        shown[round_] = np.bincount(place, minlength=len(users) * width).reshape(len(users), width)
    return Record(organic, shown, owner[seen.organic :])


def _with_appeal(scores: Floats, seen: Seen, partition: Items, shares: Doubles, power: float) -> Doubles:
    """Return scores corrected by how often an item was taken, given where it was shown, "users items".

        v_ui = log( max(s_ui, 0) / s + 1/2 ) + power log( (c_i + 5) / (x_i + 5) )
        x_i  = sum over the lists with i of b_uk / n_uk

    s is the 90th percentile of the scores, c_i how often item i was taken from a list, and x_i how often it would have
    been if persona k, its owner, took each of its n_uk listed items alike: what exposure alone explains.
    """
    items = scores.shape[1]
    users = np.arange(len(scores))
    taken, usual = np.zeros(items), np.zeros(items)
    for slate, chosen in zip(seen.slates[seen.organic :], seen.chosen[seen.organic :], strict=True):
        owner = owner_of(partition, users, slate)
        listed = (owner[:, :, None] == np.arange(shares.shape[1])).sum(1)
        due = np.where(listed > 0, shares, 0.0)
        due /= np.maximum(due.sum(1, keepdims=True), 1e-12) * np.maximum(listed, 1)
        present = slate != UNKNOWN
        usual += np.bincount(slate[present], np.take_along_axis(due, np.maximum(owner, 0), 1)[present], items)
        taken += np.bincount(chosen[chosen != UNKNOWN], minlength=items)
    high = max(float(np.quantile(scores, 0.9)), 1e-12)
    relevance = np.log(np.maximum(scores.astype(np.float64) / high, 0.0) + 0.5)
    return np.asarray(relevance + power * np.log((taken + _DOUBT) / (usual + _DOUBT)))


def _seated(value: Doubles, free: Mask, owner: Items, shares: Doubles, slate: Slate, n: int) -> Items:
    """Return the lists that a slate makes of all free items in the order of their values."""
    items = first_of(-value, free, value.shape[1])
    place = np.maximum(items, 0)
    scores = np.where(items == UNKNOWN, -np.inf, np.take_along_axis(value, place, 1)).astype(np.float32)
    owned = np.where(items == UNKNOWN, UNKNOWN, np.take_along_axis(owner, place, 1)).astype(np.int32)
    chosen = slate.choose(Pool(items, scores, Seating(owned, shares)), n)
    return np.where(chosen == UNKNOWN, UNKNOWN, np.take_along_axis(items, np.maximum(chosen, 0), 1)).astype(np.int32)


def _explored(slate: Items, seen: Seen, count: int) -> Items:
    """Return lists whose last places are drawn at random from what is free and not listed."""
    count = min(count, slate.shape[1])
    kept = slate[:, : slate.shape[1] - count]
    free = seen.free.copy()
    rows, places = np.nonzero(kept != UNKNOWN)
    free[rows, kept[rows, places]] = False
    return np.hstack([kept, first_of(_drawn(seen, _EXPLORE), free, count)])


def _inverse_exposure(seen: Seen, queries: Queries) -> Floats:
    """Return "events": the median number of places that an item had, by that of the event's item, at most 1.

    An item that nobody was shown weighs 1; an event counts so whether it came from a list or not.
    """
    items = seen.free.shape[1]
    shown: Ints = np.zeros(items, np.int64)
    for slate in seen.slates[seen.organic :]:
        shown += np.bincount(slate[slate != UNKNOWN], minlength=items)
    usual = float(np.median(shown[shown > 0])) if shown.any() else 1.0
    return np.minimum(1.0, usual / np.maximum(shown, 1))[queries.history.items].astype(np.float32)


def _drawn(seen: Seen, stream: int) -> Doubles:
    return np.random.default_rng([seen.seed, stream, seen.round]).random(seen.free.shape)
