"""The claims about personas on a real log, one function each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.personas.subject import LONG, Figures, N, Subject
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.capabilities import as_fold_in
from recsys.models.personas.health import FoundHealth
from recsys.models.personas.ownership import PersonaOwners, ownership, without_evidence
from recsys.models.personas.taste_names import Labels, TasteNames
from recsys.types import Doubles, Items

_TIMED = 50
_NAMERS = 3000
"""Users from whom names are chosen, at most."""


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


def named(subject: Subject) -> TasteNames:
    """Return the names that hold for users of the log who are not every second user that is asked about."""
    judged = subject.queries.users[1::2]
    others = np.setdiff1d(np.arange(subject.train.n_users), judged)
    spread = others[np.unique(np.linspace(0, len(others) - 1, min(len(others), _NAMERS)).astype(np.int64))]
    queries = Queries.from_interactions(subject.train, spread)
    found = subject.served.found(queries)
    owners = PersonaOwners(subject.model, queries, subject.dictionary, found.personas)
    lists = subject.model.recommend(queries, N, slate=subject.slate, owners=owners)
    arguments = subject.dictionary, subject.train.metadata, queries, found
    return TasteNames.of(*arguments, listed=lists.items, owner=lists.owners)


def meaningful(subject: Subject, names: TasteNames) -> Figures:
    """Return how the names fit the users from whom they were not chosen."""
    odd = np.arange(1, len(subject.questions), 2)
    own = names.of_personas(subject.found.take(odd))
    labels = Labels.of(subject.train.metadata, np.ones(subject.train.n_items))
    every = [name for row in own for name in row if name is not None]
    with_labels = [name for name in every if name.kind == "labels"]
    has_one = {name.labels: labels.named(name.labels) for name in with_labels}  # None: no label of this log
    has = [
        own_items is not None and bool(own_items[item])
        for row, items, owners in zip(own, subject.lists.items[odd], subject.listed_owners[odd], strict=True)
        for item, owner in zip(items.tolist(), owners.tolist(), strict=True)
        if owner != UNKNOWN and (name := row[owner]) is not None and name.kind == "labels"
        for own_items in [has_one[name.labels]]
    ]
    return {
        "named by labels": len(with_labels) / max(1, len(every)),
        "lift": float(np.median([name.lift for name in with_labels])) if with_labels else float("nan"),
        "holds": float(np.mean(has)) if has else float("nan"),
    }


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


def stable(subject: Subject, seed: int) -> Figures:
    """Train again on 95% of the events, tastes and names going on; compare everybody's names, and owners of items.

    Personas are found again from the histories alone, as in a service that starts with the new model, and those of a
    user are compared under the best matching.
    """
    keep = np.random.default_rng(seed).random(len(subject.train)) < 0.95
    train = subject.train.select(keep).compact()
    served = subject.served.unfitted().continue_from(subject.served).fit(train)
    asked, known = subject.queries, train.items.numbers(subject.train.items.ids)
    history = replace(asked.history, items=np.where(asked.history.items < 0, UNKNOWN, known[asked.history.items]))
    queries = replace(asked, users=np.full(len(asked), UNKNOWN, np.int32), history=history, exclude=None)
    found, dictionary, model = served.found(queries), served.dictionary, served.base
    personas = found.personas
    owners = PersonaOwners(model, queries, dictionary, personas)
    lists = model.recommend(queries, N, slate=subject.slate, owners=owners)
    assert lists.owners is not None
    overlap = []
    for one, other in zip(
        subject.served.names.of_personas(subject.found), served.names.of_personas(found), strict=True
    ):
        first, second = ({name.text for name in row if name is not None} for row in (one, other))
        overlap.append(len(first & second) / max(1, len(first | second)))
    numbers = subject.train.items.numbers(model.fitted_on.items.ids)
    translated = np.where(lists.items == UNKNOWN, UNKNOWN, numbers[lists.items])
    same, mass = [], found.mass
    for row, new in enumerate(personas.of_taste):
        before = _matched(new, subject.personas.of_taste[row], mass[row])
        position = {int(item): place for place, item in enumerate(subject.lists.items[row])}
        for item, owner in zip(translated[row].tolist(), lists.owners[row].tolist(), strict=True):
            if item in position and owner != UNKNOWN:
                same.append(before.get(owner) == subject.listed_owners[row, position[item]])
    return {
        "names": float(np.mean(overlap)),
        "owners": float(np.mean(same)),
        "items of both": len(same) / (N * len(overlap)),
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
