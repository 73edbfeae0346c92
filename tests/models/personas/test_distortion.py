from __future__ import annotations

import numpy as np
import pytest

from recsys.data.queries import Queries
from recsys.models import EASE, WithPersonas
from recsys.models.personas.content import candidates, content_parts, distortion, systematic_distortion
from recsys.slates import Seats
from recsys.worlds.simulation import simulated_log


def test_lists_drawn_from_histories_distort_nobody() -> None:
    rng = np.random.default_rng(0)
    histories = rng.dirichlet(np.ones(6), 500)
    values = []
    for _ in range(200):
        drawn = np.stack([rng.multinomial(10, each) / 10 for each in histories])
        values.append(systematic_distortion(histories, drawn))
    assert abs(np.mean(values)) < 2 * np.std(values) / len(values) ** 0.5
    pulled = 0.9 * drawn + 0.1 * np.eye(6)[0]
    expected = ((pulled - histories).mean(0) ** 2).sum()
    assert systematic_distortion(histories, pulled) == pytest.approx(expected, rel=0.03)


def test_rows_that_tell_nothing_do_not_count() -> None:
    histories = np.asarray([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    lists = np.asarray([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    assert systematic_distortion(histories, lists) == 2.0
    assert np.isnan(systematic_distortion(histories[1:], lists[1:]))


def test_slates_choose_from_one_pool_what_recommend_lists() -> None:
    log = simulated_log(n_users=50, n_items=70, events_per_user=30)
    model, queries = WithPersonas(EASE(20.0)).fit(log), Queries.from_interactions(log)
    parts, owners = content_parts(log.metadata, model.dictionary), model.owners(queries, model.found(queries))
    pool = candidates(model, queries, owners, Seats().pool)
    histories = queries.matrix(len(parts)) @ parts
    for slate in (Seats(0.0, 0.0), Seats(0.1, 0.2)):
        listed = model.recommend(queries, 10, slate=slate, owners=owners).items
        lists = parts[listed].sum(1)
        expected = systematic_distortion(*(each / each.sum(1, keepdims=True) for each in (histories, lists)))
        assert distortion(pool, queries, parts, slate) == pytest.approx(expected)
