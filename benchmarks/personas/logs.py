"""The claims about personas on a real log, one function each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import final

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.personas.subject import LONG, Figures, N, Subject
from benchmarks.personas.truth import MOST, Names, same_names
from recsys.data.vocabulary import UNKNOWN
from recsys.explanations.found import names_of_found
from recsys.models.capabilities import as_fold_in
from recsys.models.personas.found import FoundPersonas
from recsys.models.personas.health import FoundHealth
from recsys.models.personas.model import WithPersonas
from recsys.models.personas.ownership import PersonaOwners, ownership, without_evidence
from recsys.types import Doubles, Items

_TIMED = 50


def distinct(subject: Subject, of_event: Items) -> Figures:
    """Return how different and how many the personas of each event are."""
    long = subject.queries.history.lengths >= LONG
    health = FoundHealth.of(subject.dictionary, subject.queries, of_event, subject.personas.mass.shape[1])
    figures = {"cosine": health.cosine, "separation": health.separation, "effective": health.effective[long]}
    means = {name: float(np.nanmean(values)) if len(values) else float("nan") for name, values in figures.items()}
    return means | {f"users of {LONG} events": float(long.sum())}


def placebos(subject: Subject, seed: int) -> dict[str, Figures]:
    """Return `distinct` of the personas, of the same shuffled within each user, and of four that are alike."""
    of_event = subject.personas.of_events(subject.dictionary, subject.queries)
    order = np.lexsort((np.random.default_rng(seed).random(len(of_event)), subject.queries.history.rows))
    alike = np.where(of_event == UNKNOWN, UNKNOWN, np.arange(len(of_event)) % 4).astype(np.int32)
    kinds = {"found": of_event, "shuffled": of_event[order], "identical": alike}
    return {name: distinct(subject, labels) for name, labels in kinds.items()}


def owned(subject: Subject) -> Figures:
    """Return what the owner of a listed item adds to its score."""
    found = ownership(subject.model, subject.queries, subject.lists.items, subject.dictionary, subject.personas)
    nobody = (found.owner == UNKNOWN) & (subject.lists.items != UNKNOWN)
    return {"evidence": float(np.median(found.evidence)), "nobody's": float(nobody.mean())}


def controlled(subject: Subject, most: int = 2000) -> Figures:
    """Mute, then boost the leading persona of users who have several."""
    rows = np.flatnonzero(subject.personas.counts > 1)[:most]
    queries, personas = subject.queries.take(rows), subject.personas.take(rows)
    chosen = np.zeros(personas.mass.shape, np.bool_)
    chosen[:, 0] = True
    arguments = subject.model, queries, subject.dictionary, personas
    slate = subject.slate
    silent = without_evidence(queries, subject.dictionary, personas, chosen)
    muted = subject.model.recommend(silent, N, slate=slate, owners=PersonaOwners(*arguments, muted=chosen))
    owner = ownership(subject.model, queries, muted.items, subject.dictionary, personas).owner
    contributions = as_fold_in(subject.model, "muting").contributions(silent, np.maximum(muted.items, 0)).numpy()
    evidence = np.abs(contributions[personas.of_events(subject.dictionary, queries) == 0]).sum()
    before = subject.model.recommend(queries, N, slate=slate, owners=PersonaOwners(*arguments)).owners
    after = subject.model.recommend(queries, N, slate=slate, owners=PersonaOwners(*arguments, boosted=chosen)).owners
    assert before is not None
    assert after is not None
    seats, boosted = (before == 0).sum(1), (after == 0).sum(1)
    room = (seats > 0) & (2 * seats <= N)
    return {
        "users": float(len(rows)),
        "seats before": float(seats.mean()),
        "muted items": float((owner == 0).sum()),
        "muted evidence": float(evidence),
        "boost": float(boosted[room].sum() / max(1, seats[room].sum())),
    }


def stable(subject: Subject, seed: int) -> dict[str, Figures]:
    """Train again, tastes and names going on, on 95% of the events; then on all of them.

    Personas are found again from the histories alone, as in a service that starts with the new model, and those of a
    user are compared under the best matching.

    Returns:
        refitted: the model against the one of 95%; grown: the latter against the one of all that continues it.
    """
    few = np.random.default_rng(seed).random(len(subject.train)) < 0.95
    train = subject.train.select(few).compact()
    before = _read(subject, subject.served)
    after = _read(subject, subject.served.unfitted().continue_from(subject.served).fit(train))
    grown = _read(subject, subject.served.unfitted().continue_from(after.model).fit(subject.train))
    return {"refitted": _alike(before, after), "grown": _alike(after, grown)}


@final
@dataclass(frozen=True, eq=False)
class _Read:
    """What a model makes of the users that are asked about: their personas, names, and lists in the subject's items."""

    model: WithPersonas
    found: FoundPersonas
    names: Names
    items: Items
    owners: Items


def _read(subject: Subject, model: WithPersonas) -> _Read:
    asked, known = subject.queries, model.fitted_on.items.numbers(subject.train.items.ids)
    history = replace(asked.history, items=np.where(asked.history.items < 0, UNKNOWN, known[asked.history.items]))
    queries = replace(asked, users=np.full(len(asked), UNKNOWN, np.int32), history=history, exclude=None)
    found = model.found(queries)
    owners = PersonaOwners(model.base, queries, model.dictionary, found.personas)
    lists = model.base.recommend(queries, N, slate=subject.slate, owners=owners)
    assert lists.owners is not None
    numbers = subject.train.items.numbers(model.fitted_on.items.ids)
    items = np.where(lists.items == UNKNOWN, UNKNOWN, numbers[lists.items])
    some = np.arange(min(len(queries), MOST))
    names = names_of_found(model, queries.take(some), found.take(some))
    return _Read(model, found, names, items, lists.owners)


def _alike(one: _Read, other: _Read) -> Figures:
    """Return how alike the names of users are, and how often an item that both list has the same owner."""
    same = []
    for row, new in enumerate(other.found.personas.of_taste):
        before = _matched(new, one.found.personas.of_taste[row], other.found.mass[row])
        position = {item: place for place, item in enumerate(one.items[row].tolist())}
        for item, owner in zip(other.items[row].tolist(), other.owners[row].tolist(), strict=True):
            if item in position and UNKNOWN not in (item, owner):
                same.append(before.get(owner) == one.owners[row, position[item]])
    return {
        "names": same_names(one.names, other.names),
        "owners": float(np.mean(same)),
        "items of both": len(same) / (N * len(one.items)),
    }


def _matched(first: Items, second: Items, mass: Doubles) -> dict[int, int]:
    """Return which group of another partition of the tastes each of one continues, by the mass that they share."""
    shared = np.zeros((int(first.max()) + 1, int(second.max()) + 1))
    used = mass > 0
    np.add.at(shared, (first[used], second[used]), mass[used])
    return dict(zip(*(side.tolist() for side in linear_sum_assignment(-shared)), strict=True))


def cost(subject: Subject) -> Figures:
    """Return the processor time of personas: of a user of about 500 events, anew and with one more, and of 100,000."""
    lengths = subject.queries.history.lengths
    one = subject.queries.take(np.asarray([int(np.abs(lengths - 500).argmin())]))
    checkpoint = subject.served.at_checkpoint(one)
    anew, event = (_seconds(partial(subject.served.found, one, before)) for before in (None, checkpoint))
    started = time.process_time()
    subject.served.found(subject.queries)
    whole = (time.process_time() - started) / len(subject.queries)
    figures = {
        "events": float(one.history.lengths[0]),
        "milliseconds": 1000 * anew,
        "milliseconds, an event": 1000 * event,
    }
    return figures | {"seconds for 100,000": 1e5 * whole}


def _seconds(run: Callable[[], object]) -> float:
    """Return the median processor time of a call."""
    times = []
    for _ in range(_TIMED):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return float(np.median(times))
