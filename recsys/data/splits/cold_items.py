"""Splits that ask about items of which training holds no event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.queries import Ragged
from recsys.data.splits.assembly import Marks, Minima, after_last, assemble, check_fractions, first_time, time_cuts
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.splits.names import Among
from recsys.errors import ConfigError, DataError
from recsys.types import Ints, Items, Mask


def cold_items_split(log: Interactions, fractions: Sequence[float], minima: Minima, among: Among = "new") -> Split:
    """Ask for items whose first event of all is after the cut, of users who use one of them.

    ::

        item a   === == =====|==  ==|== =       train: time < cut 1; a is of training
        item b               | vv v |t  t       new in validation, which asks for b
        item c               |      | t  tt     new in the test, which asks for c
                           cut 1  cut 2

        user u   = == ==  ===|. . v |  ..t t    asked at the first event with a new item; all that is strictly before
                                                is visible, new items are relevant

    The training log's vocabulary holds every item of the log, those without events for models that know items by their
    metadata; the others score them all alike.

    Args:
        log: a log in which times of different users can be compared.
        fractions: shares of the events in train, validation and test.
        minima: minimum training events of users and items.
        among: "new": only the new items of the part are ranked. "all": all items are ranked. "warm": asked for are the
            items of training, at the cut, as in `global_time`, and all items are ranked, to see what new items take
            away from them.

    Raises:
        DataError: a part has no event of a new item.
    """
    first, second, _ = check_fractions(fractions)
    last_counts, log = log.superseded is not None, log.every
    cut1, cut2 = time_cuts(log, [first, first + second])
    beginning = np.full(log.n_items, np.iinfo(np.int64).max)
    np.minimum.at(beginning, log.item_num, log.time)
    middle, late = (log.time >= cut1) & (log.time < cut2), log.time >= cut2
    new = [(beginning >= cut1) & (beginning < cut2), (beginning >= cut2) & (beginning < np.iinfo(np.int64).max)]
    marks = []
    for part, items, cut in ((middle, new[0], cut1), (late, new[1], cut2)):
        if among == "warm":
            marks.append(
                Marks(part & (beginning < cut1)[log.item_num], log.time < cut, np.full(log.n_users, cut, np.int64))
            )
        else:
            held_out = part & items[log.item_num]
            now = first_time(log, held_out)
            marks.append(Marks(held_out, log.time < now[log.user_num], now))
    found = assemble(
        log,
        log.time < cut1,
        *marks,
        name="cold_items",
        leaks_time=False,
        minima=minima,
        last_counts=last_counts,
        catalogue=beginning >= cut1,
        notes=[f"cut 1 at {cut1}, cut 2 at {cut2} ({log.clock})", *_told(new, among)],
    )
    return _ranking(found, log, new, among)


def held_out_items_split(
    log: Interactions, fractions: Sequence[float], seed: int, minima: Minima, among: Among = "new"
) -> Split:
    """Take random items out of training with all of their events, and ask for them. Leaks time.

    ::

        item a   == ===  =  ==  =     random items of training, with every event
        item b   vv  v    v           random items of validation; items of the test likewise
                 user u: asked after the last event with an item of training, which are visible; the user's other
                         items of the part are relevant

    More items, users and moments are asked for than by `cold_items`, and items are not special for being late; so it is
    what the literature on new items reports (Volkovs, Yu and Poutanen, *DropoutNet*, NIPS 2017), and shows less of what
    a shop will see.

    Args:
        log: any log.
        fractions: shares of the items in train, validation and test.
        seed: of the draw of items.
        minima: minimum training events of users and items.
        among: "new" or "all", see `cold_items_split`.

    Raises:
        ConfigError: `among` is "warm": no event of an item of training is held out.
    """
    if among == "warm":
        raise ConfigError("held_out_items holds out no event of a warm item; ask for them with the split cold_items")
    first, second, _ = check_fractions(fractions)
    used = np.flatnonzero(np.bincount(log.item_num, minlength=log.n_items))
    used = np.random.default_rng(seed).permutation(used)
    bounds = [round(first * len(used)), round((first + second) * len(used))]
    part = np.full(log.n_items, -1, np.int8)
    for number, items in enumerate(np.split(used, bounds)):
        part[items] = number
    of_event = part[log.item_num]
    train = of_event == 0
    now = after_last(log, train)
    new = [part == 1, part == 2]
    found = assemble(
        log,
        train,
        Marks(of_event == 1, train, now),
        Marks(of_event == 2, train, now),
        name="held_out_items",
        seed=seed,
        minima=minima,
        catalogue=part > 0,
        notes=_told(new, among),
    )
    return _ranking(found, log, new, among)


def _told(new: Sequence[Mask], among: Among) -> list[str]:
    counts = f"new items: {int(new[0].sum())} in valid, {int(new[1].sum())} in test"
    ranked = {"new": "ranked among new items", "all": "ranked among all items", "warm": "warm items are asked for"}
    return [counts, ranked[among]]


def _ranking(found: Split, log: Interactions, new: Sequence[Mask], among: Among) -> Split:
    """Return a split whose questions rank only the new items of their part."""
    if among != "new":
        return found
    valid, test = (
        _only(part, found.train.items.numbers(log.items.ids[np.flatnonzero(items)]))
        for part, items in zip((found.valid, found.test), new, strict=True)
    )
    return replace(found, valid=valid, test=test)


def _only(questions: Holdout, items: Items) -> Holdout:
    if not len(items):
        raise DataError("no item is new in a part of the split cold_items; give other fractions, or a longer log")
    lengths: Ints = np.full(len(questions), len(items), np.int64)
    return replace(questions, candidates=Ragged.from_lengths(lengths, np.tile(items, len(questions))))
