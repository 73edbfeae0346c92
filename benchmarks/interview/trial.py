"""Interviews of all held-out users of one split by every chooser."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, final

import numpy as np
from scipy.special import ndtr

from benchmarks.interview.halves import Halves, N, Person, mean_ratings
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
GREEDY, POPULAR = "greedy list", "popularity"
D, D_SCREENS = "by information (D)", "by information (D), screens of 4"
A, A_SCREENS = "by information (A)", "by information (A), screens of 4"
PREF, PAIRS, TREE, FLOOR = "PReF as published", "pairs by information", "tree", "greedy list, at least .2 know it"
NOISE = 0.2
Metrics = dict[str, Doubles]
NONE, ALL = "none", "all candidates"
_BLEND = 10.0


def interviews(halves: Halves, dim: int, temper: float, *, most: int = 400) -> tuple[Metrics, dict[str, float]]:
    """Interview everybody.

    Returns:
        Metrics by "chooser|questions|metric", one value for each user; and milliseconds of processor time a question by
        chooser.
    """
    crowd, asked, judged = halves.crowd, halves.candidates, halves.judged
    ranking = RankingBases.of(crowd, asked, most=most)
    taste = TasteBases.of(crowd, dim, temper=temper)
    pool, liked_at = best_known(crowd, asked, most), crowd.liked_at or 0.0
    greedy = greedy_list(ranking, listed=judged)
    people = [Person(halves, user, mean_ratings(crowd)) for user in halves.users.tolist()]
    notes = _Notes(halves, ranking, _FoldIn(halves))
    spent: dict[str, float] = {}
    before = TasteBelief.of(taste, liked_at=liked_at)
    for person in people:
        notes.all(NONE, person, [], before)
    choosers: dict[str, Callable[[], Chooser]] = {
        "random of 200": lambda: RandomPopular(crowd, asked),
        POPULAR: lambda: popularity(crowd, asked),
        "entropy0": lambda: entropy0(crowd, asked),
        "HELF": lambda: helf(crowd, asked),
        "IGCN": lambda: igcn(crowd, asked),
        TREE: lambda: AnswerTree(crowd, asked, depth=N),
        D: lambda: ByInformation(taste, pool, liked_at=liked_at),
        D_SCREENS: lambda: ByInformation(taste, pool, liked_at=liked_at),
        A: lambda: ByInformation(taste, pool, "A", liked_at=liked_at),
        A_SCREENS: lambda: ByInformation(taste, pool, "A", liked_at=liked_at),
        GREEDY: lambda: greedy,
        FLOOR: lambda: greedy_list(ranking, listed=judged, least_known=0.2),
    }
    for name, make in choosers.items():
        chooser = make()
        screen = SCREEN if name in (D_SCREENS, A_SCREENS) else 1
        limit = SCREEN * N if isinstance(chooser, FixedList) or screen > 1 else N
        spent[name] = _ask_items(people, chooser, name, screen, limit, before, notes)
    _ask_pairs(people, taste, pool, halves, notes, spent)
    _answer_everything(people, ranking, halves, notes)
    for user in halves.users.tolist():
        noisy = Person(halves, user, mean_ratings(crowd), NOISE)
        for name, items in ((GREEDY, greedy.items), (POPULAR, popularity(crowd, asked).items)):
            notes.ranked(f"{name}, noisy", noisy, [noisy.answer(item) for item in items[:N]])
    return {name: np.asarray(values) for name, values in notes.values.items()}, spent


@final
class _Notes:
    """Collects the metrics of every person."""

    def __init__(self, halves: Halves, ranking: RankingBases, fold_in: _FoldIn) -> None:
        self.values: dict[str, list[float]] = {}
        self._ranking, self._fold_in, self._judged = ranking, fold_in, halves.judged
        self._crowd = halves.crowd

    def note(self, name: str, count: int | str, metric: str, value: float) -> None:
        """Keep one value of one person."""
        self.values.setdefault(f"{name}|{count}|{metric}", []).append(value)

    def ranked(self, name: str, person: Person, answers: Sequence[Answer]) -> Doubles:
        """Keep what the list of the ranking belief is worth; return its scores of the judged items."""
        expected = RankingBelief(self._ranking, answers, self._crowd.liked_at).expected[self._judged]
        self.note(name, len(answers), "ranking", person.ndcg(expected))
        self.note(name, len(answers), "known", float(sum(answer.kind != "dont_know" for answer in answers)))
        return expected

    def all(
        self, name: str, person: Person, answers: Sequence[Answer], belief: TasteBelief, own: Doubles | None = None
    ) -> None:
        """Keep every metric."""
        count, judged = len(answers), self._judged
        ranked = self.ranked(name, person, answers)
        expected = belief.expected[judged]
        sd, known = belief.sd[judged], belief.knows(judged)
        self.note(name, count, "taste", person.ndcg(ndtr((expected - belief.liked_at) / sd) * known))
        self.note(name, count, "rated", person.ndcg_rated(expected))
        self.note(name, count, "contested", person.contested(expected))
        self.note(name, count, "covered", person.covered(expected, sd))
        if own is not None:
            self.note(name, count, "own", person.ndcg(own[judged]))
        liked = [a.item for a in answers if a.value is not None and self._crowd.likes(a.value)]
        folded = self._fold_in.scores(liked)[judged] if liked else ranked
        share = len(liked) / (len(liked) + _BLEND)
        self.note(name, count, "fold_in", person.ndcg(folded))
        self.note(name, count, "blend", person.ndcg((1 - share) * _standard(ranked) + share * _standard(folded)))


def _ask_items(
    people: Sequence[Person],
    chooser: Chooser,
    name: str,
    screen: int,
    limit: int,
    before: TasteBelief,
    notes: _Notes,
) -> float:
    """Ask everybody; return milliseconds of processor time a question."""
    spent, questions = 0.0, 0
    for person in people:
        answers, belief = list[Answer](), before
        while len(answers) < limit:
            start = time.process_time()
            items = chooser.next(answers, screen)
            spent, questions = spent + time.process_time() - start, questions + 1
            if not items:
                break
            for item in items:
                answers.append(person.answer(item))
                belief = belief.update(answers[-1])
            if len(answers) in (N, SCREEN * N):
                own = chooser.profile(answers) if isinstance(chooser, AnswerTree) else None
                notes.all(name, person, answers, belief, own)
            elif len(answers) in STEPS:
                notes.ranked(name, person, answers)
    return 1e3 * spent / max(questions, 1)


def _ask_pairs(
    people: Sequence[Person],
    taste: TasteBases,
    pool: Ints,
    halves: Halves,
    notes: _Notes,
    spent: dict[str, float],
) -> None:
    """Ask ten pairs of everybody: by information, and as PReF does, whose own read-out is lambda . phi."""
    phi = pair_bases(halves.crowd, taste.dim)
    ours, published = PairsByInformation(taste, pool), PReFChoice(phi, halves.candidates)
    for name in (PAIRS, PREF):
        used = 0.0
        for number, person in enumerate(people):
            answers: list[Answer] = []
            for _ in range(N):
                start = time.process_time()
                pair = ours.next(answers) if name == PAIRS else published.next(answers, number)
                used += time.process_time() - start
                assert pair is not None
                answers.append(person.choose(pair.first, pair.second))
            own = phi @ published.coefficients(answers) if name == PREF else None
            notes.all(name, person, answers, TasteBelief.of(taste, answers, halves.crowd.liked_at or 0.0), own)
        spent[name] = 1e3 * used / (N * len(people))


def _answer_everything(people: Sequence[Person], ranking: RankingBases, halves: Halves, notes: _Notes) -> None:
    """Note the list after answers on all candidates, which bounds every chooser."""
    said = [[person.answer(item) for item in ranking.candidates.tolist()] for person in people]
    known = np.array([[answer.kind != "dont_know" for answer in row] for row in said], np.float64)
    liked = np.array([[a.value is not None and halves.crowd.likes(a.value) for a in row] for row in said], np.float64)
    weights = np.linalg.solve(ranking.within, ranking.to_items[:, halves.judged].astype(np.float64))
    expected = ranking.liked[halves.judged] + (np.hstack([known, liked]) - ranking.mean) @ weights
    for person, row in zip(people, expected, strict=True):
        notes.note(ALL, ALL, "ranking", person.ndcg(row))


@final
class _FoldIn:
    """EASE, fitted on the crowd, on what was liked in the answers."""

    def __init__(self, halves: Halves) -> None:
        log = halves.crowd_log.compact()
        self._model = EASE().fit(log)
        self._number = log.items.numbers(halves.log.items.ids)
        self._size = halves.log.n_items

    def scores(self, liked: Sequence[int]) -> Doubles:
        """Return "items"; an item that the crowd does not know comes last."""
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
    by_d, by_a, pairs = ByInformation(taste, pool), ByInformation(taste, pool, "A"), PairsByInformation(taste, pool)
    asks: dict[str, Callable[[list[Answer]], object]] = {
        D: lambda answers: by_d.next(answers, 1),
        A: lambda answers: by_a.next(answers, 1),
        GREEDY: lambda answers: fixed.next(answers, 1),
        "the list of the ranking belief": lambda answers: RankingBelief(ranking, answers, crowd.liked_at).expected,
        PAIRS: lambda answers: pairs.next([]),
    }
    found: dict[str, Any] = {"candidates": len(pool), "making the greedy list of 400 candidates, ms": 1e3 * made}
    person = Person(halves, int(halves.users[0]), mean_ratings(crowd))
    for name, ask in asks.items():
        times = []
        for count in range(questions):
            answers = [person.answer(item) for item in fixed.items[:count]]
            start = time.process_time()
            ask(answers)
            times.append(1e3 * (time.process_time() - start))
        found[name] = [float(np.mean(times)), float(np.max(times))]
    return found
