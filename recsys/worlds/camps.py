"""Worlds of camps: on every topic users belong to one of two camps that want opposite things; the truth is complete.

With independent camps on T topics there are 2^T kinds of users, and no order of the items suits more than one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from recsys.checks import seed_of_draws, share, whole
from recsys.data.interactions import Interactions
from recsys.data.pairs import PairLog, Pairs
from recsys.data.vocabulary import Vocabulary
from recsys.errors import ConfigError
from recsys.types import Ints, Items, Mask

_LIKED, _DISLIKED = 5.0, 1.0


@final
@dataclass(frozen=True, eq=False)
class Camps:
    """A log of ratings by camps, and the truth behind it.

    Attributes:
        log: every user rated a random half of the items, 5 on the side of the own camp and 1 on the other.
        side: "users topics", whether the user belongs to the larger camp; a share `p` of them, rounded, exactly.
        topic: "items", int64.
        left: "items", whether the larger camp likes the item.
    """

    log: Interactions
    side: Mask
    topic: Ints
    left: Mask

    def hidden_pairs(self) -> Pairs:
        """Return all preferences of all users between items of one topic, one of either side, that are not in the log.

        Both items are unrated by the user, so that the judgements are new.
        """
        seen = np.zeros((self.log.n_users, self.log.n_items), np.bool_)  # a small world
        seen[self.log.user_num, self.log.item_num] = True
        return self._pairs(seen)

    def all_pairs(self) -> Pairs:
        """Return all preferences of all users between items of one topic, one of either side.

        Of every pair exactly the share p of the users prefers the side of the larger camp, so that no rule that answers
        alike for all errs less than 1 - p. Models that know users have seen some of them.
        """
        return self._pairs(np.zeros((self.log.n_users, self.log.n_items), np.bool_))

    def _pairs(self, seen: Mask) -> Pairs:
        users: list[Ints] = []
        left: list[Ints] = []
        right: list[Ints] = []
        for topic in range(self.side.shape[1]):
            ours, theirs = (np.flatnonzero((self.topic == topic) & side) for side in (self.left, ~self.left))
            one, other = (part.ravel() for part in np.meshgrid(ours, theirs, indexing="ij"))
            user, pair = np.nonzero(~seen[:, one] & ~seen[:, other])
            users.append(user)
            left.append(np.where(self.side[user, topic], one[pair], other[pair]))
            right.append(np.where(self.side[user, topic], other[pair], one[pair]))
        numbers: list[Items] = [np.concatenate(part).astype(np.int32) for part in (users, left, right)]
        judge, winner, loser = numbers
        order = np.argsort(judge, kind="stable")
        gap = np.full(len(judge), _LIKED - _DISLIKED, np.float32)
        return Pairs(judge[order], winner[order], loser[order], gap)


def camps(p: float = 0.6, topics: int = 1, users: int = 400, items: int = 40, seed: int = 0) -> Camps:
    """Simulate ratings by camps, without noise.

    Args:
        p: share of the larger camp, on every topic.
        topics: T, independent of each other.
        users: number of users.
        items: number of items of each topic; half of them on either side.
        seed: of all draws.

    Raises:
        ConfigError: a setting is out of range.
    """
    share("p", p)
    if p < 0.5:
        raise ConfigError(f"p is {p}; it is the share of the larger camp, at least 0.5")
    for name, value in (("topics", topics), ("users", users)):
        whole(name, value)
    whole("items", items, least=4)
    seed_of_draws(seed)
    rng = np.random.default_rng(seed)
    larger = np.arange(users) < round(p * users)
    side = np.stack([rng.permutation(larger) for _ in range(topics)], 1)
    topic = np.repeat(np.arange(topics), items)
    left = np.tile(np.arange(items) % 2 == 0, topics)
    likes = side[:, topic] == left
    chosen = rng.random(likes.shape).argsort(1)[:, : likes.shape[1] // 2]
    rater = np.repeat(np.arange(users), chosen.shape[1])
    ratings = np.where(likes[rater, chosen.ravel()], _LIKED, _DISLIKED)
    place = np.tile(np.arange(chosen.shape[1]), users)
    log = Interactions.from_columns(rater, chosen.ravel(), ratings, place, clock="order", name="camps")
    if log.n_items < likes.shape[1]:
        raise ConfigError(f"camps: {users} users rate too few of the items; give more users, or fewer items")
    return Camps(log, side, topic, left)


@final
@dataclass(frozen=True, eq=False)
class TopicPairs:
    """A log of pairs by camps on topics, with item vectors, and the truth behind it.

    Attributes:
        train: the choices of the users.
        test: further choices of the same users.
        newcomers: choices of other users, of the same number and kind.
        newcomers_test: further choices of these.
        side: "users topics", 1 or -1; the newcomers come last.
    """

    train: PairLog
    test: Pairs
    newcomers: Pairs
    newcomers_test: Pairs
    side: Ints


def topic_pairs(
    topics: int = 4,
    users: int = 200,
    pairs: int = 10,
    *,
    items: int = 100,
    dim: int = 16,
    overlap: float = 1.0,
    noise: float = 0.1,
    seed: int = 0,
) -> TopicPairs:
    """Simulate choices between answers on topics, each with a vector, such as an embedding.

        x_i = c_t(i) + a_i d_t(i) + e_i,     u prefers i to j of topic t  where  side_ut (a_i - a_j) > 0

    c_t is the centre of a topic, a_i how much the answer has of what the camps of the topic quarrel about, d_t its
    direction, e_i noise of the vector. A share `noise` of the choices is made by a coin. With `overlap` 1 the d_t are
    the same direction, such as "more formal": who wants it on one topic may not want it on another, and no linear
    reward of the vector says so. With 0 they are independent, and one linear reward per user suffices.

    Args:
        topics: K.
        users: number of users, and of newcomers.
        pairs: choices of each, and as many further ones of each in the test.
        items: number of items of each topic.
        dim: length of the vectors.
        overlap: cosine of the directions of two topics.
        noise: share of choices made by a coin.
        seed: of all draws.

    Raises:
        ConfigError: a setting is out of range.
    """
    for name, value in (("topics", topics), ("users", users), ("pairs", pairs)):
        whole(name, value)
    whole("items", items, least=2)
    whole("dim", dim, least=2 * topics + 1)
    share("overlap", overlap)
    share("noise", noise)
    seed_of_draws(seed)
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    centre, own, common = basis[:topics] * 2.0, basis[topics : 2 * topics], basis[2 * topics]
    direction = np.sqrt(overlap) * common + np.sqrt(1 - overlap) * own
    topic = np.repeat(np.arange(topics), items)
    amount = rng.normal(size=len(topic))
    vectors = centre[topic] + amount[:, None] * direction[topic] + 0.2 * rng.normal(size=(len(topic), dim))
    side = rng.integers(2, size=(2 * users, topics)) * 2 - 1

    def draw(first: int) -> Pairs:
        user = np.repeat(np.arange(users), pairs)
        about = rng.integers(topics, size=len(user))
        one = rng.integers(items, size=len(user))
        other = (one + rng.integers(1, items, size=len(user))) % items
        one, other = about * items + one, about * items + other
        up = side[first + user, about] * (amount[one] - amount[other]) > 0
        up = np.where(rng.random(len(user)) < noise, rng.random(len(user)) < 0.5, up)
        winner, loser = np.where(up, one, other), np.where(up, other, one)
        columns = (user.astype(np.int32), winner.astype(np.int32), loser.astype(np.int32))
        return Pairs(*columns, np.ones(len(user), np.float32))

    train = PairLog(
        Vocabulary(np.arange(users)),
        Vocabulary(np.arange(len(topic))),
        draw(0),
        vectors.astype(np.float32),
        name="topic-pairs",
    )
    return TopicPairs(train, draw(0), draw(users), draw(users), side)


def simulated_pairs(seed: int = 0) -> PairLog:
    """Return the choices of `topic_pairs` with its defaults, for the data set of that name."""
    return topic_pairs(seed=seed).train
