"""Lists with seats that the user's found personas own, under the user's own controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np
from torch import Tensor

from recsys.bundles.index import Recommend
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.events.store import Correction
from recsys.explanations import Explanation, PersonaItem, text
from recsys.explanations.activity import activity_of
from recsys.explanations.found import describe_found, memberships_of_found, often_of_found
from recsys.explanations.reasons.explained_list import ExplainedList
from recsys.explanations.reasons.steps import Steps, finished
from recsys.explanations.reasons.user_list import UserList
from recsys.models.base import ReadOut, Recommendations, Recommender
from recsys.models.capabilities import LinearRows
from recsys.models.linear.bounded_top_n import BoundedTopN
from recsys.models.linear.operations import event_weights
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.ownership import PersonaOwners, ownership, persona_shares
from recsys.serving.answers import UnknownError
from recsys.serving.catalogue import Catalogue
from recsys.serving.lists.base import SEARCHED, ListMaker, ToldPersonas
from recsys.serving.lists.controls import Controls, check_control, tastes_id
from recsys.serving.norms.ruled import Ruled
from recsys.serving.norms.rules import ListRules
from recsys.serving.norms.seated import seated_list
from recsys.serving.records import Persona, Shelf
from recsys.serving.users.state import Listed, UserState, excluding
from recsys.slates import Greedy, Pool
from recsys.types import Doubles, Items

_ONE = np.zeros(1, np.int64)

_OWNED = 4_096
"""Items whose owners are found at a time, to list those of one persona."""


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
        around = model.scoring_model  # the same personas around what scores: of a decayed model the one within
        assert isinstance(around, WithPersonas)
        self._scoring = around
        scoring = around.base
        linear = recommend is None and model.chosen_sharpness == 0 and isinstance(scoring, LinearRows)
        self._top_n = BoundedTopN(scoring) if linear else None

    @property
    def stored_under(self) -> str:
        return self._tastes

    def check(self, persona: int, correction: Correction) -> None:
        check_control(self._model, persona, correction)

    def check_user(self, persona: int, state: UserState, corrections: Mapping[int, Correction]) -> None:
        _place(persona, self.controls(state, corrections))

    def of_persona(
        self, queries: Queries, moment: int, state: UserState, corrections: Mapping[int, Correction], persona: int
    ) -> Queries:
        controls = self.controls(state, corrections)
        place = _place(persona, controls)
        if controls.muted[0, place]:
            raise UnknownError(f"nothing of persona {persona} is listed, for it is muted; unmute it first")
        owner = self._owner_of_every(queries, moment, state)
        return excluding(queries, np.flatnonzero(owner != place).astype(np.int32))

    def heard(self, queries: Queries, moment: int, state: UserState, corrections: Mapping[int, Correction]) -> Queries:
        controls = self.controls(state, corrections)
        if not controls.mutes:
            return queries
        now = queries.at(np.asarray([moment], np.int64))
        of_event = state.grown.found.personas.of_events(self._model.dictionary, now)
        weighed = queries.with_weights(controls.weights(self._model.dictionary, queries, of_event))
        owner = self._owner_of_every(queries, moment, state)
        muted = (owner != UNKNOWN) & controls.muted[0, np.maximum(owner, 0)]
        return self._without_silent(excluding(weighed, np.flatnonzero(muted).astype(np.int32)), controls)

    def _owner_of_every(self, queries: Queries, moment: int, state: UserState) -> Items:
        """Return "items": the place of the persona that owns each item of the catalogue, `UNKNOWN` for nobody's."""
        whole = self.read(queries.at(np.asarray([moment], np.int64)), state).queries
        holding, dictionary, personas = self._holding(state), self._model.dictionary, state.grown.found.personas
        every = np.arange(self._model.n_items, dtype=np.int32)[None]
        owners = [
            ownership(holding, whole, every[:, first : first + _OWNED], dictionary, personas, evidence=False).owner[0]
            for first in range(0, every.shape[1], _OWNED)
        ]
        return np.concatenate(owners)

    def acting(self, corrections: Mapping[int, Correction]) -> dict[int, Correction]:
        return {
            number: one
            for number, one in corrections.items()
            if one.model in ("", self._tastes) and (one.weight != 1 or one.name is not None)
        }

    def controls(self, state: UserState, corrections: Mapping[int, Correction]) -> Controls:
        """Return what the corrections of a user, those of other models included, do to the personas."""
        return Controls.of(self._model, state.grown.found, state.grown.names, corrections, self._tastes)

    def read(self, queries: Queries, state: UserState) -> ReadOut:
        """Return how the model that scores reads a user's query at a moment."""
        return self._model.base.read(queries) if state.cached_weights is None else state.cached_weights.read(queries)

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
        controls = self.controls(state, corrections)
        whole, heard, of_event, nothing = self._heard(queries, moment, state, controls)
        heard, listed, contributions, ruled = self._ruled(whole, heard, state, controls, n, rules, general=nothing)
        heard = replace(heard, queries=heard.queries.at(queries.now))
        explained = self._explained(whole, heard, state, listed, contributions, controls)
        (shares,) = persona_shares(whole.model, whole.queries, of_event, controls.muted.shape[1])
        (often,) = often_of_found(self._model, whole.queries, state.grown.found, [state.grown.names])
        if nothing:
            items = tuple([_for_nobody(one) for one in explained.explanations()])
            return Listed(items, _shelves(items, controls, shares, often), ruled=ruled)

        def searched() -> Steps[Listed]:
            yield from explained.search(SEARCHED)
            items = tuple(explained.explanations())
            return Listed(items, _shelves(items, controls, shares, often), ruled=ruled)

        shaped = ruled is not None and ruled.shaped
        if details and not shaped:
            return finished(searched())
        items = tuple(explained.explanations())
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
        controls = self.controls(state, corrections)
        whole, heard, _, nothing = self._heard(queries, moment, state, controls)
        ruled = self._ruled(whole, heard, state, controls, n, rules, general=nothing)[-1]
        assert ruled is not None
        return ruled

    def _heard(
        self, queries: Queries, moment: int, state: UserState, controls: Controls
    ) -> tuple[ReadOut, ReadOut, Items, bool]:
        """Return a user read with all evidence and without what is muted, the personas of events, whether all are."""
        now = queries.at(np.asarray([moment], np.int64))
        of_event = state.grown.found.personas.of_events(self._model.dictionary, now)
        whole = heard = self.read(now, state)
        if controls.mutes:
            weights = controls.weights(self._model.dictionary, now, of_event)
            heard = self.read(now.with_weights(weights), state)
        nothing = controls.mutes and not event_weights(heard.queries).any() and bool(event_weights(whole.queries).any())
        if not nothing:  # with everything muted the list is what suits users in general
            heard = replace(heard, queries=self._without_silent(heard.queries, controls))
        return whole, heard, of_event, nothing

    def _ruled(
        self,
        whole: ReadOut,
        heard: ReadOut,
        state: UserState,
        controls: Controls,
        n: int,
        rules: ListRules | None,
        *,
        general: bool,
    ) -> tuple[ReadOut, Recommendations, Tensor | None, Ruled | None]:
        """Return the list, and how it is read: without what rules remove, so that reasons hold under them too.

        The list of the slate stays where it keeps the rules, with or without what they remove. Else the rules choose
        the list, and the seats that the slate would give are kept as far as they leave room.
        """
        plain, contributions = self._slated(whole, heard, state, controls, n, general=general)
        if rules is None:
            return heard, plain, contributions, None
        heard = replace(heard, queries=rules.allowed(heard.queries))
        if rules.keeps(plain):
            return heard, plain, contributions, Ruled.of(plain, plain)
        listed, contributions = self._slated(whole, heard, state, controls, n, general=general)
        if rules.keeps(listed):
            return heard, listed, contributions, Ruled.of(plain, listed)
        scores = rules.scores(self._holding(state), heard.queries)
        if general:
            decision, listed = rules.decide(scores, n)
        else:
            owners = self._owners(whole, state, controls)
            decision, listed = seated_list(rules, self._model.chosen_slate, owners, controls.muted, scores, n)
        return heard, listed, None, Ruled.of(plain, listed, decision)

    def _without_silent(self, queries: Queries, controls: Controls) -> Queries:
        """Return the queries without the items of tastes that are muted though no persona is theirs."""
        if not controls.silent.any():
            return queries
        silent = np.flatnonzero(controls.silent[self._model.dictionary.taste]).astype(np.int32)
        return excluding(queries, silent)

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
        slate, owners = self._model.chosen_slate, self._owners(whole, state, controls)
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
            return self._scoring.base
        return self._scoring.holding(state.grown.found)

    def _best(self, read: ReadOut, size: int, state: UserState) -> tuple[Recommendations, Tensor | None]:
        """Return the best-scored items, and the contributions of the events to them where these are known."""
        if self._top_n is not None:
            bounded = self._top_n.best(read.queries, size, state.bounded)
            state.bounded = bounded.bounded
            return bounded.recommendations, bounded.contributions
        if self._recommend is not None:
            return self._recommend(read.queries, size), None
        return self._holding(state).recommend(read.queries, size, slate=Greedy()), None

    def _explained(
        self,
        whole: ReadOut,
        heard: ReadOut,
        state: UserState,
        listed: Recommendations,
        contributions: Tensor | None,
        controls: Controls,
    ) -> ExplainedList:
        """Return what explains each item by the evidence of its owner."""
        found = state.grown.found
        numbers = found.numbers.copy()
        numbers[0, : len(controls.numbers)] = controls.numbers
        user_list = UserList(
            self._scoring,
            heard.queries,
            listed,
            replace(found, numbers=numbers),
            self._model.chosen_slate,
            controls.muted if controls.mutes else None,
            controls.boosted if controls.boosted.any() else None,
            whole.queries if controls.mutes else None,
            state.grown.names,
        )
        own = {number: one.name for number, one in zip(controls.numbers, controls.corrections, strict=True) if one.name}
        return ExplainedList(
            user_list,
            self._catalogue.ids,
            recent=heard.recent,
            own_names=own,
            contributions=None if contributions is None else contributions.double().numpy(),
        )

    def personas(self, queries: Queries, state: UserState, corrections: Mapping[int, Correction]) -> ToldPersonas:
        controls = self.controls(state, corrections)
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
