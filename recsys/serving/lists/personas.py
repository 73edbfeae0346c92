"""Lists with seats that the user's found personas own, under the user's own controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from recsys.bundles.index import Recommend
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.events.store import Correction
from recsys.explanations import Explanation, PersonaItem, explain_read, text
from recsys.models.base import ReadOut, Recommendations, Recommender
from recsys.models.capabilities import LinearRows, as_fold_in
from recsys.models.linear.bounded_top_n import BoundedTopN
from recsys.models.linear.operations import event_weights
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.ownership import PersonaOwners
from recsys.serving.catalogue import Catalogue
from recsys.serving.lists.base import Listed, ListMaker, ToldPersonas
from recsys.serving.lists.controls import Controls, check_control, tastes_id
from recsys.serving.lists.described import describe_found
from recsys.serving.records import Persona, Shelf
from recsys.serving.users.state import UserState
from recsys.slates import Greedy, Pool
from recsys.types import Doubles, Items

_ONE = np.zeros(1, np.int64)


@final
class PersonaLists(ListMaker):
    """The best-scored items, seated by the slate of the model.

    What is muted neither counts nor is listed: its events are read with weight 0, and the items that its persona would
    own, were it heard, are left out. With everything muted the list is what suits users in general.

    Args:
        model: fitted.
        catalogue: of its items.
        recommend: finds the best items of the model that scores; by default all items are scored.
    """

    def __init__(self, model: WithPersonas, catalogue: Catalogue, recommend: Recommend | None = None) -> None:
        self._model = model
        self._catalogue = catalogue
        self._tastes = tastes_id(model.dictionary)
        self._recommend = recommend
        scoring = model.base.scoring_model
        linear = recommend is None and model.chosen_sharpness == 0 and isinstance(scoring, LinearRows)
        self._top_n = BoundedTopN(scoring) if linear else None

    @property
    def stored_under(self) -> str:
        return self._tastes

    def check(self, persona: int, correction: Correction) -> None:
        check_control(self._model, persona, correction)

    def acting(self, corrections: Mapping[int, Correction]) -> dict[int, Correction]:
        return {
            number: one
            for number, one in corrections.items()
            if one.model in ("", self._tastes) and (one.weight != 1 or one.name is not None)
        }

    def controls(self, state: UserState, corrections: Mapping[int, Correction]) -> Controls:
        """Return what the corrections of a user, those of other models included, do to the personas."""
        return Controls.of(self._model, state.grown.found, corrections, self._tastes)

    def read(self, queries: Queries, state: UserState) -> ReadOut:
        """Return how the model that scores reads a user's query at a moment."""
        return self._model.base.read(queries) if state.cached_weights is None else state.cached_weights.read(queries)

    def make(
        self, queries: Queries, moment: int, state: UserState, n: int, corrections: dict[int, Correction]
    ) -> Listed:
        controls = self.controls(state, corrections)
        now = queries.at(np.asarray([moment], np.int64))
        of_event = state.grown.found.personas.of_events(self._model.dictionary, now)
        whole = heard = self.read(now, state)
        if controls.mutes:
            weights = controls.weights(self._model.dictionary, now, of_event)
            heard = self.read(self._without_silent(now.with_weights(weights), controls), state)
        nothing = controls.mutes and not event_weights(heard.queries).any() and bool(event_weights(whole.queries).any())
        listed, contributions = self._slated(whole, heard, state, controls, n, general=nothing)
        heard = replace(heard, queries=heard.queries.at(queries.now))
        explained = self._explained(heard, state, listed, contributions, of_event, controls)
        if nothing:
            explained = [replace(one, reason=text.MUTED, reason_kind="muted") for one in explained]
        (shares,) = persona_shares(whole.model, whole.queries, of_event, controls.muted.shape[1])
        return Listed(self._catalogue.describe(explained), _shelves(explained, controls, shares))

    def _without_silent(self, queries: Queries, controls: Controls) -> Queries:
        """Return the queries without the items of tastes that are muted though no persona is theirs."""
        if not controls.silent.any():
            return queries
        silent = np.flatnonzero(controls.silent[self._model.dictionary.taste]).astype(np.int32)
        return replace(queries, exclude=Ragged.of([np.union1d(queries.excluded.items, silent)]))

    def _slated(
        self, whole: ReadOut, heard: ReadOut, state: UserState, controls: Controls, n: int, *, general: bool
    ) -> tuple[Recommendations, Tensor | None]:
        """Let the slate choose from the best-scored candidates; from more, where too few of them may be listed.

        Args:
            whole: the user with all evidence, which decides who owns an item.
            heard: the user without what is muted, which decides the scores.
            state: of the user.
            controls: of the user.
            n: length of the list.
            general: whether nothing is heard, so that nobody owns anything.

        Returns:
            The list with the owners of its items, and the contributions of the events to these, "events n", where they
            are known.
        """
        if general:
            return self._best(heard, n, state)[0], None
        slate = self._model.chosen_slate
        personas = state.grown.found.personas
        owners = PersonaOwners(
            self._scoring(whole, state),
            whole.queries,
            self._model.dictionary,
            personas,
            boosted=controls.boosted,
            muted=controls.muted,
        )
        size = min(max(n, slate.pool), self._model.n_items)
        while True:
            best, contributions = self._best(heard, size, state)
            given = None if controls.mutes else contributions
            pool = Pool(best.items, best.scores, owners.seating_given(_ONE, best.items, given))
            chosen = slate.choose(pool, n)
            if size == self._model.n_items or UNKNOWN not in chosen or pool.items[0, -1] == UNKNOWN:
                break
            size = min(4 * size, self._model.n_items)
        place, empty = np.maximum(chosen, 0), chosen == UNKNOWN
        items, scores, owner = (
            np.take_along_axis(each, place, 1) for each in (pool.items, pool.scores, pool.owned.owner)
        )
        items[empty], scores[empty], owner[empty] = UNKNOWN, -np.inf, UNKNOWN
        listed = Recommendations(items, scores, owner)
        of_listed = None if contributions is None or empty.any() else contributions[:, chosen[0]]
        return listed, of_listed

    def _scoring(self, read: ReadOut, state: UserState) -> Recommender:
        """Return the model that scores; with attention over personas one that holds those of the user."""
        scoring = self._model.scoring_model
        attends = self._model.chosen_sharpness > 0 and isinstance(scoring, WithPersonas)
        return scoring.holding(state.grown.found) if attends else read.model

    def _best(self, read: ReadOut, size: int, state: UserState) -> tuple[Recommendations, Tensor | None]:
        """Return the best-scored items, and the contributions of the events to them where these are known."""
        if self._top_n is not None:
            bounded = self._top_n.best(read.queries, size, state.bounded)
            state.bounded = bounded.bounded
            return bounded.recommendations, bounded.contributions
        if self._recommend is not None:
            return self._recommend(read.queries, size), None
        return self._scoring(read, state).recommend(read.queries, size, slate=Greedy()), None

    def _explained(
        self,
        heard: ReadOut,
        state: UserState,
        listed: Recommendations,
        contributions: Tensor | None,
        of_event: Items,
        controls: Controls,
    ) -> list[Explanation]:
        """Explain each item by the evidence of its owner."""
        owner = np.full(listed.items.shape, UNKNOWN, np.int32) if listed.owners is None else listed.owners
        if contributions is None:
            fold_in = as_fold_in(self._scoring(heard, state), "explanations")
            contributions = fold_in.contributions(heard.queries, np.maximum(listed.items, 0))
        own = torch.from_numpy(of_event[:, None] == np.where(owner == UNKNOWN, UNKNOWN - 1, owner))
        positive = contributions.clamp_min(0.0)
        total, owned = positive.sum(0).tolist(), (positive * own).sum(0).tolist()
        given = contributions * own if UNKNOWN not in owner else contributions
        (explained,) = explain_read(heard, state.facts, listed, self._catalogue.ids, contributions=given)
        for one, place, whole, part in zip(explained, owner[0].tolist(), total, owned, strict=False):
            if place != UNKNOWN:
                one.owner, one.owner_name = controls.numbers[place], controls.names[place]
                one.owner_share = part / whole if whole > 0 else 0.0
        return explained

    def personas(self, queries: Queries, state: UserState, corrections: Mapping[int, Correction]) -> ToldPersonas:
        controls = self.controls(state, corrections)
        described = describe_found(self._model, queries, state.grown.found)
        told = [
            Persona(
                controls.numbers[place],
                controls.names[place],
                said.name is not None,
                said.weight,
                said.muted,
                one.share_now,
                one.share_long_term,
                tuple(PersonaItem(str(item.item_id), item.title, item.weight) for item in one.items),
                one.genres,
                tuple(one.activity),
                seats=0,
            )
            for place, (one, said) in enumerate(zip(described.personas, controls.corrections, strict=True))
        ]
        return ToldPersonas(tuple(described.times.tolist()), tuple(told), controls.unmatched)


def _shelves(items: Sequence[Explanation], controls: Controls, shares: Doubles) -> tuple[Shelf, ...]:
    """Return the personas in the order of their first items, nobody among them, then those without seats."""
    seats: dict[int | None, int] = {}
    for one in items:
        seats[one.owner] = seats.get(one.owner, 0) + 1
    places = {number: place for place, number in enumerate(controls.numbers)}
    order = [*seats, *(number for number in controls.numbers if number not in seats)]
    shelves = []
    for number in order:
        if number is None:
            shelves.append(Shelf(None, None, 0.0, seats[None]))
            continue
        place, said = places[number], controls.corrections[places[number]]
        shelves.append(
            Shelf(number, controls.names[place], float(shares[place]), seats.get(number, 0), said.weight, said.muted)
        )
    return tuple(shelves)
