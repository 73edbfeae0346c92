"""The best items of a linear model for one history, exactly, without reading every row of its matrix.

The score of item i is a sum over the history, and a row B_j is as long as the catalogue. Reading all of them is what an
answer of a linear model costs. Most need not be read: many events have faded, and a user who was asked for a moment ago
has the same history with nearly the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.base import Recommendations, Recommender
from recsys.models.capabilities import LinearRows
from recsys.models.linear.operations import table_weights
from recsys.types import Doubles, Floats, Items

_SLACK = 0.01
"""Of sum_j w_j (max_i B_ji - min_i B_ji): the width of the interval in which scores are known before some are exact."""

_WORN = 0.9
"""Of the slack: nothing is built on a state whose own interval is wider. A fresh one begins with half of the slack."""

_MOST = 64
"""Items beside those asked for that are scored exactly, at most; if more could be among the best, all rows are read."""

_ULP = 2.0**-23


@final
@dataclass(frozen=True, eq=False)
class ByItem:
    """The events of a history by item.

    Attributes:
        history: "events", item numbers; what is unknown reads item 0.
        order: "events", in which the items rise.
        items: "items", rising, each once.
        starts: "items", where each begins in that order; None where each has one event.
    """

    history: Items
    order: npt.NDArray[np.int64]
    items: Items
    starts: npt.NDArray[np.int64] | None

    @classmethod
    def of(cls, history: Items) -> Self:
        """Sort a history."""
        order = np.argsort(history, kind="stable")
        items = history[order]
        other = np.flatnonzero(items[1:] != items[:-1]) + 1
        if len(other) + 1 >= len(items):
            return cls(history, order, items, None)
        starts = np.concatenate([[0], other])
        return cls(history, order, items[starts], starts)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        starts = 0 if self.starts is None else self.starts.nbytes
        return int(self.history.nbytes + self.order.nbytes + self.items.nbytes + starts)

    def weights(self, weights: Floats) -> Doubles:
        """Return the weight of each item, given those of the events."""
        each = weights[self.order].astype(np.float64)
        return each if self.starts is None else np.add.reduceat(each, self.starts)

    def events(self, history: Items) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return for each event of another history an event here of its item, and whether there is one."""
        place = np.minimum(np.searchsorted(self.items, history), len(self.items) - 1)
        found = self.items[place] == history
        return self.order[place if self.starts is None else self.starts[place]], found


@final
@dataclass(frozen=True, eq=False)
class PairWeights:
    """Weights that were pair_weights up: each is far from the others in memory, which is what an exact score takes.

    Attributes:
        candidates: "n", rising.
        pairs: "events n", float32.
    """

    candidates: Items
    pairs: Floats

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return int(self.candidates.nbytes + self.pairs.nbytes)


@final
@dataclass(frozen=True, eq=False)
class BoundedScores:
    """The scores of all items for a history, each known to lie in an interval.

        scores_i - below  <=  sum_j weights_j B_ji  <=  scores_i + above

    Attributes:
        past: the history.
        weights: aligned with the items of `past`.
        scores: "items", float32.
        above: by how much a score can be too small.
        below: by how much it can be too large.
        best: the last list.
        pair_weights: what was pair_weights up for it.
    """

    past: ByItem
    weights: Doubles
    scores: Floats
    above: float
    below: float
    best: Items | None = None
    pair_weights: PairWeights | None = None

    @property
    def width(self) -> float:
        """Of the interval in which each score lies."""
        return self.above + self.below

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        pair_weights = 0 if self.pair_weights is None else self.pair_weights.nbytes
        return self.past.nbytes + self.weights.nbytes + self.scores.nbytes + pair_weights


@final
@dataclass(frozen=True, eq=False)
class BoundedList:
    """The best items for one history.

    Attributes:
        found: what `model.recommend` returns, to the last bit.
        contributions: "events n", what `model.contributions` of these items returns; None where it was not needed, or a
            place of the list is empty.
        bounded: from which the next answer for this history, or one much like it, can start; None for one of no weight.
    """

    found: Recommendations
    contributions: Float[Tensor, "events n"] | None
    bounded: BoundedScores | None


@final
class BoundedTopN:
    """Finds the best items of one history by reading the rows that matter.

        a_i      = c a'_i + sum_{j in S} (w_j - c w'_j) B_ji        a', w': of a `BoundedScores` history; 0 without
        s_i - a_i  in  [-below, above]:
        above    = c above' + sum_{j not in S} max_i (w_j - c w'_j) B_ji + rounding,    below alike with min

    S are the rows whose weight has changed most, by |w_j - c w'_j| (max_i B_ji - min_i B_ji); c is the weighted median
    of w_j / w'_j, as a half-life multiplies the weights of all that is old by one number. What could be among the n
    best given the intervals is scored exactly, by the sums that `model.recommend` adds up, in the same order: the list
    is the same to the last bit, whatever was bounded before. The bound is ours; it is the usual one of rounding (Higham,
    *Accuracy and Stability of Numerical Algorithms*, 2002, section 3.1) with the rows that are left out.

    Args:
        model: a fitted model.
    """

    def __init__(self, model: Recommender) -> None:
        if not isinstance(model, LinearRows):
            raise TypeError(f"the scores of {type(model).__name__} are not sums of rows")
        self._model = model
        self._linear: LinearRows = model
        self._rows = model.rows()
        table = self._rows.numpy()
        self._highest = np.maximum(table.max(1), 0.0).astype(np.float64)
        self._lowest = np.maximum(-table.min(1), 0.0).astype(np.float64)
        self._spread = self._highest + self._lowest
        self._largest = np.maximum(self._highest, self._lowest)
        self._tie_rank = model.fitted_on.tie_rank.numpy()

    @property
    def nbytes(self) -> int:
        """Bytes that it holds beside the model."""
        return int(self._highest.nbytes + self._lowest.nbytes + self._spread.nbytes + self._largest.nbytes)

    def best(self, queries: Queries, n: int, former: BoundedScores | None = None) -> BoundedList:
        """Return the n best items of one question.

        Args:
            queries: the question, a single one.
            n: length of the list.
            former: what was found for a history much like this one.

        Raises:
            ValueError: several questions.
            FloatingPointError: the model has NaN weights.
        """
        if len(queries) != 1:
            raise ValueError(f"{len(queries)} questions; ask one at a time")
        self._model.check_queries(queries)
        history = np.maximum(queries.history.items, 0)
        weights = self._linear.row_weights(queries)
        if not weights.any():
            return self._of_nothing(queries, n)
        bounded = self._fold(history, weights, former)
        # What the sums that are added up for every item can be off by.
        rounding = _ULP * (len(history) + 2) * float(np.abs(weights) @ self._largest.take(history))
        last = None if former is None else former.best
        candidates = self._possible(bounded, rounding, queries.excluded.items, n, last)
        if candidates is None and bounded.width > 2 * rounding:
            bounded = self._fold(history, weights, None, slack=0.0)
            candidates = self._possible(bounded, rounding, queries.excluded.items, n, last)
        if candidates is None:
            return BoundedList(self._model.recommend(queries, n), None, bounded)
        pair_weights = self._look(bounded.past, candidates, former)
        same = pair_weights.candidates is candidates
        pairs = pair_weights.pairs if same else pair_weights.pairs.take(_places(pair_weights, candidates), axis=1)
        # A single column is added up in another order than several are.
        table = pairs if len(candidates) > 1 else np.repeat(pairs, 2, axis=1)
        scores = weighted_rows(torch.from_numpy(table), np.arange(len(history)), weights)[: len(candidates)]
        # As `top_n` lists them; of so few a sort of all is the fastest.
        chosen = np.lexsort((self._tie_rank[candidates], -scores))[:n]
        best = candidates[chosen]
        contributions = torch.from_numpy(weights[:, None] * pairs.take(chosen, axis=1))
        found = Recommendations(best[None], scores[None, chosen])
        known = (
            bounded.pair_weights is pair_weights and bounded.best is not None and np.array_equal(bounded.best[:n], best)
        )
        return BoundedList(
            found, contributions, bounded if known else replace(bounded, best=best, pair_weights=pair_weights)
        )

    def _look(self, past: ByItem, candidates: Items, former: BoundedScores | None) -> PairWeights:
        """Return the weights from a history to the candidates at least, of which most may be known."""
        history = past.history
        if former is None or former.pair_weights is None:
            return PairWeights(candidates, table_weights(self._rows, history, candidates))
        known = former.pair_weights
        column = _places(known, candidates)
        has_column = known.candidates[column] == candidates
        same = past is former.past
        if same and has_column.all():
            return known
        event, has_event = (slice(None), np.ones(len(history), np.bool_)) if same else former.past.events(history)
        pairs = np.empty((len(history), len(candidates)), np.float32)
        pairs[:, has_column] = known.pairs[event][:, column[has_column]]
        pairs[:, ~has_column] = table_weights(self._rows, history, candidates[~has_column])
        pairs[~has_event] = table_weights(self._rows, history[~has_event], candidates)
        return PairWeights(candidates, pairs)

    def _of_nothing(self, queries: Queries, n: int) -> BoundedList:
        """Return what is listed where nothing has a weight: what is used most."""
        order = self._model.fitted_on.tie_order.numpy()
        left_out = np.zeros(len(order), np.bool_)
        left_out[queries.excluded.items[queries.excluded.items != UNKNOWN]] = True
        first = order[: n + int(left_out.sum())]
        listed = first[~left_out[first]][:n]
        items = np.full((1, n), UNKNOWN, np.int32)
        items[0, : len(listed)] = listed
        scores = np.where(items == UNKNOWN, -np.inf, 0.0).astype(np.float32)
        none = torch.zeros(len(queries.history.items), n) if len(listed) == n else None
        return BoundedList(Recommendations(items, scores), none, None)

    def _possible(
        self, bounded: BoundedScores, rounding: float, excluded: Items, n: int, best: Items | None
    ) -> Items | None:
        """Return the items that can be among the n best, rising; None if they are too many, or too few for a list.

        Args:
            bounded: the scores.
            rounding: what sums that are added up for every item can be off by.
            excluded: items that are not asked for; what is unknown is -1.
            n: length of the list.
            best: items that are probably the best, each once; used where they are enough for a list.
        """
        scores = bounded.scores
        if n > len(scores) or len(scores) == 1:
            return None
        allowed = np.ones(len(scores) + 1, np.bool_)  # and a place for what is unknown
        allowed[excluded] = False
        allowed = allowed[:-1]
        off, eligible = bounded.width + 2 * rounding, allowed
        if best is not None and len(best) >= n and allowed[best[:n]].all():
            # Any n items tell how good the n best are at least.
            eligible = allowed & (scores >= _just_below(float(scores[best[:n]].min()) - off))
        considered = np.flatnonzero(eligible)
        if len(considered) < n:
            return None
        # The n items with the largest of these scores are at least as good as that.
        of_these = scores[considered]
        least = float(np.partition(of_these, -n)[-n]) - off
        if not np.isfinite(least):
            return None
        possible = considered[of_these >= _just_below(least)].astype(np.int32)
        return possible if len(possible) <= n + _MOST else None

    def _fold(
        self, history: Items, weights: Floats, former: BoundedScores | None, slack: float = _SLACK
    ) -> BoundedScores:
        """Return the scores of a history, in intervals that are narrow unless `former`'s are wide.

        Args:
            history: "events", known items.
            weights: "events".
            former: to start from.
            slack: how wide the intervals may be, see `_SLACK`.
        """
        same = former is not None and np.array_equal(former.past.history, history)
        past = former.past if former is not None and same else ByItem.of(history)
        weight = past.weights(weights)
        width = slack * float(np.abs(weight) @ self._spread.take(past.items))
        if former is not None and slack > 0:
            if same and np.array_equal(weight, former.weights):
                return former
            factor, rows, change = _difference(past, weight, former)
            if factor * former.width <= _WORN * width:
                return self._read(past, weight, rows, change, width, former, factor)
        return self._read(past, weight, past.items, weight, 0.5 * width)

    def _read(
        self,
        past: ByItem,
        weight: Doubles,
        rows: Items,
        change: Doubles,
        width: float,
        former: BoundedScores | None = None,
        factor: float = 0.0,
    ) -> BoundedScores:
        """Return `factor` times the scores of `former` plus the rows that matter, of those that have changed."""
        cost = np.abs(change) * self._spread[rows]
        order = np.argsort(cost)
        room = width - (0.0 if former is None else factor * former.width)
        count = int(np.searchsorted(np.cumsum(cost[order]), max(room, 0.0), side="right")) if room > 0 else 0
        left, read = order[:count], np.sort(order[count:])
        more, less = np.maximum(change[left], 0.0), np.maximum(-change[left], 0.0)
        high, low = self._highest[rows[left]], self._lowest[rows[left]]
        above, below = float(more @ high + less @ low), float(more @ low + less @ high)
        scores = weighted_rows(self._rows, rows[read].astype(np.int64), change[read].astype(np.float32))
        summed = float(np.abs(change[read]) @ self._largest[rows[read]])
        if former is not None:
            scores += np.float32(factor) * former.scores
            above, below = above + factor * former.above, below + factor * former.below
            summed += factor * float(np.abs(former.scores).max())
        rounding = _ULP * (len(read) + 4) * summed
        return BoundedScores(past, weight, scores, above + rounding, below + rounding)


def _just_below(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(-np.inf)))


def _places(pair_weights: PairWeights, candidates: Items) -> npt.NDArray[np.int64]:
    """Return where candidates are among those pair_weights up; of one that is not, any place."""
    return np.asarray(
        np.minimum(np.searchsorted(pair_weights.candidates, candidates), len(pair_weights.candidates) - 1)
    )


def weighted_rows(rows: Float[Tensor, "rows n"], index: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """Return sum_j weights_j rows[index_j], "n": of several columns each is added up alike, whatever the others are."""
    # On a CPU embedding_bag is the fastest sparse product.
    found: Floats = torch.nn.functional.embedding_bag(
        torch.from_numpy(index),
        rows,
        torch.zeros(1, dtype=torch.int64),
        mode="sum",
        per_sample_weights=torch.from_numpy(weights),
    )[0].numpy()
    return found


def _difference(past: ByItem, weight: Doubles, former: BoundedScores) -> tuple[float, Items, Doubles]:
    """Return c, the rows of both histories, and by how much their weights differ from c times the former ones."""
    items, then = past.items, former.past.items
    if past is former.past:
        before, gone = former.weights, np.zeros(0, np.int64)
    else:
        place = np.minimum(np.searchsorted(then, items), len(then) - 1)
        stayed = then[place] == items
        before = np.where(stayed, former.weights[place], 0.0)
        left = np.ones(len(then), np.bool_)
        left[place[stayed]] = False
        gone = np.flatnonzero(left)
    common = np.flatnonzero((before > 0) & (weight > 0))
    if len(common) == 0:
        return 0.0, items, weight
    ratio = weight[common] / before[common]
    order = np.argsort(ratio)
    until = np.cumsum(before[common[order]])
    # In single precision, as it will multiply such numbers.
    factor = float(np.float32(ratio[order[np.searchsorted(until, 0.5 * until[-1])]]))
    change = weight - factor * before
    if len(gone) == 0:
        return factor, items, change
    return factor, np.concatenate([items, then[gone]]), np.concatenate([change, -factor * former.weights[gone]])
