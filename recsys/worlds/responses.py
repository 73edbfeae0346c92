"""A world of answers: some are preferences, some are thrown in, and some are made by how the question was put."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np

from recsys.checks import choice, positive, seed_of_draws, share, whole
from recsys.errors import ConfigError
from recsys.types import Doubles, Ints, Items, Kinds

Variant = Literal["answers", "preferences", "changes"]
"""What a shown number moves: the answers of the class alone, every preference a little, or nothing while some users
change their mind once."""

GENUINE, NON_ATTITUDE, CONSTRUCTED = range(3)
_MIDDLE = 3.4
_ANCHORS = (-1.5, -0.5, 0.5, 1.5)


@final
@dataclass(frozen=True, eq=False)
class AnswerWorld:
    """Answers, and the truth behind them.

    Attributes:
        user: "answers", int32.
        item: "answers", int32.
        value: "answers", whole stars from 1 to 5.
        anchor: "answers", the number that was shown beside the question, less the middle of the scale.
        kind: "answers", int8: the class of the pair: `GENUINE`, `NON_ATTITUDE` or `CONSTRUCTED`.
        level: "users", what each user answers on average where there is no opinion.
        theta: "users items", what each user really thinks of each item.
        shares: "users 3", the share of each class in the user's answers, as drawn.
    """

    user: Items
    item: Items
    value: Doubles
    anchor: Doubles
    kind: Kinds
    level: Doubles
    theta: Doubles
    shares: Doubles

    def asked_again(self, answers: Ints, seed: int = 0) -> AnswerWorld:
        """Return the world with one more answer about the pair of each of some answers, under a number of its own.

        Args:
            answers: positions.
            seed: of numbers shown and answers.
        """
        rng = np.random.default_rng(seed)
        user, item, kind = self.user[answers], self.item[answers], self.kind[answers]
        anchor = rng.choice(np.unique(self.anchor), len(answers))
        value = _said(kind, self.theta[user, item], self.level[user], anchor, rng)
        return replace(
            self,
            user=np.concatenate([self.user, user]),
            item=np.concatenate([self.item, item]),
            value=np.concatenate([self.value, value]),
            anchor=np.concatenate([self.anchor, anchor]),
            kind=np.concatenate([self.kind, kind]),
        )


def answer_world(
    repeats: float = 0.3,
    shares: tuple[float, float, float] = (0.65, 0.20, 0.15),
    *,
    users: int = 600,
    items: int = 400,
    pairs: int = 50,
    anchors: tuple[float, ...] = _ANCHORS,
    variant: Variant = "answers",
    seed: int = 0,
) -> AnswerWorld:
    """Simulate answers of three classes.

        theta_ui = 3.4 + b_i + a_u + .9 p_u . q_i
        genuine       theta_ui + N(0, .4^2)
        non-attitude  3.4 + a_u + N(0, 1.1^2), anew at every answer
        constructed   3.4 + a_u + .8 x + N(0, .4^2), x the number shown

    b ~ N(0, .35^2), a ~ N(0, .3^2), p ~ N(0, .45^2) and q ~ N(0, .9^2) in four dimensions; the class of a pair is drawn
    by the user's own shares, Dirichlet(12 shares); a pair keeps it. Answers are rounded to stars.

    Args:
        repeats: share of the pairs that are asked about twice, three in ten of them three times.
        shares: mean of the users' shares of genuine, non-attitude and constructed.
        users: number of users.
        items: number of items.
        pairs: items that each user answers about.
        anchors: the numbers shown, drawn at random at each answer.
        variant: "preferences": what is shown moves half as much in genuine answers, too; "changes": a fifth of the
            users turn their taste round between first and later answers.
        seed: of all draws.

    Raises:
        ConfigError: a setting is out of range.
    """
    share("repeats", repeats)
    choice("variant", variant, Variant)
    for name, value in (("users", users), ("items", items), ("pairs", pairs)):
        whole(name, value)
    for each in shares:
        positive("shares", each)
    if not anchors:
        raise ConfigError("anchors is (); give the numbers that are shown, such as (0,) for the same one always")
    seed_of_draws(seed)
    rng = np.random.default_rng(seed)
    own, quality = 0.3 * rng.normal(size=users), 0.35 * rng.normal(size=items)
    taste, about = 0.45 * rng.normal(size=(users, 4)), 0.9 * rng.normal(size=(items, 4))
    level = _MIDDLE + own
    theta = level[:, None] + quality + 0.9 * taste @ about.T
    drawn = rng.dirichlet(12 * np.asarray(shares) / sum(shares), users)
    asked = rng.random((users, items)).argsort(1)[:, : min(pairs, items)]
    user, item = np.repeat(np.arange(users), asked.shape[1]), asked.ravel()
    kind = (rng.random(len(user))[:, None] > np.cumsum(drawn, 1)[user, :2]).sum(1)
    draw = rng.random(len(user))
    times = 1 + (draw < repeats) + (draw < 0.3 * repeats)
    later = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    user, item, kind = (np.repeat(column, times) for column in (user, item, kind))
    anchor = rng.choice(np.asarray(anchors), len(user))
    mind = theta[user, item]
    if variant == "changes":
        changed = (rng.random(users) < 0.2)[user] & (later > 0)
        mind = np.where(changed, 2 * (level[user] + quality[item]) - mind, mind)
    if variant == "preferences":
        mind = mind + 0.4 * anchor
    return AnswerWorld(
        user.astype(np.int32),
        item.astype(np.int32),
        _said(kind, mind, level[user], anchor, rng),
        anchor,
        kind.astype(np.int8),
        level,
        theta,
        drawn,
    )


def _said(kind: Ints | Kinds, mind: Doubles, level: Doubles, anchor: Doubles, rng: np.random.Generator) -> Doubles:
    """Return answers in stars, each of its class."""
    made = np.select(
        [kind == GENUINE, kind == NON_ATTITUDE],
        [mind + 0.4 * rng.normal(size=len(kind)), level + 1.1 * rng.normal(size=len(kind))],
        level + 0.8 * anchor + 0.4 * rng.normal(size=len(kind)),
    )
    return np.asarray(np.clip(np.rint(made), 1, 5), np.float64)
