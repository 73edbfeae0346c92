from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.errors import CapabilityError, ConfigError
from recsys.models.bpr import BPR


def test_the_last_dimension_is_the_item_bias(block_log: Interactions) -> None:
    model = BPR(4, epochs=20).fit(block_log)
    queries = Queries.from_interactions(block_log)
    users, items = model.personas(queries)[:, 0], model.item_vectors()
    assert users.shape[1] == items.shape[1] == 5
    assert bool((users[:, -1] == 1).all())
    torch.testing.assert_close(model.score(queries), users[:, :4] @ items[:, :4].T + items[:, 4])


def test_used_items_outscore_others(block_log: Interactions) -> None:
    scores = BPR(8, epochs=200).fit(block_log).score(Queries.from_interactions(block_log)).numpy()
    used = block_log.matrix().toarray().astype(bool)
    assert (
        np.mean(
            [
                (own[:, None] > rest).mean()
                for own, rest in zip(_split(scores, used), _split(scores, ~used), strict=True)
            ]
        )
        > 0.9
    )


def _split(scores: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    return [row[keep] for row, keep in zip(scores, mask, strict=True)]


def test_the_popularity_correction_undoes_the_sampling_of_negatives() -> None:
    """Without tastes, likelihoods are popularities: only corrected scores rank by them."""
    source = np.random.default_rng(0)
    share = np.array([0.4, 0.25, 0.2, 0.1, 0.05])
    users, items = np.nonzero(source.random((400, 5)) < share)
    log = Interactions.from_columns(users, items)
    queries = Queries.from_interactions(log)
    plain, corrected = (
        BPR(2, epochs=30, popularity_correction=on).fit(log).score(queries).mean(0) for on in (False, True)
    )
    assert torch.argsort(corrected, descending=True).tolist() == [0, 1, 2, 3, 4]
    counts = torch.from_numpy(np.bincount(items).astype(np.float32))
    torch.testing.assert_close(corrected - plain, torch.log1p(counts))
    assert float(plain.max() - plain.min()) < 0.5 * float(corrected.max() - corrected.min())


def test_seeds_give_different_models(block_log: Interactions) -> None:
    one, other = (BPR(4, epochs=3, seed=seed).fit(block_log).item_vectors() for seed in (0, 1))
    assert not torch.equal(one, other)


def test_the_history_is_ignored(block_log: Interactions) -> None:
    model = BPR(4, epochs=3).fit(block_log)
    one, other = (model.score(Queries.from_history([history], users=[2])) for history in ([0, 1], []))
    assert torch.equal(one, other)


def test_personas_of_an_unknown_user_are_refused(block_log: Interactions) -> None:
    model = BPR(4, epochs=3).fit(block_log)
    with pytest.raises(CapabilityError, match="not trained on"):
        model.personas(Queries.from_history([[0, 1]]))


@pytest.mark.parametrize("name", ["embedding_size", "learning_rate", "epochs"])
def test_arguments_are_checked(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        BPR(**{name: 0})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="regularization"):
        BPR(regularization=-1)
