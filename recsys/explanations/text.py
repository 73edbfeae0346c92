"""The sentence of an explanation. Plain text: nothing is escaped, titles appear as in the metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

POPULAR: Final = "Popular with everyone; your own history plays no part in it."
"""For models that ignore the user."""

COLD: Final = "Nothing of yours is known yet, so this is what suits users in general."
"""For a user without any event."""

UNKNOWN_ITEMS: Final = "This model knows none of your items yet, so this is what suits users in general."
"""For a user whose events are all of items that the model was not trained on."""

MUTED: Final = "All of your personas are muted, so this is what suits users in general."
"""For a user with a history who wants none of it to count."""

UNSUPPORTED: Final = "Nothing in your history speaks for it in particular; it suits users in general."
"""For an additive model in which no past event adds to the score."""


def enumeration(words: Sequence[str]) -> str:
    """Join words with commas and "and".

    Raises:
        ValueError: there are no words.

    >>> enumeration(["A"]), enumeration(["A", "B"]), enumeration(["A", "B", "C"])
    ('A', 'A and B', 'A, B and C')
    """
    if not words:
        raise ValueError("there are no words to enumerate")
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def verb(rated: Sequence[bool]) -> str:
    """Return the verb for what the user did: "rated" when all items have a rating, else the neutral "chose".

    A blank rating and the 1 of an implicit log are not ratings.

    >>> verb([True, True]), verb([True, False])
    ('rated', 'chose')
    """
    return "rated" if all(rated) else "chose"


def recency(recent: float) -> str:
    """Return the clause on the recent share of all evidence, in whole percents that add up to 100.

    >>> recency(0.8)
    'of all the evidence 80% is recent and 20% long-term'
    >>> recency(1.0), recency(0.001)
    ('all the evidence is recent', 'all the evidence is long-term')
    """
    percent = round(100 * recent)
    if percent in (0, 100):
        return f"all the evidence is {'recent' if percent else 'long-term'}"
    return f"of all the evidence {percent}% is recent and {100 - percent}% long-term"


def caveat(certainty: float) -> str:
    """Return the clause that a low certainty adds to a sentence.

    >>> caveat(0.118), caveat(0.001)
    ('that is only 12% of the score', 'that is less than 1% of the score')
    """
    return f"that is {'less than 1' if certainty < 0.005 else f'only {100 * certainty:.0f}'}% of the score"


def because(
    titles: Sequence[str],
    rated: Sequence[bool],
    persona: str | None = None,
    recent: float | None = None,
    low_certainty: float | None = None,
) -> str:
    """Return the sentence that names the past items that carry the score.

    Args:
        titles: the evidence, strongest first; at least one.
        rated: whether each has a rating.
        persona: phrase of the leading persona ("your Crime side"); None leaves it out.
        recent: the recent share of all evidence; None where nothing fades.
        low_certainty: how much of the score they account for; None where that is much.

    >>> because(["Heat (1995)", "Se7en (1995)"], [True, True], "your Crime & Thriller side")
    'Because of your Crime & Thriller side: you rated Heat (1995) and Se7en (1995).'
    >>> because(["Heat (1995)"], [False])
    'Because you chose Heat (1995).'
    >>> because(["Heat (1995)"], [True], recent=0.75)
    'Because you rated Heat (1995); of all the evidence 75% is recent and 25% long-term.'
    >>> because(["Heat (1995)"], [True], low_certainty=0.1)
    'Because you rated Heat (1995); that is only 10% of the score.'
    """
    clause = f"you {verb(rated)} {enumeration(titles)}"
    clause += "" if low_certainty is None else f"; {caveat(low_certainty)}"
    clause += "" if recent is None else f"; {recency(recent)}"
    return f"Because {clause}." if persona is None else f"Because of {persona}: {clause}."


def resembles(titles: Sequence[str], rated: Sequence[bool], persona: str | None = None) -> str:
    """Return the sentence that names the past items that the item resembles, which claims no more than that.

    >>> resembles(["Heat (1995)"], [True], "your Crime side")
    'It fits your Crime side and resembles Heat (1995), which you rated.'
    >>> resembles(["Heat (1995)", "Se7en (1995)"], [False, True])
    'It resembles Heat (1995) and Se7en (1995), which you chose.'
    """
    fit = "" if persona is None else f"fits {persona} and "
    return f"It {fit}resembles {enumeration(titles)}, which you {verb(rated)}."


def unnamed(persona: str | None = None) -> str:
    """Return the sentence for a model that learned the user as a whole, so that no past item can be named.

    >>> unnamed("your Crime side")
    'It fits your Crime side; no single item of your history can be named.'
    >>> unnamed()
    'It fits what was learned of you as a whole; no single item of your history can be named.'
    """
    return f"It fits {persona or 'what was learned of you as a whole'}; no single item of your history can be named."
