"""The scores of a user for the two items of a pair, with both ratings taken out of the history.

history of u   a i b c j d        judged: (i, j)
the model sees a   b c   d        for each pair anew; its weights were fitted on other users
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.evaluation.disagreement.judgements import Judgements
from recsys.models.base import Recommender
from recsys.models.capabilities import AdditiveEvents, as_fold_in
from recsys.types import Doubles, Ints, Items

_ROWS = 4096
"""Event rows, or queries, that are in memory at a time."""


@torch.inference_mode()
def masked_margins(model: Recommender, log: Interactions, judged: Judgements) -> Doubles:
    """Return "judgements": s(preferred) - s(other), both scored without the user's ratings of the two.

    Where events add up (`AdditiveEvents`) the scores are those of the whole history less what the two events add, which
    is exact; a test holds it against the plain way, one query for each judgement with weight 0 on the two events.

    Args:
        model: fitted on the vocabularies of `log`; folds in.
        log: the histories of the users.
        judged: of users of `log`, on items of their histories.

    Raises:
        CapabilityError: the model cannot fold in.
    """
    as_fold_in(model, "the protocol 'masked'")
    if len(judged) == 0:
        return np.zeros(0)
    order = np.argsort(judged.user, kind="stable")
    sorted_judgements = judged.take(order)
    margins = np.zeros(len(judged))
    method = _additive if isinstance(model, AdditiveEvents) else _plain
    margins[order] = method(model, log, sorted_judgements)
    return margins


def _additive(model: Recommender, log: Interactions, judged: Judgements) -> Doubles:
    reader = cast("AdditiveEvents", model)
    margins = np.zeros(len(judged))
    users, start = np.unique(judged.user, return_index=True)
    lengths = np.diff(log.indptr)[users]
    stops = np.append(start[1:], len(judged))
    for block in _blocks(lengths, _ROWS):
        of_block = slice(int(start[block[0]]), int(stops[block[-1]]))
        part = judged.take(np.arange(of_block.start, of_block.stop))
        queries = model.fitted_on.queries(log, users[block])
        row = np.searchsorted(users[block], part.user)
        scores = model.score(queries).numpy()
        winner, loser = part.preferred, part.other
        events = _events(queries, np.r_[row, row], np.r_[winner, loser], log.n_items)
        asked, place = np.unique(events, return_inverse=True)
        added = reader.event_rows(queries, asked)
        at_winner, at_loser = place.reshape(2, -1)
        one = scores[row, winner] - added[at_winner, winner] - added[at_loser, winner]
        other = scores[row, loser] - added[at_winner, loser] - added[at_loser, loser]
        margins[of_block] = one.astype(np.float64) - other
    return margins


def _plain(model: Recommender, log: Interactions, judged: Judgements) -> Doubles:
    margins = np.zeros(len(judged))
    for begin in range(0, len(judged), _ROWS // 8):
        part = judged.take(np.arange(begin, min(begin + _ROWS // 8, len(judged))))
        queries = model.fitted_on.queries(log, part.user)
        rows, items = queries.history.rows, queries.history.items
        hidden = (items == part.preferred[rows]) | (items == part.other[rows])
        scores = model.score(queries.with_weights((~hidden).astype(np.float32))).numpy()
        row = np.arange(len(part))
        margins[begin : begin + len(part)] = scores[row, part.preferred].astype(np.float64) - scores[row, part.other]
    return margins


def _events(queries: Queries, row: Ints, item: Items, n_items: int) -> Ints:
    """Return the position of the event of each (row, item)."""
    keys = queries.history.rows * n_items + queries.history.items
    order = np.argsort(keys, kind="stable")
    return np.asarray(order[np.searchsorted(keys[order], row * n_items + item)])


def _blocks(lengths: Ints, most: int) -> list[Ints]:
    """Return consecutive positions in blocks whose lengths add up to at most `most`, or which are alone."""
    part = np.cumsum(lengths) // most
    return np.split(np.arange(len(lengths)), np.flatnonzero(np.diff(part)) + 1)
