"""Any fold-in model with the personas of its users: they own seats in the lists, and may weigh the score."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.checks import positive
from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.models.base import FittedOn, ReadOut, Recommendations, Recommender, Validate
from recsys.models.capabilities import FoldIn, OwnSlate, SummedFit, TrainingUsers, WholeLog, as_fold_in
from recsys.models.personas.attention import PersonaAttention, typical_scale
from recsys.models.personas.choice import SLATES, UNCHOSEN, chosen_sharpness, chosen_slate, sufficient
from recsys.models.personas.clusters import PersonaSettings
from recsys.models.personas.content import candidates, content_parts, distortion
from recsys.models.personas.dictionary import TasteDictionary, TasteSettings
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.growth import at_checkpoint, with_later_events
from recsys.models.personas.names.labels import Labels, TasteName
from recsys.models.personas.names.taste_names import TasteNames
from recsys.models.personas.ownership import PersonaOwners
from recsys.models.top_n import SparseScores
from recsys.models.wrapping import fitted, part_of, prefixed
from recsys.slates import Greedy, Owners, Seats, Slate
from recsys.training.session import Session
from recsys.types import Ints, Items, Mask

_LOG = logging.getLogger(__name__)
_PURPOSE = "finding what carries a persona's items"
_MODEL, _TASTES, _NAMES, _CHOSEN = "model.", "tastes.", "names", "chosen"
"""Arrays: prefixes of those of the wrapped model and of the dictionary; names, and what validation chose."""

_TASTE_SETTINGS, _LIMITS = TasteSettings(), PersonaSettings()

_UNVALIDATED = 0.5

_NAMERS = 4_000
"""Users whose personas decide which names hold, at most."""

_DISTORTED = 2_000
"""Users whose lists tell how much a slate distorts, at most."""

_SCALED = 200
"""Users of whom the scale of the attention is taken, at most."""

_LISTED = 10


@final
@dataclass(frozen=True, eq=False)
class _Tastes:
    """What is found once at fit and shared by all users; `counts` are "items", everybody's uses of each."""

    dictionary: TasteDictionary
    names: TasteNames
    metadata: ItemMetadata
    counts: Ints

    @cached_property
    def labels(self) -> Labels:
        return Labels.of(self.metadata, self.counts)


@final
class WithPersonas(SummedFit, FoldIn, OwnSlate, SparseScores):
    """A fold-in model whose users are personas found in their own histories (`recsys.models.personas`).

    At fit a dictionary of tastes is found, with names. A user's personas are clusters of the user's events, as many as
    the user has; they are found in every history, without a seed and without retraining. Each recommended item
    has an owner: the persona whose events carry its score. `recommend` gives the personas seats in the list.

        s_ui = s(i; history)                               sharpness 0: the score of the model
        s_ui = K_u sum_k a_uik s(i; events of persona k)   else AMP-CF's attention, `PersonaAttention`

    With `Decayed` within, personas are those of the whole history, and what decays is how active each is.

    Args:
        model: a fold-in model. It stays as it is: `fit` fits a copy.
        sharpness: of the attention over personas; None: chosen on validation, never 0, and .5 without validation.
        slate: makes the lists; None: `Seats` with weights chosen on validation, and its defaults without; a persona of
            three tenths of the history has a place in any case.
        tastes: how the dictionary is made.
        limits: how many personas a user may have.

    Raises:
        CapabilityError: the model cannot fold in, or has personas of this kind already.
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        model: Recommender,
        sharpness: float | None = 0.0,
        slate: Slate | None = None,
        tastes: TasteSettings = _TASTE_SETTINGS,
        limits: PersonaSettings = _LIMITS,
    ) -> None:
        as_fold_in(model, _PURPOSE)
        if isinstance(model, OwnSlate):
            name = type(model).__name__
            raise CapabilityError(
                f"WithPersonas cannot wrap {name}; wrap the model in it: WithPersonas(model, slate=...)"
            )
        if sharpness is not None:
            positive("sharpness", sharpness, zero=True)
        self.model = model
        self.sharpness = sharpness
        self.slate = slate
        self.tastes = tastes
        self.limits = limits
        self._inner = model.unfitted()
        self._former: _Tastes | None = None
        self._found: _Tastes
        self._sharpness = _UNVALIDATED if sharpness is None else sharpness
        self._scale = 1.0
        self._slate: Slate = slate or Seats()
        self._held: FoundPersonas | None = None
        self._at_checkpoints: dict[bytes, FoundPersonas] | None = None
        """By history while the model is fitted: validation asks the same questions again and again, and clustering them
        each time took 40% of the processor time of a fit on ml-latest-small."""

    @property
    def folds_in(self) -> bool:
        return True

    @property
    def learns_from_sums(self) -> bool:
        return isinstance(self.model, SummedFit) and self.model.learns_from_sums and not self.model.shares_batches

    @property
    def base(self) -> Recommender:
        """The fitted model within."""
        _ = self.fitted_on
        return self._inner

    @property
    def scoring_model(self) -> Recommender:
        scoring = self.base.scoring_model
        return self if scoring is self._inner else self._around(scoring)

    @property
    def dictionary(self) -> TasteDictionary:
        """The tastes that all users share."""
        _ = self.fitted_on
        return self._found.dictionary

    @property
    def names(self) -> TasteNames:
        """The name of every node of the dictionary's tree."""
        _ = self.fitted_on
        return self._found.names

    @property
    def labels(self) -> Labels:
        """What names are made of; collected when first asked for."""
        _ = self.fitted_on
        return self._found.labels

    @property
    def chosen_slate(self) -> Slate:
        _ = self.fitted_on
        return self._slate

    @property
    def chosen_sharpness(self) -> float:
        """Of the attention: `sharpness`, or what validation chose."""
        _ = self.fitted_on
        return self._sharpness

    @property
    def attention_scale(self) -> float:
        """Of the attention: see `PersonaAttention`."""
        _ = self.fitted_on
        return self._scale

    def continue_from(self, former: Recommender) -> Self:
        """Let the next `fit` keep the tastes, their numbers and their names, as far as they hold, of an earlier one.

        Args:
            former: a fitted model with personas, of an earlier state of nearly the same log.

        Raises:
            CapabilityError: it has no personas of this kind.
        """
        if not isinstance(former, WithPersonas):
            raise CapabilityError(
                f"{type(former).__name__} has no tastes to continue; give an earlier run of WithPersonas"
            )
        self._former = former._found
        return self

    def found(self, queries: Queries, checkpoint: FoundPersonas | None = None) -> FoundPersonas:
        """Return the personas of users, whatever the weights of their events: a function of the history alone.

        Args:
            queries: the users, with all of their events that are visible.
            checkpoint: what `at_checkpoint` returns of them, to save work.
        """
        if self._held is not None:
            return self._held.take(np.zeros(len(queries), np.int64))
        checkpoint = self.at_checkpoint(queries) if checkpoint is None else checkpoint
        return with_later_events(self.dictionary, self.names.weight, queries, checkpoint)

    def at_checkpoint(self, queries: Queries) -> FoundPersonas:
        """Return the personas of users at the last checkpoint of each history (`recsys.models.personas.growth`)."""
        if self._at_checkpoints is None:
            return at_checkpoint(self.dictionary, self.names.weight, queries, self.limits)
        history = queries.with_weights(None).digest()
        if history not in self._at_checkpoints:
            found = at_checkpoint(self.dictionary, self.names.weight, queries, self.limits)
            self._at_checkpoints[history] = found
        return self._at_checkpoints[history]

    def holding(self, found: FoundPersonas) -> WithPersonas:
        """Return the model as if every query were of one user, whose events keep the persona that they have.

        It answers what the user's list would be without some events, if the personas stayed what they are.

        Args:
            found: the personas of a single user.
        """
        other = self._around(self._inner)
        other._held = found
        return other

    def name_of(self, number: int) -> TasteName:
        """Return the name of a persona's public number."""
        return self.names.names[number]

    def recommend_to(self, queries: Queries, found: FoundPersonas, n: int) -> Recommendations:
        """Return what `recommend` does, given the personas of the users."""
        if isinstance(self._slate, Greedy):
            return self.recommend(queries, n)
        return self.recommend(queries, n, slate=self._slate, owners=self.owners(queries, found))

    def recommended_alone(self, queries: Queries, found: FoundPersonas, n: int) -> Items:
        """Return what the events of each persona alone would recommend, without decay, "queries K n".

        Args:
            queries: the users; only their own histories are left out.
            found: their personas.
            n: items of each persona.

        Returns:
            Item numbers; `UNKNOWN` at the end, and where there is no persona.
        """
        model = self.scoring_model
        assert isinstance(model, WithPersonas)
        user, persona = np.nonzero(found.numbers != UNKNOWN)
        whole = replace(queries.with_weights(None).take(user), exclude=None)
        of_event = found.personas.of_items(self.dictionary, user[whole.history.rows], whole.history.items)
        alone = whole.keep(of_event == persona[whole.history.rows])
        items = np.full((*found.numbers.shape, n), UNKNOWN, np.int32)
        items[user, persona] = model.base.recommend(alone, n, slate=Greedy()).items
        return items

    def owners(
        self, queries: Queries, found: FoundPersonas, *, muted: Mask | None = None, boosted: Mask | None = None
    ) -> PersonaOwners:
        """Return the personas of users as owners of the seats of their lists.

        Args:
            queries: the users, with all of their evidence, that of muted personas included.
            found: their personas.
            muted, boosted: "queries K", see `PersonaOwners`.
        """
        return PersonaOwners(self, queries, self.dictionary, found.personas, boosted=boosted, muted=muted)

    def contributions(self, queries: Queries, items: Items) -> Float[Tensor, "events n"]:
        if self._sharpness == 0:
            return as_fold_in(self.base, _PURPOSE).contributions(queries, items)
        attention, read, of_event = self._attending(queries)
        return attention.contributions(read.queries, of_event, self.limits.most, items)

    def is_sparse(self, queries: Queries) -> bool:
        return self._sharpness == 0 and isinstance(self._inner, SparseScores) and self._inner.is_sparse(queries)

    def sparse_scores(self, queries: Queries) -> sp.csr_matrix:
        assert isinstance(self._inner, SparseScores)
        return self._inner.sparse_scores(queries)

    def _attending(self, queries: Queries) -> tuple[PersonaAttention, ReadOut, Items]:
        read = self._inner.read(queries)
        of_event = self.found(queries).personas.of_events(self.dictionary, queries)
        return PersonaAttention(read.model, self._sharpness, self._scale), read, of_event

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        if self._sharpness == 0:
            return self._inner.score(queries)
        attention, read, of_event = self._attending(queries)
        return attention.scores(read.queries, of_event, self.limits.most)

    def _read(self, queries: Queries) -> ReadOut:
        read = self._inner.read(queries)
        return ReadOut(self if read.model is self._inner else self._around(read.model), read.queries, read.recent)

    def _seating(self, queries: Queries) -> tuple[Slate | None, Owners | None]:
        if isinstance(self._slate, Greedy):
            return None, None
        return self._slate, self.owners(queries, self.found(queries))

    def _around(self, scoring: Recommender) -> WithPersonas:
        """Return the model with the same personas around another fitted model, whose queries are weighted already."""
        other = WithPersonas(scoring, self.sharpness, self.slate, self.tastes, self.limits)
        other._fitted_on, other._inner, other._found = self._fitted_on, scoring, self._found
        other._sharpness, other._scale, other._slate = self._sharpness, self._scale, self._slate
        other._held, other._at_checkpoints = self._held, self._at_checkpoints
        return other

    def with_inner(self, inner: Recommender, dictionary: TasteDictionary) -> WithPersonas:
        """Return the model with the same personas around the model within after it took further items.

        Args:
            inner: fitted.
            dictionary: of its items.
        """
        other = self._around(inner)
        fitted_on = other._fitted_on = inner.fitted_on
        other._found = _Tastes(dictionary, self.names, fitted_on.metadata, fitted_on.item_counts)
        return other

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> tuple[int, int]:
        users = WholeLog(train, validate)
        dictionary = self._dictionary(users)
        self._inner, effort = fitted(self.model.unfitted(), train, validate, session)
        self._find(dictionary, users)
        return effort

    def _prepare(self, train: FittedOn) -> None:
        if not self.learns_from_sums:
            raise CapabilityError(f"WithPersonas learns from sums only around a model that does: {self.model}")

    def _learn(self, users: TrainingUsers, session: Session) -> None:
        dictionary = self._dictionary(users)  # first: the same sums may serve the model within
        inner = self.model.unfitted()
        assert isinstance(inner, SummedFit)
        self._inner = inner.fit_sums(self.fitted_on, users, session)
        self._find(dictionary, users)

    def _dictionary(self, users: TrainingUsers) -> TasteDictionary:
        before = None if self._former is None else self._former.dictionary
        return TasteDictionary.of_sums(self.fitted_on, users.co_use(), self.tastes, before)

    def _find(self, dictionary: TasteDictionary, users: TrainingUsers) -> None:
        """Find what is beside the model within, which is fitted."""
        self._sharpness = _UNVALIDATED if self.sharpness is None else self.sharpness
        self._slate = self.slate or UNCHOSEN
        former, self._former = self._former, None
        counts, metadata = self.fitted_on.item_counts, self.fitted_on.metadata
        weight = np.bincount(dictionary.taste, counts, len(dictionary)).astype(np.float64, copy=False)
        # Names need lists, and lists need no names.
        self._found = _Tastes(dictionary, TasteNames((), weight), metadata, counts)
        if self.sharpness != 0:
            self._scale = self._typical_scale(users)
        self._at_checkpoints = {}
        try:
            if users.validate is not None:
                self._choose(users.validate, users)
            self._found = replace(self._found, names=self._named(users, former))
        finally:
            self._at_checkpoints = None

    def _choose(self, validate: Validate, users: TrainingUsers) -> None:
        """Choose on validation what is not given: first the attention, with plain lists, then how mixed lists are."""

        def with_sharpness(sharpness: float) -> float:
            self._sharpness = sharpness
            return validate(self)

        def with_slate(slate: Slate) -> float:
            self._slate = slate
            return validate(self)

        if self.sharpness is None:
            self._slate = Greedy()
            self._sharpness = chosen_sharpness(with_sharpness)
            best, chosen = with_sharpness(self._sharpness), self._sharpness
            without, self._sharpness = with_sharpness(0.0), chosen
            _LOG.info("validation chose sharpness %g: %.4f; without attention: %.4f", chosen, best, without)
            self._slate = self.slate or UNCHOSEN
        if self.slate is None:
            some = self._spread(users, _DISTORTED)
            about = content_parts(self.fitted_on.metadata, self.dictionary)
            pool = candidates(self, some, self.owners(some, self.found(some)), SLATES[0].pool)
            self._slate = chosen_slate(with_slate, sufficient(partial(distortion, pool, some, about)))
            _LOG.info("validation chose %s", self._slate)

    def _spread(self, users: TrainingUsers, most: int) -> Queries:
        """Return at most some of the users, evenly spread."""
        count = len(self.fitted_on.users)
        return users.some(np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int32)))

    def _typical_scale(self, users: TrainingUsers) -> float:
        queries = self._spread(users, _SCALED)
        _, read, of_event = self._attending(queries)
        return typical_scale(read.model, read.queries, of_event, self.limits.most)

    @torch.inference_mode()
    def _named(self, users: TrainingUsers, former: _Tastes | None) -> TasteNames:
        """Return names that hold for the personas of the log's users and for what these are recommended."""
        queries = self._spread(users, _NAMERS)
        lists = self.recommend(queries, _LISTED)
        return TasteNames.of(
            self.dictionary,
            self.fitted_on.metadata,
            queries,
            self.found(queries),
            listed=lists.items,
            owner=lists.owners,
            former=None if former is None else former.names,
        )

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = prefixed(_MODEL, self._inner.arrays()) | prefixed(_TASTES, self.dictionary.arrays())
        names = {"names": [name.to_dict() for name in self.names.names], "weight": self.names.weight.tolist()}
        seats = self._slate if isinstance(self._slate, Seats) else Seats()
        chosen = [self._sharpness, self._scale, seats.weight, seats.calibration, seats.size, seats.floor]
        text = json.dumps(names, ensure_ascii=False).encode()
        return arrays | {_NAMES: np.frombuffer(text, np.uint8), _CHOSEN: np.asarray(chosen, np.float64)}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        fitted_on = self.fitted_on
        self._inner = self.model.unfitted().restore(fitted_on, part_of(arrays, _MODEL))
        stored = json.loads(arrays[_NAMES].tobytes().decode())
        names = TasteNames(
            tuple(TasteName.from_dict(name) for name in stored["names"]), np.asarray(stored["weight"], np.float64)
        )
        dictionary = TasteDictionary.restored(fitted_on.items, fitted_on.item_counts, part_of(arrays, _TASTES))
        self._found = _Tastes(dictionary, names, fitted_on.metadata, fitted_on.item_counts)
        self._sharpness, self._scale, weight, calibration, size, *later = arrays[_CHOSEN].tolist()
        floor = later[0] if later else 0.0  # bundles of before it
        self._slate = self.slate or Seats(weight, calibration, int(size), floor=floor)
