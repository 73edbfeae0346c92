"""Why these items: the front of the explanations of every model, by reasons that were checked or by resemblance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, final

import numpy as np
import torch
from torch import Tensor

from recsys.data.queries import Queries
from recsys.data.titles import readable_title, year_of
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations import text
from recsys.explanations.deeds import deed, is_rating, may_be_reasons
from recsys.explanations.padded import BATCH, PaddedHistory, largest
from recsys.explanations.personas import describe_from, describe_personas, history_sums
from recsys.explanations.reasons.explained_list import explain_list
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
    lists: list[list[Explanation]] = []
    ids = model.fitted_on.items.ids.tolist()
    for batch in queries.batches(BATCH):
        rows = slice(len(lists), len(lists) + len(batch))
        owners = recommendations.owners
        part = Recommendations(
            recommendations.items[rows], recommendations.scores[rows], None if owners is None else owners[rows]
        )
        read = model.read(batch)
        facts = UserFacts.of(read.model, batch)
        lists += explain_read(read, facts, part, ids, evidence=evidence, searched=searched)
    return lists


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
    if read.model.folds_in:
        lists = _by_contributions(read, facts, recommendations, ids, evidence, contributions, searched)
        return _with_seats(read.model, recommendations, lists)
    items = np.where(recommendations.items == UNKNOWN, 0, recommendations.items).astype(np.int32)
    support = _resemblance(read, facts, items)
    lists = [_explain_row(support, recommendations, row, ids, evidence) for row in range(len(items))]
    return _with_seats(read.model, recommendations, lists)


def _with_seats(
    model: Recommender, recommendations: Recommendations, lists: list[list[Explanation]]
) -> list[list[Explanation]]:
    """Name the taste whose seat each item takes, where a slate gives seats to tastes."""
    if isinstance(model, Slated) and recommendations.owners is not None:
        names = model.seat_names
        for row, explained in enumerate(lists):
            owners = recommendations.owners[row][recommendations.items[row] != UNKNOWN]
            for one, owner in zip(explained, owners.tolist(), strict=True):
                one.seat = None if owner == UNKNOWN else names[owner]
    return lists


@torch.inference_mode()
def _by_contributions(
    read: ReadOut,
    facts: UserFacts,
    recommendations: Recommendations,
    ids: Sequence[ItemId],
    evidence: int,
    contributions: Tensor | None,
    searched: int | None,
) -> list[list[Explanation]]:
    model, queries = read.model, read.queries
    found = model.found(queries) if isinstance(model, WithPersonas) else None
    slate = model.chosen_slate if isinstance(model, WithPersonas) else None
    items = np.where(recommendations.items == UNKNOWN, 0, recommendations.items).astype(np.int32)
    attention = _attention(model, queries, items, contributions)
    lists = []
    for row in range(len(queries)):
        one, events = np.asarray([row]), slice(*queries.history.indptr[row : row + 2].tolist())
        owners = recommendations.owners
        listed = Recommendations(
            recommendations.items[one], recommendations.scores[one], None if owners is None else owners[one]
        )
        user_list = UserList(
            model,
            queries.take(one),
            listed,
            None if found is None else found.take(one),
            None if found is None else slate,
        )
        explained = explain_list(
            user_list,
            ids,
            evidence=evidence,
            searched=searched,
            recent=None if read.recent is None else read.recent[events],
            contributions=None if contributions is None else contributions[events].double().cpu().numpy(),
        )
        if found is None and attention.shape[1]:
            for place, one_of_them in enumerate(explained):
                one_of_them.personas = _shares(attention[row, :, place], facts.personas[row])
        lists.append(explained)
    return lists


def _attention(model: Recommender, queries: Queries, items: Items, contributions: Tensor | None) -> Doubles:
    """Return the attention of learned personas, "queries personas n"; of no persona where the model learned none."""
    if not (isinstance(model, PersonaRecommender) and model.has_personas):
        return np.zeros((len(items), 0, items.shape[1]))
    if isinstance(model, AdditivePersonas) and contributions is not None:
        attention = model.attention_of(queries, contributions.double())
    else:
        attention = model.attention(queries, items)
    return np.asarray(attention.double().cpu().numpy())


def _shares(attention: Doubles, personas: Sequence[PersonaDescription]) -> tuple[PersonaShare, ...]:
    """Return the attention of learned personas on an item, largest first."""
    order = np.argsort(-attention, kind="stable").tolist()
    return tuple([PersonaShare(k, personas[k].name, float(attention[k])) for k in order])


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
    verb, _ = deed(["use" if event.rating is None else "rating" for event in evidence], [0.0] * len(evidence))
    return text.resembles(titles, verb, taste)


@final
@dataclass(frozen=True, eq=False)
class _Resemblance:
    """How much past items resemble each item of a batch of lists, for models whose users are learned vectors.

    `strength`: "queries length n", 0 in the padding, and for what the user rated below the own mean; `attention`:
    "queries personas n".
    """

    read: ReadOut
    facts: UserFacts
    kind: EvidenceKind
    strength: Doubles
    attention: Doubles


@torch.inference_mode()
def _resemblance(read: ReadOut, facts: UserFacts, items: Items) -> _Resemblance:
    model, queries, history = read.model, read.queries, facts.history
    attention = _attention(model, queries, items, None)
    if not (isinstance(model, PersonaRecommender) and model.has_personas):
        nothing = np.zeros((*history.items.shape, items.shape[1]))
        return _Resemblance(read, facts, "none", nothing, attention)
    liked = history.gather(may_be_reasons(queries), False)
    strength = persona_similarity(model, queries, history, items) * liked[:, :, None]
    return _Resemblance(read, facts, "similarity", strength, attention)


def _explain_row(
    support: _Resemblance, recommendations: Recommendations, row: int, ids: Sequence[ItemId], most: int
) -> list[Explanation]:
    model, facts = support.read.model, support.facts
    metadata = model.fitted_on.metadata
    columns = np.flatnonzero(recommendations.items[row] != UNKNOWN)
    positive = np.maximum(support.strength[row].T.take(columns, 0), 0.0)  # "n length"
    phrases = persona_phrases(facts.personas[row])
    explanations = []
    for column, evidence in zip(columns.tolist(), _evidence(support, row, positive, ids, most), strict=True):
        number, score = int(recommendations.items[row, column]), float(recommendations.scores[row, column])
        personas = _shares(support.attention[row, :, column], facts.personas[row])
        taste = phrases[personas[0].persona] if personas else None
        if evidence:
            reason = evidence_sentence(support.kind, evidence, taste)
        else:
            reason = text.unnamed(taste) if model.needs_known_users else text.FOR_EVERYBODY
        explanations.append(
            Explanation(
                ids[number],
                metadata.titles[number],
                score,
                personas,
                evidence,
                support.kind if evidence else "none",
                None,
                reason,
                reason_kind="similar" if model.needs_known_users else "popular",
                year=year_of(metadata.titles[number]),
                genres=tuple(metadata.genres[number]),
            )
        )
    return explanations


def _evidence(
    support: _Resemblance, row: int, positive: Doubles, ids: Sequence[ItemId], most: int
) -> list[tuple[Evidence, ...]]:
    """Return the past items that resemble each item of a row, from the positive strengths, "n length"."""
    fitted, queries, facts = support.read.model.fitted_on, support.read.queries, support.facts
    titles = fitted.metadata.titles
    rated = is_rating(queries)
    lists = []
    for strengths, places in zip(positive, largest(positive, most), strict=True):
        total = float(strengths.sum())
        chosen = [place for place in places.tolist() if strengths[place] > 0]
        evidence = []
        for place in chosen:
            event, item = int(facts.history.events[row, place]), int(facts.history.items[row, place])
            evidence.append(
                Evidence(
                    ids[item],
                    titles[item],
                    float(strengths[place]),
                    float(strengths[place]) / total,
                    float(queries.values[event]) if rated[event] else None,
                    None if fitted.clock == "none" else int(queries.now[row] - queries.times[event]),
                )
            )
        lists.append(tuple(evidence))
    return lists
