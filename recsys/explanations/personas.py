"""Descriptions of a user's personas from the user's history: top items, distinctive genres, a name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.explanations.found import describe_found
from recsys.explanations.naming import distinctive, genre_lift, names
from recsys.explanations.padded import BATCH, PaddedHistory, largest
from recsys.explanations.records import GenreShare, PersonaDescription, PersonaItem
from recsys.models.base import Recommender
from recsys.models.capabilities import IncrementalPersonas, PersonaRecommender, attention_and_persona_scores
from recsys.models.health import PersonaHealth
from recsys.models.linear.exact_sums import MOST_ITEMS, ExactSums
from recsys.models.personas.model import WithPersonas
from recsys.types import Doubles, Mask

_LIST = 50
"""Length of the recommendation list from which each persona's own recommendations are taken."""

_TOP = 5
"""Items, genres and recommendations of a persona, by default."""

_DOMINANT = 0.6
"""Share of the history from which a persona's genres are compared with the catalogue."""


def describe_personas(
    model: Recommender, queries: Queries, *, top: int = _TOP, recommended: bool = True
) -> list[list[PersonaDescription]]:
    """Describe each persona of each user: those found in the history, see `describe_found`, or those of the model.

    A model's own personas are described in the order of their indices.

    With a_ujk the attention of persona k for the history item j, and w_j the event's weight (1 unless decayed):

        share_k    = sum_j w_j a_ujk / sum_j w_j
        own items  : those with a_ujk >= mean_j a_ujk, for which it speaks at least as much as for the history at large,
                     by descending a_ujk (U_uk . v_j), persona k's part of the item's own score
        genres     : by descending share . ln(lift); base rate: the user's history, or the catalogue for a persona
                     that speaks for more than 60% of the history (a single persona always does)

    A dead persona (share below a tenth of 1/K) has no items and no genres, and a number for a name. Personas last, only
    their activity drifts (`recsys.explanations.activity`): those of a decayed model are described by the model without
    decay, and only the items that they recommend are the decayed model's.

    Args:
        model: a model with personas.
        queries: the users.
        top: the most items, genres and recommendations of a persona.
        recommended: whether to find which of the user's 50 best items each persona leads (one `recommend` call).

    Raises:
        CapabilityError: the model has no personas, or cannot serve one of the users.
    """
    if isinstance(model, WithPersonas):
        listed = model.recommend(queries, _LIST) if recommended else None
        return describe_found(model, queries, top=top, listed=listed)
    personas = as_personas(model)
    _check_users(model, queries)
    undecayed = as_personas(personas.scoring_model)
    return [
        description
        for batch in queries.batches(BATCH)
        for description in _describe(_HistoryAttention.of(undecayed, batch), personas, batch, top, recommended)
    ]


def describe_from(
    model: PersonaRecommender, queries: Queries, history: PaddedHistory, sums: ExactSums
) -> list[PersonaDescription]:
    """Describe one user's personas as `describe_personas` does, from `history_sums`, without what they recommend."""
    (described,) = _describe(_HistoryAttention.from_sums(model, history, sums), model, queries, _TOP, recommended=False)
    return described


def history_sums(model: Recommender, queries: Queries, former: ExactSums | None = None) -> ExactSums | None:
    """Return the sums that the personas of a history are made of, which the next event updates.

    They follow from `former`, those before the last events, where given. None for several users, a weighted history,
    one of more than `MOST_ITEMS` items, or a model without such sums.
    """
    within = model.scoring_model
    if not isinstance(within, IncrementalPersonas) or len(queries) != 1 or queries.weights is not None:
        return None
    if not within.counts_alike(queries):
        return None
    items = np.setdiff1d(queries.history.items, UNKNOWN)
    return within.exact_sums(items, former) if len(items) <= MOST_ITEMS else None


def user_persona_health(model: Recommender, queries: Queries) -> list[PersonaHealth]:
    """Return the health of each user's own personas, from their attention on the user's history.

    The figures are those of a whole model: effective number of personas, mean cosine between two of them, share of dead
    ones. Without a history nothing tells the personas apart: one is effective.

    Raises:
        CapabilityError: the model has no personas, or cannot serve one of the users.
    """
    personas = as_personas(model)
    _check_users(model, queries)
    return [health for batch in queries.batches(BATCH) for health in _health(personas, batch)]


def as_personas(model: Recommender) -> PersonaRecommender:
    """Return the model as one with personas.

    Raises:
        CapabilityError: it has none.
    """
    if isinstance(model, PersonaRecommender) and model.has_personas:
        return model
    raise CapabilityError(
        f"{type(model).__name__} has no personas to describe; use PersonaEASE, AMPCF, or MF, which has one"
    )


@final
@dataclass(frozen=True, eq=False)
class _HistoryAttention:
    """How the personas of a batch of users read the users' histories.

    `attention`: "queries personas length", 0 in the padding; `part`: of the same shape, persona k's part
    a_ujk (U_uk . v_j) of each history item's score, -inf in the padding.
    """

    history: PaddedHistory
    attention: Doubles
    part: Doubles

    @classmethod
    @torch.inference_mode()
    def of(cls, model: PersonaRecommender, queries: Queries) -> _HistoryAttention:
        history = PaddedHistory.of(queries)
        # In ascending order, because models gather rows of item tables, and neighbours in memory are read faster.
        order = np.argsort(history.items, axis=1, kind="stable")
        ascending = np.take_along_axis(history.items, order, 1)
        attention, scores = attention_and_persona_scores(model, queries, ascending)
        back = np.argsort(order, axis=1)[:, None, :]
        weight, part = (
            np.take_along_axis(each.double().cpu().numpy(), back, 2) for each in (attention, attention * scores)
        )
        keep = history.mask[:, None, :]
        return cls(history, np.where(keep, weight, 0.0), np.where(keep, part, -np.inf))

    @classmethod
    @torch.inference_mode()
    def from_sums(cls, model: PersonaRecommender, history: PaddedHistory, sums: ExactSums) -> _HistoryAttention:
        """Read one history, given its sums."""
        within = model.scoring_model
        assert isinstance(within, IncrementalPersonas)
        attention, scores = (each.double().numpy() for each in within.attention_and_scores_of(sums))
        place = np.searchsorted(sums.items, history.items[0])
        return cls(history, attention[None, :, place], (attention * scores)[None, :, place])

    @property
    def shares(self) -> Doubles:
        """ "queries personas": sums to 1; equal parts where there is no history."""
        weights = self.history.weights.astype(np.float64)
        total = weights.sum(1)[:, None]
        attended = (self.attention @ weights[:, :, None])[:, :, 0]
        shares = np.full(attended.shape, 1.0 / max(1, attended.shape[1]))
        np.divide(attended, total, out=shares, where=total > 0)
        return shares


def _describe(
    reading: _HistoryAttention, model: PersonaRecommender, queries: Queries, top: int, recommended: bool
) -> Iterator[list[PersonaDescription]]:
    shares = reading.shares
    count = shares.shape[1]
    alive = (shares >= 0.1 / count) & (reading.history.lengths > 0)[:, None]
    led = _led_recommendations(model, queries, count, top) if recommended else [[()] * count] * len(queries)
    metadata = model.fitted_on.metadata
    genre_names, genre_matrix = metadata.genre_matrix
    has_genre = genre_matrix[reading.history.items]
    mass = reading.attention @ has_genre
    user_base = (reading.history.mask[:, None, :].astype(np.float64) @ has_genre)[:, 0]
    user_base /= np.maximum(1, reading.history.lengths)[:, None]
    # A persona that speaks for most of the history has nothing to stand out from in it, only in the catalogue.
    base = np.where(shares[:, :, None] > _DOMINANT, metadata.genre_shares, user_base[:, None, :])
    share, lift = genre_lift(mass * alive[:, :, None], reading.attention.sum(2) * alive, base)
    for row, own in enumerate(_own_items(model, reading, alive, top)):
        order = np.argsort(-shares[row], kind="stable").tolist()
        titles = [[item.title for item in items] for items in own]
        named = names(genre_names, share[row], lift[row], titles, order)
        genres = _genres(genre_names, share[row], lift[row], top)
        yield [
            PersonaDescription(persona, *named[persona], weight, own[persona], genres[persona], led[row][persona])
            for persona, weight in enumerate(shares[row].tolist())
        ]


def _own_items(
    model: PersonaRecommender, reading: _HistoryAttention, alive: Mask, top: int
) -> Iterator[list[tuple[PersonaItem, ...]]]:
    """Yield, per query, the top own history items of each living persona."""
    mean = reading.attention.sum(2) / np.maximum(1, reading.history.lengths)[:, None]
    # The tolerance keeps items that differ from the mean by rounding only, as all do with a single persona.
    owned = reading.history.mask[:, None, :] & (reading.attention >= (1.0 - 1e-6) * mean[:, :, None])
    owned &= alive[:, :, None]
    for row, counts in enumerate(owned.sum(2).tolist()):
        places = largest(np.where(owned[row], reading.part[row], -np.inf), top)
        items = reading.history.items[row][places].tolist()
        weights = np.take_along_axis(reading.attention[row], places, 1).tolist()
        yield [
            tuple([_item(model, *each) for each in zip(items[k][:count], weights[k][:count], strict=True)])
            for k, count in enumerate(counts)
        ]


@torch.inference_mode()
def _led_recommendations(
    model: PersonaRecommender, queries: Queries, count: int, top: int
) -> list[list[tuple[PersonaItem, ...]]]:
    """Return, per query and persona, the best recommended items on which that persona has the largest attention."""
    items = model.recommend(queries, min(_LIST, model.n_items)).items
    attention = model.attention(queries, np.where(items == UNKNOWN, 0, items)).double().cpu().numpy()
    leader = np.where(items == UNKNOWN, UNKNOWN, attention.argmax(1))
    return [
        [
            tuple(
                _item(model, int(items[row, place]), float(attention[row, persona, place]))
                for place in np.flatnonzero(leader[row] == persona)[:top]
            )
            for persona in range(count)
        ]
        for row in range(len(items))
    ]


def _genres(genres: tuple[str, ...], share: Doubles, lift: Doubles, top: int) -> list[tuple[GenreShare, ...]]:
    """Return the most distinctive genres of each persona."""
    order = distinctive(share, lift)[:, :top]
    shares, lifts = (np.take_along_axis(each, order, 1).tolist() for each in (share, lift))
    return [
        tuple([GenreShare(genres[genre], part, ratio) for genre, part, ratio in zip(*each, strict=True) if part > 0])
        for each in zip(order.tolist(), shares, lifts, strict=True)
    ]


def _item(model: Recommender, number: int, weight: float) -> PersonaItem:
    fitted = model.fitted_on
    return PersonaItem(fitted.items.id_of(number), fitted.metadata.titles[number], weight)


@torch.inference_mode()
def _health(model: PersonaRecommender, queries: Queries) -> Iterator[PersonaHealth]:
    reading = _HistoryAttention.of(model, queries)
    vectors = model.personas(queries).cpu()
    count = reading.attention.shape[1]
    for row, mask in enumerate(reading.history.mask):
        attention = reading.attention[row][:, mask] if mask.any() else np.full((count, 1), 1.0 / count)
        yield PersonaHealth.of(torch.from_numpy(attention)[None], vectors[row][None])


def _check_users(model: Recommender, queries: Queries) -> None:
    """Raise for users the model cannot serve, as `score` does, without scoring the catalogue."""
    if model.needs_known_users and bool(np.any(queries.users == UNKNOWN)):
        raise CapabilityError(
            f"{type(model).__name__} has no personas for a user it was not trained on; retrain with the user in the "
            "log, or use AMPCF or MF with users='history'"
        )
