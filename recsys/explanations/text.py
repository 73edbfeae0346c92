"""The sentence of an explanation. Plain text: nothing is escaped, titles appear as one says them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from recsys.data.items import spoken_genres
from recsys.explanations.records import CertaintyWord

POPULAR: Final = "Popular with nearly everybody; little of it is yours."
"""For an item that many have used, and for which no event of its owner speaks that the user liked."""

FOR_EVERYBODY: Final = "Popular with everyone; your own history plays no part in it."
"""For models that ignore the user."""

COLD: Final = "Nothing of yours is known yet, so this is what suits users in general."
"""For a user without any event."""

UNKNOWN_ITEMS: Final = "This model knows none of your items yet, so this is what suits users in general."
"""For a user whose events are all of items that the model was not trained on."""

ONLY_AGAINST: Final = "Nothing that you like is known yet, so this is what suits users in general."
"""For a user who has only disliked and skipped."""

MUTED: Final = "All of your personas are muted, so this is what suits users in general."
"""For a user with a history who wants none of it to count."""

UNSUPPORTED: Final = "Nothing in your history speaks for it in particular; it suits users in general."
"""For an additive model in which no past event adds to the score."""

WEAK: Final = "Your history as a whole speaks for it a little, none of your favourites in particular."
"""For an item for which nothing speaks that the user liked."""

WHOLE: Final = "your history as a whole"
"""Name of a persona that is the only one of a user: nothing sets it apart from the user."""

_LEADS: Final[dict[CertaintyWord, str]] = {"strong": "Above all because", "fair": "Because", "weak": "Partly because"}

_SAID = 3
"""Titles of a longer set that a sentence names; the rest it counts."""

_MOSTLY = 0.75
"""Share of the evidence from which on it is mostly recent, or mostly long-standing."""


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


def titles_like(titles: Sequence[str]) -> str:
    """Return the words for a taste that is known by titles alone.

    >>> titles_like(["Heat", "Se7en"])
    'titles like Heat and Se7en'
    """
    return f"titles like {enumeration(titles)}"


def taste_words(name: str, kind: str, labels: Sequence[str] = ()) -> str:
    """Return the name of a taste as a sentence says it after "your taste for".

    Args:
        name: its name.
        kind: "labels", "titles" or "user", who named it.
        labels: those titles.

    >>> taste_words("1990s", "labels"), taste_words("Crime & Sci-Fi", "labels"), taste_words("Cosy", "user")
    ('the 1990s', 'crime & sci-fi', '“Cosy”')
    >>> taste_words("1930s to 1950s", "labels"), taste_words("titles of 1991 to 1996", "labels")
    ('the 1930s to 1950s', 'titles of 1991 to 1996')
    >>> taste_words("like Heat and Se7en", "titles", ["Heat", "Se7en"])
    'titles like Heat and Se7en'
    """
    if kind == "user":
        return f"“{name}”"
    if kind == "titles":
        return titles_like(labels)
    return f"the {name}" if name[:1].isdigit() else spoken_genres(name)


def because(titles: Sequence[str], verb: str, taste: str | None, certainty: CertaintyWord, manner: str = "") -> str:
    """Return the sentence that names past items without which the item would leave the list.

    Args:
        titles: of these items, strongest first; at least one; of five the first three are named.
        verb: what the user did with them, see `recsys.explanations.deeds.deed`.
        taste: the taste that they belong to ("Crime & Thriller"); None leaves it out, as does one known by titles.
        certainty: how much of the evidence for the item they are.
        manner: of the deed: "above your average".

    >>> because(["Heat", "Se7en"], "rated", "Crime & Thriller", "fair", "above your average")
    'Because you rated Heat and Se7en above your average (Crime & Thriller): without them it would not be here.'
    >>> because(["Heat"], "chose", None, "strong")
    'Above all because you chose Heat: without that, it would not be here.'
    >>> because(["Heat", "Ran", "Up", "M", "Big"], "rated", None, "weak", "highly")
    'Partly because you rated Heat, Ran, Up and 2 more highly: without them it would not be here.'
    """
    said = titles if len(titles) <= _SAID + 1 else [*titles[:_SAID], f"{len(titles) - _SAID} more"]
    deed = " ".join(filter(None, [_LEADS[certainty], "you", verb, enumeration(said), manner]))
    without = "without that," if len(titles) == 1 else "without them"
    named = taste is not None and not taste.startswith("titles ")
    return f"{deed}{f' ({taste})' if named else ''}: {without} it would not be here."


def whole_taste(taste: str | None, count: int, titles: Sequence[str], recent: float | None = None) -> str:
    """Return the sentence for an item that a taste as a whole carries, and no few events.

    It begins with what is particular to the item, because a list often has several of one taste.

    Args:
        taste: its words; None: the history is one taste.
        count: of its items that speak for the recommended one.
        titles: of those of them that are named, at least one.
        recent: the recent share of the evidence; None where nothing fades.

    >>> whole_taste("crime & thriller", 84, ["Heat", "Ran"])
    'Heat, Ran and 82 more of your taste for crime & thriller speak for it.'
    >>> whole_taste("titles like Heat and Se7en", 84, ["Ran"], 0.9)
    'Ran and 83 more of your taste for titles like Heat and Se7en speak for it, mostly recently.'
    >>> whole_taste(None, 3, ["Heat", "Ran"]), whole_taste(None, 2, ["Heat", "Ran"])
    ('Heat, Ran and 1 more title of your history speak for it.', 'Heat and Ran, of your history, speak for it.')
    >>> whole_taste(None, 1, ["Heat"], 0.9)
    'Heat, of your history, speaks for it, recently.'
    """
    when = "".join(f", {word}" for word in recency(recent, count))
    return f"{_of_taste(taste, count, titles)} for it{when}."


def recency(recent: float | None, count: int = 2) -> list[str]:
    """Return the words on the age of the evidence, where it is mostly recent or mostly old.

    >>> recency(0.8), recency(0.1), recency(0.5)
    (['mostly recently'], ['mostly long ago'], [])
    """
    if recent is None or 1 - _MOSTLY < recent < _MOSTLY:
        return []
    when = "recently" if recent >= _MOSTLY else "long ago"
    return [when if count == 1 else f"mostly {when}"]


def two_tastes(owner: str, count: int, titles: Sequence[str], other: str) -> str:
    """Return the sentence for an item that would stay without its owner's events.

    Args:
        owner: the taste that owns the item.
        count: of its items that speak for the recommended one.
        titles: of those of them that are named, at least one.
        other: the taste, of all others, that speaks for it most.

    >>> two_tastes("crime", 4, ["Heat", "Ran"], "comedy")
    'Heat, Ran and 2 more of your taste for crime speak for it, and so does your taste for comedy.'
    >>> two_tastes("crime", 1, ["Heat"], "titles like Shrek and Monsters, Inc.")
    'Heat, of your taste for crime, speaks for it, and so does your taste for titles like Shrek and Monsters, Inc.'
    """
    return f"{_of_taste(owner, count, titles)} for it, and so does your taste for {other.removesuffix('.')}."


def popular_too(owner: str, count: int, titles: Sequence[str]) -> str:
    """Return the sentence for what many have used and would stay without its owner's events; see `two_tastes`.

    >>> popular_too("crime", 4, ["Heat", "Ran"])
    'Popular with nearly everybody; Heat, Ran and 2 more of your taste for crime speak for it, too.'
    >>> popular_too("crime", 1, ["Heat"])
    'Popular with nearly everybody; Heat, of your taste for crime, speaks for it, too.'
    """
    return f"Popular with nearly everybody; {_of_taste(owner, count, titles)} for it, too."


def _of_taste(taste: str | None, count: int, titles: Sequence[str]) -> str:
    """Return some titles of a taste, or of the history, how many more there are, and that they speak."""
    whole, more = "your history" if taste is None else f"your taste for {taste}", count - len(titles)
    if more <= 0:
        return f"{enumeration(titles)}, of {whole}, {'speaks' if len(titles) == 1 else 'speak'}"
    kind = "" if taste is not None else f" title{'s' if more > 1 else ''}"
    return f"{', '.join(titles)} and {more:,} more{kind} of {whole} speak"


def speak_for_it(titles: Sequence[str], taste: str | None = None) -> str:
    """Return the sentence for an item of which it was not asked without what it would leave the list.

    >>> speak_for_it(["Heat", "Se7en"], "Crime")
    'Of your taste for Crime, Heat and Se7en speak for it most.'
    >>> speak_for_it(["Heat"])
    'Of your history, Heat speaks for it most.'
    """
    whole = "your history" if taste is None else f"your taste for {taste}"
    return f"Of {whole}, {enumeration(titles)} {'speaks' if len(titles) == 1 else 'speak'} for it most."


def resembles(titles: Sequence[str], verb: str, taste: str | None = None) -> str:
    """Return the sentence that names the past items that the item resembles, which claims no more than that.

    >>> resembles(["Heat"], "rated", "Crime")
    'It fits your taste for Crime and resembles Heat, which you rated.'
    >>> resembles(["Heat", "Se7en"], "chose")
    'It resembles Heat and Se7en, which you chose.'
    """
    fit = "" if taste is None else f"fits your taste for {taste} and "
    return f"It {fit}resembles {enumeration(titles)}, which you {verb}."


def unnamed(taste: str | None = None) -> str:
    """Return the sentence for a model that learned the user as a whole, so that no past item can be named.

    >>> unnamed("Crime")
    'It fits your taste for Crime; no single item of your history can be named.'
    >>> unnamed()
    'It fits what was learned of you as a whole; no single item of your history can be named.'
    """
    learned = "what was learned of you as a whole" if taste is None else f"your taste for {taste}"
    return f"It fits {learned}; no single item of your history can be named."
