"""The model's own time for an explained answer, beside the time of `implicit` for a bare list."""

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
from recsys.serving.opening import open_answers
from recsys.serving.run_answers import RunAnswers

READY, AGAIN = "explained, ready", "given again"
LEARNED, COLD = "learned and explained, after an event", "explained, first"
ALS = "implicit ALS"
NEIGHBOURS, ALL_NEIGHBOURS = "implicit item-item, 20 neighbours", "implicit item-item, all neighbours"
FACTORS = 64
_ROUNDS = 7


def model_times(run: Path, log: Interactions, *, users: int, seed: int = 0) -> dict[str, float]:
    """Return the milliseconds of an answer by name: means over users of the best of several rounds.

    Users are drawn in proportion to their events. Each user gets an answer from every contender in turn, so that other
    work of the machine falls on all alike. Ours come with personas, evidence and sentences, as `RunAnswers` returns
    them: `READY` with cached user state, `LEARNED` with the state before an event from which the model first learns,
    `COLD` without. Lists of `READY` alternate between 10 and 11 items, so that each is computed; `AGAIN` repeats the
    last one. Those of `implicit` are bare lists of ten items from the same log without the user's own: ALS with 64
    factors, item-item with the 20 nearest neighbours (its default) and with all, which has, like ours, a weight for
    every pair of items that occur together.
    """
    lengths = np.diff(log.indptr)
    drawn = np.random.default_rng(seed).choice(log.n_users, users, p=lengths / lengths.sum()).tolist()
    ids = [str(log.users.id_of(user)) for user in drawn]
    used = np.bincount(log.item_num, minlength=log.n_items)
    drawn_items = np.random.default_rng(seed).choice(log.n_items, _ROUNDS * users, p=used / used.sum()).tolist()
    items = [str(log.items.id_of(item)) for item in drawn_items]
    with open_store("memory:") as store, open_store("memory:") as growing:
        learning = open_answers(run, growing, "memory:")
        for user in ids:  # caches their state before the events
            _ours(learning, user)
        ready, cold = open_answers(run, store, "memory:"), open_answers(run, store, "memory:", cache_bytes=0)
        list_lengths = Lengths()
        contenders: dict[str, Callable[[int], object]] = {
            READY: lambda k: _ours(ready, ids[k], list_lengths.next(ids[k])),
            AGAIN: lambda k: _ours(ready, ids[k], list_lengths.last(ids[k])),
            LEARNED: lambda k: _after_an_event(learning, growing, ids[k], items),
            COLD: lambda k: _ours(cold, ids[k]),
        }
        matrix = log.matrix().tocsr()
        with threadpool_limits(1, user_api="blas"):
            for name, peer in _peers(matrix).items():
                contenders[name] = _theirs(peer, matrix, drawn)
            return _best_times(contenders, users)


def _best_times(contenders: Mapping[str, Callable[[int], object]], users: int) -> dict[str, float]:
    best = {name: np.full(users, np.inf) for name in contenders}
    for _ in range(_ROUNDS):
        for k in range(users):
            for name, answer in contenders.items():
                started = time.perf_counter()
                answer(k)
                best[name][k] = min(best[name][k], time.perf_counter() - started)
    return {name: 1000 * float(seconds.mean()) for name, seconds in best.items()}


def _peers(matrix: Any) -> dict[str, Any]:  # noqa: ANN401 (implicit has no types)
    peers = {
        ALS: AlternatingLeastSquares(factors=FACTORS, iterations=5, num_threads=1, use_gpu=False, random_state=0),
        NEIGHBOURS: CosineRecommender(K=20, num_threads=1),
        ALL_NEIGHBOURS: CosineRecommender(K=matrix.shape[1], num_threads=1),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of converting the matrix
        for peer in peers.values():
            peer.fit(matrix, show_progress=False)
    return peers


def _ours(answers: RunAnswers, user: str, n: int = LENGTH) -> object:
    return answers.recommend(user, n, None, ())


def _after_an_event(answers: RunAnswers, store: EventStore, user: str, items: list[str]) -> object:
    """Append the next event, for which a store in memory needs hardly any time, and answer."""
    number = store.last_sequence()
    store.append([Event(f"{number}", user, items[number], 1.0, int(time.time()), "use")])
    return _ours(answers, user)


def _theirs(peer: Any, matrix: Any, drawn: list[int]) -> Callable[[int], object]:  # noqa: ANN401
    rows = [matrix[user] for user in drawn]
    return lambda k: peer.recommend(drawn[k], rows[k], N=LENGTH)
