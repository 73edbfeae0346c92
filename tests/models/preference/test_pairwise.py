"""PairwisePreference in worlds of camps: what one vector can do, and what takes personas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.errors import CapabilityError, ConfigError, DataError
from recsys.evaluation.disagreement.held_out import margins
from recsys.models import PairwisePreference
from recsys.models.preference.network import Kind, PreferenceNetwork, PreferenceTask
from recsys.training.trainable import Optimization
from recsys.worlds.camps import camps

QUICK = Optimization(epochs=20, batch_size=1024, learning_rate=0.05)


def _error(kind: Kind, size: int, topics: int = 1, personas: int = 3) -> float:
    world = camps(0.6, topics, users=300, items=20)
    model = PairwisePreference(kind, size, personas, regularization=0.001, optimization=QUICK).fit(world.log)
    return float((margins(model, world.log, world.hidden_pairs()) <= 0).mean())


def test_one_camp_rules_where_all_are_one() -> None:
    assert 0.38 < _error("pooled", 1) < 0.45
    assert _error("vector", 2) < 0.01
    assert _error("mixture", 2) < 0.02
    assert _error("persona", 2) < 0.01


def test_scores_are_those_of_the_definition() -> None:
    source = torch.Generator().manual_seed(0)
    network = PreferenceNetwork("persona", 3, 5, 2, 2, 1.5, source)
    with torch.no_grad():
        network.bias.copy_(torch.arange(5.0)[:, None])
        users, items = torch.tensor([0, 2]), torch.tensor([[1, 4], [0, 3]])
        each = torch.einsum("qkd,qnd->qkn", network.user[users].view(2, 2, 2), network.item[items])
        expected = network.bias[items, 0] + ((1.5 * each).softmax(1) * each).sum(1)
        torch.testing.assert_close(network(users, items), expected)
        torch.testing.assert_close(network(users).gather(1, items), expected)


def test_pairs_of_other_users_and_equal_ratings_do_not_count() -> None:
    log = Interactions.from_columns([0, 0, 1, 1], [0, 1, 0, 1], [5.0, 1, 3, 3], [0, 1, 2, 3], clock="order")
    network = PreferenceNetwork("pooled", 2, 2, 1, 1, 1.0, torch.Generator())
    task = PreferenceTask(network, log, window=3, partners=50, cap=10, regularization=0.0, batch_size=4, seed=0)
    loss, _ = task.loss(0, 0)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(np.log(2), abs=1e-6)  # two kinds of the pair (0, 1) of user 0, none of user 1
    assert network.bias.grad is not None
    np.testing.assert_allclose(network.bias.grad.numpy(), [[-0.5], [0.5]], atol=1e-6)


def test_bad_input_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'persona'"):
        PairwisePreference("personas")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="window is 0"):
        PairwisePreference(window=0)
    with pytest.raises(DataError, match="preference needs ratings"):
        PairwisePreference().fit(Interactions.from_columns([0, 1], [0, 1]))
    world = camps(0.6, users=20, items=8)
    pooled = PairwisePreference("pooled", optimization=QUICK).fit(world.log)
    with pytest.raises(CapabilityError, match="one order for all"):
        pooled.item_vectors()
