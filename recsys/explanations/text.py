"""One sentence that says why. Plain text: nothing is escaped, titles appear as they are written in the metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

POPULAR: Final = "Popular with everyone; your own history plays no part in it."
"""For models that ignore the user."""

COLD: Final = "Nothing of yours is known yet, so this is what suits users in general."
"""For a user without any known event."""

UNSUPPORTED: Final = "Nothing in your history speaks for it in particular; it suits users in general."
"""For an additive model in which no past event adds to the score."""


def listed(words: Sequence[str]) -> str:
    """Join words as English does.

    Raises:
        ValueError: there are no words.

    >>> listed(["A"]), listed(["A", "B"]), listed(["A", "B", "C"])
    ('A', 'A and B', 'A, B and C')
    """
    if not words:
        raise ValueError("nothing to list")
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def deed(rated: Sequence[bool]) -> str:
    """Return what the user did with items: "rated" when all carry a rating, else the neutral "chose".

    A blank rating and the 1 of an implicit log are not ratings.

    >>> deed([True, True]), deed([True, False])
    ('rated', 'chose')
    """
    return "rated" if all(rated) else "chose"


def recency(recent: float) -> str:
    """Say how much of all evidence is recent; whole percents, which add up to 100.

    >>> recency(0.8)
    'of all the evidence 80% is recent and 20% long-term'
    >>> recency(1.0), recency(0.001)
    ('all the evidence is recent', 'all the evidence is long-term')
    """
    percent = round(100 * recent)
    if percent in (0, 100):
        return f"all the evidence is {'recent' if percent else 'long-term'}"
    return f"of all the evidence {percent}% is recent and {100 - percent}% long-term"


def because(
    titles: Sequence[str], rated: Sequence[bool], persona: str | None = None, recent: float | None = None
) -> str:
    """Say which past items carry the score.

    Args:
        titles: the evidence, strongest first; at least one.
        rated: whether each has a rating.
        persona: how the leading persona is spoken of ("your Crime side"); None where there is none to tell apart.
        recent: how much of all evidence is recent; None where nothing fades.

    >>> because(["Heat (1995)", "Se7en (1995)"], [True, True], "your Crime & Thriller side")
    'Because of your Crime & Thriller side: you rated Heat (1995) and Se7en (1995).'
    >>> because(["Heat (1995)"], [False])
    'Because you chose Heat (1995).'
    >>> because(["Heat (1995)"], [True], recent=0.75)
    'Because you rated Heat (1995); of all the evidence 75% is recent and 25% long-term.'
    """
    fact = f"you {deed(rated)} {listed(titles)}" + ("" if recent is None else f"; {recency(recent)}")
    return f"Because {fact}." if persona is None else f"Because of {persona}: {fact}."


def resembles(titles: Sequence[str], rated: Sequence[bool], persona: str | None = None) -> str:
    """Say which past items the item is close to, claiming no more than that.

    >>> resembles(["Heat (1995)"], [True], "your Crime side")
    'It fits your Crime side and resembles Heat (1995), which you rated.'
    >>> resembles(["Heat (1995)", "Se7en (1995)"], [False, True])
    'It resembles Heat (1995) and Se7en (1995), which you chose.'
    """
    fit = "" if persona is None else f"fits {persona} and "
    return f"It {fit}resembles {listed(titles)}, which you {deed(rated)}."


def unnamed(persona: str | None = None) -> str:
    """Say that the model learned the user as a whole, so that no past item can be named.

    >>> unnamed("your Crime side")
    'It fits your Crime side; no single item of your history can be named.'
    >>> unnamed()
    'It fits what was learned of you as a whole; no single item of your history can be named.'
    """
    return f"It fits {persona or 'what was learned of you as a whole'}; no single item of your history can be named."
