"""Short names for personas, distinct within a user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from recsys.explanations.records import NamedBy
from recsys.types import Doubles, Ints

_MIN_LIFT = 1.1
_MIN_SHARE = 0.15
_GENRES_TRIED = 4


def genre_lift(
    mass: npt.NDArray[np.floating], total: npt.NDArray[np.floating], base: npt.NDArray[np.floating]
) -> tuple[Doubles, Doubles]:
    """Return each persona's genre shares and their lift over a base rate.

        share_kg = sum_j a_ujk [j has g] / sum_j a_ujk
        lift_kg  = (sum_j a_ujk [j has g] + base_kg) / ((sum_j a_ujk + 1) base_kg)

    The lift is smoothed with one pseudo-item of the base rate, so that a persona of one item is not extreme.

    Args:
        mass: "... personas genres", sum_j a_ujk [j has g].
        total: "... personas", sum_j a_ujk.
        base: "... personas genres", the base rate of each genre.

    Returns:
        share and lift, "... personas genres"; the lift is 1 where the base rate is 0.
    """
    whole = np.asarray(total, np.float64)[..., None]
    rate = np.asarray(base, np.float64)
    share = np.divide(mass, whole, out=np.zeros(np.shape(mass), np.float64), where=whole > 0)
    lift = np.divide(mass + rate, (whole + 1.0) * rate, out=np.ones(np.shape(mass), np.float64), where=rate > 0)
    return share, lift


def distinctive(share: Doubles, lift: Doubles) -> Ints:
    """Return the genres of a persona, or of each persona, most distinctive first: descending share . ln(lift).

    This is the genre's term of a Kullback-Leibler divergence: both frequent and unusual.

    >>> distinctive(np.array([0.9, 0.5, 0.1]), np.array([1.0, 2.0, 3.0])).tolist()
    [1, 2, 0]
    """
    return np.argsort(-share * np.log(lift), kind="stable")


def names(
    genres: Sequence[str], share: Doubles, lift: Doubles, titles: Sequence[Sequence[str]], order: Sequence[int]
) -> list[tuple[str, NamedBy]]:
    """Name the personas of one user.

    A name is made of one or two distinctive genres (lift at least 1.1, share at least .15), else of the persona's top
    title, else of its index. Where another persona has the name already, the next candidate is used.

    Args:
        genres: "genres", their names.
        share: "personas genres", as `lift`.
        titles: each persona's own top titles.
        order: in which personas choose their names.

    >>> table = np.array([[0.9, 0.6], [0.9, 0.6]]), np.array([[2.0, 1.5], [2.0, 1.5]])
    >>> names(["Crime", "War"], *table, [["Heat"], ["Ran"]], [1, 0])
    [('Crime', 'genres'), ('Crime & War', 'genres')]
    """
    chosen: dict[int, tuple[str, NamedBy]] = {}
    taken: set[str] = set()
    eligible = (lift >= _MIN_LIFT) & (share >= _MIN_SHARE)
    by_genre = distinctive(share, lift)
    for persona in order:
        best = by_genre[persona][eligible[persona, by_genre[persona]]][:_GENRES_TRIED]
        candidates = _candidates(persona, [genres[genre] for genre in best.tolist()], titles[persona])
        chosen[persona] = next(candidate for candidate in candidates if candidate[0] not in taken)
        taken.add(chosen[persona][0])
    return [chosen[persona] for persona in range(len(titles))]


def _candidates(persona: int, genres: Sequence[str], titles: Sequence[str]) -> Iterator[tuple[str, NamedBy]]:
    """Yield names from the most to the least informative; the last is always free."""
    pairs = [" & ".join(pair) for pair in combinations(genres, 2)]
    for name in [*pairs[:1], *genres, *pairs[1:]]:
        yield name, "genres"
    for title in titles:
        yield f"like '{title}'", "title"
    yield f"persona {persona}", "number"
