"""Lists with seats that the user's found personas own, under the user's own controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from recsys.bundles.index import Recommend
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.events.store import Correction
from recsys.explanations import Explanation, PersonaItem, text
from recsys.explanations.activity import activity_of
from recsys.explanations.found import describe_found, memberships_of_found, often_of_found
from recsys.explanations.reasons.explained_lists import ExplainedLists
from recsys.explanations.reasons.steps import Steps, finished
from recsys.explanations.reasons.user_list import UserList
from recsys.models.base import ReadOut
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.ownership import persona_shares
from recsys.serving.answers import UnknownError
from recsys.serving.items.catalogue import Catalogue
from recsys.serving.lists.base import SEARCHED, ListMaker, ToldPersonas
from recsys.serving.lists.controls import Controls, check_control
from recsys.serving.lists.seating import PersonaSeating, Seated
from recsys.serving.norms.ruled import Ruled
from recsys.serving.norms.rules import ListRules
from recsys.serving.records import Persona, Shelf
from recsys.serving.users.state import Listed, UserState, excluding
from recsys.types import Doubles


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
        self._seating = PersonaSeating(model, recommend)

    @property
    def stored_under(self) -> str:
        return self._seating.tastes

    def check(self, persona: int, correction: Correction) -> None:
        check_control(self._model, persona, correction)

    def check_user(self, persona: int, state: UserState, corrections: Mapping[int, Correction]) -> None:
        _place(persona, self._seating.controls(state, corrections))

    def of_persona(
        self, queries: Queries, moment: int, state: UserState, corrections: Mapping[int, Correction], persona: int
    ) -> Queries:
        controls = self._seating.controls(state, corrections)
        place = _place(persona, controls)
        if controls.muted[0, place]:
            raise UnknownError(f"nothing of persona {persona} is listed, for it is muted; unmute it first")
        owner = self._seating.owner_of_every(queries, moment, state)
        return excluding(queries, np.flatnonzero(owner != place).astype(np.int32))

    def heard(self, queries: Queries, moment: int, state: UserState, corrections: Mapping[int, Correction]) -> Queries:
        controls = self._seating.controls(state, corrections)
        if not controls.mutes:
            return queries
        now = queries.at(np.asarray([moment], np.int64))
        of_event = state.grown.found.personas.of_events(self._model.dictionary, now)
        weighed = queries.with_weights(controls.weights(self._model.dictionary, queries, of_event))
        owner = self._seating.owner_of_every(queries, moment, state)
        muted = (owner != UNKNOWN) & controls.muted[0, np.maximum(owner, 0)]
        return self._seating.without_silent(excluding(weighed, np.flatnonzero(muted).astype(np.int32)), controls)

    def acting(self, corrections: Mapping[int, Correction]) -> dict[int, Correction]:
        return {
            number: one
            for number, one in corrections.items()
            if one.model in ("", self._seating.tastes) and (one.weight != 1 or one.name is not None)
        }

    def make(
        self,
        queries: Queries,
        moment: int,
        state: UserState,
        n: int,
        corrections: dict[int, Correction],
        *,
        details: bool,
        rules: ListRules | None = None,
    ) -> Listed:
        controls = self._seating.controls(state, corrections)
        user = self._seating.heard(queries, moment, state, controls)
        seated = self._seating.choose(user, state, controls, n, rules)
        whole, ruled = user.whole, seated.ruled
        seated = replace(seated, read=replace(seated.read, queries=seated.read.queries.at(queries.now)))
        explained = self._explained(whole, seated, state, controls)
        (shares,) = persona_shares(whole.model, whole.queries, user.of_event, controls.muted.shape[1])
        (often,) = often_of_found(self._model, whole.queries, state.grown.found, [state.grown.names])
        if user.nothing:
            items = tuple([_for_nobody(one) for one in explained.explanations(self._catalogue.ids)])
            return Listed(items, _shelves(items, controls, shares, often), ruled=ruled)

        def searched() -> Steps[Listed]:
            yield from explained.search(SEARCHED)
            items = tuple(explained.explanations(self._catalogue.ids))
            return Listed(items, _shelves(items, controls, shares, often), ruled=ruled)

        shaped = ruled is not None and ruled.shaped
        if details and not shaped:
            return finished(searched())
        items = tuple(explained.explanations(self._catalogue.ids))
        return Listed(items, _shelves(items, controls, shares, often), None if shaped else searched(), ruled)

    def choose(
        self,
        queries: Queries,
        moment: int,
        state: UserState,
        n: int,
        corrections: dict[int, Correction],
        rules: ListRules,
    ) -> Ruled:
        controls = self._seating.controls(state, corrections)
        user = self._seating.heard(queries, moment, state, controls)
        ruled = self._seating.choose(user, state, controls, n, rules).ruled
        assert ruled is not None
        return ruled

    def _explained(self, whole: ReadOut, seated: Seated, state: UserState, controls: Controls) -> ExplainedLists:
        """Return what explains each item by the evidence of its owner."""
        found = state.grown.found
        numbers = found.numbers.copy()
        numbers[0, : len(controls.numbers)] = controls.numbers
        user_list = UserList(
            self._seating.scoring,
            seated.read.queries,
            seated.listed,
            replace(found, numbers=numbers),
            self._model.chosen_slate,
            controls.muted if controls.mutes else None,
            controls.boosted if controls.boosted.any() else None,
            whole.queries if controls.mutes else None,
            state.grown.names,
        )
        own = {number: one.name for number, one in zip(controls.numbers, controls.corrections, strict=True) if one.name}
        return ExplainedLists(
            user_list,
            recent=seated.read.recent,
            own_names=own,
            contributions=None if seated.contributions is None else seated.contributions.double().numpy(),
        )

    def personas(self, queries: Queries, state: UserState, corrections: Mapping[int, Correction]) -> ToldPersonas:
        controls = self._seating.controls(state, corrections)
        found = state.grown.found
        (described,) = describe_found(self._model, queries, found, names=[state.grown.names])
        activity = activity_of(self._model, queries, memberships_of_found(self._model, queries, found))
        places = {number: place for place, number in enumerate(found.numbers[0].tolist())}
        told = []
        for column, one in enumerate(described):
            place = places[one.persona]
            said = controls.corrections[place]
            told.append(
                Persona(
                    controls.numbers[place],
                    controls.names[place],
                    said.name is not None,
                    said.weight,
                    said.muted,
                    float(activity.now[column]),
                    float(activity.long_term[column]),
                    tuple(PersonaItem(str(item.item_id), item.title, item.weight) for item in one.items),
                    one.genres,
                    tuple(activity.values[:, column].tolist()),
                    seats=0,
                    often=one.often,
                )
            )
        return ToldPersonas(tuple(activity.times.tolist()), tuple(told), controls.unmatched)


def _place(persona: int, controls: Controls) -> int:
    """Return which of a user's personas a public number is; raise where it is none."""
    own = controls.numbers
    if persona not in own:
        some = f"there are {', '.join(map(str, sorted(own)))}" if own else "there are none yet"
        raise UnknownError(f"there is no persona {persona} of this user; {some}")
    return own.index(persona)


def _for_nobody(one: Explanation) -> Explanation:
    """Return the explanation of an item of a list for which nothing of the user's was heard."""
    nobody: dict[str, Any] = {"owner": None, "owner_name": None, "owner_share": None, "personas": ()}
    none: dict[str, Any] = {"evidence": (), "evidence_kind": "none", "certainty": None, "without": ()}
    said: dict[str, Any] = {"reason": text.MUTED, "reason_kind": "muted", "low_certainty": False}
    return replace(one, **nobody, **none, **said)


def _shelves(
    items: Sequence[Explanation], controls: Controls, shares: Doubles, often: Sequence[tuple[str, ...]]
) -> tuple[Shelf, ...]:
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
            Shelf(
                number,
                controls.names[place],
                float(shares[place]),
                seats.get(number, 0),
                said.weight,
                said.muted,
                often[place],
            )
        )
    return tuple(shelves)
