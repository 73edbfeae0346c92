"""Choosers against brute force, and that each asks nothing twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from recsys.elicitation import (
    Answer,
    AnswerTree,
    ByInformation,
    Chooser,
    Crowd,
    FixedList,
    PairQuestion,
    PairsByInformation,
    PReFChoice,
    RandomPopular,
    RankingBases,
    TasteBases,
    TasteBelief,
    entropy0,
    greedy_list,
    helf,
    igcn,
    pair_bases,
    popularity,
)
from recsys.errors import ConfigError
from tests.elicitation.crowds import crowd

PEOPLE = crowd()
TASTE = TasteBases.of(PEOPLE, 2)
EVERY = np.arange(PEOPLE.n_items)

CHOOSERS: dict[str, Callable[[Crowd], Chooser]] = {
    "random": RandomPopular,
    "popularity": popularity,
    "entropy0": entropy0,
    "helf": helf,
    "igcn": igcn,
    "tree": lambda people: AnswerTree(people, least=10),
    "D": lambda people: ByInformation(TASTE, EVERY),
    "A": lambda people: ByInformation(TASTE, EVERY, "A"),
    "greedy": lambda people: greedy_list(RankingBases.of(people)),
}


@pytest.mark.parametrize("name", CHOOSERS)
def test_a_chooser_asks_everything_once_and_forgets_nobody(name: str) -> None:
    chooser = CHOOSERS[name](PEOPLE)
    answers: list[Answer] = []
    skipped = chooser.next([], 2)
    while items := chooser.next(answers, 3, skipped):
        assert items == chooser.next(answers, 3, skipped)  # no memory
        answers += [Answer(item, "rating", 5.0) if item % 3 else Answer(item, "dont_know") for item in items]
        assert len(answers) <= PEOPLE.n_items
    asked = [answer.item for answer in answers]
    assert len(set(asked)) == len(asked)
    assert not set(asked) & set(skipped)
    assert len(asked) == PEOPLE.n_items - 2


def test_the_greedy_list_takes_what_makes_the_variance_fall_most() -> None:
    bases = RankingBases.of(PEOPLE)
    n, chosen = len(bases), list[int]()
    for item in greedy_list(bases, 4).items:
        falls = {}
        for place in range(n):
            if place in chosen:
                continue
            fall = []
            for places in (chosen, [*chosen, place]):
                rows = np.array([*places, *(each + n for each in places)], np.int64)
                told = bases.to_items[rows] * bases.liked
                told[:, bases.candidates[[*chosen, place]]] = 0.0  # what is answered is not listed
                fall.append(float(np.sum(told * np.linalg.solve(bases.within[np.ix_(rows, rows)], told))))
            falls[place] = fall[1] - fall[0]
        best = max(falls, key=lambda place: falls[place])
        assert bases.candidates[best] == item
        chosen.append(best)


def test_a_floor_and_the_items_that_may_be_listed_bind_the_greedy_list() -> None:
    bases = RankingBases.of(PEOPLE)
    known = greedy_list(bases, least_known=0.5).items
    assert all(PEOPLE.known_shares[item] >= 0.5 for item in known)
    assert set(greedy_list(bases, 3, listed=np.arange(12)).items) <= set(range(24))
    with pytest.raises(ConfigError, match="best known item"):
        greedy_list(bases, least_known=0.99)


def test_information_is_the_expected_fall_of_the_entropy() -> None:
    (chosen,) = ByInformation(TASTE, EVERY).next([])
    flag = TASTE.known * (1 - TASTE.known) / TASTE.temper
    gains = []
    for item in EVERY.tolist():
        rated = TasteBelief.of(TASTE, [Answer(item, "rating", 3.0)])
        unknown = TasteBelief.of(TASTE, [Answer(item, "dont_know")])
        fall = [-np.log(np.linalg.det(belief.covariance)) for belief in (rated, unknown)]
        only = np.log1p(TASTE.known_vectors[item] @ TASTE.known_vectors[item] / flag[item])
        assert fall[1] == pytest.approx(only)
        v = TASTE.vectors[item]
        gains.append(TASTE.known[item].clip(0.01, 0.99) * np.log1p(v @ v / TASTE.noise**2) + fall[1])
    assert chosen == int(np.argmax(gains))


def test_the_classic_lists_by_hand() -> None:
    known, liked = PEOPLE.known.toarray(), PEOPLE.liked.toarray()
    assert popularity(PEOPLE).items[0] == int(known.sum(0).argmax())
    values = PEOPLE.ratings.toarray()
    worth, harmonic = [], []
    for item in range(24):
        shares = np.array([(known[:, item] == 0).mean(), *((values[:, item] == value).mean() for value in (1, 3, 5))])
        positive = np.where(shares > 0, shares, 1)
        weight = np.array([0.5, 1, 1, 1])
        worth.append(-(weight * shares * np.log(positive)).sum() / weight.sum())
        given = shares[1:] / shares[1:].sum()
        entropy = -(given * np.log(np.where(given > 0, given, 1))).sum() / np.log(3)
        frequency = np.log(known[:, item].sum()) / np.log(len(known))
        harmonic.append(2 * frequency * entropy / (frequency + entropy))
    assert entropy0(PEOPLE).items == tuple(np.argsort(-np.array(worth), kind="stable").tolist())
    assert helf(PEOPLE).items == tuple(np.argsort(-np.array(harmonic), kind="stable").tolist())
    assert liked.sum() > 0


def test_a_tree_knows_the_camp_after_two_answers() -> None:
    tree = AnswerTree(PEOPLE, least=10, depth=2)
    (first,) = tree.next([])
    likes = Answer(first, "rating", 5.0)
    (second,) = tree.next([likes])
    profile = tree.profile([likes, Answer(second, "dont_know")])
    own, other = (slice(0, 12), slice(12, 24)) if first < 12 else (slice(12, 24), slice(0, 12))
    assert profile[own].mean() > profile[other].mean() + 0.1


def test_pairs_by_information_and_as_published() -> None:
    ours, phi = PairsByInformation(TASTE, EVERY), pair_bases(PEOPLE, 2)
    published = PReFChoice(phi, EVERY)
    assert published.next([], 1) == published.next([], 1) != published.next([], 2)
    answers: list[Answer] = []
    for _ in range(6):
        pair = ours.next(answers)
        other = published.next(answers)
        assert isinstance(pair, PairQuestion)
        assert isinstance(other, PairQuestion)
        assert not any({pair.first, pair.second} == {a.item, a.other} for a in answers)
        one, two = sorted((pair.first, pair.second))
        answers.append(Answer(one, "prefer", other=two) if one < 12 <= two else Answer(one, "dont_know", other=two))
    assert any(answer.kind == "prefer" for answer in answers)
    reward = phi @ published.coefficients(answers)
    assert reward[:12].mean() > reward[12:].mean()
    belief = TasteBelief.of(TASTE, answers)
    assert belief.expected[:12].mean() > belief.expected[12:].mean()
    assert belief.probability(0, 20) > 0.5


def test_pref_chooses_by_its_formula() -> None:
    phi = np.random.default_rng(0).normal(size=(5, 2))
    chooser = PReFChoice(phi, np.arange(5))
    answer = Answer(0, "prefer", other=1)
    point = chooser.coefficients([answer])
    d = phi[0] - phi[1]

    def slope(margin: float) -> float:
        return float(1 / (2 + 2 * np.cosh(margin)))

    information = 0.001 * np.eye(2) + slope(point @ d) * np.outer(d, d)
    worth = {}
    for i, j in itertools.combinations(range(5), 2):
        e = phi[i] - phi[j]
        if (i, j) != (0, 1):
            worth[i, j] = slope(point @ e) ** 2 * e @ np.linalg.inv(information) @ e
    assert chooser.next([answer]) == PairQuestion(*max(worth, key=lambda pair: worth[pair]))


def test_a_list_that_names_an_item_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        FixedList([1, 2, 1])
