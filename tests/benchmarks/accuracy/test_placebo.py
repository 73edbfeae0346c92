"""With the model's own routing the placebo is the model itself."""

from __future__ import annotations

import numpy as np

from benchmarks.accuracy.placebo import compare_with_placebo, placebo_lists
from recsys.data.splits.standard import split
from recsys.models import LinearAMPCF
from recsys.worlds.simulation import simulated_log


def test_the_models_own_routing_gives_the_models_own_lists() -> None:
    cut = split(simulated_log(n_users=120, n_items=60, events_per_user=25), "random", seed=0)
    model = LinearAMPCF(3, factors=8).fit(cut.train)
    expected = model.recommend(cut.test.queries, 10).items
    lists = placebo_lists(model, model.routing(), cut)
    assert (lists == expected).mean() > 0.99  # rounding may swap neighbours
    shuffled = placebo_lists(model, np.random.default_rng(0).permutation(model.routing()), cut)
    assert (shuffled != expected).any()


def test_the_table_has_every_comparison() -> None:
    cut = split(simulated_log(n_users=120, n_items=60, events_per_user=25), "random", seed=0)
    table = compare_with_placebo(cut, seeds=1)
    assert set(table["difference"]) == {"personas - twin", "placebo - twin", "personas - placebo"}
    wide = table.pivot(index="metric", columns="difference", values="diff")
    sums = wide["placebo - twin"] + wide["personas - placebo"]
    np.testing.assert_allclose(sums, wide["personas - twin"], atol=1e-9)
