"""Why this item: the persona that speaks for it, the past events that carry its score, and one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, final

import numpy as np
import torch
from torch import Tensor

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations import text
from recsys.explanations.padded import BATCH, PaddedHistory, largest
from recsys.explanations.personas import describe_from, describe_personas, history_sums
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
from recsys.models.capabilities import AdditivePersonas, FoldIn, PersonaRecommender
from recsys.models.linear.exact_sums import ExactSums
from recsys.types import Doubles, Items, Mask


def explain(model: Recommender, queries: Queries, n: int = 10, *, evidence: int = 3) -> list[list[Explanation]]:
    """Recommend n items to each user and explain each of them.

    Every model is explained with what its mathematics provides:

    | model | personas | evidence |
    |---|---|---|
    | `FoldIn` with `folds_in` | if it has them | the past events with the largest positive contributions to the score |
    | `PersonaRecommender` of learned users | yes | past items that resemble the item, marked "similarity" |
    | any other | none | none; the sentence says so |

    Args:
        model: a fitted model.
        queries: the users.
        n: length of the lists.
        evidence: the most past events that an explanation shows.

    Returns:
        One list per query, best first; shorter than n where fewer items may be recommended.
    """
    return explain_items(model, queries, model.recommend(queries, n), evidence=evidence)


def explain_items(
    model: Recommender, queries: Queries, recommendations: Recommendations, *, evidence: int = 3
) -> list[list[Explanation]]:
    """Explain lists that were already made by `model.recommend`; see `explain`."""
    lists: list[list[Explanation]] = []
    ids = model.fitted_on.items.ids.tolist()
    for batch in queries.batches(BATCH):
        rows = slice(len(lists), len(lists) + len(batch))
        part = Recommendations(recommendations.items[rows], recommendations.scores[rows])
        read = model.read(batch)
        lists += explain_read(read, UserFacts.of(read.model, batch), part, ids, evidence=evidence)
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
        is_rating = np.isfinite(queries.values) & (queries.values != 1.0)
        return cls(history, personas, queries.history.sum(is_rating) > 0, sums)


def explain_read(
    read: ReadOut,
    facts: UserFacts,
    recommendations: Recommendations,
    ids: Sequence[ItemId],
    *,
    evidence: int = 3,
    contributions: Tensor | None = None,
) -> list[list[Explanation]]:
    """Explain lists, given how the model reads the queries and the facts of their users.

    Args:
        read: the queries as a model reads them; at most `padded.BATCH` of them, because they become one rectangle.
        facts: of the same users with the same histories.
        recommendations: of the same read-out.
        ids: "items", the external id of each item.
        evidence: the most past events that an explanation shows.
        contributions: "events n", of the events to these items, where the caller has them; the lists then have no empty
            place.
    """
    items = np.where(recommendations.items == UNKNOWN, 0, recommendations.items).astype(np.int32)
    support = _support(read, facts, items, contributions)
    return [_explain_row(support, recommendations, row, ids, evidence) for row in range(len(items))]


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


def evidence_sentence(
    kind: EvidenceKind, evidence: Sequence[Evidence], persona: str | None, recent: float | None, certainty: float | None
) -> str:
    """Return the sentence about one or more events, strongest first; see `text.because` and `text.resembles`."""
    titles = [event.title for event in evidence]
    rated = [event.rating is not None for event in evidence]
    if kind == "contribution":
        return text.because(titles, rated, persona, recent, certainty if is_low(certainty) else None)
    return text.resembles(titles, rated, persona)


@final
@dataclass(frozen=True, eq=False)
class _Support:
    """The evidence for each item of a batch of lists.

    `strength`: "queries length n", contributions or similarities, 0 in the padding; `attention`: "queries personas n";
    `recent`: "queries length", which events are younger than the user's half-life, None where nothing decays.
    """

    read: ReadOut
    facts: UserFacts
    kind: EvidenceKind
    strength: Doubles
    attention: Doubles
    recent: Mask | None


@torch.inference_mode()
def _support(read: ReadOut, facts: UserFacts, items: Items, contributions: Tensor | None) -> _Support:
    model, queries, history = read.model, read.queries, facts.history
    personas = model if isinstance(model, PersonaRecommender) and model.has_personas else None
    attention = torch.zeros(len(items), 0, items.shape[1])
    if personas is not None and not isinstance(model, AdditivePersonas):
        attention = personas.attention(queries, items)
    if isinstance(model, FoldIn) and model.folds_in:
        kind: EvidenceKind = "contribution"
        added = (model.contributions(queries, items) if contributions is None else contributions).double()
        if isinstance(model, AdditivePersonas):
            attention = model.attention_of(queries, added)
        strength = history.gather(added.cpu().numpy(), 0.0)
    elif personas is not None:
        kind = "similarity"
        strength = persona_similarity(personas, queries, history, items)
    else:
        kind = "none"
        strength = np.zeros((*history.items.shape, items.shape[1]))
    recent = None if read.recent is None else history.gather(read.recent, False)
    return _Support(read, facts, kind, strength, attention.double().cpu().numpy(), recent)


def _explain_row(
    support: _Support, recommendations: Recommendations, row: int, ids: Sequence[ItemId], most: int
) -> list[Explanation]:
    model, facts = support.read.model, support.facts
    titles = model.fitted_on.metadata.titles
    columns = np.flatnonzero(recommendations.items[row] != UNKNOWN)
    positive = np.maximum(support.strength[row].T.take(columns, 0), 0.0)  # "n length"
    total = positive.sum(1)
    recent: list[float | None] = [None] * len(columns)
    if support.recent is not None:
        young = (positive * support.recent[row].astype(np.float64)).sum(1)
        recent = [a / b if b > 0 else None for a, b in zip(young.tolist(), total.tolist(), strict=True)]
    names, phrases = [one.name for one in facts.personas[row]], persona_phrases(facts.personas[row])
    without = _sentence_without_evidence(model, facts.history.mask[row], int(support.read.queries.history.lengths[row]))
    attention = support.attention[row].T[columns]
    explanations = []
    for number, score, order, weights, evidence, recent_share in zip(
        recommendations.items[row, columns].tolist(),
        recommendations.scores[row, columns].tolist(),
        np.argsort(-attention, axis=1, kind="stable").tolist(),
        attention.tolist(),
        _evidence(support, row, positive, total, ids, most),
        recent,
        strict=True,
    ):
        phrase = phrases[order[0]] if order else None
        personas = tuple([PersonaShare(k, names[k], weights[k]) for k in order])
        kind: EvidenceKind = "none"
        certainty: float | None = None
        share, reason = None, without or text.unnamed(phrase)
        if evidence:
            kind, share = support.kind, recent_share
            if kind == "contribution":
                certainty = certainty_of(evidence, weights[order[0]] if order else 1.0)
            reason = evidence_sentence(kind, evidence, phrase, share, certainty)
        low = is_low(certainty)
        explanations.append(
            Explanation(ids[number], titles[number], score, personas, evidence, kind, certainty, reason, share, low)
        )
    return explanations


def _evidence(
    support: _Support, row: int, positive: Doubles, total: Doubles, ids: Sequence[ItemId], most: int
) -> list[tuple[Evidence, ...]]:
    """Return the evidence for each item of a row, from the positive strengths, "n length", and their sums, "n"."""
    fitted, queries, facts = support.read.model.fitted_on, support.read.queries, support.facts
    titles = fitted.metadata.titles
    places = largest(positive, most)
    strength = positive[np.arange(len(places))[:, None], places]
    share = strength / np.where(total > 0, total, 1.0)[:, None]
    events = facts.history.events[row][places]
    value, age = queries.values[events], queries.now[row] - queries.times[events]
    is_rating = np.isfinite(value) & facts.explicit[row]
    nothing = np.full(events.shape, None)
    items = facts.history.items[row][places].ravel().tolist()
    columns = (
        strength,
        share,
        value if is_rating.all() else np.where(is_rating, value, nothing),
        nothing if fitted.clock == "none" else age,
        nothing if support.recent is None else support.recent[row][places],
    )
    values = [column.ravel().tolist() for column in columns]
    evidence = [*map(Evidence, [ids[item] for item in items], [titles[item] for item in items], *values)]
    width = places.shape[1]
    # Strongest first, so that events that do not speak for the item come last.
    counts = (strength > 0).sum(1).tolist()
    return [tuple(evidence[start * width : start * width + count]) for start, count in enumerate(counts)]


def _sentence_without_evidence(model: Recommender, known: Mask, events: int) -> str | None:
    """Return the sentence for items without evidence; None where it names the leading persona.

    Args:
        model: that scored them.
        known: "length", which places hold an event of a known item.
        events: of the history.
    """
    if model.folds_in:
        return text.UNSUPPORTED if known.any() else text.UNKNOWN_ITEMS if events else text.COLD
    return None if model.needs_known_users else text.POPULAR
