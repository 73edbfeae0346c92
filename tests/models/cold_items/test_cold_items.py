"""`WithColdItems`: what a new item is scored, what stays, what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.bundles import bundle
from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.data.splits.standard import split
from recsys.data.vocabulary import Vocabulary
from recsys.decay import GlobalHalfLife
from recsys.errors import CapabilityError, ConfigError, DataError
from recsys.evaluation.holdout import evaluate
from recsys.explanations import explain
from recsys.models import BPR, EASE, IALS, Decayed, ItemFeatures, Popularity, Recommender, WithColdItems
from recsys.models.cold_items.adding import with_items
from recsys.models.cold_items.features import FeatureSpace

INNER = [EASE(10.0), IALS(embedding_size=4, regularization=1.0), Popularity(), BPR(embedding_size=4, epochs=20)]
NEW = Vocabulary(["new war", "new love", "unknown"])
METADATA = ItemMetadata(("The Long War (1999)", "Love Again (1999)", "unknown"), (("War",), ("Romance",), ()))


def genre_log(items: int = 12, users: int = 30) -> Interactions:
    """Half of the users watch war, half romance, of which items are alternately."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(users), 4)
    item = np.concatenate([2 * rng.choice(items // 2, 4, replace=False) + person % 2 for person in range(users)])
    log = Interactions.from_columns(
        [f"u{one}" for one in user], [f"i{one:02d}" for one in item], times=1 + np.arange(len(user))
    )
    names = [str(one) for one in log.items.ids]
    genres = tuple((("War", "Romance")[int(name[1:]) % 2],) for name in names)
    titles = tuple(f"{('War', 'Love')[int(name[1:]) % 2]} {name} ({1990 + place})" for place, name in enumerate(names))
    return replace(log, metadata=ItemMetadata(titles, genres))


LOG = genre_log()


@pytest.mark.parametrize("inner", INNER, ids=lambda model: type(model).__name__)
def test_new_items_are_scored_by_the_ridge_and_learned_items_as_before(inner: Recommender) -> None:
    plain, wrapped = inner.unfitted().fit(LOG), WithColdItems(inner, ridge=2.0, scale=1.5).fit(LOG)
    model = wrapped.with_items(NEW, METADATA)
    queries = plain.fitted_on.queries(LOG)
    scores = model.score(queries)
    before = plain.score(queries)
    assert torch.equal(scores[:, : LOG.n_items], before)
    features = wrapped._space.matrix(LOG.metadata).toarray().astype(np.float64)
    new = wrapped._space.matrix(replace(METADATA, titles=(*METADATA.titles[:2], ""))).toarray().astype(np.float64)
    theta = np.linalg.solve(features.T @ features + 2.0 * np.eye(features.shape[1]), features.T @ before.numpy().T)
    np.testing.assert_allclose(scores[:, LOG.n_items :], 1.5 * (new @ theta).T, rtol=1e-3, atol=1e-5)
    assert model.n_items == LOG.n_items + 3
    assert wrapped.n_items == LOG.n_items
    assert model.is_new.sum() == 3


def test_a_new_item_goes_to_those_who_like_what_it_is() -> None:
    model = WithColdItems(EASE(10.0), scale=3.0).fit(LOG).with_items(NEW, METADATA)
    scores = model.score(model.fitted_on.queries(LOG)).numpy()[:, -3:]
    likes_war = np.asarray([int(str(user)[1:]) % 2 == 0 for user in LOG.users.ids])
    assert (scores[likes_war, 0] > scores[likes_war, 1]).all()
    assert (scores[~likes_war, 0] < scores[~likes_war, 1]).all()
    assert np.isfinite(scores).all()


def test_for_item_vectors_it_is_the_vector_that_a_ridge_predicts() -> None:
    model = WithColdItems(IALS(embedding_size=4, regularization=1.0), ridge=2.0).fit(LOG)
    known, new = model._known.toarray(), model._space.matrix(METADATA).toarray()
    inner = model.base
    assert isinstance(inner, IALS)
    vectors = new @ np.linalg.solve(
        known.T @ known + 2.0 * np.eye(known.shape[1]), known.T @ inner.item_vectors().numpy()
    )
    queries = inner.fitted_on.queries(LOG)
    expected = inner.personas(queries)[:, 0].numpy() @ vectors.T
    found = model.with_items(NEW, METADATA).score(queries).numpy()[:, -3:]
    np.testing.assert_allclose(found[:, :2], expected[:, :2], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("decayed", [False, True])
def test_contributions_sum_to_the_score_of_new_items_and_old(decayed: bool) -> None:
    cold = WithColdItems(EASE(10.0), scale=2.0)
    model: Recommender = Decayed(cold, GlobalHalfLife(3.0)) if decayed else cold
    model = with_items(model.fit(LOG), NEW, METADATA)
    queries = model.fitted_on.queries(LOG)
    read = model.read(queries)
    items = np.tile(np.asarray([[13, 2, 12, 0]], np.int32), (len(queries), 1))
    inner = read.model
    assert isinstance(inner, WithColdItems)
    each = inner.contributions(read.queries, items)
    total = torch.zeros(len(queries), 4).index_add_(0, torch.from_numpy(queries.history.rows), each)
    torch.testing.assert_close(total, model.score(queries)[:, [13, 2, 12, 0]], rtol=1e-4, atol=1e-5)


def test_the_features_that_carry_a_new_item_are_told() -> None:
    model = WithColdItems(EASE(10.0)).fit(LOG).with_items(NEW, METADATA)
    queries = model.fitted_on.queries(LOG).take(np.asarray([0]))
    (parts,) = model.feature_parts(queries, LOG.n_items)
    assert sum(parts.values()) == pytest.approx(float(model.score(queries)[0, LOG.n_items]), rel=1e-4)
    assert max(parts, key=lambda name: abs(parts[name])) in ("genre War", "word war", "piece <war", "piece war>")
    with pytest.raises(CapabilityError, match="is no new item"):
        model.feature_parts(queries, 0)


def test_the_reasons_of_a_new_item_are_events_of_the_history() -> None:
    model = WithColdItems(EASE(10.0), scale=50.0).fit(LOG).with_items(NEW, METADATA)
    (listed,) = explain(model, model.fitted_on.queries(LOG).take(np.asarray([0])), 1)
    assert listed[0].item_id == "new war"
    assert {evidence.title.split()[0] for evidence in listed[0].evidence} == {"War"}


@pytest.mark.parametrize("inner", INNER[:2], ids=lambda model: type(model).__name__)
def test_new_items_survive_saving_and_an_event_on_one_hides_it(inner: Recommender, tmp_path: Path) -> None:
    model = WithColdItems(inner).fit(LOG).with_items(NEW, METADATA)
    loaded = bundle.load(bundle.save(model, tmp_path / "model"))
    queries = Queries.from_history([[0, 2, 12], [1]])
    assert torch.equal(loaded.score(queries), model.score(queries))
    assert loaded.fitted_on.items == model.fitted_on.items
    assert 12 not in loaded.recommend(queries, 15).items[0]
    further = with_items(loaded, Vocabulary(["x"]), ItemMetadata(("War X",), (("War",),)))
    assert further.n_items == LOG.n_items + 4
    assert torch.equal(further.score(queries)[:, :-1], model.score(queries))


def test_items_without_events_are_new_wherever_they_stand_in_the_vocabulary() -> None:
    ids = ["a new one", *LOG.items.ids[:5].tolist(), "another", *LOG.items.ids[5:].tolist()]
    items = Vocabulary(ids)
    known = LOG.items.numbers(ids)
    titles = tuple("War" if number < 0 else LOG.metadata.titles[number] for number in known)
    genres = tuple(("War",) if number < 0 else LOG.metadata.genres[number] for number in known)
    numbers = items.numbers(LOG.items.ids)
    log = replace(LOG, items=items, item_num=numbers[LOG.item_num], metadata=ItemMetadata(titles, genres))
    model, plain = WithColdItems(EASE(10.0)).fit(log), EASE(10.0).fit(LOG)
    found = model.score(model.fitted_on.queries(log)).numpy()
    np.testing.assert_array_equal(found[:, numbers], plain.score(plain.fitted_on.queries(LOG)).numpy())
    assert np.flatnonzero(model.is_new).tolist() == [0, 6]
    np.testing.assert_array_equal(found[:, 0], found[:, 6])


def test_given_vectors_are_features_and_another_size_is_refused() -> None:
    vectors = np.eye(2, dtype=np.float32)[[int(str(name)[1:]) % 2 for name in LOG.items.ids]]
    log = replace(LOG, metadata=ItemMetadata.untitled(LOG.items).with_vectors(vectors))
    model = WithColdItems(EASE(10.0)).fit(log)
    assert model._space.vector_size == 2
    one = Vocabulary(["n"])
    given = ItemMetadata.untitled(one).with_vectors(vectors[:1])
    scores = model.with_items(one, given).score(model.fitted_on.queries(log)).numpy()[:, -1]
    assert len(np.unique(np.round(scores, 4))) > 2
    with pytest.raises(DataError, match="have 2"):
        model.with_items(one, ItemMetadata.untitled(one).with_vectors(np.ones((1, 3), np.float32)))


def test_threads_may_ask_while_items_are_added() -> None:
    model = WithColdItems(EASE(10.0)).fit(LOG)
    queries = model.fitted_on.queries(LOG)
    expected = model.score(queries)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(model.score, queries) for _ in range(20)]
        added = [pool.submit(model.with_items, Vocabulary([f"n{number}"]), METADATA.take([0])) for number in range(20)]
    assert all(torch.equal(one.result(), expected) for one in asked)
    assert {one.result().n_items for one in added} == {LOG.n_items + 1}


def test_what_cannot_be_is_refused() -> None:
    model = WithColdItems(EASE(10.0)).fit(LOG)
    with pytest.raises(DataError, match="'i03' is known to the model already"):
        model.with_items(Vocabulary(["i03"]), METADATA.take([0]))
    with pytest.raises(DataError, match="texts in this model, and 7 is not"):
        model.with_items(Vocabulary([7]), METADATA.take([0]))
    with pytest.raises(CapabilityError, match="EASE takes no new items"):
        with_items(model.base, NEW, METADATA)
    with pytest.raises(CapabilityError, match="scored once"):
        WithColdItems(WithColdItems(EASE()))
    with pytest.raises(ConfigError, match="all weights are 0"):
        ItemFeatures(0, 0, 0, 0, 0)
    bare = replace(LOG, metadata=ItemMetadata.untitled(LOG.items))
    with pytest.raises(DataError, match="nothing is known of items"):
        WithColdItems(EASE()).fit(split(bare, "held_out_items").train)


def test_the_choice_of_features_does_not_depend_on_the_order_of_items() -> None:
    order = np.arange(LOG.n_items)[::-1]
    settings = ItemFeatures(size=6)
    one, other = (FeatureSpace.of(settings, part) for part in (LOG.metadata, LOG.metadata.take(order)))
    np.testing.assert_array_equal(one.hashes, other.hashes)
    lengths = np.asarray(one.matrix(LOG.metadata).power(2).sum(1)).ravel()
    assert (lengths <= 4 + 1e-5).all()


def test_new_items_are_found_far_better_than_by_popularity() -> None:
    held_out = split(genre_log(40, 200), "held_out_items", seed=1)
    hits = [
        evaluate(model.fit(held_out.train), held_out, cutoffs=1, metrics=("ndcg",)).summary["ndcg@1"]
        for model in (WithColdItems(EASE(10.0)), Popularity())
    ]
    assert hits[0] > 1.4 * hits[1]
