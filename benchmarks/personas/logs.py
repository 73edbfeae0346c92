"""The claims about personas on a real log, one function each."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from benchmarks.personas.subject import LONG, Figures, N, Subject
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.personas.clusters import Personas, find_personas, taste_mass
from recsys.models.personas.dictionary import TasteDictionary
from recsys.models.personas.growth import matched, updated_personas
from recsys.models.personas.health import FoundHealth
from recsys.models.personas.ownership import PersonaOwners, ownership, without_evidence
from recsys.models.personas.taste_names import Labels, TasteNames
from recsys.types import Items

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


def named(subject: Subject, former: TasteNames | None = None) -> TasteNames:
    """Return the names that hold for users of the log who are not every second user that is asked about."""
    judged = subject.queries.users[1::2]
    others = np.setdiff1d(np.arange(subject.train.n_users), judged)
    spread = others[np.unique(np.linspace(0, len(others) - 1, min(len(others), _NAMERS)).astype(np.int64))]
    queries = Queries.from_interactions(subject.train, spread)
    personas = find_personas(subject.dictionary, queries)
    owners = PersonaOwners(subject.model, queries, subject.dictionary, personas)
    lists = subject.model.recommend(queries, N, slate=subject.slate, owners=owners)
    arguments = subject.dictionary, subject.train.metadata, queries, personas
    return TasteNames.of(*arguments, listed=lists.items, owner=lists.owners, former=former)


def meaningful(subject: Subject, names: TasteNames) -> Figures:
    """Return how the names fit the users from whom they were not chosen."""
    odd = np.arange(1, len(subject.questions), 2)
    own = names.of_personas(subject.dictionary, subject.queries.take(odd), subject.personas.take(odd))
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


def stable(subject: Subject, names: TasteNames, seed: int) -> dict[str, Figures]:
    """Refit on 95% of the events; compare everybody's names, and the owners of the items of both lists.

    "continued": the users' personas go on, as in a service that has them; "found anew": they are found again from the
    histories alone, and compared under the best matching.
    """
    keep = np.random.default_rng(seed).random(len(subject.train)) < 0.95
    train = subject.train.select(keep).compact()
    model = subject.model.unfitted().fit(train)
    asked, numbers = subject.queries, train.items.numbers(subject.train.items.ids)
    history = replace(asked.history, items=np.where(asked.history.items < 0, UNKNOWN, numbers[asked.history.items]))
    queries = replace(asked, users=np.full(len(asked), UNKNOWN, np.int32), history=history, exclude=None)
    dictionary = TasteDictionary.of(train, former=subject.dictionary)
    anew, going_on = find_personas(dictionary, queries), updated_personas(dictionary, queries, subject.personas)
    kinds = {"continued": going_on, "found anew": anew}
    return {kind: _kept(subject, names, model, queries, dictionary, own) for kind, own in kinds.items()}


def _kept(
    subject: Subject,
    names: TasteNames,
    model: Recommender,
    queries: Queries,
    dictionary: TasteDictionary,
    personas: Personas,
) -> Figures:
    """Return how much of the names and of the owners is as before."""
    owners = PersonaOwners(model, queries, dictionary, personas)
    lists = model.recommend(queries, N, slate=subject.slate, owners=owners)
    assert lists.owners is not None
    arguments = dictionary, model.fitted_on.metadata, queries, personas
    again = TasteNames.of(*arguments, listed=lists.items, owner=lists.owners, former=names)
    overlap = []
    for one, other in zip(
        names.of_personas(subject.dictionary, subject.queries, subject.personas),
        again.of_personas(dictionary, queries, personas),
        strict=True,
    ):
        first, second = ({name.text for name in row if name is not None} for row in (one, other))
        overlap.append(len(first & second) / max(1, len(first | second)))
    numbers = subject.train.items.numbers(model.fitted_on.items.ids)
    translated = np.where(lists.items == UNKNOWN, UNKNOWN, numbers[lists.items])
    same, mass = [], taste_mass(dictionary, queries)
    for row, new in enumerate(personas.of_taste):
        before = {one: other for one, other, _ in matched(new, subject.personas.of_taste[row], mass[row])}
        position = {int(item): place for place, item in enumerate(subject.lists.items[row])}
        for item, owner in zip(translated[row].tolist(), lists.owners[row].tolist(), strict=True):
            if item in position and owner != UNKNOWN:
                same.append(before.get(owner) == subject.listed_owners[row, position[item]])
    return {
        "names": float(np.mean(overlap)),
        "owners": float(np.mean(same)),
        "items of both": len(same) / (N * len(overlap)),
    }


def cost(subject: Subject) -> Figures:
    """Return the processor time of finding personas: of a user of about 500 events, and of 100,000 users."""
    lengths = subject.queries.history.lengths
    one = subject.queries.take(np.asarray([int(np.abs(lengths - 500).argmin())]))
    find_personas(subject.dictionary, one)
    started = time.process_time()
    for _ in range(_TIMED):
        find_personas(subject.dictionary, one)
    single = (time.process_time() - started) / _TIMED
    started = time.process_time()
    find_personas(subject.dictionary, subject.queries)
    whole = (time.process_time() - started) / len(subject.queries)
    return {"events": float(one.history.lengths[0]), "milliseconds": 1000 * single, "seconds for 100,000": 1e5 * whole}
