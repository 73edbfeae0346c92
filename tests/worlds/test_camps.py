"""Worlds of camps: the truth is what they say."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import ConfigError
from recsys.evaluation.disagreement import Judgements, hindsight_bound
from recsys.evaluation.disagreement.bounds import majority, votes
from recsys.worlds.camps import camps, topic_pairs


@pytest.mark.parametrize("p", [0.51, 0.6, 0.8])
@pytest.mark.parametrize("topics", [1, 3])
def test_ratings_are_those_of_the_camps(p: float, topics: int) -> None:
    world = camps(p, topics, users=200, items=20)
    assert world.side.sum(0).tolist() == [round(p * 200)] * topics
    log = world.log
    likes = world.side[log.user_num, world.topic[log.item_num]] == world.left[log.item_num]
    np.testing.assert_array_equal(log.value, np.where(likes, 5.0, 1.0))
    assert np.bincount(log.user_num).tolist() == [topics * 10] * 200


@pytest.mark.parametrize("p", [0.51, 0.6, 0.8])
def test_the_majority_rule_attains_the_bound(p: float) -> None:
    world = camps(p, 3)
    pairs = world.hidden_pairs()
    seen = set(zip(world.log.user_num.tolist(), world.log.item_num.tolist(), strict=True))
    sample = pairs.take(np.arange(0, len(pairs), 997))
    assert not seen & set(zip(sample.user.tolist(), sample.winner.tolist(), strict=True))
    judged = Judgements.of(pairs, world.log.n_items)
    error = float((~majority(judged.pair, judged.first)).mean())
    assert abs(error - hindsight_bound(judged.pair, judged.first)) < 1e-12
    counts = votes(judged.pair, judged.first, len(judged.items))
    assert p - 0.01 <= counts.max(1).sum() / counts.sum() <= p + 0.05


def test_topic_pairs_are_of_one_topic_and_by_the_camps() -> None:
    world = topic_pairs(topics=3, users=50, pairs=8, noise=0.0)
    items = len(world.train.items) // 3
    for first, pairs in ((0, world.train.pairs), (0, world.test), (50, world.newcomers), (50, world.newcomers_test)):
        about = pairs.winner // items
        np.testing.assert_array_equal(about, pairs.loser // items)
        assert np.bincount(pairs.user).tolist() == [8] * 50
        vectors = world.train.vectors
        assert vectors is not None
        common = vectors[: 3 * items] - np.repeat([vectors[about_ * items : (about_ + 1) * items].mean(0)
                                                   for about_ in range(3)], items, 0)  # fmt: skip
        direction = np.linalg.svd(common, full_matrices=False)[2][0]
        difference = (common[pairs.winner] - common[pairs.loser]) @ direction
        agree = np.sign(difference) * world.side[first + pairs.user, about]
        assert max((agree > 0).mean(), (agree < 0).mean()) > 0.85  # but for the noise of the vectors


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"at least 0\.5"):
        camps(0.4)
    with pytest.raises(ConfigError, match="dim is 4"):
        topic_pairs(dim=4)
