"""Utilities of hypotheses against a loop that follows the formula."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.models import utility
from recsys.models.utility import UNDECIDED, draw_items, utilities, utilities_among
from tests.evaluation.evaluation_models import FixedScores, MostUsed, SumOfRows, random_log

Floats = npt.NDArray[np.float32]


@pytest.fixture
def model() -> SumOfRows:
    log = random_log()
    rows = np.random.default_rng(3).integers(0, 4, (log.n_items, log.n_items)).astype(np.float32)
    return SumOfRows(rows).fit(log)


def naive(
    model: SumOfRows, queries: Queries, items: npt.NDArray[np.int32], hypotheses: Floats, sampled: npt.NDArray[np.int32]
) -> Floats:
    result = np.full((len(queries), len(hypotheses)), UNDECIDED, np.float32)
    for q in range(len(queries)):
        begin, end = queries.history.indptr[q : q + 2]
        row = queries.history.items[begin:end]
        others = [i for i in sampled[q] if i != items[q] and i not in row]
        if not np.any(row != UNKNOWN) or not others:
            continue
        for h, weights in enumerate(hypotheses):
            # Of two events with one item the later counts, as in the state that the model reads.
            counted = {int(item): weight for item, weight in zip(row, weights[begin:end], strict=True) if item >= 0}
            score = {i: sum(w * model.rows[j, i] for j, w in counted.items()) for i in [*others, items[q]]}
            rank = 1.0
            for other in others:
                rank += score[other] > score[items[q]]
                rank += 0.5 * (score[other] == score[items[q]])
            result[q, h] = 1 - np.log2(rank) / np.log2(len(others) + 1)
    return result


def questions(seed: int) -> tuple[Queries, npt.NDArray[np.int32], Floats]:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(-1, 30, rng.integers(0, 9)) for _ in range(25)]
    queries = Queries.from_history([*rows, [UNKNOWN, UNKNOWN], []])
    # Quarters: sums are exact, so that the naive loop has the same ties.
    hypotheses = (rng.integers(0, 5, (3, len(queries.history.items))) / 4).astype(np.float32)
    return queries, rng.integers(0, 30, len(queries)).astype(np.int32), hypotheses


@pytest.mark.parametrize("block", [1, 40, 1_000_000])
def test_utilities_are_those_of_a_loop(model: SumOfRows, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utility, "_CONTRIBUTIONS", block)
    for seed in range(4):
        queries, items, hypotheses = questions(seed)
        sampled = np.random.default_rng(seed).integers(0, 30, (len(queries), 7)).astype(np.int32)
        got = utilities_among(model, queries, items, hypotheses, sampled)
        np.testing.assert_allclose(got, naive(model, queries, items, hypotheses, sampled), rtol=0, atol=1e-6)
        assert got.dtype == np.float32
        assert np.all(got[-2:] == UNDECIDED)


def test_draws_are_those_of_the_generator_and_weights_of_the_query_do_not_matter(model: SumOfRows) -> None:
    queries, items, hypotheses = questions(0)
    sampled = draw_items(model, np.random.default_rng(5).random((len(queries), 9)))
    expected = utilities_among(model, queries, items, hypotheses, sampled)
    weighted = queries.with_weights(np.zeros(len(queries.history.items), np.float32))
    got = utilities(model, weighted, items, hypotheses, 9, np.random.default_rng(5))
    np.testing.assert_array_equal(got, expected)


def test_first_is_one_and_last_is_zero() -> None:
    log = random_log()
    rows = np.zeros((30, 30), np.float32)
    rows[0, 1], rows[0, 2:] = 2, 1  # after item 0 comes item 1; behind all is item 0 itself
    rows[3, 1], rows[3, 2:] = -2, 1
    model = SumOfRows(rows).fit(log)
    queries = Queries.from_history([[0, 3]])
    sampled = np.arange(4, 14, dtype=np.int32)[None, :]
    hypotheses = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    got = utilities_among(model, queries, np.array([1], np.int32), hypotheses, sampled)
    np.testing.assert_allclose(got, [[1, 0, 1 - np.log2(6) / np.log2(11)]], atol=1e-6)


def test_items_are_drawn_by_the_root_of_their_popularity(model: SumOfRows) -> None:
    drawn = draw_items(model, np.random.default_rng(0).random((400, 500)))
    share = np.bincount(drawn.ravel(), minlength=30) / drawn.size
    expected = np.sqrt(model.fitted_on.item_counts)
    np.testing.assert_allclose(share, expected / expected.sum(), atol=0.002)
    ends = draw_items(model, np.array([[0.0, 1.0 - 1e-16]]))
    assert ends.tolist() == [[0, 29]]


def test_what_cannot_be_judged_is_refused(model: SumOfRows) -> None:
    queries, items, hypotheses = questions(0)
    sampled = np.zeros((len(queries), 2), np.int32)
    with pytest.raises(ValueError, match="item the model knows"):
        utilities_among(model, queries, np.full(len(queries), UNKNOWN, np.int32), hypotheses, sampled)
    with pytest.raises(ValueError, match="history events"):
        utilities_among(model, queries, items, hypotheses[:, :-1], sampled)
    log = random_log()
    for other in (MostUsed().fit(log), FixedScores(np.zeros((log.n_users, log.n_items), np.float32)).fit(log)):
        with pytest.raises(CapabilityError, match="cannot fold in"):
            utilities_among(other, queries, items, hypotheses, sampled)
