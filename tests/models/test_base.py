"""The machinery every model shares: masking, ties, padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nst

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError
from recsys.models.base import as_fold_in, top_n
from recsys.models.bpr import BPR
from recsys.models.linear.ease import EASE
from recsys.models.popularity import Popularity

_SCORES = nst.arrays(
    np.float32,
    nst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]),
)


@given(_SCORES, st.integers(1, 12))
def test_top_n_equals_sorting_by_score_then_item(scores: np.ndarray, n: int) -> None:
    items, values = top_n(torch.from_numpy(scores.copy()), n)
    for row, (found, value) in enumerate(zip(items, values, strict=True)):
        order = sorted(range(scores.shape[1]), key=lambda item: (-scores[row, item], item))
        expected = [item for item in order if scores[row, item] > -np.inf][:n]
        assert found.tolist() == expected + [UNKNOWN] * (n - len(expected))
        assert value[: len(expected)].tolist() == scores[row, expected].tolist()
        assert (value[len(expected) :] == -np.inf).all()


def test_nan_scores_are_a_defect_and_raise() -> None:
    with pytest.raises(FloatingPointError, match="NaN"):
        top_n(torch.tensor([[0.0, float("nan")]]), 1)


@pytest.fixture
def popular() -> Popularity:
    """Items 0, 1, 2 used by three, two and one users."""
    return Popularity().fit(Interactions.from_columns([0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 1, 2]))


def test_the_history_is_masked_unless_other_exclusions_are_given(popular: Popularity) -> None:
    queries = Queries.from_history([[0], []])
    assert popular.recommend(queries, 3).items.tolist() == [[1, 2, UNKNOWN], [0, 1, 2]]
    nothing = Queries(
        queries.users,
        queries.history,
        queries.values,
        queries.times,
        queries.now,
        exclude=Ragged.of([[], [2, UNKNOWN]]),
    )
    assert popular.recommend(nothing, 3).items.tolist() == [[0, 1, 2], [0, 1, UNKNOWN]]


def test_candidates_are_ranked_alone_and_exclusions_still_hold(popular: Popularity) -> None:
    queries = Queries.from_history([[0], []])
    answer = popular.recommend(queries, 2, candidates=Ragged.of([[0, 2], [2, 1]]))
    assert answer.items.tolist() == [[2, UNKNOWN], [1, 2]]
    assert answer.scores[0].tolist() == [1.0, -np.inf]


def test_recommending_does_not_change_the_model(popular: Popularity) -> None:
    queries = Queries.from_history([[0]])
    popular.recommend(queries, 1)
    assert popular.score(queries).tolist() == [[3.0, 2.0, 1.0]]


def test_fold_in_is_a_capability(block_log: Interactions) -> None:
    model = EASE().fit(block_log)
    assert as_fold_in(model, "decay") is model
    with pytest.raises(CapabilityError, match="BPR cannot fold in a history, which decay needs; use EASE"):
        as_fold_in(BPR(), "decay")


def test_effort_is_what_the_fit_did(block_log: Interactions) -> None:
    assert EASE().effort is None
    effort = EASE().fit(block_log).effort
    assert effort is not None
    assert (effort.epochs, effort.examples) == (1, len(block_log))
    effort = BPR(epochs=3).fit(block_log).effort
    assert effort is not None
    assert (effort.epochs, effort.examples) == (3, 3 * len(block_log))
    assert effort.seconds > 0


def test_fitted_on_remembers_the_log(block_log: Interactions) -> None:
    known = Popularity().fit(block_log).fitted_on
    assert known.users == block_log.users
    assert known.items == block_log.items
    assert (known.clock, known.dataset, known.fingerprint) == ("seconds", "blocks", block_log.fingerprint)


def test_equal_scores_are_listed_in_the_order_of_their_ranks() -> None:
    rank = torch.tensor([2, 1, 3, 0])
    items, _ = top_n(torch.zeros(1, 4), 2, rank)
    assert items.tolist() == [[3, 1]]
    items, _ = top_n(torch.tensor([[0.0, 1.0, 1.0, 0.0]]), 4, rank)
    assert items.tolist() == [[1, 2, 3, 0]]


def test_somebody_without_a_history_is_recommended_what_is_popular() -> None:
    log = Interactions.from_columns([0, 1, 2, 0, 1, 0], [7, 7, 7, 5, 5, 6])
    top = EASE(1.0).fit(log).recommend(Queries.from_history([[]]), 3).items
    assert log.items.ids[top[0]].tolist() == [7, 5, 6]
