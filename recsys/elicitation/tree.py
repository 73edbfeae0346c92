"""Adaptive trees of questions.

Golbandi, Koren and Lempel, *Adaptive bootstrapping of recommender systems using decision trees*, WSDM 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
import scipy.sparse as sp

from recsys.checks import whole
from recsys.elicitation.choosing import Chooser, asked, best_known
from recsys.elicitation.crowd import Crowd
from recsys.elicitation.questions import Answer
from recsys.types import Doubles, Ints

_SHRINK: Final = 50.0
"""People at the parent's profile who are added to each node."""


@final
@dataclass(eq=False)
class _Node:
    profile: Doubles
    item: int | None = None
    children: dict[str, _Node] = field(default_factory=dict)


@final
class AnswerTree(Chooser):
    """A tree whose nodes ask one item and branch by like, dislike and "don't know"; beyond a leaf popularity goes on.

    A node asks the item after whose answer the liked flags of its people vary least around the three children's means:
    the published criterion, the squared error, of flags instead of ratings, as a list is asked for. A child's profile
    is the mean of its people, shrunk to the parent's.

    Args:
        crowd: the other people.
        candidates: items that may be asked; None: all.
        most: so many of them, the best known ones.
        depth: the most questions.
        least: the fewest people of a node that is split.
    """

    def __init__(
        self, crowd: Crowd, candidates: Ints | None = None, *, most: int = 200, depth: int = 10, least: int = 60
    ) -> None:
        whole("depth", depth)
        whole("least", least)
        self._crowd = crowd
        self._items = best_known(crowd, candidates, most)
        self._known, self._liked = crowd.known.tocsc(), crowd.liked.tocsc()
        self._root = _Node(crowd.liked_shares)
        level = [(self._root, np.arange(crowd.n_users), frozenset[int]())]
        for _ in range(depth):
            level = [child for node, people, used in level for child in self._split(node, people, used, least)]

    def next(self, answers: Sequence[Answer], n: int = 1, without: Sequence[int] = ()) -> list[int]:
        done = asked(answers, without)
        node = self._at(answers)
        first = [node.item] if node.item is not None and node.item not in done else []
        others = [item for item in self._items.tolist() if item not in done and item not in first]
        return (first + others)[:n]

    def profile(self, answers: Sequence[Answer]) -> Doubles:
        """Return "items", the share of the people of the node of these answers that likes each."""
        return self._at(answers).profile

    def _at(self, answers: Sequence[Answer]) -> _Node:
        said = {answer.item: self._branch(answer) for answer in answers if answer.other is None}
        node = self._root
        while node.item is not None and node.item in said and said[node.item] in node.children:
            node = node.children[said[node.item]]
        return node

    def _branch(self, answer: Answer) -> str:
        if answer.kind == "rating" and answer.value is not None:
            return "like" if self._crowd.likes(answer.value) else "dislike"
        return answer.kind

    def _split(
        self, node: _Node, people: Ints, used: frozenset[int], least: int
    ) -> list[tuple[_Node, Ints, frozenset[int]]]:
        """Give a node its question and children; return those with their people."""
        if len(people) < least:
            return []
        flags = self._crowd.liked[people]
        items = np.array([item for item in self._items.tolist() if item not in used], np.int64)
        if not len(items):
            return []
        known, liked = self._crowd.known[people][:, items], flags[:, items]
        total = np.asarray(flags.sum(0)).ravel()
        count_liked, count_known = (np.asarray(part.sum(0), np.float64).ravel() for part in (liked, known))
        of_liked, of_known = _dense(liked.T @ flags), _dense(known.T @ flags)
        worth = _between(of_liked, count_liked) + _between(of_known - of_liked, count_known - count_liked)
        worth = worth + _between(total - of_known, np.asarray(len(people) - count_known))
        best = int(items[worth.argmax()])
        node.item = best
        has, likes = (np.asarray(part[people][:, [best]].toarray()).ravel() > 0 for part in (self._known, self._liked))
        parts = {"like": likes, "dislike": has & ~likes, "dont_know": ~has}
        children = []
        for branch, member in parts.items():
            inside = people[member]
            shares = np.asarray(self._crowd.liked[inside].sum(0)).ravel()
            node.children[branch] = _Node((shares + _SHRINK * node.profile) / (len(inside) + _SHRINK))
            children.append((node.children[branch], inside, used | {best}))
        return children


def _dense(matrix: sp.spmatrix) -> Doubles:
    return np.asarray(matrix.todense())


def _between(sums: Doubles, count: Doubles) -> Doubles:
    """Return sum_j S_j^2 / n of each candidate: what the mean of a group explains of the squares, "candidates"."""
    return np.asarray((sums**2).sum(1) / np.maximum(count, 1.0))
