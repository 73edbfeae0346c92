"""The catalogue that is drawn, and the report about its index."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.retrieval.large_catalogue import LargeCatalogue, Shape, write_run
from recsys.data.queries import Queries
from recsys.experiments.questions import recommend
from recsys.experiments.runs import load_model

SHAPE = Shape(items=3_000, size=8, users=30)


@pytest.fixture(scope="module")
def catalogue() -> LargeCatalogue:
    return LargeCatalogue(SHAPE)


def test_clusters_are_of_different_sizes_and_popularity_has_a_long_tail(catalogue: LargeCatalogue) -> None:
    sizes = np.diff(catalogue.start)
    assert sizes.sum() == 3_000
    assert sizes.max() > 4 * np.median(sizes)
    counts = np.sort(catalogue.counts)[::-1]
    assert counts[:300].sum() > 0.4 * counts.sum()
    assert counts[-1] == 1


def test_a_user_stays_in_a_few_clusters_of_every_persona(catalogue: LargeCatalogue) -> None:
    queries = catalogue.queries(20, seed=3, length=200)
    for row in range(20):
        items = queries.history.row(row)
        clusters = np.unique(catalogue.cluster[items])
        assert len(clusters) <= 2 * SHAPE.personas
        assert set(catalogue.persona[clusters]) == set(range(SHAPE.personas))
        assert len(np.unique(items)) == len(items)


def test_the_model_recommends_what_is_like_the_history(catalogue: LargeCatalogue) -> None:
    model = catalogue.model()
    queries = catalogue.queries(30, seed=4)
    best = model.recommend(queries, 10).items
    clusters = [catalogue.cluster[queries.history.row(row)] for row in range(30)]
    own = np.mean([np.isin(catalogue.cluster[best[row]], clusters[row]) for row in range(30)])
    chance = np.mean([np.isin(catalogue.cluster, clusters[row]) for row in range(30)])
    assert own > 1.4 * chance
    assert np.mean(model.routing().argmax(1) == catalogue.persona[catalogue.cluster]) > 0.95


def test_the_same_seed_draws_the_same(catalogue: LargeCatalogue) -> None:
    again = LargeCatalogue(SHAPE)
    assert np.array_equal(again.vectors, catalogue.vectors)
    assert again.queries(3, 1).history.items.tolist() == catalogue.queries(3, 1).history.items.tolist()
    assert again.queries(3, 2).history.items.tolist() != catalogue.queries(3, 1).history.items.tolist()


def test_written_run_recommends_like_its_model(catalogue: LargeCatalogue, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", catalogue, "log_sum_exp")
    recommendations = recommend(run, user="7", n=5).items
    assert [item["title"].startswith("Item ") for item in recommendations] == [True] * 5
    assert all(item["evidence"] for item in recommendations)
    history = Queries.from_history([[4, 9]])
    assert (
        load_model(run).recommend(history, 5).items.tolist()
        == catalogue.model("log_sum_exp").recommend(history, 5).items.tolist()
    )


def test_the_report_says_whether_the_bars_are_met(tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="the index is an extra")
    from benchmarks.retrieval.command import main

    assert main(["--quick", "--out", str(tmp_path)]) in (0, 1)  # milliseconds are the machine's
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    recalls = [
        float(value) for value in re.findall(r"^\| (?:attentive|log_sum_exp) \| \d+ \| (1?\.\d+)", report, re.MULTILINE)
    ]
    assert len(recalls) == 2
    assert min(recalls) > 0.9
    placebo = re.search(r"exact list of another user (\.\d+)", report)
    assert placebo is not None
    assert float(placebo[1]) < 0.5
    for kind in ("flat, inner product", "inverted file, lengthened", "HNSW (M = 32), inner product"):
        assert f"| {kind} |" in report
