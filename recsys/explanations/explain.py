"""Why these items: the front of the explanations of every model, by reasons that were checked or by resemblance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np
import torch
from torch import Tensor

from recsys.data.queries import Queries
from recsys.data.titles import readable_title
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations import text
from recsys.explanations.deeds import deed, is_rating, may_be_reasons
from recsys.explanations.padded import BATCH, PaddedHistory, largest
from recsys.explanations.personas import as_personas, describe_from, describe_personas, history_sums
from recsys.explanations.reasons.columns import Events, ExplanationColumns
from recsys.explanations.reasons.explained_lists import ExplainedLists
from recsys.explanations.reasons.steps import finished
from recsys.explanations.reasons.user_list import UserList
from recsys.explanations.records import (
    LOW_CERTAINTY,
    Evidence,
    EvidenceKind,
    Explanation,
    ItemId,
    PersonaDescription,
    PersonaShare,
)
from recsys.explanations.similarity import persona_similarity
from recsys.models.base import ReadOut, Recommendations, Recommender
from recsys.models.capabilities import AdditivePersonas, PersonaRecommender
from recsys.models.linear.exact_sums import ExactSums
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.model import WithPersonas
from recsys.models.slated import Slated
from recsys.types import Doubles, Items, Mask


def explain(
    model: Recommender, queries: Queries, n: int = 10, *, evidence: int = 3, searched: int | None = None
) -> list[list[Explanation]]:
    """Recommend n items to each user and explain each of them.

    Every model is explained with what its mathematics provides:

    | model | reasons and evidence |
    |---|---|
    | folds in | the fewest past events without which the item would not be listed, which was checked; where there |
    | | are no few, the taste or the history as a whole. Evidence: the past events that add most to the score |
    | `PersonaRecommender` of learned users | past items that resemble the item |
    | any other | none; the sentence says so |

    A model with found personas (`WithPersonas`) names the owner of each item, and gives evidence of the owner alone.

    Args:
        model: a fitted model.
        queries: the users.
        n: length of the lists.
        evidence: the most past events that an explanation shows, beside those of the reason.
        searched: for how many items of a list events are searched without which they would leave; None: all.

    Returns:
        One list per query, best first; shorter than n where fewer items may be recommended.
    """
    return explain_items(model, queries, model.recommend(queries, n), evidence=evidence, searched=searched)


def explain_items(
    model: Recommender,
    queries: Queries,
    recommendations: Recommendations,
    *,
    evidence: int = 3,
    searched: int | None = None,
) -> list[list[Explanation]]:
    """Explain lists that were already made by `model.recommend`; see `explain`.

    Of items that `recommend` did not list, give `searched` as 0: they cannot leave the list.
    """
    ids = model.fitted_on.items.ids.tolist()
    parts = explanation_columns(model, queries, recommendations, evidence=evidence, searched=searched)
    return [explained for part in parts for explained in part.records(ids)]


def explanation_columns(
    model: Recommender,
    queries: Queries,
    recommendations: Recommendations,
    *,
    wide: Recommendations | None = None,
    found: FoundPersonas | None = None,
    evidence: int = 3,
    searched: int | None = None,
) -> Iterator[ExplanationColumns]:
    """Yield what `explain_items` returns as columns, of some of the queries after the other.

    Args:
        model, queries, recommendations, evidence, searched: see there.
        wide: longer lists of the best scores, which save scoring anew.
        found: the personas of the users of a model that finds them, which saves finding them anew.
    """
    for start in range(0, max(1, len(queries)), BATCH):  # of no queries no rows, but all columns
        rows = np.arange(start, min(start + BATCH, len(queries)))
        batch = queries.take(rows)
        read = model.read(batch)
        described = not read.model.folds_in or _has_personas(read.model)
        facts = UserFacts.of(read.model, batch) if described else None
        beyond = None if wide is None else wide.take(rows)
        of_batch = None if found is None else found.take(rows)
        yield _columns(read, facts, recommendations.take(rows), evidence, None, searched, beyond, of_batch)


@final
@dataclass(frozen=True, eq=False)
class UserFacts:
    """The part of an explanation that depends on the histories of a batch of users alone, not on the items or the time.

    Attributes:
        history: their histories.
        personas: descriptions of their personas; empty lists for a model without.
        explicit: "queries", whether the user's values are ratings rather than the 1 of an implicit log.
        sums: of a single user, from which the facts of a longer history follow faster; None for most models.
    """

    history: PaddedHistory
    personas: list[list[PersonaDescription]]
    explicit: Mask
    sums: ExactSums | None = None

    @classmethod
    def of(cls, model: Recommender, queries: Queries, former: UserFacts | None = None) -> Self:
        """Describe the users of the queries.

        `former`, the facts of the same single user before the last events, saves work and changes no bit.

        Raises:
            CapabilityError: the model cannot serve one of them.
        """
        history = PaddedHistory.of(queries)
        sums = history_sums(model, queries, None if former is None else former.sums)
        personas: list[list[PersonaDescription]] = [[] for _ in range(len(queries))]
        if isinstance(model, PersonaRecommender) and model.has_personas:
            if sums is None:
                personas = describe_personas(model, queries, recommended=False)
            else:
                personas = [describe_from(model, queries, history, sums)]
        return cls(history, personas, queries.history.sum(is_rating(queries)) > 0, sums)


def explain_read(
    read: ReadOut,
    facts: UserFacts,
    recommendations: Recommendations,
    ids: Sequence[ItemId],
    *,
    evidence: int = 3,
    contributions: Tensor | None = None,
    searched: int | None = None,
) -> list[list[Explanation]]:
    """Explain lists, given how the model reads the queries and the facts of their users.

    Args:
        read: the queries as a model reads them; at most `padded.BATCH` of them, because they become one rectangle.
        facts: of the same users with the same histories.
        recommendations: of the same read-out, by the model's own slate.
        ids: "items", the external id of each item.
        evidence, searched: see `explain`.
        contributions: "events n", of the events to these items, where the caller has them; the lists then have no empty
            place.
    """
    return _columns(read, facts, recommendations, evidence, contributions, searched).records(ids)


def _columns(
    read: ReadOut,
    facts: UserFacts | None,
    recommendations: Recommendations,
    evidence: int,
    contributions: Tensor | None,
    searched: int | None,
    wide: Recommendations | None = None,
    found: FoundPersonas | None = None,
) -> ExplanationColumns:
    """See `explain_read`; `facts` of models that fold in and have no learned personas are not needed."""
    if read.model.folds_in:
        columns = _by_contributions(read, facts, recommendations, evidence, contributions, searched, wide, found)
    else:
        assert facts is not None
        columns = _by_resemblance(read, facts, recommendations, evidence)
    if not isinstance(read.model, Slated) or recommendations.owners is None:
        return columns
    owners, names = recommendations.owners[recommendations.items != UNKNOWN], read.model.seat_names
    return replace(columns, seats=[None if owner == UNKNOWN else names[owner] for owner in owners.tolist()])


@torch.inference_mode()
def _by_contributions(
    read: ReadOut,
    facts: UserFacts | None,
    recommendations: Recommendations,
    evidence: int,
    contributions: Tensor | None,
    searched: int | None,
    wide: Recommendations | None,
    found: FoundPersonas | None,
) -> ExplanationColumns:
    model, queries = read.model, read.queries
    slate = None
    if isinstance(model, WithPersonas):
        found, slate = model.found(queries) if found is None else found, model.chosen_slate
    explained = ExplainedLists(
        UserList(model, queries, recommendations, found, slate, wide=wide),
        recent=read.recent,
        evidence=evidence,
        contributions=None if contributions is None else contributions.double().cpu().numpy(),
    )
    finished(explained.search(searched))
    columns = explained.columns()
    if found is None and _has_personas(model) and len(queries):
        assert facts is not None
        attention = _attention(model, queries, np.maximum(recommendations.items, 0), contributions)
        columns = replace(columns, personas=_shares(attention, recommendations, facts))
    return columns


def _has_personas(model: Recommender) -> bool:
    """Return whether a model learned personas."""
    return isinstance(model, PersonaRecommender) and model.has_personas


def _attention(model: Recommender, queries: Queries, items: Items, contributions: Tensor | None) -> Doubles:
    """Return the attention of learned personas, "queries personas n"."""
    if isinstance(model, AdditivePersonas) and contributions is not None:
        attention = model.attention_of(queries, contributions.double())
    else:
        attention = as_personas(model).attention(queries, items)
    return np.asarray(attention.double().cpu().numpy())


def _shares(attention: Doubles, listed: Recommendations, facts: UserFacts) -> list[tuple[PersonaShare, ...]]:
    """Return the attention of learned personas on each listed item, largest first."""
    row, rank = np.nonzero(listed.items != UNKNOWN)
    weights = attention[row, :, rank]
    best = np.argsort(-weights, axis=1, kind="stable").tolist()
    return [
        tuple([PersonaShare(k, facts.personas[user][k].name, own[k]) for k in order])
        for user, own, order in zip(row.tolist(), weights.tolist(), best, strict=True)
    ]


def persona_phrases(personas: Sequence[PersonaDescription]) -> list[str | None]:
    """Return how a sentence refers to each persona of a user.

    None where a mention would say nothing: a single persona is the user as a whole, and a number is no name.
    """
    return [None if len(personas) == 1 or one.named_by == "number" else one.phrase for one in personas]


def certainty_of(evidence: Sequence[Evidence], attention: float) -> float:
    """Return the certainty of contributions, given the leading persona's attention; see `Explanation`."""
    return min(1.0, sum([event.share for event in evidence]) * attention)


def is_low(certainty: float | None) -> bool:
    """Return whether an explanation by contributions has to say that they are only a part of the score."""
    return certainty is not None and certainty < LOW_CERTAINTY


def evidence_sentence(kind: EvidenceKind, evidence: Sequence[Evidence], taste: str | None) -> str:
    """Return the sentence about events that speak for an item, strongest first, of which no more was asked."""
    titles = [readable_title(event.title) for event in evidence]
    if kind == "contribution":
        return text.speak_for_it(titles, taste)
    verb, _ = deed(tuple(["use" if event.rating is None else "rating" for event in evidence]))
    return text.resembles(titles, verb, taste)


@torch.inference_mode()
def _by_resemblance(read: ReadOut, facts: UserFacts, recommendations: Recommendations, most: int) -> ExplanationColumns:
    """Explain by past items that resemble an item, for models whose users are learned vectors, or all alike."""
    model, queries, history = read.model, read.queries, facts.history
    row, rank = np.nonzero(recommendations.items != UNKNOWN)
    items = np.maximum(recommendations.items, 0)
    personas: list[tuple[PersonaShare, ...]] = []
    strength = np.zeros((len(row), history.items.shape[1]))  # "places length"
    if isinstance(model, PersonaRecommender) and model.has_personas:
        personas = _shares(_attention(model, queries, items, None), recommendations, facts)
        liked = history.gather(may_be_reasons(queries), False)
        alike = persona_similarity(model, queries, history, items) * liked[:, :, None]
        strength = np.maximum(alike[row, :, rank], 0.0)
    best = largest(strength, most)
    added = np.take_along_axis(strength, best, 1)
    shown = Events.of(history.events[row[:, None], best], added > 0)
    phrases = [persona_phrases(described) for described in facts.personas]
    tastes = [phrases[user][own[0].persona] for user, own in zip(row.tolist(), personas, strict=False)]
    rated = is_rating(queries)
    titles, past = model.fitted_on.metadata.titles, queries.history.items
    ends = np.searchsorted(shown.place, np.arange(len(row) + 1)).tolist()
    reasons = []
    for place in range(len(row)):
        events = shown.event[ends[place] : ends[place + 1]].tolist()
        taste = tastes[place] if tastes else None
        if events:
            verb, _ = deed(tuple(["rating" if rated[event] else "use" for event in events]))
            reasons.append(text.resembles([readable_title(titles[past[event]]) for event in events], verb, taste))
        else:
            reasons.append(text.unnamed(taste) if model.needs_known_users else text.FOR_EVERYBODY)
    return ExplanationColumns(
        queries,
        model.fitted_on,
        row,
        recommendations.items[row, rank],
        recommendations.scores[row, rank],
        shown=shown,
        added=added[added > 0],
        share=added[added > 0] / strength.sum(1)[shown.place],
        kinds=["similar" if model.needs_known_users else "popular"] * len(row),
        reasons=reasons,
        personas=personas,
        evidence_kind="similarity",
    )
