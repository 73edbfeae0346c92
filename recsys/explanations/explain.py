"""Why this item: the persona that speaks for it, the past events that carry its score, and one sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations import text
from recsys.explanations.padded import BATCH, PaddedHistory, largest
from recsys.explanations.personas import carried, describe_from, describe_personas
from recsys.explanations.records import Evidence, EvidenceKind, Explanation, PersonaDescription, PersonaWeight
from recsys.explanations.similarity import persona_similarity
from recsys.models.base import AdditivePersonas, FoldIn, PersonaRecommender, ReadOut, Recommendations, Recommender
from recsys.models.linear.exact_sums import ExactSums


class _Fact(Protocol):
    """What a sentence tells of a past event."""

    @property
    def title(self) -> str: ...
    @property
    def share(self) -> float: ...
    @property
    def rating(self) -> float | None: ...


Id = TypeVar("Id")
P = TypeVar("P")
E = TypeVar("E", bound=_Fact)
R = TypeVar("R")


def explain(model: Recommender, queries: Queries, n: int = 10, *, evidence: int = 3) -> list[list[Explanation]]:
    """Recommend n items to each user and say why.

    Every model is explained with what its mathematics provides:

    | model | personas | evidence |
    |---|---|---|
    | `FoldIn` with `folds_in` | if it has them | the past events with the largest positive contributions to the score |
    | `PersonaRecommender` of learned users | yes | past items that resemble the item, marked "similarity" |
    | any other | none | none; the sentence says so |

    Args:
        model: a fitted model.
        queries: the questions.
        n: length of the lists.
        evidence: how many past events are shown at most.

    Returns:
        One list per query, best first; shorter than n where fewer items may be recommended.
    """
    return explain_items(model, queries, model.recommend(queries, n), evidence=evidence)


def explain_items(
    model: Recommender, queries: Queries, recommendations: Recommendations, *, evidence: int = 3
) -> list[list[Explanation]]:
    """Say why these items are recommended: `explain` for lists that were already made by `model.recommend`."""
    lists: list[list[Explanation]] = []
    records = plain_records(model)
    for start in range(0, len(queries), BATCH):
        rows = np.arange(start, min(start + BATCH, len(queries)))
        batch = queries.take(rows)
        answer = Recommendations(recommendations.items[rows], recommendations.scores[rows])
        reading = model.read(batch)
        lists.extend(explain_read(reading, UserFacts.of(reading.model, batch), answer, records, evidence=evidence))
    return lists


@final
@dataclass(frozen=True, eq=False)
class Records(Generic[Id, P, E, R]):
    """What explanations are written down as. An answer has dozens of records: they are made once, as they are needed.

    Attributes:
        ids: "items", what each item is called.
        persona: makes a record of the fields of `PersonaWeight`, in their order.
        evidence: makes a record of the fields of `Evidence`.
        explanation: makes a record of the fields of `Explanation`.
    """

    ids: Sequence[Id]
    persona: Callable[[int, str, float], P]
    evidence: Callable[[Id, str, float, float, float | None, int | None, bool | None], E]
    explanation: Callable[[Id, str, float, tuple[P, ...], tuple[E, ...], EvidenceKind, float, str, float | None], R]


def plain_records(model: Recommender) -> Records[int | str, PersonaWeight, Evidence, Explanation]:
    """Return the records of this library."""
    return Records(model.fitted_on.items.ids.tolist(), PersonaWeight, Evidence, Explanation)


@final
@dataclass(frozen=True, eq=False)
class UserFacts:
    """What explanations take from a batch of users: it stays as long as their histories do, whenever they are asked.

    Attributes:
        history: their histories.
        personas: their personas, none for a model without.
        explicit: "queries", whether the user's values are ratings rather than the 1 of an implicit log.
        sums: of a single user, from which the facts of a longer history follow faster; None where a model has none.
    """

    history: PaddedHistory
    personas: list[list[PersonaDescription]]
    explicit: npt.NDArray[np.bool_]
    sums: ExactSums | None = None

    @classmethod
    def of(cls, model: Recommender, queries: Queries, former: UserFacts | None = None) -> Self:
        """Describe the users of the questions.

        Args:
            model: a fitted model.
            queries: the questions.
            former: facts of the same single user, before the last events. They save work, and change nothing.

        Raises:
            CapabilityError: the model cannot serve one of them.
        """
        history = PaddedHistory.of(queries)
        sums = carried(model, queries, None if former is None else former.sums)
        personas: list[list[PersonaDescription]] = [[] for _ in range(len(queries))]
        if isinstance(model, PersonaRecommender) and model.has_personas:
            personas = (
                describe_personas(model, queries, recommended=False)
                if sums is None
                else [describe_from(model, queries, history, sums)]
            )
        is_rating = np.isfinite(queries.values) & (queries.values != 1.0)
        explicit = np.bincount(queries.history.rows[is_rating], minlength=len(queries)) > 0
        return cls(history, personas, explicit, sums)


def explain_read(
    reading: ReadOut,
    facts: UserFacts,
    recommendations: Recommendations,
    records: Records[Id, P, E, R],
    *,
    evidence: int = 3,
    contributions: Tensor | None = None,
) -> list[list[R]]:
    """Say why these items are recommended, given what is known of the users already.

    Args:
        reading: of the questions; at most `padded.BATCH` of them, as rectangles of all are made at once.
        facts: of the same users with the same histories.
        recommendations: of the reading.
        records: what is made of it.
        evidence: how many past events are shown at most.
        contributions: "events n", of the model's to these items, where they are known already; every place of the lists
            has an item.
    """
    items = np.where(recommendations.items == UNKNOWN, 0, recommendations.items).astype(np.int32)
    reasons = _reasons(reading, facts, items, contributions)
    return [_explain_row(reading, facts, reasons, recommendations, row, records, evidence) for row in range(len(items))]


@final
@dataclass(frozen=True, eq=False)
class _Reasons:
    """What was found for a batch.

    `strength`: "queries length n", contributions or similarities, 0 in the padding; `attention`: "queries personas n";
    `recent`: "queries length", which events are younger than the user's half-life, None where nothing fades.
    """

    kind: EvidenceKind
    strength: npt.NDArray[np.float64]
    attention: npt.NDArray[np.float64]
    recent: npt.NDArray[np.bool_] | None


@torch.inference_mode()
def _reasons(
    reading: ReadOut, facts: UserFacts, items: npt.NDArray[np.int32], contributions: Tensor | None
) -> _Reasons:
    model, queries, history = reading.model, reading.queries, facts.history
    personas = model if isinstance(model, PersonaRecommender) and model.has_personas else None
    attention = None
    if isinstance(model, FoldIn) and model.folds_in:
        kind: EvidenceKind = "contribution"
        given = (model.contributions(queries, items) if contributions is None else contributions).double()
        if isinstance(model, AdditivePersonas):
            attention = model.attention_of(queries, given)
        strength = history.gather(given.cpu().numpy(), 0.0)
    elif personas is not None:
        kind = "similarity"
        strength = persona_similarity(personas, queries, history, items)
    else:
        kind = "none"
        strength = np.zeros((*history.items.shape, items.shape[1]))
    if attention is None:
        attention = (
            torch.zeros(len(items), 0, items.shape[1]) if personas is None else personas.attention(queries, items)
        )
    recent = None if reading.recent is None else history.gather(reading.recent, False)
    return _Reasons(kind, strength, attention.double().cpu().numpy(), recent)


def _explain_row(
    reading: ReadOut,
    facts: UserFacts,
    reasons: _Reasons,
    answer: Recommendations,
    row: int,
    records: Records[Id, P, E, R],
    evidence: int,
) -> list[R]:
    model = reading.model
    titles, ids = model.fitted_on.metadata.titles, records.ids
    columns = np.flatnonzero(answer.items[row] != UNKNOWN)
    positive = np.maximum(reasons.strength[row].T.take(columns, 0), 0.0)  # "n length"
    total = positive.sum(1)
    recent: list[float | None] = [None] * len(columns)
    if reasons.recent is not None:
        young = (positive * reasons.recent[row].astype(np.float64)).sum(1)
        recent = [a / b if b > 0 else None for a, b in zip(young.tolist(), total.tolist(), strict=True)]
    described, has_history = facts.personas[row], bool(facts.history.mask[row].any())
    names = [one.name for one in described]
    # A single persona is the user as a whole, and a number says nothing: naming them would tell nothing.
    phrases = [None if len(described) == 1 or one.named_by == "number" else one.phrase for one in described]
    attention = reasons.attention[row].T[columns]
    leading = np.argsort(-attention, axis=1, kind="stable").tolist()
    found = []
    for number, score, order, weights, evident, of_recent in zip(
        answer.items[row, columns].tolist(),
        answer.scores[row, columns].tolist(),
        leading,
        attention.tolist(),
        _evidence(reading, facts, reasons, row, positive, total, records, evidence),
        recent,
        strict=True,
    ):
        support = sum([fact.share for fact in evident]) * (weights[order[0]] if order else 1.0)
        young_share = of_recent if evident else None
        phrase = phrases[order[0]] if order else None
        found.append(
            records.explanation(
                ids[number],
                titles[number],
                score,
                tuple([records.persona(k, names[k], weights[k]) for k in order]),
                evident,
                reasons.kind if evident else "none",
                min(1.0, support) if evident and reasons.kind == "contribution" else 0.0,
                _sentence(model, reasons.kind, evident, phrase, young_share, has_history),
                young_share,
            )
        )
    return found


def _evidence(
    reading: ReadOut,
    facts: UserFacts,
    reasons: _Reasons,
    row: int,
    positive: npt.NDArray[np.float64],
    total: npt.NDArray[np.float64],
    records: Records[Id, P, E, R],
    most: int,
) -> list[tuple[E, ...]]:
    """Return the evidence for each item of a row.

    Args:
        reading: of the questions.
        facts: of their users.
        reasons: what was found for the batch.
        row: of the batch.
        positive: "n length", what speaks for each item.
        total: "n", its sums.
        records: what is made of it.
        most: events that are shown at most.
    """
    fitted, queries = reading.model.fitted_on, reading.queries
    titles, ids = fitted.metadata.titles, records.ids
    places = largest(positive, most)
    strength = positive[np.arange(len(places))[:, None], places]
    share = strength / np.where(total > 0, total, 1.0)[:, None]
    events = facts.history.events[row][places]
    value, age = queries.values[events], queries.now[row] - queries.times[events]
    known = np.isfinite(value) & facts.explicit[row]
    nothing = np.full(events.shape, None)
    told = facts.history.items[row][places].ravel().tolist()
    found = [
        *map(
            records.evidence,
            [ids[item] for item in told],
            [titles[item] for item in told],
            strength.ravel().tolist(),
            share.ravel().tolist(),
            (value if known.all() else np.where(known, value, nothing)).ravel().tolist(),
            (nothing if fitted.clock == "none" else age).ravel().tolist(),
            (nothing if reasons.recent is None else reasons.recent[row][places]).ravel().tolist(),
        )
    ]
    width = places.shape[1]
    # Strongest first: what speaks against an item, or not for it, is at the end.
    counts = (strength > 0).sum(1).tolist()
    return [tuple(found[start * width : start * width + count]) for start, count in enumerate(counts)]


def _sentence(
    model: Recommender,
    kind: EvidenceKind,
    facts: Sequence[_Fact],
    persona: str | None,
    recent: float | None,
    has_history: bool,
) -> str:
    titles = [fact.title for fact in facts]
    rated = [fact.rating is not None for fact in facts]
    if titles and kind == "contribution":
        return text.because(titles, rated, persona, recent)
    if titles:
        return text.resembles(titles, rated, persona)
    if not model.folds_in:
        return text.unnamed(persona) if model.needs_known_users else text.POPULAR
    return text.UNSUPPORTED if has_history else text.COLD
