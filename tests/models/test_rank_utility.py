"""Utilities of hypotheses against a loop that follows the formula."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.models import rank_utility
from recsys.models.item_sample import ItemSample
from recsys.models.rank_utility import UNDECIDED, rank_utilities
from tests.evaluation.evaluation_models import FixedScores, MostUsed, SumOfRows, random_log

Floats = npt.NDArray[np.float32]


@pytest.fixture
def model() -> SumOfRows:
    log = random_log()
    rows = np.random.default_rng(3).integers(0, 4, (log.n_items, log.n_items)).astype(np.float32)
    return SumOfRows(rows).fit(log)


def naive(
    model: SumOfRows, queries: Queries, items: npt.NDArray[np.int32], hypotheses: Floats, item_sample: ItemSample
) -> Floats:
    result = np.full((len(queries), len(hypotheses)), UNDECIDED, np.float32)
    counts = dict(zip(item_sample.items.tolist(), item_sample.stands_for.tolist(), strict=True))
    for q in range(len(queries)):
        begin, end = queries.history.indptr[q : q + 2]
        row = queries.history.items[begin:end]
        others = [i for i in counts if i != items[q] and i not in row]
        if not np.any(row != UNKNOWN):
            continue
        for h, weights in enumerate(hypotheses):
            # Of two events with one item the later counts, as in the state that the model reads.
            counted = {int(item): weight for item, weight in zip(row, weights[begin:end], strict=True) if item >= 0}
            score = {i: sum(w * model.rows[j, i] for j, w in counted.items()) for i in [*others, items[q]]}
            rank = 0.0
            for other in others:
                rank += counts[other] * (score[other] > score[items[q]])
                used, own = model.fitted_on.item_counts[[other, items[q]]]
                rank += counts[other] * ((used > own) + 0.5 * (used == own)) * (score[other] == score[items[q]])
            result[q, h] = 1 - np.log2(1 + rank) / np.log2(1 + sum(counts[i] for i in others))
    return result


def questions(seed: int) -> tuple[Queries, npt.NDArray[np.int32], Floats]:
    rng = np.random.default_rng(seed)
    rows = [rng.integers(-1, 30, rng.integers(0, 9)) for _ in range(25)]
    queries = Queries.from_history([*rows, [UNKNOWN, UNKNOWN], []])
    # Quarters: sums are exact, so that the naive loop has the same ties.
    hypotheses = (rng.integers(0, 5, (3, len(queries.history.items))) / 4).astype(np.float32)
    return queries, rng.integers(0, 30, len(queries)).astype(np.int32), hypotheses


@pytest.mark.parametrize(("block", "newest"), [(1, 160), (40, 2), (1_000_000, 3)])
def test_utilities_are_those_of_a_loop(
    model: SumOfRows, block: int, newest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank_utility, "_CONTRIBUTIONS", block)
    monkeypatch.setattr(rank_utility, "_NEWEST", newest)
    item_sample = ItemSample(np.array([1, 4, 9, 10, 22, 28], np.int32), np.array([1, 1, 2.5, 4, 3, 8], np.float32))
    for seed in range(4):
        queries, items, hypotheses = questions(seed)
        got = rank_utilities(model, queries, items, hypotheses, item_sample)
        np.testing.assert_allclose(got, naive(model, queries, items, hypotheses, item_sample), rtol=0, atol=1e-6)
        assert got.dtype == np.float32
        assert np.all(got[-2:] == UNDECIDED)


def test_without_a_panel_the_model_has_one_and_weights_of_the_query_do_not_matter(model: SumOfRows) -> None:
    queries, items, hypotheses = questions(0)
    weighted = queries.with_weights(np.zeros(len(queries.history.items), np.float32))
    expected = naive(
        model, queries, items, hypotheses, ItemSample(np.arange(30, dtype=np.int32), np.ones(30, np.float32))
    )
    np.testing.assert_allclose(rank_utilities(model, weighted, items, hypotheses), expected, rtol=0, atol=1e-6)


def test_what_is_as_good_as_gone_still_has_its_rank(model: SumOfRows) -> None:
    # Products of these weights with such rows are below the smallest float.
    little = SumOfRows(model.rows * np.float32(2.0**-30)).fit(random_log())
    for seed in range(4):
        queries, items, hypotheses = questions(seed)
        got = rank_utilities(little, queries, items, hypotheses * np.float32(2.0**-126))
        np.testing.assert_array_equal(got, rank_utilities(model, queries, items, hypotheses))


def test_first_is_one_and_last_is_zero() -> None:
    log = random_log()
    rows = np.zeros((30, 30), np.float32)
    rows[0, 1], rows[0, 2:] = 2, 1  # after item 0 comes item 1; behind all is item 0 itself
    rows[3, 1], rows[3, 2:] = -2, 1
    model = SumOfRows(rows).fit(log)
    queries = Queries.from_history([[0, 3]])
    hypotheses = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    got = rank_utilities(model, queries, np.array([1], np.int32), hypotheses)
    # 27 others: 30 less the item and the two of the history. Where nothing weighs anything popularity decides.
    counts = model.fitted_on.item_counts
    others = np.delete(counts, [0, 1, 3])
    rank = (others > counts[1]).sum() + (others == counts[1]).sum() / 2
    np.testing.assert_allclose(got, [[1, 0, 1 - np.log2(1 + rank) / np.log2(28)]], atol=1e-6)


def test_of_several_items_the_utility_is_the_mean_and_none_stands_in_the_way_of_another(model: SumOfRows) -> None:
    queries, items, hypotheses = questions(2)
    rng = np.random.default_rng(5)
    rows = [np.append(rng.choice(np.delete(np.arange(30), item), row % 4), item) for row, item in enumerate(items)]
    got = rank_utilities(model, queries, Ragged.of(rows), hypotheses)
    sample = model.fitted_on.item_sample
    for row, followed in enumerate(rows):
        begin, end = queries.history.indptr[row : row + 2]
        alone, weights = queries.take(np.asarray([row])), hypotheses[:, begin:end]
        each = []
        for item in followed.astype(np.int32):
            others = ~np.isin(sample.items, np.delete(followed, followed == item))
            rest = ItemSample(sample.items[others], sample.stands_for[others])
            each.append(naive(model, alone, np.asarray([item]), weights, rest)[0])
        np.testing.assert_allclose(got[row], np.mean(each, axis=0), rtol=0, atol=1e-6)


def test_what_cannot_be_judged_is_refused(model: SumOfRows) -> None:
    queries, items, hypotheses = questions(0)
    with pytest.raises(ValueError, match="item the model knows"):
        rank_utilities(model, queries, np.full(len(queries), UNKNOWN, np.int32), hypotheses)
    with pytest.raises(ValueError, match="at least one item"):
        rank_utilities(model, queries, Ragged.of([[1]] * (len(queries) - 1) + [[]]), hypotheses)
    with pytest.raises(ValueError, match="history events"):
        rank_utilities(model, queries, items, hypotheses[:, :-1])
    log = random_log()
    for other in (MostUsed().fit(log), FixedScores(np.zeros((log.n_users, log.n_items), np.float32)).fit(log)):
        with pytest.raises(CapabilityError, match="cannot fold in"):
            rank_utilities(other, queries, items, hypotheses)


def test_an_event_alone_is_judged_as_among_others(model: SumOfRows) -> None:
    queries, items, hypotheses = questions(1)
    together = rank_utilities(model, queries, items, hypotheses)
    for row in range(len(queries)):
        begin, end = queries.history.indptr[row : row + 2]
        alone = queries.take(np.asarray([row]))
        got = rank_utilities(model, alone, items[row : row + 1], hypotheses[:, begin:end])
        np.testing.assert_array_equal(got, together[[row]])


def test_a_small_catalogue_is_its_own_item_sample() -> None:
    item_sample = ItemSample.of(np.array([3, 0, 1, 7]), 3)
    assert item_sample.items.tolist() == [0, 2, 3]
    assert item_sample.stands_for.tolist() == [1, 1, 1]


def test_a_panel_has_the_most_used_and_a_fair_sample_of_the_others() -> None:
    counts = np.random.default_rng(0).zipf(1.5, 20_000).clip(0, 10_000)
    counts[::7] = 0
    item_sample = ItemSample.of(counts, 400)
    assert np.all(np.diff(item_sample.items) > 0)
    assert abs(len(item_sample.items) - 400) <= 1
    assert np.all(counts[item_sample.items] > 0)
    most_used = np.argsort(-counts, kind="stable")[:200]
    assert np.all(np.isin(most_used, item_sample.items))
    assert np.all(item_sample.stands_for >= 1 - 1e-6)
    # It stands for about as many items as there are, and for those of middling use too.
    assert abs(item_sample.stands_for.sum() / (counts > 0).sum() - 1) < 0.1
    some = counts[item_sample.items] == 2
    assert abs(item_sample.stands_for[some].sum() / (counts == 2).sum() - 1) < 0.2


def test_an_estimated_rank_is_near_the_exact_one() -> None:
    """Over many events the estimate is unbiased enough to tell good predictions from bad ones."""
    rng = np.random.default_rng(0)
    n_items = 3_000
    counts = np.sort(rng.zipf(1.3, n_items).clip(1, 1000))[::-1]
    scores = rng.normal(0, 1, (60, n_items)) + 0.5 * np.log(counts)
    item_sample = ItemSample.of(counts, 256)
    events = rng.integers(n_items, size=60)
    own = scores[np.arange(60), events][:, None]
    exact = (scores > own).sum(1)
    estimated = (scores[:, item_sample.items] > own) @ item_sample.stands_for
    assert abs(estimated.sum() / exact.sum() - 1) < 0.05
    assert np.corrcoef(estimated, exact)[0, 1] > 0.98
