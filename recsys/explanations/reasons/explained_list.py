"""Reasons that are true: the owner of each item, the events without which it would not be listed, and one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
import torch

from recsys.data.titles import readable_title, year_of
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations import text
from recsys.explanations.deeds import above_own_mean, deed, is_rating, kinds_of, may_be_reasons
from recsys.explanations.reasons.contributed_list import ContributedList
from recsys.explanations.reasons.counterfactual import sets_in_steps
from recsys.explanations.reasons.steps import Steps, finished
from recsys.explanations.reasons.user_list import UserList
from recsys.explanations.records import (
    LOW_CERTAINTY,
    Evidence,
    Explanation,
    ItemId,
    PersonaShare,
    ReasonKind,
    certainty_word,
)
from recsys.models.capabilities import as_fold_in
from recsys.models.personas.names.labels import TasteName
from recsys.types import Doubles, Ints, Mask

LEAST_CERTAINTY: Final = 0.05
"""Events that are a smaller share of the evidence are no reason to tell, though the item would leave without them."""

_POPULAR = 0.01
"""Part of the catalogue, most used first, that "nearly everybody" knows; at least `_POPULAR_ITEMS`."""

_POPULAR_ITEMS = 50


def explain_list(
    user_list: UserList,
    ids: Sequence[ItemId],
    *,
    evidence: int = 3,
    searched: int | None = None,
    recent: Mask | None = None,
    own_names: Mapping[int, str] | None = None,
    contributions: Doubles | None = None,
) -> list[Explanation]:
    """Explain a list by the events of the user's history, with reasons that were checked.

    Args:
        user_list: the list, of a model that folds in.
        ids: "items", the external id of each item of the catalogue.
        evidence: the most past events that an explanation shows, beside those of the reason.
        searched: for how many items, from the first on, events are searched without which they would leave; None: all.
            Of the others it is told what speaks for them most.
        recent: "events", which are younger than the user's half-life; None where nothing fades.
        own_names: the user's own names of personas, by number.
        contributions: "events n", of the events to the listed items, where the caller has them.

    Returns:
        Best first; no explanation for an empty place at the end of the list.
    """
    explained = ExplainedList(user_list, ids, recent=recent, own_names=own_names, contributions=contributions)
    finished(explained.search(searched))
    return explained.explanations(evidence)


@final
class ExplainedList:
    """One list with what its explanations share; see `explain_list` for the arguments.

    Explanations say "because" only of what was found by a `search` before them.
    """

    def __init__(
        self,
        user_list: UserList,
        ids: Sequence[ItemId],
        *,
        recent: Mask | None = None,
        own_names: Mapping[int, str] | None = None,
        contributions: Doubles | None = None,
    ) -> None:
        queries = user_list.queries
        listed = np.flatnonzero(user_list.items != UNKNOWN)
        if contributions is None and len(listed) == 0:
            contributions = np.zeros((len(queries.history.items), 0))
        elif contributions is None:
            with torch.inference_mode():
                fold_in = as_fold_in(user_list.model, "reasons")
                added = fold_in.contributions(queries, user_list.items[listed][None])
            contributions = added.double().cpu().numpy()
        self._list, self._ids, self._recent, self._own_names = user_list, ids, recent, own_names or {}
        self._count = len(listed)
        self._fitted = user_list.model.fitted_on
        self._counted = queries.counted
        positive = np.maximum(contributions, 0.0) * self._counted[:, None]
        self._total = positive.sum(0)
        self._positive = np.ascontiguousarray(positive.T)  # "n events"
        self._eligible, self._rated = may_be_reasons(queries) & self._counted, is_rating(queries)
        self._sets: dict[int, Ints] = {}
        self._stays: dict[int, bool] = {}
        """Of items without a set: whether they would be listed without all of their owner's events."""
        found = user_list.found
        self._numbers: list[int] = [] if found is None else found.numbers[0].tolist()
        self._owners = user_list.owners.tolist() if self._numbers else [UNKNOWN] * contributions.shape[1]
        self._existing = [persona for persona, number in enumerate(self._numbers) if number != UNKNOWN]
        self._names = {persona: self._name(persona) for persona in self._existing}
        of_event = np.where(self._counted, user_list.of_event, UNKNOWN)
        events = {persona: np.flatnonzero(of_event == persona) for persona in self._existing}
        self._parts = {persona: self._shares(own) for persona, own in events.items()}
        """ "n", the share of each persona in the positive evidence."""
        self._recently = None if recent is None else self._shares(np.flatnonzero(recent))

    def explanations(self, evidence: int = 3) -> list[Explanation]:
        """Return the explanation of each item of the list."""
        return [self._explanation(place, evidence) for place in range(self._count)]

    def search(self, first: int | None = None) -> Steps[None]:
        """Search for the events without which items would leave the list; of the first items only, or of all."""
        count = self._count if first is None else min(first, self._count)
        places = [place for place in range(count) if self._total[place] > 0]
        if not places:
            return
        _ = self._list.pool
        yield
        contributed = ContributedList(self._list)
        yield
        sets = yield from sets_in_steps(contributed, self._list, places, self._eligible)
        for place, events in zip(places, sets, strict=True):
            enough = events is not None and self._share(place, events) >= LEAST_CERTAINTY
            if events is not None and enough:
                self._sets[place] = events
        rest = [place for place in places if place not in self._sets and self._own(place).any()]
        if rest and len(self._existing) > 1:
            columns = np.asarray([contributed.column(int(self._list.items[place])) for place in rest])
            left = contributed.seem_to_leave(columns, [np.flatnonzero(self._own(place)) for place in rest])
            self._stays |= {place: not leaves for place, leaves in zip(rest, left.tolist(), strict=True)}
            yield

    def _explanation(self, place: int, most: int) -> Explanation:
        """Return the explanation of one item."""
        item, owner = int(self._list.items[place]), self._owners[place]
        own = self._own(place)
        shown = self._shown(place, own & self._eligible, most)
        certainty = self._share(place, self._sets.get(place, shown)) if len(shown) else None
        personas = self._personas(place)
        recent = None
        if self._recently is not None and self._total[place] > 0:
            recent = float(self._recently[place])
        kind, reason = self._reason(place, own, personas, recent)
        without = tuple(self._ids[one] for one in self._items(self._sets.get(place, np.zeros(0, np.int64))))
        owned = owner != UNKNOWN and bool(self._numbers)
        return Explanation(
            self._ids[item],
            self._fitted.metadata.titles[item],
            float(self._list.listed.scores[0, place]),
            personas,
            tuple([self._evidence(place, event) for event in shown.tolist()]),
            "contribution" if len(shown) else "none",
            certainty,
            reason,
            recent,
            certainty is not None and certainty < LOW_CERTAINTY,
            kind,
            without,
            self._numbers[owner] if owned else None,
            self._names[owner] if owned else None,
            float(self._parts[owner][place]) if owned else None,
            certainty_word(certainty) if kind == "because" else None,
            year_of(self._fitted.metadata.titles[item]),
            tuple(self._fitted.metadata.genres[item]),
        )

    def _reason(
        self, place: int, own: Mask, personas: tuple[PersonaShare, ...], recent: float | None
    ) -> tuple[ReasonKind, str]:
        """Return what carries an item, and the sentence that says it."""
        if not self._counted.any():
            known = bool((self._list.queries.history.items != UNKNOWN).any())
            unknown = text.UNKNOWN_ITEMS if len(self._counted) else text.COLD
            return "cold", text.ONLY_AGAINST if known else unknown
        if self._total[place] == 0:
            return "popular", text.UNSUPPORTED
        owner = self._owners[place]
        taste = self._taste(owner) if owner != UNKNOWN and len(self._existing) > 1 else None
        if place in self._sets:
            return "because", self._because(place, taste)
        speaking = int((own & self._eligible & (self._positive[place] > 0)).sum())
        popular = self._is_popular(place)
        if speaking == 0:
            return ("popular", text.POPULAR) if popular else ("taste", text.WEAK)
        (strongest,) = self._titles(place, self._shown(place, own & self._eligible, 1))
        if taste is None or not self._stays.get(place, False):
            sentence = text.whole_taste(taste, speaking, strongest, recent)
        elif popular:
            return "popular", text.popular_too(taste, speaking, strongest)
        else:
            other = next(one.persona for one in personas if one.persona != self._numbers[owner])
            sentence = text.two_tastes(taste, speaking, strongest, self._taste(self._numbers.index(other)))
        return "taste", sentence

    def _because(self, place: int, taste: str | None) -> str:
        events = self._sets[place]
        word = certainty_word(self._share(place, events))
        assert word is not None
        queries = self._list.queries
        verb, manner = deed([kinds_of(queries)[event] for event in events], above_own_mean(queries)[events].tolist())
        return text.because(self._titles(place, events), verb, taste, word, manner)

    def _is_popular(self, place: int) -> bool:
        known = max(_POPULAR_ITEMS, int(_POPULAR * len(self._fitted.items)))
        return int(self._fitted.tie_rank[int(self._list.items[place])]) < known

    def _own(self, place: int) -> Mask:
        """Return "events": those of the owner of an item, or all where nothing is owned."""
        if not self._numbers:
            return self._counted
        return np.asarray(self._counted & (self._list.of_event == self._owners[place]))

    def _share(self, place: int, events: Ints) -> float:
        """Return the share of events in the positive evidence for an item."""
        total = float(self._total[place])
        return float(self._positive[place, events].sum()) / total if total > 0 else 0.0

    def _shares(self, events: Ints) -> Doubles:
        """Return the share of events in the positive evidence for each item, "n"."""
        sums = np.take(self._positive, events, axis=1).sum(1)
        return np.asarray(np.divide(sums, self._total, out=np.zeros_like(sums), where=self._total > 0))

    def _shown(self, place: int, allowed: Mask, most: int) -> Ints:
        """Return the events that are shown: those of the reason, then the strongest of those that are allowed."""
        first = self._sets.get(place, np.zeros(0, np.int64))
        strength = np.where(allowed, self._positive[place], 0.0)
        strength[first] = 0.0
        shown = first.tolist()
        while len(shown) < most and strength.max(initial=0.0) > 0:
            shown.append(int(strength.argmax()))
            strength[shown[-1]] = 0.0
        return np.asarray(shown, np.int64)

    def _personas(self, place: int) -> tuple[PersonaShare, ...]:
        """Return the share of each persona in the positive evidence, largest first."""
        shares = [(persona, float(self._parts[persona][place])) for persona in self._existing]
        shares.sort(key=lambda pair: -pair[1])
        return tuple([PersonaShare(self._numbers[persona], self._names[persona], share) for persona, share in shares])

    def _evidence(self, place: int, event: int) -> Evidence:
        queries = self._list.queries
        item = int(queries.history.items[event])
        return Evidence(
            self._ids[item],
            self._fitted.metadata.titles[item],
            float(self._positive[place, event]),
            float(self._positive[place, event] / self._total[place]),
            float(queries.values[event]) if self._rated[event] else None,
            None if self._fitted.clock == "none" else int(queries.now[0] - queries.times[event]),
            None if self._recent is None else bool(self._recent[event]),
        )

    def _items(self, events: Ints) -> list[int]:
        return [int(item) for item in self._list.queries.history.items[events]]

    def _titles(self, place: int, events: Ints) -> list[str]:
        """Return titles as one says them, with the year where two of them, or the item itself, have the same."""
        raw = [self._fitted.metadata.titles[item] for item in self._items(events)]
        said = [readable_title(title) for title in raw]
        every = [*said, readable_title(self._fitted.metadata.titles[int(self._list.items[place])])]
        years = [year_of(title) for title in raw]
        return [
            f"{name} ({year})" if year is not None and every.count(name) > 1 else name
            for name, year in zip(said, years, strict=True)
        ]

    def _name(self, persona: int) -> str:
        return self._own_names.get(self._numbers[persona]) or self._found_name(persona).text

    def _found_name(self, persona: int) -> TasteName:
        name = self._list.names[persona]
        assert name is not None
        return name

    def _taste(self, persona: int) -> str:
        """Return the name of a persona as a sentence says it after "your taste for"."""
        number = self._numbers[persona]
        if number in self._own_names:
            return text.taste_words(self._own_names[number], "user")
        name = self._found_name(persona)
        return text.taste_words(name.text, name.kind, name.labels)
