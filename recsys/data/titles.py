"""Titles as one says them: articles in front, without the year and without the title in another language."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_ARTICLES = (
    *("The", "A", "An", "La", "Le", "Les", "L'", "Un", "Une", "El", "Los", "Las", "Una", "Der", "Die", "Das"),
    *("Ein", "Eine", "Il", "Lo", "Gli", "I", "O", "Os", "As", "De", "Het", "En", "Det", "Den"),
)
_IN_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")
_TURNED = re.compile(rf"^(.*), ({'|'.join(map(re.escape, _ARTICLES))})$")
_LONG = 24
_CACHED = 100_000
"""Titles that are remembered as one says them: lists name the same ones again and again."""
_SUBTITLE = re.compile(r"^(.+?)(?:: | - )(.+)$")
_UNFINISHED = re.compile(
    r"(?:,|\s+(?:or|and|&|of|the|an?|in|on|at|to|for|from|by|with|aka|a\.k\.a\.))+$", re.IGNORECASE
)
"""Words with which no title ends."""

_YEAR = re.compile(r"\((\d{4})(?:-\d{0,4})?\)\s*$")


@lru_cache(_CACHED)
def readable_title(title: str) -> str:
    """Return a title as one says it.

    >>> readable_title("Mummy, The (1999)")
    'The Mummy'
    >>> readable_title("City of Lost Children, The (Cité des enfants perdus, La) (1995)")
    'The City of Lost Children'
    >>> readable_title("Avventura, L' (1960)")
    "L'Avventura"
    """
    text = title.strip()
    while (shorter := _IN_BRACKETS.sub("", text)) != text and shorter:
        text = shorter
    turned = _TURNED.match(text)
    if turned is None:
        return text
    name, article = turned.groups()
    return f"{article}{name}" if article.endswith("'") else f"{article} {name}"


def short_title(title: str) -> str:
    """Return a title as one says it, a long one without its subtitle: two of a series may become one.

    >>> short_title("Star Wars: Episode IV - A New Hope (1977)")
    'Star Wars'
    >>> short_title("Mission: Impossible - Ghost Protocol (2011)")
    'Mission: Impossible'
    >>> short_title("Lord of the Rings: The Two Towers, The (2002)"), short_title("Alien: Resurrection (1997)")
    ('The Lord of the Rings', 'Alien: Resurrection')
    >>> short_title("Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb (1964)")
    'Dr. Strangelove'
    """
    text = readable_title(title)
    found = _SUBTITLE.match(text)
    if len(text) <= _LONG or found is None:
        return text
    series, rest = _UNFINISHED.sub("", found.group(1)), found.group(2)
    if " " in found.group(1) or len(series) > 9:
        return series
    within = f"{series}: {rest.split(' - ')[0]}"
    return series if len(within) > 2 * _LONG else within


@lru_cache(_CACHED)
def year_of(title: str) -> int | None:
    """Return the year at the end of a title, as MovieLens writes it; None without one.

    >>> year_of("Heat (1995)"), year_of("2001: A Space Odyssey")
    (1995, None)
    """
    found = _YEAR.search(title)
    return int(found.group(1)) if found else None


def fold(text: str) -> str:
    """Return a text for comparison: without capitals and accents, on one line.

    >>> fold("Amélie (2001)")
    'amelie (2001)'
    """
    # Case-folded twice, because removing marks can leave characters that have a case again.
    parts = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(part for part in parts if not unicodedata.combining(part)).casefold()
    return " ".join(plain.split())
