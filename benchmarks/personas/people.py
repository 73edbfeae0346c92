"""Ten users as a person would see them: their personas, their lists, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from benchmarks.personas.subject import N, Subject
from recsys.data.titles import readable_title
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations import explain
from recsys.explanations.found import names_of_found
from recsys.models.personas.described import representatives
from recsys.types import Ints

TEN = 10


@final
@dataclass(frozen=True)
class Person:
    """What a user is shown.

    Attributes:
        user: the id.
        events: length of the history.
        personas: of each the name, the share, and titles of the own history that show what it is.
        listed: of each recommended item the title, the owner's name ("" without owner), and the sentence.
        kinds: the kind of each reason.
        sets: sizes of the sets of events without which an item would leave the list; of those that have one.
    """

    user: str
    events: int
    personas: tuple[tuple[str, float, tuple[str, ...]], ...]
    listed: tuple[tuple[str, str, str], ...]
    kinds: tuple[str, ...]
    sets: tuple[int, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Person:
        """Return what `dataclasses.asdict` was called on."""
        return cls(**values)


def spread_users(subject: Subject, count: int = TEN) -> Ints:
    """Return rows of users, evenly spread over the lengths of the histories of at least ten events."""
    lengths = subject.queries.history.lengths
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] >= N]
    return np.asarray(order[np.linspace(0, len(order) - 1, min(count, len(order))).astype(np.int64)])


def people(subject: Subject, rows: Ints) -> list[Person]:
    """Return what some users are shown."""
    queries, served = subject.queries.take(rows), subject.served
    found = served.found(queries)
    names = names_of_found(served, queries, found)
    shown = representatives(served.dictionary, queries, found.personas, top=4)
    titles = subject.train.metadata.titles
    ids = subject.train.users.ids
    result = []
    for row, explanations in enumerate(explain(served, queries, N)):
        personas = tuple(
            (
                name.text,
                float(found.personas.shares[row, place]),
                tuple(readable_title(titles[item]) for item in shown[row, place].tolist() if item != UNKNOWN),
            )
            for place in np.argsort(-found.personas.mass[row], kind="stable").tolist()
            if (name := names[row][place]) is not None
        )
        listed = tuple((readable_title(each.title), each.owner_name or "", each.reason) for each in explanations)
        sets = tuple(len(each.without) for each in explanations if each.without)
        kinds = tuple(each.reason_kind or "" for each in explanations)
        length = int(queries.history.lengths[row])
        result.append(Person(str(ids[queries.users[row]]), length, personas, listed, kinds, sets))
    return result


def shown(person: Person) -> str:
    """Return a user's personas, list and sentences as Markdown."""
    personas = [f"- **{name}** ({share:.0%}): {', '.join(titles)}" for name, share, titles in person.personas]
    listed = [
        f"{place}. {title}" + (f" [{owner}]" if owner else "") + f" - {reason}"
        for place, (title, owner, reason) in enumerate(person.listed, 1)
    ]
    return "\n".join([f"### User {person.user}, {person.events} events", "", *personas, "", *listed])
