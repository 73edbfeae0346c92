"""Which items a user's found personas list, under the user's own controls and under rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from torch import Tensor

from recsys.bundles.index import Recommend
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.events.store import Correction
from recsys.models.base import ReadOut, Recommendations, Recommender
from recsys.models.capabilities import LinearRows
from recsys.models.linear.bounded_top_n import BoundedTopN
from recsys.models.linear.operations import event_weights
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.ownership import PersonaOwners, ownership
from recsys.serving.lists.controls import Controls, tastes_id
from recsys.serving.norms.ruled import Ruled
from recsys.serving.norms.rules import ListRules
from recsys.serving.norms.seated import seated_list
from recsys.serving.users.state import UserState, excluding
from recsys.slates import Greedy, Pool
from recsys.types import Items

_ONE = np.zeros(1, np.int64)

_OWNED = 4_096
"""Items whose owners are found at a time, to list those of one persona."""


@final
@dataclass(frozen=True, eq=False)
class Heard:
    """How a user is read.

    Attributes:
        whole: with all evidence, which decides who owns an item.
        heard: without what is muted, which decides the scores.
        of_event: the persona of each event.
        nothing: whether all of it is muted, so that nobody owns anything.
    """

    whole: ReadOut
    heard: ReadOut
    of_event: Items
    nothing: bool


@final
@dataclass(frozen=True, eq=False)
class Seated:
    """A list that personas own, before it is explained.

    Attributes:
        read: how it is read: without what rules remove, so that reasons hold under them too.
        listed: the items with their owners.
        contributions: of the events to the items, "events n", where they are known.
        ruled: what rules did to it; None without rules.
    """

    read: ReadOut
    listed: Recommendations
    contributions: Tensor | None
    ruled: Ruled | None


@final
class PersonaSeating:
    """Reads a user and lets the slate of the model, and rules, choose a list.

    Args:
        model: fitted.
        recommend: finds the best items of the model that scores; by default all items are scored.
    """

    def __init__(self, model: WithPersonas, recommend: Recommend | None = None) -> None:
        self._model = model
        self.tastes = tastes_id(model.dictionary)
        """What is the same of two dictionaries whose tastes have the same numbers."""
        self._recommend = recommend
        around = model.scoring_model  # the same personas around what scores: of a decayed model the one within
        assert isinstance(around, WithPersonas)
        self.scoring = around
        """The personas around the model that scores."""
        scoring = around.base
        linear = recommend is None and model.chosen_sharpness == 0 and isinstance(scoring, LinearRows)
        self._top_n = BoundedTopN(scoring) if linear else None

    def controls(self, state: UserState, corrections: Mapping[int, Correction]) -> Controls:
        """Return what the corrections of a user, those of other models included, do to the personas."""
        return Controls.of(self._model, state.grown.found, state.grown.names, corrections, self.tastes)

    def read(self, queries: Queries, state: UserState) -> ReadOut:
        """Return how the model that scores reads a user's query at a moment."""
        return self._model.base.read(queries) if state.cached_weights is None else state.cached_weights.read(queries)

    def heard(self, queries: Queries, moment: int, state: UserState, controls: Controls) -> Heard:
        """Return a user as of a moment, read with all evidence and without what is muted."""
        now = queries.at(np.asarray([moment], np.int64))
        of_event = state.grown.found.personas.of_events(self._model.dictionary, now)
        whole = heard = self.read(now, state)
        if controls.mutes:
            weights = controls.weights(self._model.dictionary, now, of_event)
            heard = self.read(now.with_weights(weights), state)
        nothing = controls.mutes and not event_weights(heard.queries).any() and bool(event_weights(whole.queries).any())
        if not nothing:  # with everything muted the list is what suits users in general
            heard = replace(heard, queries=self.without_silent(heard.queries, controls))
        return Heard(whole, heard, of_event, nothing)

    def choose(self, user: Heard, state: UserState, controls: Controls, n: int, rules: ListRules | None) -> Seated:
        """Return the list of a user.

        The list of the slate stays where it keeps the rules, with or without what they remove. Else the rules choose
        the list, and the seats that the slate would give are kept as far as they leave room.
        """
        plain, contributions = self._slated(user, state, controls, n)
        if rules is None:
            return Seated(user.heard, plain, contributions, None)
        allowed = replace(user.heard, queries=rules.allowed(user.heard.queries))
        if rules.keeps(plain):
            return Seated(allowed, plain, contributions, Ruled.of(plain, plain))
        listed, contributions = self._slated(replace(user, heard=allowed), state, controls, n)
        if rules.keeps(listed):
            return Seated(allowed, listed, contributions, Ruled.of(plain, listed))
        scores = rules.scores(self._holding(state), allowed.queries)
        if user.nothing:
            decision, listed = rules.decide(scores, n)
        else:
            owners = self._owners(user.whole, state, controls)
            decision, listed = seated_list(rules, self._model.chosen_slate, owners, controls.muted, scores, n)
        return Seated(allowed, listed, None, Ruled.of(plain, listed, decision))

    def without_silent(self, queries: Queries, controls: Controls) -> Queries:
        """Return the queries without the items of tastes that are muted though no persona is theirs."""
        if not controls.silent.any():
            return queries
        silent = np.flatnonzero(controls.silent[self._model.dictionary.taste]).astype(np.int32)
        return excluding(queries, silent)

    def owner_of_every(self, queries: Queries, moment: int, state: UserState) -> Items:
        """Return "items": the place of the persona that owns each item of the catalogue, `UNKNOWN` for nobody's."""
        whole = self.read(queries.at(np.asarray([moment], np.int64)), state).queries
        holding, dictionary, personas = self._holding(state), self._model.dictionary, state.grown.found.personas
        every = np.arange(self._model.n_items, dtype=np.int32)[None]
        owners = [
            ownership(holding, whole, every[:, first : first + _OWNED], dictionary, personas, evidence=False).owner[0]
            for first in range(0, every.shape[1], _OWNED)
        ]
        return np.concatenate(owners)

    def _slated(
        self, user: Heard, state: UserState, controls: Controls, n: int
    ) -> tuple[Recommendations, Tensor | None]:
        """Let the slate choose from the best-scored candidates; from more, where too few of them may be listed.

        Returns:
            The list with the owners of its items, and the contributions of the events to these, "events n", where they
            are known.
        """
        if user.nothing:
            return self._best(user.heard, n, state)[0], None
        slate, owners = self._model.chosen_slate, self._owners(user.whole, state, controls)
        size = min(max(n, slate.pool), self._model.n_items)
        while True:
            best, contributions = self._best(user.heard, size, state)
            given = None if controls.mutes else contributions
            pool = Pool(best.items, best.scores, owners.seating_given(_ONE, best.items, given))
            chosen = slate.choose(pool, n)
            if size == self._model.n_items or UNKNOWN not in chosen or pool.items[0, -1] == UNKNOWN:
                break
            size = min(4 * size, self._model.n_items)
        place, empty = np.maximum(chosen, 0), chosen == UNKNOWN
        items, scores = np.take_along_axis(pool.items, place, 1), np.take_along_axis(pool.scores, place, 1)
        owner = np.take_along_axis(pool.owned.owner, place, 1)
        items[empty], scores[empty], owner[empty] = UNKNOWN, -np.inf, UNKNOWN
        listed = Recommendations(items, scores, owner)
        of_listed = None if contributions is None or empty.any() else contributions[:, chosen[0]]
        return listed, of_listed

    def _owners(self, whole: ReadOut, state: UserState, controls: Controls) -> PersonaOwners:
        """Return what knows which persona owns an item, by all evidence."""
        return PersonaOwners(
            self._holding(state),
            whole.queries,
            self._model.dictionary,
            state.grown.found.personas,
            boosted=controls.boosted,
            muted=controls.muted,
        )

    def _holding(self, state: UserState) -> Recommender:
        """Return the model that scores; with attention over personas one that holds those of the user."""
        if self._model.chosen_sharpness == 0:
            return self.scoring.base
        return self.scoring.holding(state.grown.found)

    def _best(self, read: ReadOut, size: int, state: UserState) -> tuple[Recommendations, Tensor | None]:
        """Return the best-scored items, and the contributions of the events to them where these are known."""
        if self._top_n is not None:
            bounded = self._top_n.best(read.queries, size, state.bounded)
            state.bounded = bounded.bounded
            return bounded.recommendations, bounded.contributions
        if self._recommend is not None:
            return self._recommend(read.queries, size), None
        return self._holding(state).recommend(read.queries, size, slate=Greedy()), None
