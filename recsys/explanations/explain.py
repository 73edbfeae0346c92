"""Why this item: the persona that speaks for it, the past events that carry its score, and one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations import text
from recsys.explanations.padded import BATCH, PaddedHistory
from recsys.explanations.personas import describe_personas
from recsys.explanations.records import Evidence, EvidenceKind, Explanation, PersonaDescription, PersonaWeight
from recsys.explanations.similarity import persona_similarity
from recsys.models.base import FoldIn, PersonaRecommender, Recommendations, Recommender
from recsys.models.decayed import Decayed


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
    for start in range(0, len(queries), BATCH):
        rows = np.arange(start, min(start + BATCH, len(queries)))
        batch = queries.take(rows)
        answer = Recommendations(recommendations.items[rows], recommendations.scores[rows])
        lists.extend(_explain_batch(model, batch, answer, evidence))
    return lists


@final
@dataclass(frozen=True, eq=False)
class _Reasons:
    """What was found for a batch.

    `strength`: "queries length n", contributions or similarities, 0 in the padding; `attention`: "queries personas n";
    `explicit`: "queries", whether the user's values are ratings rather than the 1 of an implicit log; `recent`:
    "queries length", which events are younger than the user's half-life, None where nothing fades.
    """

    queries: Queries
    history: PaddedHistory
    kind: EvidenceKind
    strength: npt.NDArray[np.float64]
    attention: npt.NDArray[np.float64]
    personas: list[list[PersonaDescription]]
    explicit: npt.NDArray[np.bool_]
    recent: npt.NDArray[np.bool_] | None

    def recent_share(self, row: int, column: int) -> float | None:
        """Return the part of an item's evidence that is recent; None where nothing fades or nothing speaks for it."""
        positive = np.maximum(self.strength[row, :, column], 0.0)
        if self.recent is None or not positive.any():
            return None
        return float(positive[self.recent[row]].sum() / positive.sum())


def _explain_batch(
    model: Recommender, queries: Queries, answer: Recommendations, evidence: int
) -> Iterator[list[Explanation]]:
    known = np.where(answer.items == UNKNOWN, 0, answer.items).astype(np.int32)
    reasons = _reasons(model, queries, known)
    positive = np.maximum(reasons.strength, 0.0)
    totals = positive.sum(1)
    order = np.argsort(-positive, axis=1, kind="stable")[:, :evidence, :]
    for row in range(len(queries)):
        yield [
            _explanation(model, reasons, answer, (row, column), order[row, :, column], float(totals[row, column]))
            for column in np.flatnonzero(answer.items[row] != UNKNOWN).tolist()
        ]


@torch.inference_mode()
def _reasons(model: Recommender, queries: Queries, items: npt.NDArray[np.int32]) -> _Reasons:
    history = PaddedHistory.of(queries)
    kind: EvidenceKind = "none"
    strength = np.zeros((*history.items.shape, items.shape[1]))
    attention = np.zeros((len(queries), 0, items.shape[1]))
    personas: list[list[PersonaDescription]] = [[] for _ in range(len(queries))]
    if isinstance(model, PersonaRecommender) and model.has_personas:
        attention = model.attention(queries, items).double().cpu().numpy()
        personas = describe_personas(model, queries, recommended=False)
    if isinstance(model, FoldIn) and model.folds_in:
        kind = "contribution"
        strength = history.gather(model.contributions(queries, items).double().cpu().numpy(), 0.0)
    elif isinstance(model, PersonaRecommender) and model.has_personas:
        kind = "similarity"
        strength = persona_similarity(model, queries, history, items)
    is_rating = np.isfinite(queries.values) & (queries.values != 1.0)
    explicit = np.bincount(queries.history.rows[is_rating], minlength=len(queries)) > 0
    # Without an order nothing is older than anything else.
    fades = isinstance(model, Decayed) and model.fitted_on.clock != "none"
    recent = history.gather(model.recent(queries), False) if isinstance(model, Decayed) and fades else None
    return _Reasons(queries, history, kind, strength, attention, personas, explicit, recent)


def _explanation(
    model: Recommender,
    reasons: _Reasons,
    answer: Recommendations,
    cell: tuple[int, int],
    order: npt.NDArray[np.int64],
    total: float,
) -> Explanation:
    row, column = cell
    fitted = model.fitted_on
    number = int(answer.items[cell])
    shown = [int(place) for place in order if reasons.strength[row, place, column] > 0]
    facts = tuple(_evidence(model, reasons, row, place, column, total) for place in shown)
    kind = reasons.kind if facts else "none"
    described = reasons.personas[row]
    weights = reasons.attention[row, :, column]
    leading = np.argsort(-weights, kind="stable").tolist()
    personas = tuple(PersonaWeight(k, float(weights[k]), described[k].name) for k in leading)
    support = sum(fact.share for fact in facts) * (personas[0].weight if personas else 1.0)
    # A single persona is the user as a whole, and a number says nothing: naming them would tell nothing.
    telling = len(personas) > 1 and described[leading[0]].named_by != "number"
    phrase = described[leading[0]].phrase if telling else None
    recent = reasons.recent_share(row, column) if facts else None
    return Explanation(
        fitted.items.id_of(number),
        fitted.metadata.titles[number],
        float(answer.scores[cell]),
        personas,
        facts,
        kind,
        min(1.0, support) if kind == "contribution" else 0.0,
        _sentence(model, reasons, row, facts, phrase, recent),
        recent,
    )


def _evidence(model: Recommender, reasons: _Reasons, row: int, place: int, column: int, total: float) -> Evidence:
    fitted = model.fitted_on
    number = int(reasons.history.items[row, place])
    event = int(reasons.history.events[row, place])
    value = float(reasons.queries.values[event])
    strength = float(reasons.strength[row, place, column])
    return Evidence(
        fitted.items.id_of(number),
        fitted.metadata.titles[number],
        strength,
        strength / total,
        value if reasons.explicit[row] and np.isfinite(value) else None,
        None if fitted.clock == "none" else int(reasons.queries.now[row] - reasons.queries.times[event]),
        None if reasons.recent is None else bool(reasons.recent[row, place]),
    )


def _sentence(
    model: Recommender,
    reasons: _Reasons,
    row: int,
    facts: tuple[Evidence, ...],
    persona: str | None,
    recent: float | None,
) -> str:
    titles = [fact.title for fact in facts]
    rated = [fact.rating is not None for fact in facts]
    if titles and reasons.kind == "contribution":
        return text.because(titles, rated, persona, recent)
    if titles:
        return text.resembles(titles, rated, persona)
    if not model.folds_in:
        return text.unnamed(persona) if model.needs_known_users else text.POPULAR
    return text.UNSUPPORTED if reasons.history.lengths[row] else text.COLD
