"""The protocol of the AMP-CF papers, for comparison with their numbers only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.queries import Ragged
from recsys.data.readers.remarks import remark_on_filter
from recsys.data.splits.assembly import Marks, after_last, assemble, shuffled_positions
from recsys.data.splits.filters import minimum_events
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError, DataError
from recsys.types import Ints


def paper_split(log: Interactions, *, threshold: float | None = None, seed: int = 0, negatives: int = 99) -> Split:
    """Rank one random positive of each user against 99 sampled items. Leaks the future, of others and of the user.

    ::

        user a   ==v===t=====     1 random event for the test, another for validation, the rest for training
        user b     =t             2 events: one for the test, no validation
        user c     =              1 event: training only

    1. Binarise: events with a rating of at least `threshold` remain (without a threshold all, blank ratings included),
       their value becomes 1, and of several events of one user with one item the first remains.
    2. Keep users and items with at least 2 events, in three passes over the *whole* log, as the authors do.
    3. Draw the held-out events. The history of both queries is the user's training events.
    4. Candidates: the held-out item and `negatives` items, drawn uniformly without replacement from the items of
       training that the user has nowhere in the filtered log; all of these if there are fewer.

    A held-out item outside training is `UNKNOWN`: a miss, even among candidates. The authors select epochs on the test
    query; use the validation query instead. For samplers of training negatives that avoid held-out items, as the
    authors' code does not, see `reserved_items`.

    Source: Barkan, Fuchs, Caciularu, Koenigstein, RecSys 2020 (arXiv 2010.07042), section 4.

    Args:
        log: any log.
        threshold: smallest rating that counts; None: every event counts.
        seed: of the draws.
        negatives: sampled items per query.

    Raises:
        ConfigError: `negatives` is below 1.
        DataError: the threshold or the filter leaves nothing.
    """
    if negatives < 1:
        raise ConfigError(f"paper: negatives is {negatives}; it must be at least 1")
    positives = minimum_events(binarised(log, threshold), users=2, items=2, passes=3)
    rng = np.random.default_rng(seed)
    place = shuffled_positions(positives, rng)
    count = np.diff(positives.indptr)[positives.user_num]
    test, valid = (place == 0) & (count >= 2), (place == 1) & (count >= 3)
    train = ~(test | valid)
    now = after_last(positives, train)
    split = assemble(
        positives,
        train,
        Marks(valid, train, now),
        Marks(test, train, now),
        name="paper",
        seed=seed,
        notes=[
            f"threshold {'none' if threshold is None else f'{threshold:g}'}: {len(positives)} of {len(log)} events, "
            f"{positives.n_users} of {log.n_users} users and {positives.n_items} of {log.n_items} items remain",
            f"{negatives} sampled candidates per question, from {len(np.unique(positives.item_num[train]))} items",
        ],
    )
    return replace(
        split,
        valid=_with_candidates(split.valid, positives, split.train, negatives, rng),
        test=_with_candidates(split.test, positives, split.train, negatives, rng),
    )


def reserved_items(split: Split) -> Ragged:
    """Return the items held out in validation and test, for every user of training.

    For samplers of training negatives that avoid them, which leaks information on the held-out items into training.

    >>> log = Interactions.from_columns([1, 1, 1, 2, 2, 2], [1, 2, 3, 1, 2, 3])
    >>> len(reserved_items(paper_split(log)))
    2
    """
    parts = (split.valid, split.test)
    owner = np.concatenate([part.queries.users[part.relevant.rows] for part in parts])
    item = np.concatenate([part.relevant.items for part in parts])
    known = (owner != UNKNOWN) & (item != UNKNOWN)
    owner, item = owner[known], item[known]
    counts = np.bincount(owner, minlength=split.train.n_users)
    return Ragged.from_lengths(counts, item[np.lexsort((item, owner))])


def binarised(log: Interactions, threshold: float | None) -> Interactions:
    """Return the events that count, with the value 1 and of each user's with one item only the first.

    Raises:
        DataError: no rating is at least the threshold.
    """
    log = log.uses
    keep = np.ones(len(log), np.bool_) if threshold is None else log.value >= np.float32(threshold)
    if not keep.any():
        raise DataError(f"{log.name}: no rating is at least {threshold}; lower the threshold")
    remark_on_filter(log.name, len(log), int(keep.sum()), f"a rating of at least {threshold}")
    positions = np.flatnonzero(keep)
    key = log.user_num[positions].astype(np.int64) * log.n_items + log.item_num[positions]
    chosen = log.select(positions[np.sort(np.unique(key, return_index=True)[1])])
    return replace(chosen, value=np.ones(len(chosen), np.float32), kinds=None, superseded=None)


def _with_candidates(
    part: Holdout, positives: Interactions, train: Interactions, negatives: int, rng: np.random.Generator
) -> Holdout:
    users = positives.users.numbers(part.user_ids)
    number = train.items.numbers(positives.items.ids)[positives.item_num]
    known = number != UNKNOWN
    # Rows are users of the filtered log, with their items of the training catalogue in all three parts.
    counts = np.bincount(positives.user_num[known], minlength=positives.n_users)
    touched = Ragged.from_lengths(counts, number[known]).take(users)
    sampled = sample_untouched(touched, train.n_items, negatives, rng)
    rows = np.concatenate([part.relevant.rows, sampled.rows])
    items = np.concatenate([part.relevant.items, sampled.items])
    order = np.argsort(rows, kind="stable")
    return replace(part, candidates=Ragged(part.relevant.indptr + sampled.indptr, items[order]))


def sample_untouched(touched: Ragged, n_items: int, n: int, rng: np.random.Generator) -> Ragged:
    """Draw n different items per row, uniformly from those not in the row; all of them if there are at most n.

    No row of `touched` holds an item twice.

    >>> sample_untouched(Ragged.of([[0, 2], [1]]), 4, 3, np.random.default_rng(0)).lengths.tolist()
    [2, 3]
    """
    free = n_items - touched.lengths
    drawn = np.full((len(touched), n), UNKNOWN, dtype=np.int64)
    # By rejection if that ends soon; else from a shuffled row of the whole catalogue, few rows at a time.
    plenty = np.flatnonzero(free >= 4 * n)
    drawn[plenty] = _by_rejection(plenty, touched, n_items, n, rng)
    scarce = np.flatnonzero(free < 4 * n)
    size = max(1, 2_000_000 // max(1, n_items))
    for start in range(0, len(scarce), size):
        rows = scarce[start : start + size]
        drawn[rows, :n_items] = _by_shuffle(touched.take(rows), n_items, n, rng)
    drawn.sort(axis=1)
    valid = drawn != UNKNOWN
    return Ragged.from_lengths(valid.sum(1), drawn[valid].astype(np.int32))


def _by_rejection(rows: Ints, touched: Ragged, n_items: int, n: int, rng: np.random.Generator) -> Ints:
    key = np.append(np.sort(touched.rows * n_items + touched.items), len(touched) * n_items)  # above every pair
    drawn = rng.integers(n_items, size=(len(rows), n))
    pending = np.arange(len(rows))
    while len(pending):
        block = np.sort(drawn[pending], axis=1)
        pairs = rows[pending, None] * n_items + block
        wrong = key[np.searchsorted(key, pairs)] == pairs
        wrong[:, 1:] |= block[:, 1:] == block[:, :-1]
        block[wrong] = rng.integers(n_items, size=int(wrong.sum()))
        drawn[pending] = block
        pending = pending[wrong.any(axis=1)]
    return drawn


def _by_shuffle(touched: Ragged, n_items: int, n: int, rng: np.random.Generator) -> Ints:
    priority = rng.random((len(touched), n_items))
    priority[touched.rows, touched.items] = 2.0
    order = np.argsort(priority, axis=1)[:, :n]
    return np.where(np.take_along_axis(priority, order, axis=1) < 2.0, order, UNKNOWN)
