"""The best items by the rows that matter, against those by all rows: the same to the last bit."""

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
from recsys.models import EASE, LinearAMPCF
from recsys.models.base import FittedOn
from recsys.models.linear.bounded_top_n import BoundedScores, BoundedTopN


def _model(weights: npt.NDArray[np.float32], counts: npt.NDArray[np.int64]) -> LinearAMPCF:
    """Return a model with this matrix, and a log in which item i has counts[i] + 1 events."""
    items = np.repeat(np.arange(len(weights)), counts + 1)
    log = Interactions.from_columns(np.arange(len(items)), items, times=np.arange(len(items)))
    routing = np.random.default_rng(0).dirichlet(np.ones(2), len(weights)).astype(np.float32)
    return LinearAMPCF(personas=2).restore(FittedOn.of(log), {"weights": weights, "routing": routing})


def _question(
    items: npt.NDArray[np.int32], weights: npt.NDArray[np.float32] | None, excluded: npt.NDArray[np.int32]
) -> Queries:
    asked = Queries.from_history([items])
    return replace(asked.with_weights(weights), exclude=Ragged.of([excluded]))


def _same(
    model: LinearAMPCF, reader: BoundedTopN, asked: Queries, n: int, former: BoundedScores | None
) -> BoundedScores | None:
    """Ask both ways, compare, and return what the next question can start from."""
    best = reader.best(asked, n, former)
    plain = model.recommend(asked, n)
    assert best.found.items.tolist() == plain.items.tolist()
    assert best.found.scores.tolist() == plain.scores.tolist()
    assert best.found.items.dtype == np.int32
    if best.contributions is not None:
        assert UNKNOWN not in plain.items
        assert best.contributions.tolist() == model.contributions(asked, plain.items).tolist()
    bounded = best.bounded
    if bounded is not None:
        weight = np.zeros(model.n_items)
        np.add.at(weight, np.maximum(asked.history.items, 0), model.row_weights(asked).astype(np.float64))
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
    fading=st.sampled_from([None, 0.0, 0.5, 0.9, 1.0]),
    moves=st.lists(st.sampled_from(["same", "later", "event", "other", "exclude", "forget"]), max_size=6),
)
def test_the_list_is_that_of_all_rows_whatever_was_asked_before(
    seed: int, n_items: int, length: int, n: int, coarse: bool, fading: float | None, moves: list[str]
) -> None:
    source = np.random.default_rng(seed)
    weights = (source.standard_normal((n_items, n_items)) ** 3).astype(np.float32)
    if coarse:  # so that scores tie
        weights = np.round(weights)
    model = _model(weights, source.integers(0, 4, n_items))
    reader = BoundedTopN(model)
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
        elif move == "later" and fading is not None:
            fading = min(1.0, fading * (1 + 0.02 * source.random()))
        faded = None if fading is None else (fading ** np.arange(len(items))[::-1]).astype(np.float32)
        former = _same(model, reader, _question(items, faded, excluded), n, former) or former


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 33])
def test_lists_of_any_length_have_the_same_bits(n: int) -> None:
    source = np.random.default_rng(n)
    model = _model((source.standard_normal((300, 300)) ** 3).astype(np.float32), source.integers(0, 9, 300))
    reader = BoundedTopN(model)
    for length in (1, 2, 9, 60, 250):
        items = source.permutation(300)[:length].astype(np.int32)
        faded = source.random(length).astype(np.float32)
        assert _same(model, reader, _question(items, faded, items), n, None) is not None


def test_what_was_looked_up_is_not_looked_up_again() -> None:
    source = np.random.default_rng(5)
    model = _model((source.standard_normal((300, 300)) ** 3).astype(np.float32), source.integers(0, 9, 300))
    reader = BoundedTopN(model)
    items = source.permutation(300)[:50].astype(np.int32)
    asked = _question(items, None, items)
    first = _same(model, reader, asked, 20, None)
    assert first is not None
    assert first.pair_weights is not None
    fewer = _same(model, reader, asked, 5, first)
    assert fewer is first
    more = _same(model, reader, asked, 40, fewer)
    assert more is not None
    assert more.pair_weights is not None
    assert len(more.pair_weights.candidates) >= 40 > len(first.pair_weights.candidates) >= 20
    assert _same(model, reader, asked, 20, more) is more


def test_what_has_faded_is_not_read() -> None:
    source = np.random.default_rng(1)
    model = _model(np.abs(source.standard_normal((500, 500)) ** 3).astype(np.float32), source.integers(0, 9, 500))
    reader = BoundedTopN(model)
    items = source.permutation(500)[:200].astype(np.int32)
    faded = _question(items, (0.8 ** np.arange(200)[::-1]).astype(np.float32), items)
    first = _same(model, reader, faded, 10, None)
    assert first is not None
    # Far wider than rounding: rows were left out, and the list is right all the same.
    assert first.width > 1e-3 * first.scores.max()
    assert reader.best(faded, 10, first).bounded is first
    later = _question(items, (0.799 ** np.arange(200)[::-1]).astype(np.float32), items)
    again = _same(model, reader, later, 10, first)
    assert again is not None
    assert again is not first


def test_a_state_that_has_worn_out_is_not_built_on() -> None:
    source = np.random.default_rng(2)
    model = _model(np.abs(source.standard_normal((300, 300))).astype(np.float32), source.integers(0, 9, 300))
    reader = BoundedTopN(model)
    items = source.permutation(300)[:40].astype(np.int32)
    asked = _question(items, None, items)
    exact = reader.best(asked, 10).bounded
    assert exact is not None
    worn = replace(exact, weights=exact.weights * 1.5, above=1e6)
    renewed = _same(model, reader, asked, 10, worn)
    assert renewed is not None
    assert renewed.above < 1.0


def test_weights_that_are_no_numbers_are_a_defect() -> None:
    weights = np.eye(100, dtype=np.float32)
    weights[3, 7] = np.nan
    model = _model(weights, np.zeros(100, np.int64))
    none = np.zeros(0, np.int32)
    with pytest.raises(FloatingPointError):
        BoundedTopN(model).best(_question(np.asarray([3, 4], np.int32), None, none), 5)


def test_one_question_of_a_linear_model_at_a_time() -> None:
    model = _model(np.eye(5, dtype=np.float32), np.zeros(5, np.int64))
    with pytest.raises(ValueError, match="one at a time"):
        BoundedTopN(model).best(Queries.from_history([[1], [2]]), 2)
    with pytest.raises(TypeError, match="EASE"):
        BoundedTopN(EASE())
    assert BoundedTopN(model).nbytes == 4 * 5 * 8
