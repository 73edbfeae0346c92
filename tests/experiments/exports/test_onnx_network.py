"""The exported network gives the scores of the model in onnxruntime, also for other numbers of users and events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import BundleError
from recsys.models import AMPCF, MF, SequentialAMPCF
from recsys.models.ampcf.settings import Attention
from recsys.models.base import Recommender
from recsys.models.capabilities import ScoringNetwork
from recsys.models.sequential.settings import PersonaReading
from recsys.training.trainable import Optimization
from recsys.worlds.simulation import simulated_log

pytest.importorskip("onnx", reason="pip install 'recsys[export]'")
pytest.importorskip("onnxruntime", reason="pip install 'recsys[export]'")
pytest.importorskip("onnxscript", reason="pip install 'recsys[export]'")

ONCE = Optimization(epochs=1, batch_size=16)


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulated_log(seed=1, n_users=40, n_items=30, events_per_user=12)


def _models() -> dict[str, Recommender]:
    return {
        "history": AMPCF(8, 3, attention=Attention(item_bias=True), optimization=ONCE),
        "users": AMPCF(8, 3, "embedding", Attention(similarity="cosine"), optimization=ONCE),
        "mf": MF(8, "history", optimization=ONCE),
        "sequential": SequentialAMPCF(8, reading=PersonaReading(personas=2), optimization=ONCE),
        "no expert": SequentialAMPCF(8, lasting=False, expert=None, optimization=ONCE),
    }


@pytest.mark.parametrize("name", list(_models()))
def test_onnxruntime_gives_the_scores_of_the_model(name: str, log: Interactions, tmp_path: Path) -> None:
    from recsys.experiments.exports.onnx_network import inputs_of, scores_of, write_network

    model, path = _models()[name].fit(log), tmp_path / "model.onnx"
    some = Queries.from_interactions(log, np.arange(3, dtype=np.int32))
    told = write_network(model, path, some, {"model": name})
    assert told["largest_difference"] < 1e-4
    every = Queries.from_interactions(log)
    if model.folds_in:  # somebody with two events and somebody without
        place = np.arange(len(every.times)) - np.repeat(every.history.indptr[:-1], every.history.lengths)
        row = every.history.rows
        every = every.keep(~((row == 5) & (place > 1)) & (row != 6))
    with torch.inference_mode():
        expected = model.score(every).float().numpy()
    scores = scores_of(path, inputs_of(model, every))
    np.testing.assert_allclose(scores, expected, atol=1e-4 * np.abs(expected).max())
    assert np.ptp(expected) > 0


def test_a_network_that_differs_is_refused(log: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys.experiments.exports import onnx_network

    model = MF(4, optimization=ONCE).fit(log)
    assert isinstance(model, ScoringNetwork)
    other = MF(4, seed=1, optimization=ONCE).fit(log)
    monkeypatch.setattr(type(model), "scoring_network", lambda _: other._model.scoring_network())
    with pytest.raises(BundleError, match="differ from the model's"):
        onnx_network.write_network(model, tmp_path / "m.onnx", Queries.from_interactions(log), {})
    monkeypatch.setattr(onnx_network, "_MOST_BYTES", 10)
    with pytest.raises(BundleError, match="GB of constants"):
        onnx_network.write_network(model, tmp_path / "m.onnx", Queries.from_interactions(log), {})
