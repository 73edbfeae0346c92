"""Choosers of the next question: by information, by a fixed list, by chance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Literal, final

import numpy as np

from recsys.checks import choice, fraction, positive, seed_of_draws, whole
from recsys.elicitation.crowd import Crowd
from recsys.elicitation.questions import Answer
from recsys.elicitation.ranking import RankingBases
from recsys.elicitation.taste import TasteBelief
from recsys.elicitation.taste_bases import TasteBases
from recsys.errors import ConfigError
from recsys.types import Doubles, Ints

Criterion = Literal["D", "A"]
"""What should shrink: the volume of what is not known of the taste, or the variance of differences of ratings."""

QUESTIONS: Final = 100
"""Length of a fixed list."""


class Chooser(ABC):
    """Chooses what to ask next. It has no memory: the answers so far are all that it reads."""

    @abstractmethod
    def next(self, answers: Sequence[Answer], n: int = 1, without: Sequence[int] = ()) -> list[int]:
        """Return the items of the next screen, at most n; fewer when the questions run out.

        Args:
            answers: so far, the earliest first.
            n: how many.
            without: items that must not be asked, such as skipped ones; answered ones never are.
        """


def asked(answers: Sequence[Answer], without: Sequence[int] = ()) -> set[int]:
    """Return the items that need not be asked any more."""
    return {item for answer in answers for item in (answer.item, answer.other) if item is not None} | set(without)


@final
class FixedList(Chooser):
    """The same questions for everybody, in the same order: explainable, and made before anybody comes.

    Args:
        items: what to ask, in order.
    """

    def __init__(self, items: Sequence[int] | Ints) -> None:
        self.items = tuple(int(item) for item in items)
        if len(set(self.items)) != len(self.items):
            raise ConfigError("a list of questions names an item twice; name each once")

    def next(self, answers: Sequence[Answer], n: int = 1, without: Sequence[int] = ()) -> list[int]:
        done = asked(answers, without)
        return [item for item in self.items if item not in done][:n]


@final
class RandomPopular(Chooser):
    """Items at random among the best known ones; the same for the same number of answers, seed and pool.

    Args:
        crowd: the other people.
        candidates: items that may be asked; None: all.
        most: so many of them, the best known ones.
        seed: of the order.
    """

    def __init__(self, crowd: Crowd, candidates: Ints | None = None, most: int = 200, seed: int = 0) -> None:
        seed_of_draws(seed)
        pool = best_known(crowd, candidates, most)
        self._list = FixedList(np.random.default_rng(seed).permutation(pool))

    def next(self, answers: Sequence[Answer], n: int = 1, without: Sequence[int] = ()) -> list[int]:
        return self._list.next(answers, n, without)


@final
class ByInformation(Chooser):
    """The items whose answers are expected to tell most of the taste, given the answers so far.

        D:  P(known_i | m) ln(1 + v'Sv / s^2) + ln(1 + t g'Sg / (p (1 - p)))
        A:  P(known_i | m) |VSv|^2 / (s^2 + v'Sv) + |VSg|^2 / (p (1 - p) / t + g'Sg)

    D is the expected fall of the entropy of the taste (times two). A is that of the variance of the difference between
    two items' expected ratings, over items as they are known: V has the rows sqrt(p_i) (v_i - mean of v), so that how
    high somebody rates everything, which orders nothing, is not asked for.
    Within a screen each further item is chosen as if those before it had been answered, a rating counting as much as it
    is probable that the item is known. Criteria: Chaloner and Verdinelli, *Bayesian Experimental Design: A Review*,
    1995; the second terms, what "don't know" tells, are ours.

    Args:
        bases: of taste.
        candidates: items that may be asked.
        criterion: D or A.
        least_known: items that somebody of this taste knows with a smaller probability are not asked.
        liked_at: the lowest rating that counts as liked, for likes and dislikes.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        bases: TasteBases,
        candidates: Ints,
        criterion: Criterion = "D",
        *,
        least_known: float = 0.0,
        liked_at: float = 0.0,
    ) -> None:
        choice("criterion", criterion, Criterion)
        fraction("least_known", least_known)
        self.bases, self.candidates, self.criterion = bases, np.asarray(candidates, np.int64), criterion
        self.least_known, self.liked_at = least_known, liked_at
        centred = bases.vectors - np.average(bases.vectors, axis=0, weights=bases.known)
        self._gram = (centred.T * bases.known) @ centred
        share = np.minimum(bases.known[self.candidates], 1 - 1e-6)
        self._flag = share * (1 - share) / max(bases.temper, 1e-9)

    def next(self, answers: Sequence[Answer], n: int = 1, without: Sequence[int] = ()) -> list[int]:
        belief = TasteBelief.of(self.bases, answers, self.liked_at)
        covariance, knows = belief.covariance, belief.knows(self.candidates)
        done = asked(answers, without)
        open_ = np.array([item not in done for item in self.candidates.tolist()], np.bool_)
        floor = open_ & (knows >= self.least_known)
        open_ = floor if floor.any() else open_
        chosen: list[int] = []
        vectors, flags = self.bases.vectors[self.candidates], self.bases.known_vectors[self.candidates]
        while open_.any() and len(chosen) < n:
            gain = np.where(open_, self._gain(vectors, flags, covariance, knows), -np.inf)
            best = int(gain.argmax())
            open_[best] = False
            chosen.append(int(self.candidates[best]))
            covariance = shrunk(covariance, vectors[best], self.bases.noise**2 / float(knows[best]))
            covariance = shrunk(covariance, flags[best], float(self._flag[best]))
        return chosen

    def _gain(self, vectors: Doubles, flags: Doubles, covariance: Doubles, knows: Doubles) -> Doubles:
        noise = self.bases.noise**2
        moved, flagged = vectors @ covariance, flags @ covariance
        spread, doubt = (moved * vectors).sum(1), (flagged * flags).sum(1)
        if self.criterion == "D":
            return np.asarray(knows * np.log1p(spread / noise) + np.log1p(doubt / self._flag))
        of_rating = ((moved @ self._gram) * moved).sum(1) / (noise + spread)
        return np.asarray(knows * of_rating + ((flagged @ self._gram) * flagged).sum(1) / (self._flag + doubt))


def shrunk(covariance: Doubles, vector: Doubles, variance: float) -> Doubles:
    """Return the covariance after an observation of vector . u with a noise of this variance."""
    moved = covariance @ vector
    return np.asarray(covariance - np.outer(moved, moved) / (variance + float(vector @ moved)))


def greedy_list(
    bases: RankingBases, questions: int = QUESTIONS, *, listed: Ints | None = None, least_known: float = 0.0
) -> FixedList:
    """Return the fixed list that tells most of what a list of recommendations needs, found greedily.

        next i maximises   sum_j q_j^2 (Var(liked_j | answers on S) - Var(liked_j | answers on S and i)), j outside S, i

    Items that more people like count more, as a list may hold them; without q_j^2 this is the usual A-optimal design.
    The variance does not depend on what is answered, so that the list is made once, by block elimination: after i is
    chosen, its two features (known, liked) are projected out of all others. Such lists for pairs: Sepliarskaia et al.,
    *Preference Elicitation as an Optimization Problem*, RecSys 2018; this objective is ours.

    Args:
        bases: of the crowd.
        questions: length of the list.
        listed: items that may be recommended; None: all.
        least_known: do not ask what a smaller share of the crowd knows: fewer answers are then "don't know".

    Raises:
        ConfigError: a setting is out of range, or nothing is known so well.
    """
    whole("questions", questions)
    fraction("least_known", least_known)
    n, items = len(bases), bases.candidates
    open_ = bases.mean[:n] >= least_known
    if not open_.any():
        known = float(bases.mean[:n].max())
        raise ConfigError(f"least_known is {least_known:g}; the best known item is known to {known:.2f} of the people")
    worth = bases.liked.copy()
    if listed is not None:
        worth[np.setdiff1d(np.arange(len(worth)), listed)] = 0.0
    told = bases.to_items * worth.astype(np.float32)
    within, own = bases.within.copy(), told[:, items].astype(np.float64)
    products = (told @ told.T).astype(np.float64)  # "features features": the columns themselves are not needed
    each, chosen = np.arange(n), list[int]()
    for _ in range(min(questions, int(open_.sum()))):
        gain = _block_trace(within, products, n) - _block_own(within, own[each, each], own[each + n, each], n)
        best = int(np.where(open_, gain, -np.inf).argmax())
        chosen.append(best)
        open_[best] = False
        products -= np.outer(own[:, best], own[:, best])  # what is answered is not listed
        own[:, best] = 0.0
        rows = np.array([best, best + n])
        step = np.linalg.solve(within[np.ix_(rows, rows)], within[rows])  # "2 features"
        crossed = products[rows].T @ step
        products += step.T @ products[np.ix_(rows, rows)] @ step - crossed - crossed.T
        own -= step.T @ own[rows]
        within -= within[:, rows] @ step
        within[rows, rows] += 1.0  # never inverted again, but must not be singular
    return FixedList(items[chosen])


def _block_trace(within: Doubles, products: Doubles, n: int) -> Doubles:
    """Return trace(W_i^-1 P_i) of the 2 x 2 blocks of every candidate."""
    i, k = np.arange(n), np.arange(n, 2 * n)
    a, b, d = within[i, i], within[i, k], within[k, k]
    return np.asarray((d * products[i, i] - 2 * b * products[i, k] + a * products[k, k]) / _determinant(a, b, d))


def _block_own(within: Doubles, first: Doubles, second: Doubles, n: int) -> Doubles:
    """Return x' W_i^-1 x of every candidate with x = (first, second)."""
    i, k = np.arange(n), np.arange(n, 2 * n)
    a, b, d = within[i, i], within[i, k], within[k, k]
    return np.asarray((d * first**2 - 2 * b * first * second + a * second**2) / _determinant(a, b, d))


def _determinant(a: Doubles, b: Doubles, d: Doubles) -> Doubles:
    return np.asarray(np.maximum(a * d - b * b, 1e-12))


def best_known(crowd: Crowd, candidates: Ints | None, most: int) -> Ints:
    """Return the best known of some items (None: all), at most `most`, best first."""
    positive("most", most)
    items = np.arange(crowd.n_items) if candidates is None else np.asarray(candidates, np.int64)
    return np.asarray(items[np.argsort(-crowd.known_shares[items], kind="stable")][:most], np.int64)
