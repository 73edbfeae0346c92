"""Splits a log into a training log and queries with known answers; `split` selects a split by name.

In the drawings `=` is training, `v` held out in validation and `t` in the test, `.` only visible to a query, `|` a cut
or the moment of a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from recsys.checks import number, seed_of_draws, whole
from recsys.data.interactions import Clock, Interactions, check_log
from recsys.data.sessions import PAUSE, occasions
from recsys.data.splits.assembly import (
    Marks,
    Minima,
    after_last,
    assemble,
    check_fractions,
    first_of_its_sort,
    first_time,
    shuffled_positions,
    time_cuts,
)
from recsys.data.splits.cold_items import cold_items_split, held_out_items_split
from recsys.data.splits.holdout import Split
from recsys.data.splits.names import AMONG, ASKS, SPLIT_NAMES, Among, Ask, SplitName
from recsys.data.splits.paper import paper_split
from recsys.data.stream import group_starts
from recsys.errors import ConfigError, DataError, nearest
from recsys.types import Ints, Mask

HistoryPart = Literal["random", "first"]
"""The visible events of a held-out user: a random part of them, or the first ones."""

_TIMELESS: tuple[SplitName, ...] = ("random", "held_out_users", "held_out_items", "paper")
_ORDERED: tuple[SplitName, ...] = ("last_one", "last_n", *_TIMELESS)
_OPTIONS: dict[SplitName, tuple[str, ...]] = {
    "global_time": ("fractions", "ask", "pause"),
    "last_one": (),
    "last_n": ("n",),
    "random": ("fractions",),
    "held_out_users": ("fractions", "history"),
    "cold_items": ("fractions", "among"),
    "held_out_items": ("fractions", "among"),
    "paper": ("threshold",),
}


def offered(clock: Clock) -> tuple[SplitName, ...]:
    """Return the splits that are possible on a log with this clock.

    >>> offered("order")
    ('last_one', 'last_n', 'random', 'held_out_users', 'held_out_items', 'paper')
    """
    return {"seconds": SPLIT_NAMES, "period": SPLIT_NAMES, "order": _ORDERED, "none": _TIMELESS}[clock]


def split(
    log: Interactions,
    name: SplitName = "global_time",
    *,
    seed: int = 0,
    min_user_events: int = 1,
    min_item_events: int = 1,
    fractions: Sequence[float] | None = None,
    n: int | None = None,
    history: HistoryPart | None = None,
    threshold: float | None = None,
    ask: Ask | None = None,
    pause: int | None = None,
    among: Among | None = None,
) -> Split:
    """Split a log by the name of the split. An option that the split does not have is an error.

    Splits in time cut before events that come again replace earlier ones (`Interactions.superseded`): a query and
    training hold the last event before the cut, whatever comes later.

    Args:
        log: the whole log.
        name: one of `SPLIT_NAMES`.
        seed: of the random draws, if any.
        min_user_events: users with fewer training events are left out of training (not of the queries).
        min_item_events: items with fewer training events are left out of training.
        fractions: shares of train, validation and test; for all but last_one, last_n and paper.
        n: events per user in each held-out part; for last_n.
        history: the visible events of a held-out user; for held_out_users.
        threshold: the smallest rating that counts as an event; for paper.
        ask: for global_time: when each user is asked, once. "session", "day", "event": at the first one that begins
            after the cut, whose items alone are relevant. None: at the cut, and all that is later is relevant.
        pause: with `ask`, seconds that end a session; 12 hours when None.
        among: for cold_items and held_out_items: "new" (when None): new items are asked for and ranked among new
            items; "all": among all items; "warm", of cold_items: items of training are asked for, among all.

    Raises:
        ConfigError: an unknown name, an option that the split does not have, or one out of range.
        DataError: the log lacks the clock that the split needs, or is too small for it.

    >>> log = Interactions.from_columns([1, 1, 1, 2, 2, 2], [1, 2, 3, 1, 2, 3], times=range(6))
    >>> split(log, "last_one").test.relevant.row(0)
    array([-1], dtype=int32)
    """
    check_log(log, "split")
    options: dict[str, object] = {"fractions": fractions, "n": n, "history": history, "threshold": threshold}
    options |= {"ask": ask, "pause": pause, "among": among}
    check_options(name, seed=seed, min_user_events=min_user_events, min_item_events=min_item_events, **options)
    if name not in offered(log.clock):
        raise clock_error(log, f"{name} split")
    minima = Minima(min_user_events, min_item_events)
    shares = (0.8, 0.1, 0.1) if fractions is None else fractions
    match name:
        case "global_time":
            found = _global_time(log, shares, minima, ask, PAUSE if pause is None else pause)
        case "last_one":
            found = _last_n(log, 1, name, minima)
        case "last_n":
            found = _last_n(log, 1 if n is None else n, name, minima)
        case "random":
            found = _random(log, shares, seed, minima)
        case "held_out_users":
            found = held_out_users_split(log, shares, history=history or "random", seed=seed, minima=minima)
        case "cold_items":
            found = cold_items_split(log, shares, minima, among or "new")
        case "held_out_items":
            found = held_out_items_split(log, shares, seed, minima, among or "new")
        case "paper":
            found = paper_split(log, threshold=threshold, seed=seed)
    return found


def check_options(
    name: str, *, seed: int = 0, min_user_events: int = 1, min_item_events: int = 1, **options: object
) -> None:
    """Raise a ConfigError for what is wrong with the arguments of `split` whatever the log holds."""
    if name not in SPLIT_NAMES:
        raise ConfigError(f"unknown split {name!r}{nearest(str(name), SPLIT_NAMES)}; known: {', '.join(SPLIT_NAMES)}")
    for option in (option for option, value in options.items() if value is not None):
        if option not in _OPTIONS[name]:
            users = ", ".join(known for known in SPLIT_NAMES if option in _OPTIONS[known])
            raise ConfigError(f"the {name} split has no option {option!r} (it belongs to {users}); leave it out")
    seed_of_draws(seed)
    whole("min_user_events", min_user_events)
    whole("min_item_events", min_item_events)
    if options.get("n") is not None:
        whole("n", options["n"])
    if options.get("threshold") is not None:
        number("threshold", options["threshold"])
    if (ask := options.get("ask")) is not None and ask not in ASKS:
        raise ConfigError(f"ask is {ask!r}{nearest(str(ask), ASKS)}; it must be one of {', '.join(ASKS)}")
    if (among := options.get("among")) is not None and among not in AMONG:
        raise ConfigError(f"among is {among!r}{nearest(str(among), AMONG)}; it must be one of {', '.join(AMONG)}")
    if options.get("pause") is not None:
        if ask is None:
            raise ConfigError(f"pause is {options['pause']} without ask; a pause divides sessions: give ask 'session'")
        whole("pause", options["pause"])
    if name == "paper" and (min_user_events, min_item_events) != (1, 1):
        raise ConfigError("the paper split has its own filter (2 events per user and item); leave minima out")


def _global_time(log: Interactions, fractions: Sequence[float], minima: Minima, ask: Ask | None, pause: int) -> Split:
    """One cut in time for all users. The only split here in which no training event is later than a query.

    ::

        user a   ====== ==  ===|  v v   |  t        train:  time < cut 1
        user b      ===   =====|        |t   t      valid:  cut 1 <= time < cut 2, queries at cut 1
        user c                 | vv   v | t         test:   cut 2 <= time, queries at cut 2, with the
                             cut 1    cut 2                 events of validation in the history

    The cuts are quantiles of the events' times; events at a cut are on its later side. Items in a user's history are
    not relevant (the notes count repeated consumption).

    With `ask`, each user is asked at the first session (day, event) that begins after the cut instead::

        user a   ====== ==  ===|  .vv.  |  tt .       its events alone are relevant, and all that is strictly before it
                             cut 1    cut 2           is visible, also what is later than the cut
    """
    first, second, _ = check_fractions(fractions)
    cut1, cut2 = time_cuts(log.every, [first, first + second])
    return split_at(log, cut1, cut2, ask, pause, minima)


def split_at(
    log: Interactions,
    cut1: int,
    cut2: int,
    ask: Ask | None = None,
    pause: int = PAUSE,
    minima: Minima | None = None,
    items: Ints | None = None,
) -> Split:
    """Return the global_time split with known cuts.

    Args:
        log: the log, or a part of its users.
        cut1, cut2: the cuts.
        ask, pause: see `split`.
        minima: of users and items in training.
        items: of a part of the users; see `recsys.data.splits.assembly.assemble`.
    """
    minima = minima or Minima()
    if ask is not None:
        return _at_next_visit(log, cut1, cut2, ask, pause, minima, items)
    return between_cuts(log, cut1, cut2, None, "global_time", minima, items=items)


def _at_next_visit(
    log: Interactions, cut1: int, cut2: int, ask: Ask, pause: int, minima: Minima, items: Ints | None
) -> Split:
    last_counts, log = log.superseded is not None, log.every
    when = f"asked at the first {ask} after the cut" + (f", pause {pause} seconds" if ask == "session" else "")
    return assemble(
        log,
        log.time < cut1,
        _next_visit(log, cut1, cut2, ask, pause),
        _next_visit(log, cut2, None, ask, pause),
        name="global_time",
        leaks_time=False,
        minima=minima,
        last_counts=last_counts,
        items=items,
        notes=[f"cut 1 at {cut1}, cut 2 at {cut2} ({log.clock})", when],
    )


def _next_visit(log: Interactions, begin: int, stop: int | None, ask: Ask, pause: int) -> Marks:
    """Return the marks of each user's first session (day, event) that begins at `begin` or later."""
    first = group_starts(log.user_num, occasions(log, ask, pause))
    later = log.time[first] >= begin
    if stop is not None:
        later &= log.time < stop
    asked = np.full(log.n_users, -1, np.int64)
    events = np.flatnonzero(later)[::-1]
    asked[log.user_num[events]] = first[events]  # of repeated assignments the last stays: the earliest event
    now = np.where(asked >= 0, log.time[asked], 0)
    return Marks(later & (first == asked[log.user_num]), log.time < now[log.user_num], now)


def between_cuts(
    log: Interactions,
    cut1: int,
    cut2: int,
    stop: int | None,
    name: str,
    minima: Minima,
    *notes: str,
    items: Ints | None = None,
) -> Split:
    """Train before `cut1`, validate from `cut1` to `cut2`, test from `cut2` to `stop` (to the end when None)."""
    last_counts, log = log.superseded is not None, log.every
    early, middle = log.time < cut1, log.time < cut2
    late = ~middle if stop is None else ~middle & (log.time < stop)
    return assemble(
        log,
        early,
        Marks(middle & ~early, early, np.full(log.n_users, cut1, np.int64)),
        Marks(late, middle, np.full(log.n_users, cut2, np.int64)),
        name=name,
        leaks_time=False,
        minima=minima,
        last_counts=last_counts,
        items=items,
        notes=[*notes, f"cut 1 at {cut1}, cut 2 at {cut2} ({log.clock})"],
    )


def _last_n(log: Interactions, n: int, name: SplitName, minima: Minima) -> Split:
    """The last events of every user: `last_one` (n = 1, "leave one out") and `last_n`. Leaks the future of others.

    ::

        user a   === == ====v|t              test:   the user's last n events
        user b        ==  =====  ==v|t       valid:  the n before them
        user c   = =                         fewer than 2 n + 1 events: training only

    "Last" is by position in the sorted log, so that equal times keep their input order. The moment of a query is the
    time of its first held-out event, its history every event before that one, in the test those of validation too. An
    event that repeats an earlier one is not asked for and not counted, see `_turns`.
    """
    if n < 1:
        raise ConfigError(f"last_n: n is {n}; it must be at least 1")
    last_counts, log = log.superseded is not None, log.every
    turn, counts, asked = _turns(log, last_counts)
    long = (counts >= 2 * n + 1)[log.user_num]
    to_end = counts[log.user_num] - turn
    test, valid = long & (to_end <= n), long & (to_end > n) & (to_end <= 2 * n)
    return assemble(
        log,
        ~(test | valid),
        Marks(valid & asked, ~(test | valid), first_time(log, valid & asked)),
        Marks(test & asked, ~test, first_time(log, test & asked)),
        name=name,
        minima=minima,
        last_counts=last_counts,
        notes=[f"{int((counts < 2 * n + 1).sum())} users with fewer than {2 * n + 1} events only in train"],
    )


def _turns(log: Interactions, last_counts: bool) -> tuple[Ints, Ints, Mask]:
    """Return "events", "users" and "events": the turn of each event in its user's history, their number, who has one.

    An event has a turn of its own, from 0, if none of its sort is before it; one that repeats it, and would replace it
    (`last_counts`), has the turn of the event before. So nobody is asked for what was seen, and no later event tells
    which are the last.
    """
    if not last_counts:
        return log.positions, np.diff(log.indptr), np.ones(len(log), np.bool_)
    own = first_of_its_sort(log)
    total = np.concatenate([[0], np.cumsum(own)])
    before = total[log.indptr]
    return total[1:] - 1 - before[:-1][log.user_num], np.diff(before), own


def _random(log: Interactions, fractions: Sequence[float], seed: int, minima: Minima) -> Split:
    """Every event goes to a random part. Leaks the future, of others and of the user.

    ::

        user a   ==v===t==v=t===         events are shuffled by default_rng(seed).permutation(events of the
        user b     =t==  ===v            sorted log): the first share is train, the next valid, the rest test

    Time has no meaning here: the history of both queries is the user's training events, their moment one unit after
    the last of them. Items of training are not recommended; in the test neither are those of validation.
    """
    first, second, _ = check_fractions(fractions)
    order = np.random.default_rng(seed).permutation(len(log))
    train, valid = np.zeros((2, len(log)), np.bool_)
    train[order[: round(first * len(log))]] = True
    valid[order[round(first * len(log)) : round((first + second) * len(log))]] = True
    now = after_last(log, train)
    return assemble(
        log,
        train,
        Marks(valid, train, now),
        Marks(~(train | valid), train, now, forbidden=valid),
        name="random",
        seed=seed,
        minima=minima,
    )


def held_out_users_split(
    log: Interactions,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    *,
    history: HistoryPart = "random",
    visible: float = 0.8,
    seed: int = 0,
    minima: Minima | None = None,
) -> Split:
    """Strong generalisation: the users of the queries are not in training, so only models that fold in can answer.

    ::

        user a   === ==  ===== ==            users of train: every event
        user b     ...v....v                 users of valid: a random 80% is visible (.), the rest is held out
        user c    . . . . ... .|t  t         users of test, here with history="first": the first 80% is visible

    Users with one event stay in training, as they have none to hold out. Training may hold events later than a query,
    so the split leaks time.

    Args:
        log: any log; `history="first"` needs an order.
        fractions: shares of users in train, validation and test.
        history: the visible events of a held-out user.
        visible: share of a held-out user's events that is visible; at least one event is, and at least one is not.
        seed: of the draws of users and events.
        minima: minimum training events of users and items.

    Raises:
        ConfigError: `visible` is not between 0 and 1.
        DataError: no order for `history="first"`, or too few users.
    """
    first, second, _ = check_fractions(fractions)
    if not 0 < visible < 1:
        raise ConfigError(f"held_out_users: visible is {visible}; it must lie between 0 and 1")
    if history not in get_args(HistoryPart):
        raise ConfigError(f"held_out_users: history is {history!r}; it must be 'random' or 'first'")
    if history == "first" and log.clock == "none":
        raise DataError(f"{log.name} has no order (clock 'none'), so no first events; use history='random'")
    rng = np.random.default_rng(seed)
    last_counts = history == "first" and log.superseded is not None
    log = log.every if last_counts else log
    turn, counts, asked = _turns(log, last_counts)
    able = rng.permutation(np.flatnonzero(counts >= 2))
    sizes = [round(share * int((counts > 0).sum())) for share in (second, 1 - first - second)]
    part = np.zeros(log.n_users, dtype=np.int8)
    part[able[: sizes[0]]] = 1
    part[able[sizes[0] : sum(sizes)]] = 2
    hidden = np.clip(np.round((1 - visible) * counts), 1, np.maximum(counts - 1, 1)).astype(np.int64)
    position = turn if history == "first" else shuffled_positions(log, rng)
    held_out = position >= (counts - hidden)[log.user_num]
    part_of = part[log.user_num]
    now = first_time(log, held_out) if history == "first" else after_last(log, ~held_out)
    return assemble(
        log,
        part_of == 0,
        Marks((part_of == 1) & held_out & asked, ~held_out, now),
        Marks((part_of == 2) & held_out & asked, ~held_out, now),
        name="held_out_users",
        last_counts=last_counts,
        seed=seed,
        minima=minima,
    )


def clock_error(log: Interactions, what: str) -> DataError:
    """Return the error for a split that needs more than the clock of the log."""
    reason = {
        "order": "knows only the order inside each user's history, so times of different users cannot be compared",
        "none": "has neither times nor an order",
    }[log.clock]
    return DataError(f"{log.name} {reason} (clock {log.clock!r}): no {what}; it offers {', '.join(offered(log.clock))}")
