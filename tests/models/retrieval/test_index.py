"""Retrieval from an index: exact scores, recall, tuning, and what cannot be indexed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.retrieval.large_catalogue import LargeCatalogue, Shape
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.vocabulary import UNKNOWN
from recsys.decay import GlobalHalfLife
from recsys.errors import CapabilityError, ConfigError
from recsys.models import AMPCF, BPR, EASE, IALS, MF, Decayed, ItemKNN, PersonaEASE, Popularity, Recommender, TimeSVD
from recsys.models.ampcf.settings import Attention
from recsys.models.base import Recommendations
from recsys.models.retrieval.points import persona_points, require_retrievable
from recsys.training.trainable import Optimization

pytest.importorskip("faiss", reason="the index is an extra")

from recsys.models.retrieval.index import PersonaIndex, Search
from recsys.models.retrieval.tuning import Recall, measured, shares_found, tuned
from recsys.models.retrieval.vector_index import VectorIndex

FAST = Optimization(epochs=2, batch_size=64)
MODELS: list[Recommender] = [
    AMPCF(8, personas=3, attention=Attention(item_bias=True), optimization=FAST),
    AMPCF(8, personas=3, attention=Attention(readout="log_sum_exp"), optimization=FAST),
    AMPCF(8, personas=2, attention=Attention(similarity="cosine"), optimization=FAST),
    AMPCF(8, personas=2, users="embedding", attention=Attention(readout="max", item_bias=True), optimization=FAST),
    MF(8, optimization=FAST),
    MF(8, users="history", item_bias=False, optimization=FAST),
    BPR(8, epochs=5),
    IALS(8, iterations=2),
    Decayed(IALS(8, iterations=2), GlobalHalfLife(5.0)),
]


@pytest.fixture(scope="module")
def log() -> Interactions:
    source = np.random.default_rng(0)
    users = np.repeat(np.arange(60), 20)
    items = (source.integers(0, 100, 1200) * source.random(1200)).astype(int) + 100 * (users % 4)
    return Interactions.from_columns(users, items, times=np.arange(1200))


@pytest.fixture(scope="module")
def catalogue() -> LargeCatalogue:
    return LargeCatalogue(Shape(items=12_000, size=16, users=50))


@pytest.fixture(scope="module")
def index(catalogue: LargeCatalogue) -> PersonaIndex:
    return PersonaIndex.build(catalogue.model(), Search(24, 50, 10))


def same(approximate: Recommendations, exact: Recommendations) -> None:
    assert approximate.items.tolist() == exact.items.tolist()
    np.testing.assert_allclose(approximate.scores, exact.scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{type(model).__name__}{MODELS.index(model)}")
def test_scores_of_candidates_are_those_of_the_model(model: Recommender, log: Interactions) -> None:
    model = model.unfitted().fit(log)
    queries = Queries.from_interactions(log, np.asarray([3, 17, 40], np.int32))
    items = np.random.default_rng(1).integers(0, model.n_items, (3, 12)).astype(np.int32)
    expected = np.take_along_axis(model.score(queries).detach().numpy(), items.astype(np.int64), 1)
    np.testing.assert_allclose(persona_points(model, queries).score(items).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{type(model).__name__}{MODELS.index(model)}")
def test_no_score_exceeds_the_largest_persona_score(model: Recommender, log: Interactions) -> None:
    model = model.unfitted().fit(log)
    queries = Queries.from_interactions(log, np.asarray([3, 17, 40], np.int32))
    points = persona_points(model, queries).points
    best = (points @ require_retrievable(model).item_points().T).amax(1)
    assert bool((model.score(queries) <= best + 1e-4).all())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{type(model).__name__}{MODELS.index(model)}")
def test_all_candidates_give_the_exact_list(model: Recommender, log: Interactions) -> None:
    model = model.unfitted().fit(log)
    queries = Queries.from_interactions(log, np.arange(0, 60, 7, dtype=np.int32))
    # 20 used items, and of the rest so many that every persona hands in nearly all.
    depth = model.n_items - 25
    approximate = PersonaIndex.build(model, Search(11, depth, 10), cells=12).recommend(queries, 10)
    exact = model.recommend(queries, 10)
    assert shares_found(approximate, exact).mean() > 0.97
    assert not np.isin(approximate.items[0], queries.history.row(0)).any()


@pytest.mark.parametrize(
    "model", [EASE(), ItemKNN(), PersonaEASE(personas=2, factors=4), Popularity(), Decayed(EASE(), GlobalHalfLife(3.0))]
)
def test_models_without_item_vectors_refuse_by_name(model: Recommender, log: Interactions) -> None:
    name = type(model.fit(log).scoring_model).__name__
    with pytest.raises(CapabilityError, match=f"{name} cannot be indexed: its scores are not inner"):
        PersonaIndex.build(model, Search(1, 10, 10))


def test_time_dependent_biases_cannot_be_indexed() -> None:
    with pytest.raises(CapabilityError, match="TimeSVD cannot be indexed"):
        require_retrievable(TimeSVD())


def test_queries_that_the_model_refuses_are_refused(log: Interactions) -> None:
    learned = PersonaIndex.build(BPR(8, epochs=1).fit(log), Search(1, 10, 10))
    with pytest.raises(CapabilityError, match="BPR cannot serve a user it was not trained on"):
        learned.recommend(Queries.from_history([[1]]), 3)
    known = Queries.from_history([[1]], users=[0])
    with pytest.raises(CapabilityError, match="BPR cannot use event weights"):
        learned.recommend(known.with_weights(np.ones(1, np.float32)), 3)


def test_event_weights_reach_the_personas(log: Interactions) -> None:
    model = IALS(8, iterations=2).fit(log)
    weighted = Queries.from_history([[1, 150]]).with_weights(np.asarray([1.0, 0.0], np.float32))
    approximate = PersonaIndex.build(model, Search(9, 100, 10), cells=10).recommend(weighted, 5)
    same(approximate, model.recommend(weighted, 5))


def test_recall_is_high_and_scores_are_exact(catalogue: LargeCatalogue, index: PersonaIndex) -> None:
    queries = catalogue.queries(60, seed=5)
    approximate, exact = index.recommend(queries, 10), index.model.recommend(queries, 10)
    assert shares_found(approximate, exact).mean() > 0.97
    whole = np.flatnonzero(shares_found(approximate, exact) == 1)
    assert len(whole) > 30
    same(
        Recommendations(approximate.items[whole], approximate.scores[whole]),
        Recommendations(exact.items[whole], exact.scores[whole]),
    )


def test_a_batch_equals_single_queries(catalogue: LargeCatalogue, index: PersonaIndex) -> None:
    queries = catalogue.queries(8, seed=5)
    alone = [index.recommend(queries.take(np.asarray([row])), 10).items[0].tolist() for row in range(8)]
    assert index.recommend(queries, 10).items.tolist() == alone


def test_the_same_seed_gives_the_same_cells(catalogue: LargeCatalogue, index: PersonaIndex) -> None:
    queries = catalogue.queries(20, seed=6)
    again = PersonaIndex.build(index.model, index.search, seed=0, threads=2)
    assert again.recommend(queries, 10).items.tolist() == index.recommend(queries, 10).items.tolist()


def test_excluded_items_are_replaced_by_the_next_best(catalogue: LargeCatalogue, index: PersonaIndex) -> None:
    queries = catalogue.queries(30, seed=7)
    best = index.model.recommend(queries, 400).items
    excluding = replace(
        queries, exclude=Ragged.of([np.union1d(best[row], queries.history.row(row)) for row in range(30)])
    )
    approximate, exact = index.recommend(excluding, 10), index.model.recommend(excluding, 10)
    assert shares_found(approximate, exact).mean() > 0.97
    for row in range(30):
        assert not np.isin(approximate.items[row], excluding.excluded.row(row)).any()


def test_exact_lists_where_the_cells_do_not_suffice(index: PersonaIndex) -> None:
    everything = np.arange(index.model.n_items)
    queries = Queries.from_history([[5, 9]])
    few = replace(queries, exclude=Ragged.of([np.setdiff1d(everything, [7, 11_000, 3])]))
    approximate = index.recommend(few, 5)
    assert sorted(approximate.items[0].tolist()) == [UNKNOWN, UNKNOWN, 3, 7, 11_000]
    same(approximate, index.model.recommend(few, 5))


def test_lists_longer_than_tuned_for(catalogue: LargeCatalogue, index: PersonaIndex) -> None:
    queries = catalogue.queries(10, seed=8)
    approximate, exact = index.recommend(queries, 60), index.model.recommend(queries, 60)
    assert shares_found(approximate, exact).mean() > 0.97
    same(index.recommend(queries, index.model.n_items), index.model.recommend(queries, index.model.n_items))


def test_a_user_without_history_gets_the_exact_list(index: PersonaIndex, log: Interactions) -> None:
    nobody = Queries.from_history([[], [UNKNOWN]])
    same(index.recommend(nobody, 10), index.model.recommend(nobody, 10))
    # Without biases all scores are 0, and what is popular comes first.
    model = IALS(8, iterations=2).fit(log)
    without = replace(Queries.from_history([[], []]), exclude=Ragged.of([[0, 1, 2], []]))
    unbiased = PersonaIndex.build(model, Search(1, 5, 10))
    same(unbiased.recommend(without, 10), model.recommend(without, 10))


def test_ties_are_broken_as_in_recommend() -> None:
    vectors = np.repeat(np.eye(4, dtype=np.float32), 50, 0)
    source = np.random.default_rng(0)
    log = Interactions.from_columns(source.integers(0, 30, 2_000), source.integers(0, 200, 2_000))
    model = IALS(4).fit(log)
    model = model.restore(model.fitted_on, {"items": vectors})
    queries = Queries.from_history([[3, 60], [150]])
    same(PersonaIndex.build(model, Search(3, 150, 10), cells=4).recommend(queries, 20), model.recommend(queries, 20))


def test_an_index_of_other_items_is_refused(catalogue: LargeCatalogue, index: PersonaIndex) -> None:
    fewer = VectorIndex.build(np.ones((7, 17), np.float32), cells=1)
    with pytest.raises(ConfigError, match="holds 7 vectors of 17 dimensions, and the model has 12000 of 17: it was"):
        PersonaIndex(catalogue.model(), fewer, Search(1, 1, 1))


def test_tuning_uses_the_fewest_cells_for_the_recall(catalogue: LargeCatalogue, index: PersonaIndex) -> None:
    queries = catalogue.queries(100, seed=9)
    modest, thorough = (tuned(index, queries, recall)[0].search.probes for recall in (0.7, 0.97))
    assert 1 <= modest < thorough < index.vectors.cells // 2
    searched, recall = tuned(index, queries, 0.97)
    assert recall.low >= 0.97
    approximate, exact = searched.recommend(queries, 10), index.model.recommend(queries, 10)
    assert recall == Recall.of(approximate, exact)
    unused = replace(queries, exclude=Ragged.of([[]] * len(queries)))
    with pytest.raises(ConfigError, match=r"recall@10 is 0\.\d+ .* out of reach: ask for less recall"):
        tuned(index.searched(Search(1, 2, 10)), unused, 0.99)


def test_measured_recall(catalogue: LargeCatalogue, index: PersonaIndex) -> None:
    queries = catalogue.queries(20, seed=10)
    threads = torch.get_num_threads()
    result = measured(index.searched(Search(2, 20, 10)), queries, 10)
    approximate = index.searched(Search(2, 20, 10)).recommend(queries, 10)
    assert result.recall == Recall.of(approximate, index.model.recommend(queries, 10))
    assert 0 < result.index.median <= result.index.p99
    assert result.index.processor_p99 > 0
    assert torch.get_num_threads() == threads


def test_recall_is_the_share_of_the_exact_list() -> None:
    scores = np.zeros((3, 4), np.float32)
    exact = Recommendations(np.asarray([[1, 2, 3, 4], [1, 2, -1, -1], [-1, -1, -1, -1]], np.int32), scores)
    approximate = Recommendations(np.asarray([[4, 9, 8, 1], [2, 1, -1, -1], [-1, -1, -1, -1]], np.int32), scores)
    assert shares_found(approximate, exact).tolist() == [0.5, 1.0]
    recall = Recall.of(approximate, exact)
    assert (recall.mean, recall.whole, recall.questions) == (0.75, 0.5, 2)
    assert recall.low == pytest.approx(0.75 - 1.645 * 0.25 / np.sqrt(2))
    nothing = Recommendations(exact.items[2:], scores[2:])
    with pytest.raises(ConfigError, match="no question"):
        Recall.of(nothing, nothing)
