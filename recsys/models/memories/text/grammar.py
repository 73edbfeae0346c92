"""From a text to what it says and back, by tables.

    text    = [ clause { "; " clause } "." ]
    clause  = word " " ( labels [ " like " titles ] | "like " titles )
    labels  = ( label { ", " label } [ " and " label ] | "titles" ) [ years ]
    titles  = title { ", " title } [ " and " title ]

A title is the longest known one at its place; where that would be read as another, it is written in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, final

from recsys.data.titles import fold
from recsys.errors import nearest
from recsys.models.memories.text.state import MOST_CHARACTERS, WORDS, Clause, TasteText, TextError, Word
from recsys.models.memories.text.tables import Tables, years_in_words, years_of

SYNONYMS: Final[dict[str, Word]] = {
    **{word: word for word in WORDS},
    "likes": "mostly",
    "loves": "mostly",
    "rarely": "a little",
    "recently": "lately",
    "never": "avoids",
    "avoid": "avoids",
    "no": "avoids",
}
"""The word that each beginning of a part stands for."""

_LIST_END = re.compile(r", and |, | and |; |\. |;|\.?\s*$")
_CLAUSE_END = ("; ", ". ", ";", ".", "")


def render(text: TasteText, tables: Tables) -> str:
    """Return what a text says in words; `parse` reads exactly that again. Without clauses it is empty."""
    plain = _rendered(text, tables, quoted=False)
    try:
        if parse(plain, tables) == text:
            return plain
    except TextError:
        pass
    return _rendered(text, tables, quoted=True)


def parse(text: str, tables: Tables) -> TasteText:
    """Return what a text says.

    Raises:
        TextError: it is too long, a word, genre or title is unknown (the nearest is named), two titles match, or it
            contradicts itself.
    """
    if len(text) > MOST_CHARACTERS:
        raise TextError(f"the text has {len(text)} characters; at most {MOST_CHARACTERS} are read, shorten it")
    return _Parser(" ".join(text.split()), tables).parsed()


def _rendered(text: TasteText, tables: Tables, *, quoted: bool) -> str:
    words = "; ".join(_clause(clause, tables, quoted=quoted) for clause in text.clauses)
    return f"{words[0].upper()}{words[1:]}." if words else ""


def _clause(clause: Clause, tables: Tables, *, quoted: bool) -> str:
    genres = [tables.label_in_words(label) for label in clause.labels if years_of(label) is None]
    years = [years_in_words(label) for label in clause.labels if years_of(label) is not None]
    what = " ".join([_listed(genres) or "titles", *years]) if clause.labels else ""
    titles = [tables.written[item] for item in clause.titles]
    if quoted:
        titles = [f'"{title.replace(chr(34), chr(34) * 2)}"' for title in titles]
    like = f"like {_listed(titles)}" if titles else ""
    return " ".join(part for part in (clause.word, what, like) if part)


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


@final
class _Parser:
    """Reads a text from left to right."""

    def __init__(self, text: str, tables: Tables) -> None:
        self._text = text
        self._at = 0
        self._tables = tables

    def parsed(self) -> TasteText:
        clauses: list[Clause] = []
        while self._at < len(self._text):
            clauses.append(self._clause())
            if not any(self._take(end) for end in _CLAUSE_END):
                raise AssertionError("every list ends where a clause does")
        _check(clauses, self._tables)
        return TasteText(tuple(clauses))

    def _take(self, text: str) -> bool:
        """Read a text if it is next, whatever its capitals."""
        taken = self._text[self._at : self._at + len(text)].lower() == text
        if taken and text:
            self._at += len(text)
        return taken and (bool(text) or self._at >= len(self._text))

    def _clause(self) -> Clause:
        word = self._word()
        labels: list[str] = []
        if self._text[self._at :].lower() in ("like", "like."):
            raise TextError("a title is missing after 'like'; write one, or take 'like' away")
        if not self._take("like "):
            labels = self._labels()
            if not self._take(" like "):
                return Clause(word, tuple(labels))
        titles: list[int] = []
        while True:
            titles.append(self._title())
            if not self._separator():
                return Clause(word, tuple(labels), tuple(titles))

    def _word(self) -> Word:
        rest = self._text[self._at :].lower()
        for written in sorted(SYNONYMS, key=len, reverse=True):
            if rest.startswith(f"{written} "):
                self._at += len(written) + 1
                return SYNONYMS[written]
        found = rest.split(" ")[0].rstrip(".;,")
        words = ", ".join(WORDS)
        raise TextError(f"{found!r} is none of the words that begin a part: {words}{nearest(found, WORDS)}")

    def _separator(self) -> bool:
        return any(self._take(mark) for mark in (", and ", ", ", " and ", " & "))

    def _labels(self) -> list[str]:
        labels: list[str] = []
        if not (years := self._years(" " if self._take("titles") else "")):
            while True:
                labels.append(self._label())
                if not self._separator():
                    break
            years = self._years(" ")
        return [*labels, *years]

    def _years(self, before: str) -> list[str]:
        rest = self._text[self._at :]
        found = self._tables.years_at(rest[len(before) :]) if rest.startswith(before) else None
        if found is None:
            return []
        self._at += len(before) + found[1]
        return [found[0]]

    def _label(self) -> str:
        ends = [found.start() for found in re.finditer(r"\W|$", self._text[self._at :])]
        for length in reversed(ends):
            label = self._tables.by_label.get(fold(self._text[self._at : self._at + length]))
            if label is not None and length:
                self._at += length
                return label
        raise self._tables.no_label(re.split(r", | and | & | like |; |\.|$", self._text[self._at :])[0])

    def _title(self) -> int:
        if self._text[self._at : self._at + 1] == '"':
            found = re.match(r'"((?:[^"]|"")*)"', self._text[self._at :])
            if found is None:
                raise TextError(f'a quote is not closed; write another " after {self._text[self._at :][:60]!r}')
            self._at += found.end()
            return self._tables.one_title(found[1].replace('""', '"'))
        rest = self._text[self._at :]
        ends = [found.start() for found in _LIST_END.finditer(rest)]
        for end in reversed(ends):
            if fold(rest[:end]) in self._tables.by_title:
                self._at += end
                return self._tables.one_title(rest[:end])
        if not rest:
            raise TextError("a title is missing after 'like'; write one, or take 'like' away")
        return self._tables.one_title(rest[: ends[0]])


def _check(clauses: Sequence[Clause], tables: Tables) -> None:
    """Raise where a text says two things of one."""
    titles: dict[int, Word] = {}
    labels: dict[tuple[str, ...], Word] = {}
    avoided = {label for clause in clauses if clause.word == "avoids" for label in clause.labels if not clause.titles}
    for clause in clauses:
        for item in clause.titles:
            if item in titles:
                said = {titles[item], clause.word}
                raise TextError(f"{tables.written[item]} is said twice: {' and '.join(sorted(said))}; keep one")
            titles[item] = clause.word
        if clause.titles:
            continue
        if clause.labels in labels:
            other = labels[clause.labels]
            raise TextError(f"{clause.labels[0]} is said twice: {other} and {clause.word}; keep one")
        labels[clause.labels] = clause.word
        both = sorted(avoided & set(clause.labels)) if clause.word != "avoids" else []
        if both:
            raise TextError(f"{both[0]} stands under {clause.word} and under avoids; keep one")
