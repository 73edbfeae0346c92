"""How models read ratings and kinds: features and targets by hand, negative evidence, and dislikes that teach."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from recsys.data.catalogue import datasets
from recsys.data.feedback import CODES, KindWeights, RatingScale, query_preferences
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.decay import GlobalHalfLife
from recsys.errors import ConfigError
from recsys.models import AMPCF, BPR, EASE, IALS, MF, Decayed, ItemKNN, LinearNextItem, PersonaEASE
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.feedback import Feedback, FeedbackReader, readings_of, tells
from recsys.types import DAY

SCALE = RatingScale(3.0, 1.0, 5.0)
READINGS: tuple[Feedback, ...] = ("events", "liked", "weighted", "signed")
WEIGHTS = KindWeights()


def queries_of(
    items: Sequence[int],
    values: Sequence[float] | None = None,
    kinds: Sequence[str] | None = None,
    times: Sequence[int] | None = None,
    now: int = 1000,
) -> Queries:
    """One query with ratings, or with kinds and no ratings."""
    count = len(items)
    return Queries(
        np.full(1, -1, np.int32),
        Ragged.of([items]),
        np.asarray([np.nan] * count if values is None else values, np.float32),
        np.asarray(range(count) if times is None else times, np.int64),
        np.asarray([now]),
        kinds=None if kinds is None else np.array([CODES[kind] for kind in kinds], np.int8),  # type: ignore[index]
    )


def rated_blocks(seed: int = 0) -> Interactions:
    """Users of one of two blocks of 12 items rate 8 of their own, 4 or 5, and 4 of the other block, 1 or 2."""
    rng = np.random.default_rng(seed)
    users, items, ratings = [], [], []
    for user in range(60):
        own = user % 2
        for block, count, low in ((own, 8, 4), (1 - own, 4, 1)):
            for item in rng.permutation(12)[:count]:
                users.append(user)
                items.append(12 * block + item)
                ratings.append(low + rng.integers(0, 2))
    return Interactions.from_columns(users, items, ratings, 10**9 + np.arange(len(users)) * DAY)


MODELS: dict[str, Recommender] = {
    "EASE": EASE(5.0),
    "ItemKNN": ItemKNN(shrinkage=1.0),
    "IALS": IALS(8, 1.0),
    "PersonaEASE": PersonaEASE(personas=2, factors=4),
    "LinearNextItem": LinearNextItem(regularization=5.0),
    "Decayed": Decayed(EASE(5.0), GlobalHalfLife(20.0)),
}


def with_reading(model: Recommender, reading: Feedback) -> Recommender:
    """Return an unfitted copy, or the wrapper of one, with a reading."""
    if isinstance(model, Decayed):
        return Decayed(with_reading(model.model, reading), GlobalHalfLife(20.0))
    return type(model)(**(model.parameters_of_constructor() | {"feedback": reading}))


def cases() -> list[tuple[str, Feedback]]:
    """Every model with every reading that it takes."""
    found: list[tuple[str, Feedback]] = []
    for name, model in MODELS.items():
        inner = model.model if isinstance(model, Decayed) else model
        found += [(name, reading) for reading in readings_of(type(inner))]
    return found


def test_features_and_targets_by_hand() -> None:
    queries = queries_of([0, 1, 2], [5.0, 3.0, 1.0])
    p = query_preferences(queries, SCALE)
    assert p[0] > 0.5
    assert p[2] < -0.5
    expected: dict[Feedback, list[Any]] = {
        "events": [[1, 1, 1]],
        "liked": [(p > 0).astype(float)],
        "weighted": [1 + p],
        "signed": [[1, 1, 1], p],
    }
    for reading, parts in expected.items():
        features = FeedbackReader(reading, SCALE).features(queries)
        assert len(features) == len(parts)
        for feature, part in zip(features, parts, strict=True):
            np.testing.assert_allclose(feature, part, rtol=1e-6)
        halved = FeedbackReader(reading, SCALE).features(queries.with_weights(np.full(3, 0.5, np.float32)))
        for feature, part in zip(halved, parts, strict=True):
            np.testing.assert_allclose(feature, 0.5 * np.asarray(part), rtol=1e-6)
    log = Interactions.from_columns([7, 7, 7], [0, 1, 2], [5.0, 3.0, 1.0])
    expected_targets: dict[Feedback, Any] = {"liked": p > 0}
    expected_targets["weighted"] = expected_targets["signed"] = 0.3 + 0.35 * (1 + p)
    for reading, target in expected_targets.items():
        matrices, targets = FeedbackReader(reading, SCALE).matrices(log)
        np.testing.assert_allclose(targets.toarray()[0], target, rtol=1e-5)
        for matrix, part in zip(matrices, expected[reading], strict=True):
            np.testing.assert_allclose(matrix.toarray()[0], part, rtol=1e-5)


@pytest.mark.parametrize("reading", READINGS)
def test_a_dislike_is_negative_evidence_that_fades_and_a_later_use_takes_its_place(reading: Feedback) -> None:
    reader = FeedbackReader(reading, SCALE, fades=True)
    for age, strength in ((0, 1.0), (90, 0.5), (180, 0.25)):
        queries = queries_of([0, 1, 2], kinds=["use", "dislike", "skip"], times=[0, 0, 0], now=age * DAY)
        for feature in reader.features(queries):
            assert feature[0] > 0
            np.testing.assert_allclose(feature[1:], [WEIGHTS.dislike * strength, WEIGHTS.skip * strength], rtol=1e-5)
    lasting = FeedbackReader(reading, SCALE, fades=False)
    for feature in lasting.features(queries):
        assert feature[1] == WEIGHTS.dislike
    seen_again = queries_of([1, 1], kinds=["dislike", "use"])
    assert all(feature[0] == 0 < feature[1] for feature in lasting.features(seen_again))
    taken_back = queries_of([1, 1, 1], kinds=["use", "dislike", "dislike"])
    for feature in lasting.features(taken_back):
        assert feature.tolist() == [0.0, 0.0, -1.0]


@pytest.mark.parametrize(("name", "reading"), cases())
def test_a_dislike_lowers_what_is_like_it_and_undone_it_is_gone(name: str, reading: Feedback) -> None:
    model = with_reading(MODELS[name], reading).fit(rated_blocks())
    kinds = ["like", "like", "dislike", "dislike"]
    disliking = queries_of([0, 1, 12, 13], kinds=kinds, times=[0, 1, 2, 3], now=4)
    undone = queries_of([0, 1], kinds=kinds[:2], times=[0, 1], now=4)
    change = (model.score(disliking) - model.score(undone))[0]
    assert float(change[14:24].mean()) < float(change[2:12].mean())
    again = disliking.keep(np.array([True, True, False, False]))
    if name not in ("LinearNextItem", "Decayed"):  # there the order of the others is theirs alone, too
        torch.testing.assert_close(model.score(again), model.score(undone))
    if name != "IALS":
        contributions = as_fold_in(model, "this test").contributions(disliking, np.arange(14, 24, dtype=np.int32)[None])
        assert float(contributions[2:].mean()) < 0 < float(contributions[:2].mean() + 1)
        np.testing.assert_allclose(contributions.sum(0), model.score(disliking)[0, 14:24], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "reading"), [case for case in cases() if case[1] != "events" and case[0] not in ("IALS", "LinearNextItem")]
)
def test_five_liked_of_one_block_and_six_disliked_of_the_other_list_nothing_of_the_other(
    name: str, reading: Feedback
) -> None:
    model = with_reading(MODELS[name], reading).fit(rated_blocks())
    queries = queries_of([0, 12, 1, 13, 2, 14, 3, 15, 4, 16, 17], [5, 0.5] * 5 + [0.5])
    listed = model.recommend(queries, 5).items[0]
    assert (listed < 12).all(), listed


def test_bundles_of_earlier_versions_count_events_alike() -> None:
    fitted = EASE(5.0).fit(rated_blocks())
    arrays = {"weights": fitted.arrays()["weights"]}
    restored = EASE(5.0).restore(fitted.fitted_on, arrays)
    queries = queries_of([0, 12], [5.0, 0.5])
    torch.testing.assert_close(restored.score(queries), fitted.score(queries))


@pytest.mark.parametrize("reading", READINGS)
def test_a_restored_model_reads_as_the_fitted_one(reading: Feedback) -> None:
    fitted = EASE(5.0, feedback=reading).fit(rated_blocks())
    restored = EASE(5.0, feedback=reading).restore(fitted.fitted_on, fitted.arrays())
    queries = queries_of([0, 1, 12, 13], [5, 4, 1, 2])
    torch.testing.assert_close(restored.score(queries), fitted.score(queries))


def test_a_log_that_tells_nothing_is_read_as_events(caplog: pytest.LogCaptureFixture) -> None:
    log = Interactions.from_columns(*np.divmod(np.arange(60), 6))
    assert not tells(log)
    plain, asked = (EASE(5.0, feedback=reading).fit(log) for reading in ("events", "weighted"))
    queries = Queries.from_interactions(log)
    torch.testing.assert_close(asked.score(queries), plain.score(queries))
    assert "neither ratings nor kinds" in caplog.text
    kinds = np.full(len(log), CODES["like"], np.int8)
    kinds[::3] = CODES["view"]
    assert tells(replace(log, kinds=kinds))


def test_models_say_which_readings_they_take() -> None:
    assert readings_of(EASE) == READINGS
    assert readings_of(PersonaEASE) == READINGS[:3]
    for model in (AMPCF, MF, LinearNextItem, PersonaEASE):
        assert readings_of(model) == READINGS[:3]
        with pytest.raises(ConfigError, match=f"'signed', which {model.__name__} does not take.*use 'weighted'"):
            model(feedback="signed")  # type: ignore[arg-type]
    assert readings_of(BPR) == ()


def test_ials_folds_in_with_confidences_and_preferences_of_its_own() -> None:
    log = rated_blocks()
    for reading in ("liked", "weighted", "signed"):
        model = IALS(4, 1.0, alpha=5.0, feedback=reading).fit(log)
        queries = Queries.from_interactions(log, np.arange(3, dtype=np.int32))
        scale = RatingScale.of(log)
        p = query_preferences(queries, scale).astype(np.float64)
        y = model.item_vectors().double().numpy()
        for row in range(3):
            events = slice(*queries.history.indptr[row : row + 2])
            items, own = queries.history.items[events], p[events]
            if reading == "liked":
                c, r = np.where(own > 0, 5.0, 1.0), (own > 0).astype(float)
            elif reading == "weighted":
                c, r = 5.0 * (1 + own), np.ones(len(own))
            else:
                c, r = np.where(own > 0, 5.0 * (1 + own), 1 + 4 * np.abs(own)), (own > 0).astype(float)
            a = y.T @ y + np.eye(4) + (y[items].T * (c - 1)) @ y[items]
            x = np.linalg.solve(a, (c * r) @ y[items])
            np.testing.assert_allclose(model.score(queries)[row], y @ x, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif("RECSYS_DATA" not in os.environ, reason="needs RECSYS_DATA, the folder of the real logs")
def test_romances_that_were_hated_leave_the_lists_of_real_films() -> None:
    """Five science fiction films rated 5 and six romances rated .5, drawn from the 40 most used of each, 20 times."""
    log = datasets.load("ml-latest-small")
    genres = log.metadata.genres
    most_used = np.argsort(-np.bincount(log.item_num, minlength=log.n_items), kind="stable")
    liked, hated = (
        [item for item in most_used.tolist() if one in genres[item] and other not in genres[item]][:40]
        for one, other in (("Sci-Fi", "Romance"), ("Romance", "Sci-Fi"))
    )
    listed = {}
    for reading in ("events", "weighted"):
        rng = np.random.default_rng(0)
        model = EASE(500.0, feedback=reading).fit(log)
        films = [
            model.recommend(
                queries_of(
                    [*rng.choice(liked, 5, replace=False), *rng.choice(hated, 6, replace=False)], [5.0] * 5 + [0.5] * 6
                ),
                10,
            ).items[0]
            for _ in range(20)
        ]
        listed[reading] = [sum("Romance" in genres[item] for item in top) for top in films]
    assert sum(listed["events"]) >= 20
    assert sum(listed["weighted"]) <= 0.25 * sum(listed["events"])
    assert listed["weighted"].count(0) >= 12
