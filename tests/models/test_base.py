"""The contract shared by every model: masking, fold-in, effort."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.decay import GlobalHalfLife
from recsys.errors import CapabilityError
from recsys.models import AMPCF, Decayed
from recsys.models.bpr import BPR
from recsys.models.capabilities import as_fold_in
from recsys.models.linear.ease import EASE
from recsys.models.popularity import Popularity
from recsys.training.trainable import Optimization


@pytest.fixture
def popular() -> Popularity:
    """Items 0, 1, 2 used by three, two and one users."""
    return Popularity().fit(Interactions.from_columns([0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 1, 2]))


def test_the_history_is_masked_unless_exclude_is_given(popular: Popularity) -> None:
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


def test_only_candidates_are_ranked_and_exclusions_hold(popular: Popularity) -> None:
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


def test_effort_of_a_fit(block_log: Interactions) -> None:
    assert EASE().effort is None
    effort = EASE().fit(block_log).effort
    assert effort is not None
    assert (effort.epochs, effort.examples) == (1, len(block_log))
    effort = BPR(epochs=3).fit(block_log).effort
    assert effort is not None
    assert (effort.epochs, effort.examples) == (3, 3 * len(block_log))
    assert effort.seconds > 0


def test_fitted_on_describes_the_log(block_log: Interactions) -> None:
    fitted_on = Popularity().fit(block_log).fitted_on
    assert fitted_on.users == block_log.users
    assert fitted_on.items == block_log.items
    assert (fitted_on.clock, fitted_on.dataset, fitted_on.fingerprint) == ("seconds", "blocks", block_log.fingerprint)


def test_a_user_without_history_is_recommended_popular_items() -> None:
    log = Interactions.from_columns([0, 1, 2, 0, 1, 0], [7, 7, 7, 5, 5, 6])
    top = EASE(1.0).fit(log).recommend(Queries.from_history([[]]), 3).items
    assert log.items.ids[top[0]].tolist() == [7, 5, 6]


def test_a_model_is_shown_with_the_arguments_that_are_not_its_defaults() -> None:
    assert repr(EASE()) == "EASE()"
    model = Decayed(AMPCF(8, optimization=Optimization(epochs=3)), GlobalHalfLife(3.0), calibration=0.2)
    optimization = repr(Optimization(epochs=3))
    inner = f"AMPCF(embedding_size=8, optimization={optimization})"
    assert repr(model) == f"Decayed(model={inner}, rule=GlobalHalfLife(half_life=3.0), calibration=0.2)"
