"""Bounded top n equals `recommend` to the last bit, whatever the former scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.models import EASE, ItemKNN, PersonaEASE
from recsys.models.base import FittedOn
from recsys.models.linear.bounded_top_n import BoundedScores, BoundedTopN


def _model(
    weights: npt.NDArray[np.float32], counts: npt.NDArray[np.int64], *, ease: bool = False
) -> EASE | PersonaEASE:
    """Return a model with this matrix, and a log in which item i has counts[i] + 1 events."""
    items = np.repeat(np.arange(len(weights)), counts + 1)
    log = Interactions.from_columns(np.arange(len(items)), items, times=np.arange(len(items)))
    routing = np.random.default_rng(0).dirichlet(np.ones(2), len(weights)).astype(np.float32)
    fitted = FittedOn.of(log)
    if ease:
        return EASE().restore(fitted, {"weights": weights})
    return PersonaEASE(personas=2).restore(fitted, {"weights": weights, "routing": routing})


def _query(
    items: npt.NDArray[np.int32], weights: npt.NDArray[np.float32] | None, excluded: npt.NDArray[np.int32]
) -> Queries:
    query = Queries.from_history([items])
    return replace(query.with_weights(weights), exclude=Ragged.of([excluded]))


def _check_equal(
    model: EASE | PersonaEASE, bounded_top_n: BoundedTopN, query: Queries, n: int, former: BoundedScores | None
) -> BoundedScores | None:
    """Compare both lists and return the scores from which the next query can start."""
    best = bounded_top_n.best(query, n, former)
    plain = model.recommend(query, n)
    assert best.recommendations.items.tolist() == plain.items.tolist()
    assert best.recommendations.scores.tolist() == plain.scores.tolist()
    assert best.recommendations.items.dtype == np.int32
    if best.contributions is not None:
        assert UNKNOWN not in plain.items
        assert best.contributions.tolist() == model.contributions(query, plain.items).tolist()
    bounded = best.bounded
    if bounded is not None:
        weight = np.zeros(model.n_items)
        np.add.at(weight, np.maximum(query.history.items, 0), model.row_weights(query).astype(np.float64))
        exact = weight @ model.rows().numpy().astype(np.float64)
        scores = bounded.scores.astype(np.float64)
        assert ((scores - bounded.below <= exact) & (exact <= scores + bounded.above)).all()
    return bounded


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_items=st.sampled_from([1, 2, 5, 40, 200, 700]),
    length=st.integers(0, 60),
    n=st.sampled_from([1, 3, 10, 50]),
    coarse=st.booleans(),
    ease=st.booleans(),
    decay=st.sampled_from([None, 0.0, 0.5, 0.9, 1.0]),
    moves=st.lists(st.sampled_from(["same", "later", "event", "other", "exclude", "forget"]), max_size=6),
)
def test_lists_equal_recommend_for_any_sequence_of_queries(
    seed: int, n_items: int, length: int, n: int, coarse: bool, ease: bool, decay: float | None, moves: list[str]
) -> None:
    source = np.random.default_rng(seed)
    weights = (source.standard_normal((n_items, n_items)) ** 3).astype(np.float32)
    if coarse:  # so that scores tie
        weights = np.round(weights)
    model = _model(weights, source.integers(0, 4, n_items), ease=ease)
    bounded_top_n = BoundedTopN(model)
    items = source.integers(-1, n_items, length).astype(np.int32)
    excluded = np.unique(items)
    former: BoundedScores | None = None
    for move in ["same", *moves]:
        if move == "event":
            items = np.append(items, source.integers(0, n_items, 1).astype(np.int32))
            excluded = np.union1d(excluded, items).astype(np.int32)
        elif move == "other":
            items = source.integers(-1, n_items, length).astype(np.int32)
        elif move == "exclude":
            excluded = source.integers(-1, n_items, length // 2).astype(np.int32)
        elif move == "forget":
            items = items[len(items) // 3 :]
        elif move == "later" and decay is not None:
            decay = min(1.0, decay * (1 + 0.02 * source.random()))
        decayed = None if decay is None else (decay ** np.arange(len(items))[::-1]).astype(np.float32)
        former = _check_equal(model, bounded_top_n, _query(items, decayed, excluded), n, former) or former


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 33])
def test_lists_of_any_length_are_equal(n: int) -> None:
    source = np.random.default_rng(n)
    model = _model((source.standard_normal((300, 300)) ** 3).astype(np.float32), source.integers(0, 9, 300))
    bounded_top_n = BoundedTopN(model)
    for length in (1, 2, 9, 60, 250):
        items = source.permutation(300)[:length].astype(np.int32)
        decayed = source.random(length).astype(np.float32)
        assert _check_equal(model, bounded_top_n, _query(items, decayed, items), n, None) is not None


def test_an_unchanged_query_reuses_the_scores() -> None:
    source = np.random.default_rng(5)
    model = _model((source.standard_normal((300, 300)) ** 3).astype(np.float32), source.integers(0, 9, 300))
    bounded_top_n = BoundedTopN(model)
    items = source.permutation(300)[:50].astype(np.int32)
    query = _query(items, None, items)
    first = _check_equal(model, bounded_top_n, query, 20, None)
    assert first is not None
    shorter = _check_equal(model, bounded_top_n, query, 5, first)
    assert shorter is first
    longer = _check_equal(model, bounded_top_n, query, 40, shorter)
    assert longer is not None
    assert longer.scores is first.scores
    assert _check_equal(model, bounded_top_n, query, 20, longer) is longer


def test_rows_of_decayed_events_are_not_read() -> None:
    source = np.random.default_rng(1)
    model = _model(np.abs(source.standard_normal((500, 500)) ** 3).astype(np.float32), source.integers(0, 9, 500))
    bounded_top_n = BoundedTopN(model)
    items = source.permutation(500)[:200].astype(np.int32)
    decayed = _query(items, (0.8 ** np.arange(200)[::-1]).astype(np.float32), items)
    first = _check_equal(model, bounded_top_n, decayed, 10, None)
    assert first is not None
    # Far wider than rounding: rows were left out, and the list is right all the same.
    assert first.width > 1e-3 * first.scores.max()
    assert bounded_top_n.best(decayed, 10, first).bounded is first
    later = _query(items, (0.799 ** np.arange(200)[::-1]).astype(np.float32), items)
    again = _check_equal(model, bounded_top_n, later, 10, first)
    assert again is not None
    assert again is not first


def test_scores_with_wide_intervals_are_not_reused() -> None:
    source = np.random.default_rng(2)
    model = _model(np.abs(source.standard_normal((300, 300))).astype(np.float32), source.integers(0, 9, 300))
    bounded_top_n = BoundedTopN(model)
    items = source.permutation(300)[:40].astype(np.int32)
    query = _query(items, None, items)
    exact = bounded_top_n.best(query, 10).bounded
    assert exact is not None
    wide = replace(exact, weights=exact.weights * 1.5, above=1e6)
    recomputed = _check_equal(model, bounded_top_n, query, 10, wide)
    assert recomputed is not None
    assert recomputed.above < 1.0


def test_nan_weights_raise() -> None:
    weights = np.eye(100, dtype=np.float32)
    weights[3, 7] = np.nan
    model = _model(weights, np.zeros(100, np.int64))
    none = np.zeros(0, np.int32)
    with pytest.raises(ConfigError):
        BoundedTopN(model).best(_query(np.asarray([3, 4], np.int32), None, none), 5)


def test_only_single_queries_of_linear_models() -> None:
    model = _model(np.eye(5, dtype=np.float32), np.zeros(5, np.int64))
    with pytest.raises(ValueError, match="one at a time"):
        BoundedTopN(model).best(Queries.from_history([[1], [2]]), 2)
    with pytest.raises(TypeError, match="ItemKNN"):
        BoundedTopN(ItemKNN())
    assert BoundedTopN(model).nbytes == 4 * 5 * 8
