"""Scores from a text alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import ceil, floor
from typing import Final, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.queries import Queries
from recsys.models.base import Recommender
from recsys.models.capabilities import LinearRows, as_fold_in
from recsys.models.linear.operations import sum_of_rows
from recsys.models.memories.remembering import Remembering
from recsys.models.memories.text.state import PLACES, Clause, TasteText
from recsys.models.memories.text.tables import Tables
from recsys.models.personas.model import WithPersonas
from recsys.models.top_n import top_n
from recsys.types import Floats, Items, Mask

EVERYBODY: Final = 0.5
"""How many of everybody's events each title of a text brings with it: eight titles are few, and what most like is a
good guess for the rest."""

LENGTH: Final = 10
"""Of the list of which a text says what it has."""

_PULL = 10
"""New events that count as much as the text."""


def reading_model(model: Recommender) -> Recommender:
    """Return the model within that reads titles: without personas, memory or decay."""
    while True:
        inner = model.base if isinstance(model, WithPersonas | Remembering) else model.scoring_model
        if inner is model:
            return model
        model = inner


@final
class TextReader:
    """Reads texts by a fitted model.

        s = sum_t w_t R_t / |R_t| + wishes,   R_t = B_t + c m        m: the mean row of B over everybody's events

    w_t is the weight of the title's word (`WEIGHTS`), which thus says how much of the scores is the title's; c is
    `EVERYBODY`. A model without rows folds the titles in, without m. Then, for
    what stands without titles, all items that have it are raised or lowered by as little as gives the best ten as many
    of them as its word says (`PLACES`). Texts as the only state: Radlinski and others, *On natural language user
    profiles for transparent and scrutable recommendation*, 2022; the grammar and its reading are ours.

    Args:
        model: a fitted model that folds in.

    Raises:
        CapabilityError: it does not fold in.
    """

    def __init__(self, model: Recommender) -> None:
        self.model = reading_model(model)
        as_fold_in(self.model, "a text")
        self.tables = Tables(model.fitted_on.items, model.fitted_on.metadata)

    @cached_property
    def everybody(self) -> Float[Tensor, " items"] | None:
        """ "items": what each title brings beside its own row; None for a model without rows."""
        if not (isinstance(self.model, LinearRows) and self.model.sums_rows):
            return None
        counts = self.model.fitted_on.item_counts
        share = torch.from_numpy((counts / max(1, int(counts.sum()))).astype(np.float32))
        return EVERYBODY * (share @ self.model.rows())

    @cached_property
    def loudness(self) -> Floats:
        """ "items", |R_t|; ones for a model without rows."""
        if self.everybody is None:
            return np.ones(self.model.n_items, np.float32)
        assert isinstance(self.model, LinearRows)
        rows = self.model.rows()
        squares = rows.square().sum(1) + 2 * (rows @ self.everybody) + self.everybody.square().sum()
        return np.asarray(squares.clamp(min=1e-12).sqrt().numpy())

    def title_scores(self, texts: Sequence[TasteText]) -> Floats:
        """Return the scores that the titles of each text give, "texts items"."""
        said = [text.titles for text in texts]
        history = Queries.from_history([list(each) for each in said])
        weights = np.asarray([weight for each in said for weight in each.values()], np.float32)
        if self.everybody is not None:
            assert isinstance(self.model, LinearRows)
            items, indptr = history.history.items, history.history.indptr
            weights = np.asarray(weights / self.loudness[items], np.float32)
            total = torch.from_numpy(history.history.sum(weights).astype(np.float32))
            scores = sum_of_rows(self.model.rows(), items, indptr, weights) + total[:, None] * self.everybody
            return np.asarray(scores.numpy())
        with torch.inference_mode():
            scores = self.model.score(history.with_weights(np.maximum(weights, 0)))
            if (weights < 0).any():
                scores = scores - self.model.score(history.with_weights(np.maximum(-weights, 0)))
        return np.asarray(scores.float().numpy())

    def added(self, text: TasteText, item: int) -> dict[int, float]:
        """Return what each title of a text adds to the score of an item."""
        said = text.titles
        if not said:
            return {}
        items, weights = np.asarray(list(said), np.int32), np.asarray(list(said.values()), np.float32)
        if isinstance(self.model, LinearRows) and self.model.sums_rows:
            each = weights / self.loudness[items] * self.model.rows().numpy()[items, item]
        else:
            queries = Queries.from_history([items]).with_weights(np.maximum(weights, 0))
            each = as_fold_in(self.model, "a text").contributions(queries, np.asarray([[item]], np.int32)).numpy()[:, 0]
        return dict(zip(items.tolist(), each.tolist(), strict=True))

    def recommend(
        self, text: TasteText, excluded: Mask, n: int, events: Floats | None = None, count: int = 0
    ) -> tuple[Items, Floats]:
        """Return the n best items of one text and their scores, "n"; `UNKNOWN` where there are no more.

        The titles of the text are not listed: who names them knows them.

        Args:
            text: the text; one that says nothing lists what is popular.
            excluded: "items" that are not listed either.
            n: length of the list.
            events: scores of what was done since the text was written, "items".
            count: how many events these are.
        """
        scores = self.all_scores(text, excluded, events, count)
        items, best = top_n(torch.from_numpy(scores)[None], n, self.model.fitted_on.tie_rank)
        return items[0], best[0]

    def all_scores(self, text: TasteText, excluded: Mask, events: Floats | None = None, count: int = 0) -> Floats:
        """Return the scores of all items, "items", -inf where one is not listed; see `recommend`."""
        excluded = excluded.copy()
        excluded[list(text.titles)] = True
        scores = self.title_scores([text])[0]
        if events is not None and count:
            scores = blended(scores, events, count)
        scores = self.wished(scores, text, excluded)
        scores[excluded] = -np.inf
        return scores

    def scores(self, text: TasteText, excluded: Mask) -> Floats:
        """Return the scores of one text, "items"; of one that says nothing, they are all alike.

        Args:
            text: the text.
            excluded: "items" that are not listed, and do not count in what the list has.
        """
        return self.wished(self.title_scores([text])[0], text, excluded)

    def wished(self, scores: Floats, text: TasteText, excluded: Mask) -> Floats:
        """Return scores of titles, "items", changed as little as gives the best ten what the text says."""
        order = self.model.fitted_on.tie_rank.numpy()
        result = scores.astype(np.float64)
        if not result.any():  # no titles: what everybody likes
            result = -order / len(order)
        step = 1e-6 * max(float(np.ptp(result)), 1e-9)
        wishes = sorted(text.wishes, key=lambda wish: wish.word != "avoids")
        for wish in wishes:
            has = self.tables.has(wish.labels)
            if wish.word == "avoids":
                result[has] -= 2.0 * float(np.ptp(result)) + 1.0
            else:
                result[has] += _change(result, has, ~excluded, wish, step)
        return np.asarray(result, np.float32) if wishes else scores.copy()


def _change(scores: np.ndarray, has: Mask, allowed: Mask, wish: Clause, step: float) -> float:
    """Return what to add to what a wish names, so that the best ten have as many of it as its word says."""
    own, others = (np.sort(scores[allowed & which])[::-1] for which in (has, ~has))
    least, most = PLACES[wish.word]
    wanted, limit = min(ceil(least * LENGTH), len(own)), floor(most * LENGTH)
    if wanted and LENGTH - wanted < len(others) and own[wanted - 1] <= others[LENGTH - wanted]:
        return float(others[LENGTH - wanted] - own[wanted - 1]) + step
    if (
        limit < LENGTH
        and limit < len(own)
        and LENGTH - limit <= len(others)
        and own[limit] >= others[LENGTH - limit - 1]
    ):
        return float(others[LENGTH - limit - 1] - own[limit]) - step
    return 0.0


def blended(text: Floats, events: Floats, count: int) -> Floats:
    """Return the scores of a text and of what was done since, "items": (10 zscore(text) + n zscore(events)) / (n + 10).

    Args:
        text: scores of the text.
        events: scores of the events since.
        count: n, how many they are.
    """
    if count == 0:
        return text
    parts = [(part - part.mean()) / max(float(part.std()), 1e-9) for part in (text, events)]
    return np.asarray((_PULL * parts[0] + count * parts[1]) / (count + _PULL), np.float32)
