"""A text about each user, from the user's own history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.checks import whole
from recsys.data.queries import Queries
from recsys.models.base import Recommender
from recsys.models.memories.contract import counted_weights
from recsys.models.memories.exemplars import pursued
from recsys.models.memories.text.grammar import render
from recsys.models.memories.text.reading import TextReader
from recsys.models.memories.text.state import WEIGHTS, Clause, TasteText, Word
from recsys.models.memories.text.tables import years_of
from recsys.types import Doubles, Items, Mask

MOST_WRITTEN: Final = 400
"""Characters of a text that is written."""

_SAID: tuple[Word, ...] = ("mostly", "often", "sometimes", "a little")
_EMPHASIS = 1.0
_NEW, _LONG = 10, 30
"""Events that are late, and how many there must be for some of them to be."""
_HALF, _TWICE = 0.5, 2.0
"""What the late events often are, and the earlier ones were not: so large a share, so many times theirs."""
_MISSED, _EXPECTED, _MOST_AVOIDED = 0.15, 5.0, 2
"""What a user avoids: at most this part of what everybody has of it, where one would expect so many events."""
_COMMON = 0.05
"""Share of everybody's events of a genre of which it is told that a user avoids it."""
_LIFT = 1.3
_KNOWN = 10
"""Users of a title that can be named."""


@final
@dataclass(frozen=True)
class Phrases:
    """What the groups of a user's events are called.

    Attributes:
        of_event: "events", the group of each; -1 for none.
        labels: of each group, as `Clause.labels`; empty where no labels are true of it.
    """

    of_event: Items
    labels: tuple[tuple[str, ...], ...]


@final
class TextSummary:
    """Writes what a history says in a few of the user's own titles, and what the user came to lately, or avoids.

    The titles are those of `Exemplars`, fitted to how a text is read (`TextReader`), with weights in four words. Genres
    and years stand beside titles that have them, where that is the name of the user's persona. What is avoided is a
    genre of which the user has at most .15 of everybody's share, where at least five such events were to be expected;
    lately is what half of the last ten events are, twice as often as those before.

    Args:
        titles: how many at most.

    Raises:
        ConfigError: it names no title.
    """

    def __init__(self, titles: int = 8) -> None:
        whole("titles", titles)
        self.titles = titles

    def write(
        self, model: Recommender, queries: Queries, reader: TextReader, phrases: Sequence[Phrases | None] | None = None
    ) -> list[TasteText]:
        """Return what there is to say of each user; nothing of one without events.

        Args:
            model: a fitted model, whose event weights count.
            queries: the users.
            reader: of that model.
            phrases: names of groups of each user's events, aligned with the queries.
        """
        read = model.read(queries).queries
        positions, weights = pursued(
            reader.model, _known(reader, read, self.titles), self.titles, _EMPHASIS, reader.everybody
        )
        rows = queries.history.rows[positions]
        weights = weights * reader.loudness[queries.history.items[positions]]
        return [
            self._text(
                reader,
                read.take(np.asarray([row])),
                positions[rows == row] - int(queries.history.indptr[row]),
                weights[rows == row].astype(np.float64),
                None if phrases is None else phrases[row],
            )
            for row in range(len(queries))
        ]

    def _text(
        self, reader: TextReader, user: Queries, events: np.ndarray, weights: Doubles, phrases: Phrases | None
    ) -> TasteText:
        if not len(events):
            return TasteText()
        items = user.history.items[events]
        levels = np.asarray([WEIGHTS[word] for word in _SAID])
        word = np.abs((weights / weights.max())[:, None] - levels).argmin(1)
        count = int(user.counted.sum())
        late = (len(user.times) - events <= _NEW) & (count >= _LONG)
        said: list[Word] = [_SAID[each] for each in word.tolist()]
        said = ["lately" if one == "often" and new else one for one, new in zip(said, late.tolist(), strict=True)]
        order = np.lexsort((np.arange(len(events)), -weights)).tolist()
        labels = self._labels(reader, user, events, items, phrases)
        about = _about(reader, user, count)
        kept = list(order)
        while True:
            text = TasteText((*_clauses([(said[i], labels[i], int(items[i])) for i in kept]), *about))
            if len(kept) == 1 or len(render(text, reader.tables)) <= MOST_WRITTEN:
                return text
            kept.pop()

    def _labels(
        self, reader: TextReader, user: Queries, events: np.ndarray, items: Items, phrases: Phrases | None
    ) -> list[tuple[str, ...]]:
        """Return the labels beside each title: only such as it has."""
        if phrases is None:
            best = _best_genre(reader, user)
            return [best if best and reader.tables.has(best)[item] else () for item in items.tolist()]
        found = []
        for event, item in zip(events.tolist(), items.tolist(), strict=True):
            group = int(phrases.of_event[event])
            labels = phrases.labels[group] if group >= 0 else ()
            found.append(labels if labels and reader.tables.has(labels)[item] else ())
        return found


def _known(reader: TextReader, read: Queries, titles: int) -> Queries:
    """Return users with the titles alone that some people know, where a user has enough of them.

    A title that hardly anybody else has says little to a person, and its row is this very user's history.
    """
    known = reader.model.fitted_on.item_counts[np.maximum(read.history.items, 0)] >= _KNOWN
    counted = counted_weights(read)
    enough = read.history.sum((counted > 0) & known) >= titles
    return read.with_weights(np.where(known | ~enough[read.history.rows], counted, 0.0).astype(np.float32))


def _clauses(said: Sequence[tuple[Word, tuple[str, ...], int]]) -> list[Clause]:
    """Return clauses in the order of the words; labels are named once, where most titles have them."""
    named: set[tuple[str, ...]] = set()
    clauses = []
    for word in ("mostly", "often", "lately", "sometimes", "a little"):
        own = [(labels, item) for each, labels, item in said if each == word]
        groups: dict[tuple[str, ...], list[int]] = {}
        for labels, item in own:
            groups.setdefault(() if labels in named else labels, []).append(item)
        lone = [labels for labels, titles in groups.items() if labels and len(titles) == 1 and len(own) > 1]
        for labels in lone:  # one title among several shows no taste
            groups.setdefault((), []).extend(groups.pop(labels))
        named |= groups.keys()
        ordered = sorted(groups.items(), key=lambda pair: (not pair[0], -len(pair[1])))
        clauses += [Clause(word, labels, tuple(titles)) for labels, titles in ordered]
    return clauses


def _genre_events(reader: TextReader, user: Queries) -> tuple[list[str], Mask, Doubles]:
    """Return the genres, which event has each ("events genres", those that count), and everybody's share of each."""
    names, has = reader.model.fitted_on.metadata.genre_matrix
    known = [place for place, name in enumerate(names) if name in reader.tables.labels]
    kept = user.history.items[counted_weights(user) > 0]
    shares = reader.model.fitted_on.genre_shares[known]
    return [names[place] for place in known], has[kept][:, known] > 0, np.asarray(shares)


def _best_genre(reader: TextReader, user: Queries) -> tuple[str, ...]:
    """Return the genre that tells most of a user, as labels; nothing where none is more frequent than elsewhere."""
    names, has, base = _genre_events(reader, user)
    if not names or not len(has):
        return ()
    share = (has.sum(0) + base) / (len(has) + 1.0)
    lift = share / np.maximum(base, 1e-9)
    worth = np.where(lift >= _LIFT, share * np.log(np.maximum(lift, 1.0)), 0.0)
    best = int(worth.argmax())
    return (names[best],) if worth[best] > 0 else ()


def _about(reader: TextReader, user: Queries, count: int) -> list[Clause]:
    """Return what the user came to lately, and what the user avoids."""
    names, has, base = _genre_events(reader, user)
    if not names or not len(has):
        return []
    clauses: list[Clause] = []
    late, early = has[-_NEW:].mean(0), has[:-_NEW].mean(0) if count > _NEW else np.ones(len(names))
    come = np.flatnonzero((late >= _HALF) & (late >= _TWICE * early)) if count >= _LONG else np.zeros(0, np.int64)
    if len(come):
        clauses.append(Clause("lately", (names[int(come[np.argmax(late[come])])],)))
    missed = np.flatnonzero((has.mean(0) <= _MISSED * base) & (base * count >= _EXPECTED) & (base >= _COMMON))
    missed = missed[np.argsort(-base[missed], kind="stable")][:_MOST_AVOIDED]
    avoided = [names[one] for one in sorted(missed.tolist()) if names[one] not in (c.labels[0] for c in clauses)]
    return [*clauses, *([Clause("avoids", tuple(avoided))] if avoided else [])]


def labels_of(labels: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of a persona's name as a text has them: genres, then one span of years; nothing if unknown.

    >>> labels_of(["1950s", "1930s"], []), labels_of(["War", "before 1970"], ["War"]), labels_of(["x"], ["War"])
    (('1930 to 1959',), ('War', 'before 1970'), ())
    """
    years = [label for label in labels if years_of(label) is not None]
    genres = tuple(label for label in labels if years_of(label) is None)
    if not set(genres) <= set(known):
        return ()
    if len(years) > 1:
        spans = [span for label in years if (span := years_of(label)) is not None]
        years = [f"{min(begin for begin, _ in spans)} to {max(end for _, end in spans)}"]
    return (*genres, *years)
