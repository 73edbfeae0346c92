"""Interviews of all held-out users of one split by every chooser."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from benchmarks.interview.halves import N, Halves, Person
from recsys.data.queries import Queries
from recsys.elicitation import (
    Answer,
    AnswerTree,
    ByInformation,
    Chooser,
    FixedList,
    PairsByInformation,
    PReFChoice,
    RandomPopular,
    RankingBases,
    RankingBelief,
    TasteBases,
    TasteBelief,
    entropy0,
    greedy_list,
    helf,
    igcn,
    pair_bases,
    popularity,
)
from recsys.elicitation.choosing import best_known
from recsys.models import EASE
from recsys.types import Doubles, Ints

STEPS: Final = (1, 2, 3, 5, 10, 20, 40)
SCREEN: Final = 4
GREEDY, POPULAR, D, D_SCREENS = "greedy list", "popularity", "by information (D)", "by information (D), screens of 4"
PREF, PAIRS = "PReF as published", "pairs by information"
NONE, ALL = "none", "all candidates"
_BLEND = 10.0


def interviews(
    halves: Halves, dim: int, temper: float, *, only: Sequence[str] | None = None, most: int = 400
) -> tuple[dict[str, Doubles], dict[str, float]]:
    """Interview everybody.

    Returns:
        Metrics by "chooser|questions|metric", one value for each user; and milliseconds of processor time a question by
        chooser.
    """
    crowd, asked, judged = halves.crowd, halves.candidates, halves.judged
    ranking = RankingBases.of(crowd, asked, most=most)
    taste = TasteBases.of(crowd, dim, temper=temper)
    pool = best_known(crowd, asked, most)
    liked_at = crowd.liked_at or 0.0
    choosers: dict[str, Callable[[], Chooser]] = {
        "random of 200": lambda: RandomPopular(crowd, asked),
        POPULAR: lambda: popularity(crowd, asked),
        "entropy0": lambda: entropy0(crowd, asked),
        "HELF": lambda: helf(crowd, asked),
        "IGCN": lambda: igcn(crowd, asked),
        "tree": lambda: AnswerTree(crowd, asked, depth=N),
        D: lambda: ByInformation(taste, pool, liked_at=liked_at),
        D_SCREENS: lambda: ByInformation(taste, pool, liked_at=liked_at),
        "by information (A)": lambda: ByInformation(taste, pool, "A", liked_at=liked_at),
        GREEDY: lambda: greedy_list(ranking, listed=judged),
        "greedy list, at least .2 know it": lambda: greedy_list(ranking, listed=judged, least_known=0.2),
    }
    people = [Person(halves, user, taste.offsets) for user in halves.users.tolist()]
    fold_in = _FoldIn(halves)
    results: dict[str, list[float]] = {}
    spent: dict[str, float] = {}

    before = TasteBelief.of(taste, liked_at=liked_at)

    def note(
        name: str, person: Person, answers: Sequence[Answer], belief: TasteBelief, own: Doubles | None = None
    ) -> None:
        count = len(answers)
        expected = RankingBelief(ranking, answers, liked_at).expected
        known = sum(answer.kind != "dont_know" for answer in answers)
        found = {
            "ranking": person.ndcg(expected[judged]),
            "taste": person.ndcg(belief.liked[judged]),
            "rated": person.ndcg_rated(belief.expected[judged]),
            "contested": person.contested(belief.expected[judged]),
            "known": float(known),
        }
        if own is not None:
            found["own"], found["own_contested"] = person.ndcg(own[judged]), person.contested(own[judged])
        if count in (0, N, SCREEN * N):
            found["covered"] = person.covered(belief.expected[judged], belief.sd[judged])
            scores = fold_in.scores(answers, crowd.likes)
            share = known / (known + _BLEND)
            blended = (1 - share) * _standard(expected[judged]) + share * _standard(scores[judged])
            found["fold_in"] = person.ndcg(scores[judged] if known else expected[judged])
            found["blend"] = person.ndcg(blended)
        for metric, value in found.items():
            results.setdefault(f"{name}|{count if name != ALL else ALL}|{metric}", []).append(value)

    for person in people:
        note(NONE, person, [], before)
    for name, make in choosers.items():
        if only is not None and name not in only:
            continue
        chooser = make()
        screen = SCREEN if name == D_SCREENS else 1
        limit = STEPS[-1] if isinstance(chooser, FixedList) or screen > 1 else 20
        began, questions = 0.0, 0
        for person in people:
            answers, belief = list[Answer](), before
            while len(answers) < limit:
                start = time.process_time()
                items = chooser.next(answers, screen)
                began, questions = began + time.process_time() - start, questions + 1
                if not items:
                    break
                for item in items:
                    answers.append(person.answer(item))
                    belief = belief.update(answers[-1])
                if len(answers) in STEPS or (screen > 1 and len(answers) == limit):
                    own = chooser.profile(answers) if isinstance(chooser, AnswerTree) else None
                    note(name, person, answers, belief, own)
        spent[name] = 1e3 * began / max(questions, 1)
    if only is None:
        _ask_pairs(people, taste, pool, halves, note, spent)
        everything = [[person.answer(item) for item in ranking.candidates.tolist()] for person in people]
        for person, answers in zip(people, everything, strict=True):
            note(ALL, person, answers, TasteBelief.of(taste, answers, liked_at))
    return {name: np.asarray(values) for name, values in results.items()}, spent


def _ask_pairs(
    people: Sequence[Person],
    taste: TasteBases,
    pool: Ints,
    halves: Halves,
    note: Callable[..., None],
    spent: dict[str, float],
) -> None:
    """Ask ten pairs of everybody: by information, and as PReF does, whose own read-out is lambda . phi."""
    phi = pair_bases(halves.crowd, taste.dim)
    ours, published = PairsByInformation(taste, pool), PReFChoice(phi, halves.candidates)
    for name in (PAIRS, PREF):
        began = 0.0
        for number, person in enumerate(people):
            answers: list[Answer] = []
            for _ in range(N):
                start = time.process_time()
                pair = ours.next(answers) if name == PAIRS else published.next(answers, number)
                began += time.process_time() - start
                assert pair is not None
                answers.append(person.choose(pair.first, pair.second))
                if len(answers) in STEPS:
                    own = phi @ published.coefficients(answers) if name == PREF else None
                    note(name, person, answers, TasteBelief.of(taste, answers), own)
        spent[name] = 1e3 * began / (N * len(people))


class _FoldIn:
    """EASE, fitted on the crowd, on what was liked in the answers."""

    def __init__(self, halves: Halves) -> None:
        log = halves.crowd_log.compact()
        self._model = EASE().fit(log)
        self._number = log.items.numbers(halves.log.items.ids)
        self._size = halves.log.n_items

    def scores(self, answers: Sequence[Answer], likes: Callable[[float], bool]) -> Doubles:
        """Return "items"; an item that the crowd does not know comes last."""
        liked = [answer.item for answer in answers if answer.value is not None and likes(answer.value)]
        history = self._number[np.asarray(liked, np.int64)]
        scores = self._model.score(Queries.from_history([history[history >= 0]]))[0].double().numpy()
        found = np.full(self._size, float(scores.min()) - 1.0)
        found[self._number >= 0] = scores[self._number[self._number >= 0]]
        return found


def _standard(scores: Doubles) -> Doubles:
    return np.asarray((scores - scores.mean()) / max(float(scores.std()), 1e-12))


def question_times(halves: Halves, dim: int, temper: float, candidates: int, questions: int = 20) -> dict[str, Any]:
    """Return milliseconds of processor time of a question, the mean of all and the largest, with many candidates."""
    crowd = halves.crowd
    pool = best_known(crowd, None, candidates)
    taste = TasteBases.of(crowd, dim, temper=temper)
    start = time.process_time()
    ranking = RankingBases.of(crowd, None, most=400)
    fixed = greedy_list(ranking)
    made = time.process_time() - start
    asks: dict[str, Callable[[list[Answer]], object]] = {
        D: lambda answers: ByInformationOnce.next(answers, 1),
        "by information (A)": lambda answers: by_a.next(answers, 1),
        GREEDY: lambda answers: fixed.next(answers, 1),
        "the list of the ranking belief": lambda answers: RankingBelief(ranking, answers, crowd.liked_at).expected,
        PAIRS: lambda answers: pairs.next([]),
    }
    ByInformationOnce = ByInformation(taste, pool)  # noqa: N806
    by_a, pairs = ByInformation(taste, pool, "A"), PairsByInformation(taste, pool)
    found: dict[str, Any] = {"candidates": len(pool), "making the greedy list of 400 candidates, ms": 1e3 * made}
    person = Person(halves, int(halves.users[0]), taste.offsets)
    for name, ask in asks.items():
        times = []
        for count in range(questions):
            answers = [person.answer(item) for item in fixed.items[:count]]
            start = time.process_time()
            ask(answers)
            times.append(1e3 * (time.process_time() - start))
        found[name] = [float(np.mean(times)), float(np.max(times))]
    return found
