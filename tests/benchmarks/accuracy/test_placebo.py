"""With the model's own routing the placebo is the model itself."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy.placebo import METRICS, compare_with_placebo, placebo_lists
from recsys.data.splits.standard import split
from recsys.evaluation.significance import holm
from recsys.models import PersonaEASE
from recsys.worlds.simulation import simulated_log


def test_the_models_own_routing_gives_the_models_own_lists() -> None:
    cut = split(simulated_log(n_users=120, n_items=60, events_per_user=25), "random", seed=0)
    model = PersonaEASE(3, factors=8).fit(cut.train)
    expected = model.recommend(cut.test.queries, 10).items
    lists = placebo_lists(model, model.routing(), cut)
    assert (lists == expected).mean() > 0.99  # rounding may swap neighbours
    shuffled = placebo_lists(model, np.random.default_rng(0).permutation(model.routing()), cut)
    assert (shuffled != expected).any()


def test_every_comparison_averages_seeds_and_is_of_one_family() -> None:
    cut = split(simulated_log(n_users=120, n_items=60, events_per_user=25), "random", seed=0)
    pairs = compare_with_placebo(cut, seeds=2)
    diff = {(pair.own, pair.other, pair.metric): pair.diff for pair in pairs}
    assert len(diff) == 3 * len(METRICS)
    for metric in METRICS:
        through = diff["placebo", "twin", metric] + diff["personas", "placebo", metric]
        assert diff["personas", "twin", metric] == pytest.approx(through, abs=1e-9)
    np.testing.assert_allclose([pair.p_holm for pair in pairs], holm([pair.p for pair in pairs]))
    assert all(len(pair.by_seed) == 2 for pair in pairs)
