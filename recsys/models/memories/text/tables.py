"""The tables of the grammar: how items and labels are written, and what is understood."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from typing import Final, final

import numpy as np

from recsys.data.items import NO_GENRE, ItemMetadata, spoken_genres
from recsys.data.titles import fold, readable_title, year_of
from recsys.data.vocabulary import Vocabulary
from recsys.errors import nearest
from recsys.models.memories.text.state import TextError
from recsys.types import Ints, Mask

_MANY: Final = {
    "Children": "children's titles",
    "Comedy": "comedies",
    "Documentary": "documentaries",
    "Drama": "dramas",
    "Film-Noir": "film noir",
    "Musical": "musicals",
    "Mystery": "mysteries",
    "Romance": "romances",
    "Thriller": "thrillers",
    "War": "war stories",
    "Western": "westerns",
}
"""Genres of which a sentence speaks in the plural."""

_MIN_ITEMS = 5
"""Items that have a tag, at least, for it to be a word of texts."""

_TITLES_NAMED = 3
_CACHED = 256
_YEARS = (
    (re.compile(r"(?:of )?the (\d{3}0)s"), "{0}s"),
    (re.compile(r"of (\d{4}) to (\d{4})"), "{0} to {1}"),
    (re.compile(r"of (\d{4})"), "{0} to {0}"),
    (re.compile(r"from (\d{4}) on"), "{0} on"),
    (re.compile(r"before (\d{4})"), "before {0}"),
)
"""How years are read, longest first, and the label that each is."""


def years_of(label: str) -> tuple[int, int] | None:
    """Return the first and the last year of a label; None for one that is none of years.

    >>> years_of("1990s"), years_of("1991 to 1996"), years_of("2008 on"), years_of("before 1970"), years_of("War")
    ((1990, 1999), (1991, 1996), (2008, 9999), (1, 1969), None)
    """
    if found := re.fullmatch(r"(\d{3}0)s", label):
        return int(found[1]), int(found[1]) + 9
    if found := re.fullmatch(r"(\d{4}) to (\d{4})", label):
        return int(found[1]), int(found[2])
    if found := re.fullmatch(r"(\d{4}) on", label):
        return int(found[1]), 9999
    found = re.fullmatch(r"before (\d{4})", label)
    return None if found is None else (1, int(found[1]) - 1)


def years_in_words(label: str) -> str:
    """Return years as a sentence has them after what is of these years.

    >>> years_in_words("1990s"), years_in_words("1994 to 1994"), years_in_words("2008 on")
    ('of the 1990s', 'of 1994', 'from 2008 on')
    """
    if label.startswith("before"):
        return label
    if label.endswith(" on"):
        return f"from {label}"
    if label.endswith("s"):
        return f"of the {label}"
    begin, end = label.split(" to ")
    return f"of {begin}" if begin == end else f"of {label}"


@final
class Tables:
    """What texts about a catalogue are made of.

    Args:
        items: external ids.
        metadata: titles, and genres; tags where there are no genres.
    """

    def __init__(self, items: Vocabulary, metadata: ItemMetadata) -> None:
        self._ids = [str(item) for item in items.ids.tolist()]
        self.metadata = metadata
        said = metadata.genres if metadata.has_genres else metadata.tags
        count = Counter(name for row in said for name in set(row))
        least = 1 if metadata.has_genres else _MIN_ITEMS
        self.labels = tuple(sorted(name for name, n in count.items() if n >= least and name not in NO_GENRE))
        self._said = said
        self._having: dict[tuple[str, ...], Mask] = {}
        self.years: Ints = np.asarray([year_of(title) or 0 for title in metadata.titles], np.int64)

    @cached_property
    def written(self) -> tuple[str, ...]:
        """The title of each item as texts write it, no two alike: with its id where it would be another's."""
        plain = []
        for title in self.metadata.titles:
            year = year_of(title)
            plain.append(readable_title(title) if year is None else f"{readable_title(title)} ({year})")
        same = Counter(map(fold, plain))
        return tuple(
            title if same[fold(title)] == 1 else f"{title} [{one}]" for title, one in zip(plain, self._ids, strict=True)
        )

    @cached_property
    def by_title(self) -> dict[str, tuple[int, ...]]:
        """The items of each title, folded: as it is written, and where that is none, without year or as in the log."""
        exact = {fold(title): (item,) for item, title in enumerate(self.written)}
        others: dict[str, dict[int, None]] = {}
        for item, title in enumerate(self.metadata.titles):
            for form in {fold(readable_title(title)), fold(title)} - exact.keys():
                others.setdefault(form, {})[item] = None
        return {form: tuple(found) for form, found in others.items()} | exact

    @cached_property
    def by_label(self) -> dict[str, str]:
        """The label that each word or phrase is."""
        forms = {fold(_MANY[name]): name for name in self.labels if name in _MANY}
        return forms | {fold(name): name for name in self.labels}

    def label_in_words(self, label: str) -> str:
        """Return a genre or tag as a sentence has it."""
        return _MANY.get(label) or spoken_genres(label)

    def has(self, labels: tuple[str, ...]) -> Mask:
        """Return "items": which have one of the genres, and are of the years; read-only."""
        found = self._having.get(labels)
        if found is None:
            if len(self._having) >= _CACHED:
                self._having.clear()
            found = self._having[labels] = self._has(labels)
        return found

    def _has(self, labels: tuple[str, ...]) -> Mask:
        genres = {label for label in labels if years_of(label) is None}
        mask = np.asarray([not genres or bool(genres & set(row)) for row in self._said], np.bool_)
        for label in labels:
            span = years_of(label)
            if span is not None:
                mask &= (self.years >= span[0]) & (self.years <= span[1]) & (self.years > 0)
        return mask

    def one_title(self, text: str) -> int:
        """Return the item of a title as a person writes it.

        Raises:
            TextError: there is none, and the nearest is named; or there are several, and some are named.
        """
        found = self.by_title.get(fold(text), ())
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(self.written[item] for item in found[:_TITLES_NAMED])
            raise TextError(f"{len(found)} titles match {text!r}: {some}; write the one you mean in full")
        hint = nearest(text, self._alike(text)) or "; write a title of the catalogue, in full"
        raise TextError(f"there is no title {text!r}{hint}")

    def no_label(self, text: str) -> TextError:
        """Return the error of a word that is no genre."""
        known = [*self.by_label] if len(self.by_label) < 200 else []
        hint = nearest(text, known) or (f"; there are {', '.join(self.labels[:12])}" if self.labels else "")
        return TextError(f"{text!r} is no genre; before a title write 'like'{hint}")

    def _alike(self, text: str) -> list[str]:
        """Return the titles that share the beginning of a word with a text: a search of all would take seconds."""
        begins = {word[:3] for word in re.findall(r"\w{3,}", fold(text))}
        return [
            title for title in self.written if begins & {word[:3] for word in re.findall(r"\w{3,}", fold(title))}
        ] or list(self.written[:2_000])

    @staticmethod
    def years_at(text: str) -> tuple[str, int] | None:
        """Return the years with which a text begins, as a label, and their length; None where it does not."""
        for pattern, label in _YEARS:
            if found := pattern.match(text.lower()):
                return label.format(*found.groups()), found.end()
        return None
