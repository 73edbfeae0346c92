"""AMP-CF and MF read ratings as weights, in histories and in the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recsys.data.feedback import RatingScale, query_preferences
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.models import AMPCF, MF
from recsys.models.ampcf.network import EmbeddedPersonas, PersonaScorer
from recsys.models.ampcf.settings import Attention, HistoryPooling, Objective
from recsys.models.ampcf.training import EmbeddingTask
from recsys.models.feedback import FeedbackReader, Weighting
from recsys.training.trainable import Optimization

FAST = Optimization(epochs=30, batch_size=32, learning_rate=0.03)


@pytest.fixture(scope="module")
def log() -> Interactions:
    """Users of one of two blocks of 12 items rate 5 of their own with 4 or 5, and 5 of the other block with 1 or 2."""
    rng = np.random.default_rng(0)
    users, items, ratings = [], [], []
    for user in range(60):
        for block, low in ((user % 2, 4), (1 - user % 2, 1)):
            users += [user] * 5
            items += (12 * block + rng.permutation(12)[:5]).tolist()
            ratings += (low + rng.integers(0, 2, 5)).tolist()
    return Interactions.from_columns(users, items, ratings, np.arange(len(users)))


def _own(model: AMPCF | MF, log: Interactions) -> float:
    """The share of the five best of each list that is of the user's own block."""
    queries = Queries.from_interactions(log, np.arange(log.n_users, dtype=np.int32))
    listed = model.recommend(queries, 5).items
    return float((listed // 12 == np.arange(log.n_users)[:, None] % 2).mean())


@pytest.mark.parametrize(
    ("users", "loss"),
    [("history", "full_softmax"), ("history", "bpr"), ("embedding", "full_softmax"), ("embedding", "sampled_softmax")],
)
def test_what_was_liked_leads_where_likes_alone_are_read(log: Interactions, users: Any, loss: Any) -> None:
    objective, history = Objective(loss, negatives=8), HistoryPooling(dropout=0.3)

    def share(reading: Weighting) -> float:
        settings: dict[str, Any] = {"history": history, "objective": objective, "optimization": FAST}
        return _own(AMPCF(8, 2, users, feedback=reading, **settings).fit(log), log)

    # Both blocks have been used alike, so that events alone tell nothing.
    assert 0.35 < share("events") < 0.65
    assert share("liked") > 0.8


def test_weights_lead_to_what_was_liked_and_mf_passes_them_on(log: Interactions) -> None:
    history = HistoryPooling(dropout=0.5, target="held_out")
    slow = Optimization(epochs=100, batch_size=64, learning_rate=0.03)

    def share(reading: Weighting) -> float:
        return _own(MF(8, "history", history=history, optimization=slow, feedback=reading).fit(log), log)

    assert share("weighted") > share("events") + 0.05


def test_the_loss_of_an_event_counts_by_its_target(log: Interactions) -> None:
    reader = FeedbackReader.of("weighted", log, "AMPCF")
    source = torch.Generator().manual_seed(0)
    network = EmbeddedPersonas(log.n_users, 2, 4, source), PersonaScorer(log.n_items, 4, Attention(), source)
    task = EmbeddingTask(*network, Objective(ce_weight=1.0), log, reader, len(log), 0)
    _, targets = reader.matrices(log)
    rows, items = targets.tocoo().coords
    scores = network[1](network[0](torch.arange(log.n_users))).score
    each = torch.logsumexp(scores, 1)[rows] - scores[rows, items]
    weights = torch.from_numpy(targets.tocoo().data)
    assert weights.min() < 0.5 < 0.8 < weights.max()
    assert task.loss(0, 0)[0].item() == pytest.approx(((each * weights).sum() / weights.sum()).item(), rel=1e-5)


def test_a_history_is_pooled_with_preferences_as_weights(log: Interactions) -> None:
    queries = Queries.from_interactions(log, np.arange(20, dtype=np.int32))
    items = np.tile(np.arange(6, dtype=np.int32), (20, 1))
    preference = query_preferences(queries, RatingScale.of(log))
    readings: tuple[Weighting, ...] = ("weighted", "liked")
    for reading in readings:
        model = AMPCF(8, 3, optimization=Optimization(epochs=5), feedback=reading).fit(log)
        alike = AMPCF(8, 3)
        arrays = {name: values for name, values in model.arrays().items() if name != "feedback.scale"}
        alike.restore(model.fitted_on, arrays)  # as a bundle of an earlier version
        weights = 1 + preference if reading == "weighted" else preference > 0
        expected = alike.score(queries.with_weights(weights.astype(np.float32)))
        torch.testing.assert_close(model.score(queries), expected)
        assert not torch.allclose(model.score(queries), alike.score(queries))
        restored = AMPCF(8, 3, feedback=reading)
        restored.restore(model.fitted_on, model.arrays())
        torch.testing.assert_close(restored.score(queries), model.score(queries))
        added = model.contributions(queries, items).double().numpy()
        sums = np.stack([queries.history.sum(column) for column in added.T], 1)
        np.testing.assert_allclose(sums, model.score(queries).detach().numpy()[:, :6], atol=1e-4)
