"""Lists as they are answered: what binds one, what the policy did to it, and how far its reasons are searched."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np

from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.events.impressions.records import Variant
from recsys.explanations import Explanation
from recsys.serving.answers import Details
from recsys.serving.filters import Filters
from recsys.serving.items.catalogue import Catalogue
from recsys.serving.lists.base import ListMaker
from recsys.serving.lists.cached import CachedLists, rounded_moment
from recsys.serving.lists.naming import list_id
from recsys.serving.lists.summary import SummaryLists, WrittenText
from recsys.serving.lists.visit import VisitShelf
from recsys.serving.norms.audits import line_of, request_of
from recsys.serving.norms.norms import Bound, Norms
from recsys.serving.norms.records import AppliedPolicy, RuleFacts
from recsys.serving.norms.ruled import Ruled
from recsys.serving.norms.words import lifted_by
from recsys.serving.records import Learning, RecommendationList
from recsys.serving.users.history import UserHistory
from recsys.serving.users.state import UserState, excluding

_NAMED = 5
"""The most unknown items of a history, and of those to exclude, that an answer names."""


@final
@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes:
        n: length of the list.
        at: only events before this moment are visible, Unix seconds; None: all of them.
        exclude: items that must not be listed, beside those of the history.
        details: see `Answers.recommend`.
        filters: which items may be listed.
    """

    n: int
    at: int | None
    exclude: Collection[str]
    details: Details
    filters: Filters


@final
class AnsweredLists:
    """Answers with lists of a model.

    Args:
        fingerprint: of the model.
        catalogue: its items.
        maker: of lists.
        lists: those that it made, where they are still the same.
        summaries: makes lists of texts.
        visit: the shelf of the visit that is going on.
        norms: bind every list; None: nothing does.
        splits: told of the listed items; None: nothing is.
        variant: which of two models this is.
    """

    def __init__(
        self,
        fingerprint: str,
        catalogue: Catalogue,
        maker: ListMaker,
        lists: CachedLists,
        summaries: SummaryLists,
        visit: VisitShelf,
        norms: Norms | None,
        splits: Callable[[Sequence[Explanation]], tuple[Explanation, ...]] | None = None,
        variant: Variant = "main",
    ) -> None:
        self._variant: Variant = variant
        self._fingerprint = fingerprint
        self._catalogue = catalogue
        self._maker = maker
        self._lists = lists
        self._summaries = summaries
        self._visit = visit
        self._norms = norms
        self._splits = splits

    def recommend(
        self, bound: Bound, queries: Queries, state: UserState, asked: Asked, written: WrittenText | None = None
    ) -> RecommendationList:
        """Return explained recommendations for a user.

        Args:
            bound: what binds the list.
            queries: the user at the moment of the request.
            state: of the user.
            asked: what the request asks for.
            written: the text that the list is made of, and of the events since; None: of the history.

        Raises:
            CapabilityError: a list of a text shall be of one persona.
        """
        filters, details = asked.filters, asked.details
        if filters.names_items:
            queries = excluding(queries, self._catalogue.outside(filters))
        exact, history = asked.at is not None, bound.history
        if written is not None and filters.persona is not None:
            raise CapabilityError(
                "the list is made of the text that the person wrote, and no persona owns its items; leave out persona, "
                "or take the text back with DELETE /v1/users/{id}/summary"
            )
        listed = (
            self._lists.recommend(
                history,
                queries,
                state,
                asked.n,
                exact_time=exact,
                details=details,
                persona=filters.persona,
                rules=bound.rules,
            )
            if written is None
            else self._summaries.make(written, queries, asked.n, bound.rules)
        )
        shaped = listed.ruled is not None and listed.ruled.shaped
        applied = None if listed.ruled is None else self._applied(bound, queries, state, asked, listed.ruled, written)
        kept = not (exact or asked.exclude or filters.any)
        unknown = history.unknown_items(math.inf if asked.at is None else asked.at)
        items = _lifted(listed.items, applied) if shaped and applied is not None else listed.items
        items = self._catalogue.described(items)
        return RecommendationList(
            self._fingerprint,
            int(queries.now[0]),
            state.known_events if written is None else int(written.since(queries).sum()),
            tuple(unknown[:_NAMED]),
            items if self._splits is None else self._splits(items),
            learning_of(bound.stored),
            self._unknown(asked.exclude)[:_NAMED],
            listed.shelves,
            _reasons(details, searched=listed.rest is None and not shaped, kept=kept and not shaped),
            applied,
            "history" if written is None else "text",
            self._unknown(filters.candidates or ())[:_NAMED],
            self._id(bound, queries, items),
        )

    def _id(self, bound: Bound, queries: Queries, items: Sequence[Explanation]) -> str | None:
        """Return the id of a list; None where it is of no stored user."""
        if bound.user_id is None:
            return None
        return list_id(bound.user_id, self._fingerprint, self._variant, int(queries.now[0]), items)

    def _unknown(self, items: Collection[str]) -> tuple[str, ...]:
        """Return the items that the model does not know, each once."""
        return tuple(item for item in dict.fromkeys(items) if item not in self._catalogue.numbers) if items else ()

    def visit(
        self, bound: Bound, queries: Queries, state: UserState, asked: Asked, written: WrittenText | None = None
    ) -> RecommendationList:
        """Return the shelf of the visit that is going on; arguments as for `recommend`."""
        history, rules, filters = bound.history, bound.rules, asked.filters
        items: tuple[Explanation, ...] = ()
        if self._visit.is_open(queries):
            listed = self.recommend(bound, queries, state, replace(asked, details="ready"), written)
            passing = excluding(queries, self._catalogue.outside(filters)) if filters.names_items else queries
            main = [self._catalogue.numbers[str(one.item_id)] for one in listed.items]
            others = excluding(passing, np.asarray(main, np.int32))
            heard = self._maker.heard(others, int(queries.now[0]), state, history.corrections)
            items = self._visit.items(heard if rules is None else rules.allowed(heard), asked.n)
            items = self._catalogue.described(items)
        if rules is not None:  # a shelf may be short: what it may not have too much of is left out
            numbers = [self._catalogue.numbers[str(one.item_id)] for one in items]
            kept = set(rules.within_bounds(numbers))
            items = tuple(one for one, number in zip(items, numbers, strict=True) if number in kept)
        return RecommendationList(
            self._fingerprint,
            int(queries.now[0]),
            state.known_events,
            (),
            items,
            learning_of(bound.stored),
            reasons="unsearched",
            recommendation_id=self._id(bound, queries, items),
        )

    def _applied(
        self,
        bound: Bound,
        queries: Queries,
        state: UserState,
        asked: Asked,
        ruled: Ruled,
        written: WrittenText | None,
    ) -> AppliedPolicy | None:
        """Return what the policy did to a list, once that is recorded where the request wants it."""
        norms, asker, rules = self._norms, bound.asker, bound.rules
        if norms is None or asker is None or rules is None:
            return None
        exact = asked.at is not None

        def without(left_out: frozenset[str]) -> Ruled:
            if written is not None:
                return self._summaries.choose(written, queries, asked.n, rules.without(left_out))
            return self._lists.choose(
                bound.history,
                queries,
                state,
                asked.n,
                rules.without(left_out),
                exact_time=exact,
                persona=asked.filters.persona,
            )

        applied = norms.applied(asker, rules, ruled, without if bound.said.decisions else None)
        if not bound.said.recorded:
            return applied
        now = int(queries.now[0])
        line = line_of(
            rules.bound,
            ruled,
            norms.catalogue,
            context=asker.context,
            request={
                "time": bound.moment,
                "moment": now if exact else rounded_moment(now, queries.times),
                "model": self._fingerprint,
                **request_of(asked.n, asked.exclude, asked.filters, profiling=bound.said.profiling),
            },
        )
        own = {"own": asker.own, "text": None if written is None else written.text}
        return replace(applied, audit=norms.record(line, bound.user_id, own))


def learning_of(history: UserHistory) -> Learning | None:
    """Return how far the belief of a user has learned; None: it has learned from everything."""
    lesson = history.lesson
    return Learning(lesson.learned, lesson.pending) if lesson.pending else None


def _lifted(items: Sequence[Explanation], applied: AppliedPolicy) -> tuple[Explanation, ...]:
    """Return the explanations of a list that rules chose: of what rules lifted they say so."""
    rules: dict[str, tuple[list[RuleFacts], float | None]] = {}
    if applied.decisions is not None:
        rules = {each.item_id: (list(each.rules), each.price) for each in applied.decisions if each.change == "lifted"}
    else:
        for act in applied.acted:
            for item in act.lifted:
                rules.setdefault(item.item_id, ([], None))[0].append(act.rule)
    return tuple(
        replace(one, reason=lifted_by(*rules[str(one.item_id)], one.reason), reason_kind="rule")
        if str(one.item_id) in rules
        else one
        for one in items
    )


def _reasons(details: Details, *, searched: bool, kept: bool) -> Literal["searched", "pending", "unsearched"]:
    return "searched" if details and searched else "pending" if details and kept else "unsearched"
