"""Lists of the best scores, for models without found personas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np
from torch import Tensor

from recsys.bundles.index import Recommend
from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.events.store import Correction
from recsys.explanations import PersonaItem, UserFacts, explain_read, text
from recsys.explanations.activity import persona_activity
from recsys.explanations.reasons.steps import Steps
from recsys.models.base import ReadOut, Recommendations, Recommender
from recsys.models.capabilities import LinearRows
from recsys.models.linear.bounded_top_n import BoundedTopN
from recsys.serving.items.catalogue import Catalogue
from recsys.serving.lists.base import SEARCHED, ListMaker, ToldPersonas
from recsys.serving.lists.corrections import PersonaCorrections
from recsys.serving.norms.ruled import Ruled
from recsys.serving.norms.rules import ListRules
from recsys.serving.records import Persona, Shelf, UnmatchedCorrection
from recsys.serving.users.state import Listed, UserState

_OTHER = "it was made with another model, whose personas are not these; say it again of a persona of today"


@final
class PlainLists(ListMaker):
    """The best scores, with the evidence that the model's own mathematics provides.

    Args:
        model: a fitted model.
        catalogue: of its items.
        corrections: of its personas.
        recommend: finds the best items of the scoring model; that model itself when None.
    """

    def __init__(
        self,
        model: Recommender,
        catalogue: Catalogue,
        corrections: PersonaCorrections,
        recommend: Recommend | None = None,
    ) -> None:
        self._model = model
        self._catalogue = catalogue
        self._corrections = corrections
        scoring = model.scoring_model
        self._recommend = recommend or scoring.recommend
        linear = recommend is None and isinstance(scoring, LinearRows) and scoring.sums_rows
        self._top_n = BoundedTopN(scoring) if linear else None

    @property
    def stored_under(self) -> str:
        return self._corrections.fingerprint

    def check(self, persona: int, correction: Correction) -> None:
        self._corrections.check(persona, correction)

    def check_user(self, persona: int, state: UserState, corrections: Mapping[int, Correction]) -> None:
        """Everybody has every persona of the model."""

    def acting(self, corrections: Mapping[int, Correction]) -> dict[int, Correction]:
        return self._corrections.of_model(corrections)

    def of_persona(
        self, queries: Queries, moment: int, state: UserState, corrections: Mapping[int, Correction], persona: int
    ) -> Queries:
        raise CapabilityError(
            "personas of this model own no items, so that a list cannot be of one; serve a model with found personas, "
            "such as configs/ease_personas.yaml"
        )

    def heard(self, queries: Queries, moment: int, state: UserState, corrections: Mapping[int, Correction]) -> Queries:
        return self._corrections.weigh(queries, self.acting(corrections))

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
        facts = state.facts
        read, weighed, muted = self._read(queries, moment, state, corrections)
        if muted:
            facts = UserFacts.of(self._model, weighed)
        read, best, contributions, ruled = self._ruled(read, state, n, rules)
        shaped = ruled is not None and ruled.shaped
        read = replace(read, queries=read.queries.at(queries.now))
        searches = details and not shaped
        (items,) = explain_read(
            read, facts, best, self._catalogue.ids, contributions=contributions, searched=SEARCHED if searches else 0
        )
        if corrections:
            items = self._corrections.explain(items, state.facts.personas[0], corrections)
        if muted:
            items = [replace(one, reason=text.MUTED, reason_kind="muted") for one in items]
        shelves = (Shelf(None, None, 0.0, len(items)),) if items else ()

        def searched() -> Steps[Listed]:
            yield
            return self.make(queries, moment, state, n, corrections, details=True, rules=rules)

        rest = None if details or shaped or not read.model.folds_in else searched()
        return Listed(tuple(items), shelves, rest, ruled)

    def choose(
        self,
        queries: Queries,
        moment: int,
        state: UserState,
        n: int,
        corrections: dict[int, Correction],
        rules: ListRules,
    ) -> Ruled:
        read, _, _ = self._read(queries, moment, state, corrections)
        ruled = self._ruled(read, state, n, rules)[-1]
        assert ruled is not None
        return ruled

    def _read(
        self, queries: Queries, moment: int, state: UserState, corrections: dict[int, Correction]
    ) -> tuple[ReadOut, Queries, bool]:
        """Return how the model reads a user at a moment, the query that it reads, and whether everything is muted."""
        weighed = self._corrections.weigh(queries.at(np.asarray([moment], np.int64)), corrections)
        muted = len(weighed.times) < len(queries.times)  # all personas are: the state is of another history
        cached = None if muted else state.cached_weights
        return (self._model.read(weighed) if cached is None else cached.read(weighed)), weighed, muted

    def _best(self, queries: Queries, n: int, state: UserState) -> tuple[Recommendations, Tensor | None]:
        """Return the best-scored items, and the contributions of the events to them where these are known."""
        if self._top_n is None:
            return self._recommend(queries, n), None
        bounded = self._top_n.best(queries, n, state.bounded)
        state.bounded = bounded.bounded
        return bounded.recommendations, bounded.contributions

    def _ruled(
        self, read: ReadOut, state: UserState, n: int, rules: ListRules | None
    ) -> tuple[ReadOut, Recommendations, Tensor | None, Ruled | None]:
        """Return the list, and how it is read: without what rules remove, so that reasons hold under them too."""
        plain, contributions = self._best(read.queries, n, state)
        if rules is None:
            return read, plain, contributions, None
        read = replace(read, queries=rules.allowed(read.queries))
        if rules.keeps(plain):
            return read, plain, contributions, Ruled.of(plain, plain)
        best, contributions = self._best(read.queries, n, state)
        if rules.keeps(best):
            return read, best, contributions, Ruled.of(plain, best)
        decision, best = rules.decide(rules.scores(read.model, read.queries), n)
        return read, replace(best, owners=None), None, Ruled.of(plain, best, decision)

    def personas(self, queries: Queries, state: UserState, corrections: Mapping[int, Correction]) -> ToldPersonas:
        (activity,) = persona_activity(self._model, queries)
        own = self._corrections.of_model(corrections)
        told = [
            Persona(
                one.persona,
                (said := own.get(k, Correction())).name or one.name,
                said.name is not None,
                said.weight,
                said.muted,
                float(activity.now[k]),
                float(activity.long_term[k]),
                tuple(PersonaItem(str(item.item_id), item.title, item.weight) for item in one.items),
                one.genres,
                tuple(activity.values[:, k].tolist()),
            )
            for k, one in enumerate(state.facts.personas[0])
        ]
        unmatched = tuple(
            UnmatchedCorrection(k, one.name, one.weight, _OTHER)
            for k, one in sorted(corrections.items())
            if one.model not in ("", self.stored_under)
        )
        return ToldPersonas(tuple(activity.times.tolist()), tuple(told), unmatched)
