"""The time that the model itself takes for an explained answer, beside what `implicit` takes to recommend."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.serving.traffic import LENGTH, Lengths
from recsys.data.interactions import Interactions
from recsys.events.addresses import open_store
from recsys.events.store import Event, EventStore
from recsys.serving.run_answers import RunAnswers, open_answers

READY, AGAIN = "explained, ready", "given again"
LEARNED, COLD = "learned and explained, after an event", "explained, first"
ALS, NEIGHBOURS, EVERYBODY = "implicit ALS", "implicit item-item, 20 neighbours", "implicit item-item, all neighbours"
FACTORS = 64
_ROUNDS = 7


def model_times(run: Path, log: Interactions, *, users: int, seed: int = 0) -> dict[str, float]:
    """Return the milliseconds of an answer by name: means over users of the best of several rounds.

    Users are drawn as often as they have events. Everybody is asked in turn, so that whatever else the machine does
    falls on all alike. Ours come with personas, evidence and sentences, as `RunAnswers` returns them, for `READY` with
    what belongs to the user at hand, for `LEARNED` with what belonged to the user before an event that is learned from
    in that time, and for `COLD` without. Lists of `READY` have another length than the user's last, 10 and 11 in turns,
    so that each is made anew; `AGAIN` asks for the last one. Those of `implicit` are bare lists of ten items, from the
    same log, less what the user has used: ALS with 64 factors, item-item with the 20 nearest neighbours (its
    default) and with as many as there are, which has, like ours, a weight for every pair of items that go together.

    Args:
        run: a finished run.
        log: its log.
        users: how many are drawn.
        seed: of the draws.
    """
    lengths = np.diff(log.indptr)
    drawn = np.random.default_rng(seed).choice(log.n_users, users, p=lengths / lengths.sum()).tolist()
    ids = [str(log.users.id_of(user)) for user in drawn]
    used = np.bincount(log.item_num, minlength=log.n_items)
    chosen = np.random.default_rng(seed).choice(log.n_items, _ROUNDS * users, p=used / used.sum()).tolist()
    items = [str(log.items.id_of(item)) for item in chosen]
    with open_store("memory:") as store, open_store("memory:") as growing:
        learning = open_answers(run, growing, "memory:")
        for user in ids:  # their past is there before the events
            _ours(learning, user)
        ready, cold = open_answers(run, store, "memory:"), open_answers(run, store, "memory:", cache_bytes=0)
        told = Lengths()
        asked: dict[str, Callable[[int], object]] = {
            READY: lambda k: _ours(ready, ids[k], told.next(ids[k])),
            AGAIN: lambda k: _ours(ready, ids[k], told.last(ids[k])),
            LEARNED: lambda k: _after_an_event(learning, growing, ids[k], items),
            COLD: lambda k: _ours(cold, ids[k]),
        }
        matrix = log.matrix().tocsr()
        with threadpool_limits(1, user_api="blas"):
            for name, peer in _peers(matrix).items():
                asked[name] = _theirs(peer, matrix, drawn)
            return _measured(asked, users)


def _measured(asked: Mapping[str, Callable[[int], object]], users: int) -> dict[str, float]:
    best = {name: np.full(users, np.inf) for name in asked}
    for _ in range(_ROUNDS):
        for k in range(users):
            for name, ask in asked.items():
                started = time.perf_counter()
                ask(k)
                best[name][k] = min(best[name][k], time.perf_counter() - started)
    return {name: 1000 * float(seconds.mean()) for name, seconds in best.items()}


def _peers(matrix: Any) -> dict[str, Any]:  # noqa: ANN401 (implicit has no types)
    peers = {
        ALS: AlternatingLeastSquares(factors=FACTORS, iterations=5, num_threads=1, use_gpu=False, random_state=0),
        NEIGHBOURS: CosineRecommender(K=20, num_threads=1),
        EVERYBODY: CosineRecommender(K=matrix.shape[1], num_threads=1),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is told that it converts the matrix
        for peer in peers.values():
            peer.fit(matrix, show_progress=False)
    return peers


def _ours(answers: RunAnswers, user: str, n: int = LENGTH) -> object:
    return answers.recommend(user, n, None, ())


def _after_an_event(answers: RunAnswers, store: EventStore, user: str, items: list[str]) -> object:
    """Send the next event, which a store in memory takes in no time to speak of, and ask."""
    number = store.last_sequence()
    store.append([Event(f"{number}", user, items[number], 1.0, int(time.time()), "use")])
    return _ours(answers, user)


def _theirs(peer: Any, matrix: Any, drawn: list[int]) -> Callable[[int], object]:  # noqa: ANN401
    rows = [matrix[user] for user in drawn]
    return lambda k: peer.recommend(drawn[k], rows[k], N=LENGTH)
