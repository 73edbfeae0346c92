"""From marked events to a `Split`: the part that all splits share.

A split only marks events of the whole log: what is trained on, what is visible to a question, what is held out. Because
the log is sorted by user, marks are already rows, and nothing here loops over users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.splits.filters import minimum_events
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.translation import Translation
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError, DataError
from recsys.types import Mask


@final
@dataclass(frozen=True, eq=False)
class Marks:
    """The questions of one part, as marks on the events of the whole log. Every user with a held-out event is asked.

    Attributes:
        held_out: "events", what is to be predicted.
        visible: "events", what the model may see of a user who is asked.
        now: "users", int64, the moment of each user's question.
        forbidden: "events", what else must not be recommended; None: only what is visible.
    """

    held_out: Mask
    visible: Mask
    now: npt.NDArray[np.int64]
    forbidden: Mask | None = None


@final
@dataclass(frozen=True)
class Minima:
    """The least events of a user and of an item in training; both 1 keeps everything."""

    users: int = 1
    items: int = 1


def assemble(
    log: Interactions,
    train: Mask,
    valid: Marks,
    test: Marks,
    *,
    name: str,
    leaks_time: bool,
    seed: int | None = None,
    minima: Minima | None = None,
    notes: Sequence[str] = (),
) -> Split:
    """Build the split: filter and compact the training events, then re-encode the questions with its vocabularies.

    Held-out items that training does not hold become `UNKNOWN` and stay; so do unknown items of a history. Users that
    training does not hold become `UNKNOWN` and are still asked.

    Raises:
        DataError: nothing to train on, or nothing to ask.
    """
    for part, marked in (("train", train), ("valid", valid.held_out), ("test", test.held_out)):
        if not marked.any():
            raise DataError(
                f"{log.name}: the {name} split leaves no event for {part} (of {len(log)} events of {log.n_users} "
                "users); use a larger log, other fractions or another split"
            )
    limits = minima or Minima()
    chosen = log.select(train)
    fitted = minimum_events(chosen, limits.users, limits.items)
    removed = len(chosen) - len(fitted)
    facts = [*notes, f"train: {len(fitted)} events, {fitted.n_users} users, {fitted.n_items} items"]
    if removed:
        facts.append(
            f"train: {removed} events removed by the minima of {limits.users} per user and {limits.items} per item"
        )
    holdouts = []
    for part, marks in (("valid", valid), ("test", test)):
        holdout, repeated = _holdout(log, fitted, marks)
        holdouts.append(holdout)
        facts.extend(_facts(part, holdout, int(marks.held_out.sum()), repeated))
    return Split(fitted, holdouts[0], holdouts[1], name, leaks_time, seed, tuple(facts))


def _holdout(log: Interactions, train: Interactions, marks: Marks) -> tuple[Holdout, int]:
    """Return the questions, and how many held-out events repeat an item that is visible, forbidden or held out."""
    asked = np.zeros(log.n_users, dtype=np.bool_)
    asked[log.user_num[marks.held_out]] = True
    users = np.flatnonzero(asked)
    of_asked = asked[log.user_num]
    numbers = Translation.of(log, train.users, train.items)

    def rows(positions: npt.NDArray[np.int64]) -> Ragged:
        counts = np.bincount(log.user_num[positions], minlength=log.n_users)[users]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Ragged(indptr, numbers.items[log.item_num[positions]])

    past = np.flatnonzero(marks.visible & of_asked)
    masked = past if marks.forbidden is None else np.flatnonzero((marks.visible | marks.forbidden) & of_asked)
    held_out = np.flatnonzero(marks.held_out)
    key = log.user_num.astype(np.int64) * log.n_items + log.item_num
    asked_keys, first = np.unique(key[held_out], return_index=True)
    # Looking the many masked events up among the few held-out ones is quicker than the other way round.
    place = np.minimum(np.searchsorted(asked_keys, key[masked]), len(asked_keys) - 1)
    fresh = np.ones(len(asked_keys), dtype=np.bool_)
    fresh[place[asked_keys[place] == key[masked]]] = False
    relevant = held_out[np.sort(first[fresh])]
    queries = Queries(
        numbers.users[users],
        rows(past),
        log.value[past],
        log.time[past],
        marks.now[users],
        exclude=None if marks.forbidden is None else rows(masked),
    )
    return Holdout(queries, rows(relevant), log.users.ids[users].astype(object)), len(held_out) - len(relevant)


def _facts(part: str, holdout: Holdout, events: int, repeated: int) -> list[str]:
    counts = {
        "of cold users": int((holdout.queries.users == UNKNOWN).sum()),
        "without history": int((holdout.queries.history.lengths == 0).sum()),
        "without relevant items": int((holdout.relevant.lengths == 0).sum()),
    }
    cold = int((holdout.relevant.items == UNKNOWN).sum())
    return [
        f"{part}: {events} held-out events, of them {repeated} repeated items dropped and {cold} cold items kept",
        f"{part}: {len(holdout)} queries, " + ", ".join(f"{count} {what}" for what, count in counts.items()),
    ]


def check_fractions(fractions: Sequence[float]) -> tuple[float, float, float]:
    """Return the shares of train, validation and test.

    Raises:
        ConfigError: not three positive numbers with sum 1.
    """
    shares = tuple(float(share) for share in fractions)
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(f"fractions are {shares}; give three positive shares (train, valid, test) with sum 1")
    return shares[0], shares[1], shares[2]


def time_cuts(log: Interactions, quantiles: Sequence[float]) -> list[int]:
    """Return increasing times such that about the given shares of the events are earlier.

    Events at a cut fall on its later side. Where equal times would make a part empty, the cut moves to the next time.

    Raises:
        DataError: the log has too few different times.

    >>> log = Interactions.from_columns([1] * 10, range(10), times=range(10))
    >>> time_cuts(log, [0.8, 0.9])
    [8, 9]
    """
    if len(log) == 0:
        raise DataError(f"{log.name}: a log without events cannot be split")
    times = np.sort(log.time)
    cuts: list[int] = []
    previous = int(times[0])
    for quantile in quantiles:
        cut = int(times[min(round(quantile * len(times)), len(times) - 1)])
        if cut <= previous:
            later = int(np.searchsorted(times, previous, side="right"))
            if later == len(times):
                raise DataError(
                    f"{log.name}: {len(np.unique(times))} different times are too few for {len(quantiles) + 1} parts "
                    f"one after the other (no event is later than {previous}); use fewer parts or a split by users"
                )
            cut = int(times[later])
        cuts.append(cut)
        previous = cut
    return cuts


def place_in_user(log: Interactions, priority: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.int64]:
    """ "events", int64: the place of each event among its user's, from 0; by log order, or by ascending priority."""
    place = np.arange(len(log), dtype=np.int64) - log.indptr[log.user_num]
    if priority is None:
        return place
    shuffled = np.empty_like(place)
    # Users are contiguous, so the sorted order visits them in the same blocks.
    shuffled[np.lexsort((priority, log.user_num))] = place
    return shuffled


def after_last(log: Interactions, visible: Mask) -> npt.NDArray[np.int64]:
    """ "users", int64: one unit after each user's last visible event; 0 where nothing is visible."""
    times = np.zeros(log.n_users, dtype=np.int64)
    # Events of a user are in time order, and of repeated assignments the last one stays.
    times[log.user_num[visible]] = log.time[visible] + 1
    return times


def first_time(log: Interactions, marked: Mask) -> npt.NDArray[np.int64]:
    """ "users", int64: the time of each user's first marked event; 0 where there is none."""
    times = np.zeros(log.n_users, dtype=np.int64)
    positions = np.flatnonzero(marked)[::-1]
    times[log.user_num[positions]] = log.time[positions]
    return times
