from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fidelity import smaller
from benchmarks.fidelity.command import leave_one_out_evidence, main
from benchmarks.fidelity.reported import differences, what_lost
from recsys.data.queries import Queries
from recsys.explanations.fidelity import fidelity
from recsys.explanations.methods import model_evidence
from recsys.models import EASE, LinearNextItem
from recsys.types import Ints
from recsys.worlds.simulation import simulated_log


def test_leave_one_out_is_the_contribution_where_events_do_not_depend_on_each_other() -> None:
    log = simulated_log(n_users=60, n_items=40, events_per_user=12)
    model = EASE(20.0).fit(log)
    queries = Queries.from_interactions(log, np.arange(20, dtype=np.int32))
    items = np.arange(20, dtype=np.int32)
    np.testing.assert_allclose(
        leave_one_out_evidence(model)(queries, items), model_evidence(model)(queries, items), atol=1e-5
    )


def test_leave_one_out_is_the_difference_of_two_scores_where_ages_shift() -> None:
    log = simulated_log(n_users=60, n_items=40, events_per_user=12)
    model = LinearNextItem((2.0,), 5.0).fit(log)
    queries = Queries.from_history([[3, 1, 4, 5]])
    without = Queries.from_history([[1, 4, 5], [3, 4, 5], [3, 1, 5], [3, 1, 4]])
    expected = model.score(queries)[:, 7] - model.score(without)[:, 7]
    result = leave_one_out_evidence(model)(queries, np.array([7], np.int32))
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_a_model_explained_by_chance_is_reported_as_losing() -> None:
    log = simulated_log(n_users=150, n_items=60, events_per_user=15)
    model = EASE(20.0).fit(log)
    own = model_evidence(model)
    methods = {"model": lambda queries, items: -own(queries, items), "honest": own}
    pairs = differences({"a log, a model": fidelity(model, Queries.from_interactions(log), log, methods=methods)})
    assert {pair.outcome for pair in pairs if pair.metric in ("del", "ins")} == {"lost"}
    assert "is worse than:\n    - a log, a model: honest by" in what_lost(pairs)


def test_report(tmp_path: Path) -> None:
    assert main(["--quick", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.index("## What lost") < text.index("## Reasons") < text.index("### simulated, ease_personas")
    assert "(100.0%) leave the list without the events" in text
    for evidence in ("leave-one-out", "cosine", "popularity", "random"):
        assert f"| {evidence} | POS |" in text
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    (one,) = result["measured"]
    assert one["reasons"]["dropped"] == one["reasons"]["because"] > 0
    assert one["means"]["model"]["del"] < one["means"]["random"]["del"]
    assert (tmp_path / "cdcg.png").exists()


def test_a_set_that_is_not_the_smallest_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    log = simulated_log(n_users=120, n_items=60, events_per_user=12)
    model = EASE(20.0).fit(log)
    queries = Queries.from_interactions(log)
    honest = smaller.compare(model, queries, 12, 5)
    assert (honest.items, honest.smaller, honest.missed) == (12, 0, 0)
    assert honest.with_set > 0

    def none(*_: object) -> list[None]:
        return [None]

    def five(_: object, places: list[int], *__: object) -> list[Ints]:
        return [np.arange(5) for _ in places]

    monkeypatch.setattr(smaller, "smallest_sets", none)
    assert smaller.compare(model, queries, 12, 5).missed > 0
    monkeypatch.setattr(smaller, "smallest_sets", five)
    assert smaller.compare(model, queries, 12, 5).smaller > 0
