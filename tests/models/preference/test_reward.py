"""PersonaReward: camps by topic, and new users from a handful of pairs."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.pairs import PairLog, Pairs
from recsys.elicitation import Answer, TasteBases, TasteBelief
from recsys.errors import CapabilityError, DataError, NotFittedError
from recsys.models.preference.network import Kind
from recsys.models.preference.reward import PersonaReward
from recsys.training.trainable import Optimization
from recsys.types import Doubles
from recsys.worlds.camps import TopicPairs, topic_pairs

NONE = np.zeros(0, np.int32)
QUICK = Optimization(epochs=100, batch_size=512, learning_rate=0.03)


@pytest.fixture(scope="module")
def world() -> TopicPairs:
    return topic_pairs(topics=3, users=150, pairs=12, noise=0.0)


def _fitted(world: TopicPairs, kind: Kind, size: int = 1, personas: int = 3) -> PersonaReward:
    return PersonaReward(kind, size, personas, optimization=QUICK).fit(world.train)


def _accuracy(model: PersonaReward, world: TopicPairs, pairs: Pairs, users: Doubles) -> float:
    assert world.train.vectors is not None
    return float((model.margins(world.train.vectors, pairs, users) > 0).mean())


def test_personas_by_topic_say_what_no_linear_reward_can(world: TopicPairs) -> None:
    persona, vector = _fitted(world, "persona"), _fitted(world, "vector", 4)
    assert _accuracy(persona, world, world.test, persona.users) > 0.85
    assert _accuracy(vector, world, world.test, vector.users) < 0.75


def test_a_newcomer_is_folded_in_from_a_handful(world: TopicPairs) -> None:
    model = _fitted(world, "persona")
    assert world.train.vectors is not None
    found = model.fold_in(world.train.vectors, world.newcomers, 150)
    assert _accuracy(model, world, world.newcomers_test, found) > 0.85
    nobody = Pairs(NONE, NONE, NONE, np.zeros(0, np.float32))
    np.testing.assert_array_equal(model.fold_in(world.train.vectors, nobody, 2), np.zeros((2, 3)))


def test_fold_in_is_the_optimum(world: TopicPairs) -> None:
    """The gradient of the penalised loss is 0, by finite differences."""
    model = _fitted(world, "vector", 2)
    vectors = world.train.vectors
    assert vectors is not None
    mine = world.newcomers.take(world.newcomers.user == 0)
    found = model.fold_in(vectors, mine, 1)

    def loss(point: Doubles) -> float:
        return float(np.logaddexp(0, -model.margins(vectors, mine, point)).sum() + 0.5 * (point**2).sum())

    for coordinate in range(2):
        step = np.zeros((1, 2))
        step[0, coordinate] = 1e-4
        assert abs(loss(found + step) - loss(found - step)) / 2e-4 < 1e-4


def test_bases_are_the_reward_and_the_belief_over_them_is_the_posterior(world: TopicPairs) -> None:
    """What `recsys.elicitation` believes after a newcomer's choices is the mean of draws from N(0, I), weighed by the
    likelihood that the model itself gives the choices."""
    model, vectors = _fitted(world, "persona"), world.train.vectors
    assert vectors is not None
    common, each = model.bases(vectors)
    pairs, users = world.train.pairs, model.users
    reward = common + users @ each.T
    margins = reward[pairs.user, pairs.winner] - reward[pairs.user, pairs.loser]
    np.testing.assert_allclose(model.margins(vectors, pairs, users), margins, atol=1e-5)
    draws = np.random.default_rng(0).standard_normal((4_000, each.shape[1]))
    bases = TasteBases.of_rewards(common, each)
    for user in range(5):
        mine = world.newcomers.take(world.newcomers.user == user)
        chosen = list(zip(mine.winner.tolist(), mine.loser.tolist(), strict=True))
        said = np.zeros(len(draws))
        for winner, loser in chosen:
            one = np.full(len(draws), winner, np.int32), np.full(len(draws), loser, np.int32)
            asked = Pairs(np.arange(len(draws), dtype=np.int32), *one, np.ones(len(draws), np.float32))
            said -= np.logaddexp(0, -model.margins(vectors, asked, draws))
        weights = np.exp(said - said.max())
        mean = weights @ draws / weights.sum()
        belief = TasteBelief.of(bases, [Answer(winner, "prefer", other=loser) for winner, loser in chosen])
        np.testing.assert_allclose(belief.mean, mean, atol=0.15)
        assert np.abs(mean).max() > 0.5
        assert np.corrcoef(belief.expected, common + each @ mean)[0, 1] > 0.99
    with pytest.raises(NotFittedError):
        PersonaReward().bases(vectors)
    with pytest.raises(CapabilityError, match="no normal prior"):
        PersonaReward("mixture", 2, optimization=Optimization(epochs=1)).fit(world.train).bases(vectors)


def test_pooled_is_one_reward_for_all(world: TopicPairs) -> None:
    model = _fitted(world, "pooled")
    assert (model.users == 0).all()
    assert 0.4 < _accuracy(model, world, world.test, model.users) < 0.6


def test_bad_input_is_named(world: TopicPairs) -> None:
    bare = PairLog(world.train.users, world.train.items, world.train.pairs)
    with pytest.raises(DataError, match="it has none; read it with vectors=FILE"):
        PersonaReward().fit(bare)
    with pytest.raises(NotFittedError):
        _ = PersonaReward().users
    mixture = PersonaReward("mixture", 2, optimization=Optimization(epochs=1)).fit(world.train)
    np.testing.assert_allclose(mixture.users.sum(1), 1, rtol=1e-5)
    assert world.train.vectors is not None
    with pytest.raises(CapabilityError, match="use 'vector' or 'persona'"):
        mixture.fold_in(world.train.vectors, world.newcomers, 150)
