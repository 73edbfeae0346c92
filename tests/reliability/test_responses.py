"""Responses of a log, and the conditions that come from its order."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import DataError
from recsys.reliability import Responses
from recsys.reliability.agreement import FLOOR, agreement_weights
from recsys.types import HOUR


def _log(values: list[float], times: list[int] | None = None) -> Interactions:
    size = len(values)
    return Interactions.from_columns([1] * size, range(size), values, times)


def test_ratings_are_answers_and_other_events_are_counted() -> None:
    answers = Responses.of(_log([4, float("nan"), 2]))
    assert answers.value.tolist() == [4, 2]
    assert (answers.unrated, answers.n_pairs, answers.names) == (1, 2, ())
    assert answers.levels is not None
    assert answers.levels.tolist() == [2, 4]


def test_the_order_gives_the_place_in_the_sitting_and_the_pause() -> None:
    answers = Responses.of(_log([1, 2, 3], [0, 60, 60 + 20 * HOUR]))
    assert answers.names == ("place in the sitting", "pause")
    place = answers.condition[:, 0]
    assert place[0] == place[2] < place[1]
    np.testing.assert_allclose(answers.condition[:, 1], np.log1p([0, 60, 0]))


def test_histories_have_the_conditions_that_the_log_has() -> None:
    log = _log([1, float("nan"), 3, 2], [0, 60, 80, 80 + 20 * HOUR])
    of_log = Responses.of(log)
    of_queries, place = Responses.of_queries(Queries.from_interactions(log), log.n_items, log.clock)
    assert place.tolist() == [0, 2, 3]
    assert of_queries.names == of_log.names
    np.testing.assert_array_equal(of_queries.condition, of_log.condition)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ([0.0, 1.0], "'shown' has 2 numbers for 3 events"),
        ([0.0, float("inf"), 1.0], "'shown', event 1: inf is no finite number"),
        ([0.0, float("nan"), 1.0], r"event 1: nan is no finite number \(1 of 3 events\)"),
    ],
)
def test_bad_conditions_name_the_event(condition: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Responses.of(_log([1, 2, 3]), {"shown": condition})


def test_a_log_of_one_value_is_refused_with_the_cure() -> None:
    with pytest.raises(DataError, match=r"the value 1 alone.*mixture=None"):
        Responses.of(_log([1, 1]))


def test_agreement_is_a_rank_within_the_history() -> None:
    weights = agreement_weights(np.array([3, 1, 2, 9], np.float32), np.array([0, 0, 0, 4]))
    np.testing.assert_allclose(weights, FLOOR + (1 - FLOOR) * np.array([5 / 6, 1 / 6, 0.5, 0.5]))


def test_events_that_agree_alike_count_alike() -> None:
    weights = agreement_weights(np.array([2, 2, 1, 2, 5], np.float32), np.array([0, 0, 0, 0, 3]))
    np.testing.assert_allclose(weights, FLOOR + (1 - FLOOR) * np.array([5 / 8, 5 / 8, 1 / 8, 5 / 8, 1 / 2]))
    assert len(agreement_weights(np.zeros(0, np.float32), np.zeros(0, np.int64))) == 0
