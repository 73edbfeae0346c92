"""Builds a `Split` from marked events: the common part of all splits.

A split only marks events of the whole log: training, visible to a query, held out. As the log is sorted by user, marked
events are grouped by query already, and nothing here loops over users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from recsys.data.feedback import RatingScale, described
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries, Ragged
from recsys.data.splits.filters import minimum_events
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.translation import Translation
from recsys.data.uses import interactions
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import ConfigError, DataError
from recsys.types import Ints, Mask


@final
@dataclass(frozen=True, eq=False)
class Marks:
    """The queries of one part, as marks on the events of the whole log: one per user with a held-out event.

    Attributes:
        held_out: "events", the events to predict, of which dislikes and skips are no answers.
        visible: "events", the history of a user with a query.
        now: "users", int64, the moment of each user's query.
        forbidden: "events" whose items are excluded from recommendation besides the visible ones; None: no others.
    """

    held_out: Mask
    visible: Mask
    now: Ints
    forbidden: Mask | None = None


@final
@dataclass(frozen=True)
class Minima:
    """Minimum numbers of training events of a user and of an item; 1 keeps everything."""

    users: int = 1
    items: int = 1


def assemble(
    log: Interactions,
    train: Mask,
    valid: Marks,
    test: Marks,
    *,
    name: str,
    leaks_time: bool = True,
    seed: int | None = None,
    minima: Minima | None = None,
    notes: Sequence[str] = (),
    last_counts: bool = False,
    items: Ints | None = None,
    catalogue: Mask | None = None,
) -> Split:
    """Build the split: filter and compact the training events, then re-encode the queries with their vocabularies.

    Held-out items and items of a history that are not in training become `UNKNOWN` and stay. Users who are not in
    training become `UNKNOWN` and keep their query. With `last_counts` the log has superseded events in their places
    (`Interactions.every`): of several of a user, item and kind the last counts in training, and the last that a query
    sees in its history.

    Args:
        log: the whole log, or a part of its users.
        train: "events", those of training.
        valid, test: the queries.
        name, leaks_time, seed, notes: of the split.
        minima: of users and items.
        last_counts: whether later events replace earlier ones.
        items: of a part of the users: the numbers of all items of training, ascending; then a part may lack events, and
            there are no minima.
        catalogue: "items", which items of the log the training log lists even without an event.

    Raises:
        DataError: a part has no events.
    """
    for part, marked in (("train", train), ("valid", valid.held_out), ("test", test.held_out)):
        if items is None and not marked.any():
            raise DataError(
                f"{log.name}: the {name} split leaves no event for {part} (of {len(log)} events of {log.n_users} "
                "users); use a larger log, other fractions or another split"
            )
    minima = minima or Minima()
    learned = learned_of(log.select(train), last_counts=last_counts)
    if last_counts:
        train = _last(log, train)
        valid, test = (replace(marks, visible=_last(log, marks.visible)) for marks in (valid, test))
    fitted = minimum_events(learned, minima.users, minima.items) if items is None else learned.compact(items)
    if catalogue is not None:
        fitted = _listing(fitted, log, catalogue)
    facts = [*notes, f"train: {len(fitted)} events, {fitted.n_users} users, {fitted.n_items} items"]
    if removed := int(train.sum()) - len(fitted):
        least = f"{minima.users} per user and {minima.items} per item"
        facts.append(f"train: {removed} events removed by the minima of {least}")
    valid_queries, valid_facts = _holdout(log, fitted, valid, "valid")
    test_queries, test_facts = _holdout(log, fitted, test, "test")
    facts += valid_facts + test_facts
    return Split(fitted, valid_queries, test_queries, name, leaks_time, seed, tuple(facts))


def learned_of(train: Interactions, *, last_counts: bool) -> Interactions:
    """Return training events, of which with `last_counts` the last of several of a user, item and kind counts."""
    return train.superseding(~_last(train, np.ones(len(train), np.bool_))) if last_counts else train


def _listing(train: Interactions, log: Interactions, catalogue: Mask) -> Interactions:
    """Return a training log whose vocabulary has further items of the whole log, after those with events."""
    further = np.flatnonzero(catalogue)
    further = further[train.items.numbers(log.items.ids[further]) == UNKNOWN]
    items = Vocabulary(np.concatenate([train.items.ids, log.items.ids[further]]))
    metadata = train.metadata.followed_by(log.metadata.take(further))
    earlier = train.superseded
    if earlier is not None:
        earlier = replace(earlier, items=items, metadata=metadata)
    return replace(train, items=items, metadata=metadata, superseded=earlier)


def questions_of(log: Interactions, train: Interactions, marks: Marks) -> Holdout:
    """Return the queries of a part, in the numbers of a training log."""
    return _holdout(log, train, marks, "")[0]


def _holdout(log: Interactions, train: Interactions, marks: Marks, part: str) -> tuple[Holdout, list[str]]:
    """Return the queries of a part, and facts on them for the notes."""
    key = log.user_num.astype(np.int64) * log.n_items + log.item_num
    answers = marks.held_out
    if log.kinds is not None:
        answers = answers.copy()
        answers[answers] = interactions(log.kinds[answers], key[answers])
    has_query = np.zeros(log.n_users, dtype=np.bool_)
    has_query[log.user_num[answers]] = True
    users = np.flatnonzero(has_query)
    candidate = has_query[log.user_num]
    numbers = Translation.of(log, train.users, train.items)

    def rows(positions: Ints) -> Ragged:
        counts = np.bincount(log.user_num[positions], minlength=log.n_users)[users]
        return Ragged.from_lengths(counts, numbers.items[log.item_num[positions]])

    past = np.flatnonzero(marks.visible & candidate)
    masked = past if marks.forbidden is None else np.flatnonzero((marks.visible | marks.forbidden) & candidate)
    held_out = np.flatnonzero(answers)
    distinct, first = np.unique(key[held_out], return_index=True)
    # Looking up the many masked events among the few held-out ones is faster than the reverse.
    place = np.minimum(np.searchsorted(distinct, key[masked]), len(distinct) - 1)
    fresh = np.ones(len(distinct), dtype=np.bool_)
    fresh[place[distinct[place] == key[masked]]] = False
    relevant = held_out[np.sort(first[fresh])]
    told = np.flatnonzero(marks.held_out)  # a skip may be said of an answer
    said = _last_of_each(told, key, relevant) if len(distinct) < len(told) else relevant
    queries = Queries(
        numbers.users[users],
        rows(past),
        log.value[past],
        log.time[past],
        marks.now[users],
        exclude=None if marks.forbidden is None else rows(masked),
        kinds=None if log.kinds is None else log.kinds[past],
    )
    holdout = Holdout(
        queries,
        rows(relevant),
        log.users.ids[users].astype(object),
        fingerprint=train.fingerprint,
        values=log.value[said],
        kinds=None if log.kinds is None else log.kinds[said],
        scale=RatingScale.of(log),
        log_kinds=() if log.kinds is None else tuple(described(log.kinds)),
        rejected=None
        if log.kinds is None
        else rows(_first_of_each(marks.held_out & ~answers & candidate, key, masked, relevant)),
    )
    counts = {
        "of cold users": int((holdout.queries.users == UNKNOWN).sum()),
        "without history": int((holdout.queries.history.lengths == 0).sum()),
        "without relevant items": int((holdout.relevant.lengths == 0).sum()),
    }
    events, cold = len(held_out), int((holdout.relevant.items == UNKNOWN).sum())
    repeated = events - len(relevant)
    return holdout, [
        f"{part}: {events} held-out events, of them {repeated} repeated items dropped and {cold} cold items kept",
        f"{part}: {len(holdout)} queries, " + ", ".join(f"{count} {what}" for what, count in counts.items()),
    ]


def _last(log: Interactions, among: Mask) -> Mask:
    """ "events": which of some events have none of the same user, item and kind after them."""
    chosen = np.flatnonzero(among)[::-1]
    last = np.zeros(len(log), np.bool_)
    last[chosen[np.unique(log.sorts[chosen], return_index=True)[1]]] = True
    return last


def first_of_its_sort(log: Interactions) -> Mask:
    """ "events": which have none of the same user, item and kind before them."""
    first = np.zeros(len(log), np.bool_)
    first[np.unique(log.sorts, return_index=True)[1]] = True
    return first


def _first_of_each(events: Mask, key: Ints, *known: Ints) -> Ints:
    """Return, in order, the first of some events with each key that none of the known positions has."""
    chosen = np.flatnonzero(events)
    fresh = chosen[~np.isin(key[chosen], key[np.concatenate(known)])]
    return np.sort(fresh[np.unique(key[fresh], return_index=True)[1]])


def _last_of_each(events: Ints, key: Ints, chosen: Ints) -> Ints:
    """Return, for each chosen event, the last of some events with the same key; it was said after the others."""
    keys, last = np.unique(key[events][::-1], return_index=True)
    return events[len(events) - 1 - last[np.searchsorted(keys, key[chosen])]]


def check_fractions(fractions: Sequence[float]) -> tuple[float, float, float]:
    """Return the shares of train, validation and test.

    Raises:
        ConfigError: not three positive numbers with sum 1.
    """
    try:
        shares = tuple(float(share) for share in fractions)
    except (TypeError, ValueError):
        shares = ()
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(
            f"fractions are {shares or fractions}; give three positive shares (train, valid, test) with sum 1"
        )
    return shares[0], shares[1], shares[2]


def time_cuts(log: Interactions, quantiles: Sequence[float]) -> list[int]:
    """Return increasing times such that about the given shares of the events are earlier.

    Events at a cut fall on its later side. A cut that would leave a part empty moves to the next time.

    Raises:
        DataError: the log has too few different times.

    >>> log = Interactions.from_columns([1] * 10, range(10), times=range(10))
    >>> time_cuts(log, [0.8, 0.9])
    [8, 9]
    """
    if len(log) == 0:
        raise DataError(f"{log.name}: a log without events cannot be split")
    times = np.sort(log.time)

    def later(time: int) -> int | None:
        position = int(np.searchsorted(times, time, side="right"))
        return None if position == len(times) else int(times[position])

    ranked = [int(times[rank]) for rank in ranks_of(len(times), quantiles)]
    return increasing(ranked, int(times[0]), later, log.name)


def ranks_of(events: int, quantiles: Sequence[float]) -> list[int]:
    """Return the positions of quantiles among sorted events."""
    return [min(round(quantile * events), events - 1) for quantile in quantiles]


def increasing(times: Sequence[int], first: int, later: Callable[[int], int | None], name: str) -> list[int]:
    """Return times of which each is later than the one before, the first than `first`.

    Args:
        times: the times, not decreasing.
        first: the time of the first event.
        later: returns the time of the first event after a time; None after the last.
        name: of the log.

    Raises:
        DataError: the log has too few different times.
    """
    cuts = [first]
    for time in times:
        cut = time if time > cuts[-1] else later(cuts[-1])
        if cut is None:
            raise DataError(
                f"{name}: its different times are too few for {len(times) + 1} parts one after the other (no event is "
                f"later than {cuts[-1]}); split by users (the split held_out_users, --split held_out_users), or give a "
                "log of a longer time"
            )
        cuts.append(cut)
    return cuts[1:]


def shuffled_positions(log: Interactions, rng: np.random.Generator) -> Ints:
    """ "events", int64: the position of each event among its user's in a random order, from 0."""
    positions = np.empty(len(log), np.int64)
    # Users are contiguous, so the sorted order visits them in the same blocks.
    positions[np.lexsort((rng.random(len(log)), log.user_num))] = log.positions
    return positions


def after_last(log: Interactions, visible: Mask) -> Ints:
    """ "users", int64: one unit after each user's last visible event; 0 without visible events."""
    times = np.zeros(log.n_users, dtype=np.int64)
    # Events of a user are in time order, and the last of repeated assignments stays.
    times[log.user_num[visible]] = log.time[visible] + 1
    return times


def first_time(log: Interactions, marked: Mask) -> Ints:
    """ "users", int64: the time of each user's first marked event; 0 without any."""
    times = np.zeros(log.n_users, dtype=np.int64)
    positions = np.flatnonzero(marked)[::-1]
    times[log.user_num[positions]] = log.time[positions]
    return times
