"""The paper of Chaney, Stewart and Engelhardt at its settings.

Does repeated training make users alike? 100 users, 20 attributes, 10 new items in each step, 10 steps of random lists
and 90 with a system that is fitted again in each; lists of everything that a user has not had, with the step's new
items at random places. Jaccard of all choices with the user whom the system takes for the nearest (of random lists: a
random user; of popularity, for which all are alike, too), less the same under the ideal list, as in the replication
code of T-RECS. Matrix factorisation is iALS, content filtering the mean of the chosen items' attributes (the paper: a
non-negative least-squares fit); social filtering was left out. Read: the abstract of the paper, and the replication
code by Lucherini and others (2021). Not read: the paper's full text and figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from recsys.audits.loop import Seen
from recsys.data.vocabulary import UNKNOWN
from recsys.models import IALS
from recsys.types import Doubles, Ints, Items
from recsys.worlds.loops import Chaney

ARMS: Final = ("popularity", "mf", "content", "random", "ideal")
USERS, NEW, STARTUP = 100, 10, 10


@final
@dataclass(frozen=True, eq=False)
class _State:
    utility: Doubles
    items: Doubles
    rng: np.random.Generator


def likeness(seed: int, steps: int = 90) -> dict[str, dict[str, float]]:
    """Return Jaccard less that of the ideal list, and utility, of each arm of a seed."""
    runs = {arm: _run(arm, seed, steps) for arm in ARMS}
    ideal = runs["ideal"][0]
    found = {}
    for arm, (chosen, near, utility) in runs.items():
        excess = _jaccard(chosen, near) - _jaccard(ideal, near)
        found[arm] = {"jaccard": excess, "utility": utility}
    return found


def _run(arm: str, seed: int, steps: int) -> tuple[Items, Items, float]:
    total = NEW * (STARTUP + steps)
    people = Chaney(users=USERS, items=total, slate=NEW, search=NEW, organic=STARTUP).population(seed)
    state = _State(people.expected(), people.attributes, np.random.default_rng([seed, 7]))
    seen = Seen(np.ones((USERS, total), np.bool_), people.attributes, STARTUP, seed)
    users = np.arange(USERS)
    gained = []
    for step in range(STARTUP + steps):
        old, all_ = NEW * step, NEW * (step + 1)
        scores = state.rng.random((USERS, all_))
        if step >= STARTUP:
            scores[:, :old] = _scores(arm, seen, state)[0][:, :old]
        order = np.argsort(-np.where(seen.free[:, :all_], scores, -np.inf)[:, :old], axis=1, kind="stable")
        listed = _interleaved(order, old, all_, state.rng)
        free = np.where(seen.free[users[:, None], listed], listed, UNKNOWN).astype(np.int32)
        slate: Items = np.take_along_axis(free, np.argsort(free < 0, axis=1, kind="stable"), 1)
        chosen = slate[users, people.pick(step, slate)]
        gained.append(state.utility[users, chosen].mean())
        seen.free[users, chosen] = False
        seen.chosen.append(chosen)
        seen.slates.append(slate[:, :0])
    near = _nearest(_scores(arm, seen, state)[1], state.rng)
    return np.stack(seen.chosen), near, float(np.mean(gained[STARTUP:]))


def _interleaved(order: Ints, old: int, all_: int, rng: np.random.Generator) -> Ints:
    """Return ordered old items with the new ones at random places."""
    rows = len(order)
    new = rng.permuted(np.tile(np.arange(old, all_), (rows, 1)), axis=1)
    places = np.hstack([np.tile(np.arange(old, dtype=np.float64), (rows, 1)), rng.random(new.shape) * max(old, 1)])
    return np.take_along_axis(np.hstack([order, new]).astype(np.int64), np.argsort(places, axis=1, kind="stable"), 1)


def _scores(arm: str, seen: Seen, state: _State) -> tuple[Doubles, Doubles]:
    """Return scores, "users items", and what the system takes users for, "users dim"."""
    had = (~seen.free).astype(np.float64)
    if arm == "ideal":
        return state.utility, state.utility
    if arm == "popularity":
        return np.tile(had.sum(0), (USERS, 1)), np.ones((USERS, 1))
    if arm == "random":
        return state.rng.random(had.shape), state.rng.random((USERS, 20))
    if arm == "content":
        taste = had @ state.items
        return taste @ state.items.T, taste
    model = IALS(embedding_size=20, iterations=5).fit(seen.log())
    scores = model.score(seen.queries()).numpy().astype(np.float64)
    return scores, scores


def _nearest(vectors: Doubles, rng: np.random.Generator) -> Items:
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T + 1e-9 * rng.random((len(unit), len(unit)))
    np.fill_diagonal(cosine, -np.inf)
    return np.asarray(cosine.argmax(1), np.int32)


def _jaccard(chosen: Items, near: Items) -> float:
    sets = np.zeros((USERS, int(chosen.max()) + 1), np.bool_)
    sets[np.arange(USERS), chosen] = True
    return float(((sets & sets[near]).sum(1) / (sets | sets[near]).sum(1)).mean())
