from __future__ import annotations

import numpy as np
import pytest

from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.explanations import cosine_evidence, model_evidence, popularity_evidence, random_evidence
from tests.explanations.explanation_models import LearnedTastes, movie_log


def test_cosine_is_that_of_the_columns_of_the_log() -> None:
    log = movie_log()
    columns = log.matrix().toarray().T
    unit = columns / np.linalg.norm(columns, axis=1, keepdims=True)
    queries = Queries.from_history([[0, 5, -1], [7]])
    found = cosine_evidence(log)(queries, np.array([3, 4], np.int32))
    expected = [unit[0] @ unit[3], unit[5] @ unit[3], 0.0, unit[7] @ unit[4]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_popularity_counts_each_user_once() -> None:
    log = movie_log()
    queries = Queries.from_history([[4, 0, 4, -1]])
    found = popularity_evidence(log)(queries, np.array([7], np.int32))
    assert found.tolist() == [0.0, 3.0, 4.0, 0.0]


def test_random_evidence_repeats_under_its_seed() -> None:
    queries, items = Queries.from_history([[0, 1, 2]]), np.array([5], np.int32)
    first, again, other = (random_evidence(seed)(queries, items) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_models_of_learned_users_have_no_contributions() -> None:
    with pytest.raises(CapabilityError, match="evidence by contribution"):
        model_evidence(LearnedTastes().fit(movie_log()))
