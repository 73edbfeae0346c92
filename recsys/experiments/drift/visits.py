"""What a guest, one event, a new taste and a long absence do to the list of a user under a rule of forgetting.

::

    first question of the test stage                     now
    as it was      = = =   = =      = =                  ?
    a guest        = = =   = =      = =                  gggggggggg  ?                    asked a day later
    one event      = = =   = =      = =                  x?                               asked at once
    a sitting      = = =   = =      = =                  gggggggggg?                      asked at once
    a new taste    = = =   = =      = =                  g   g   g   g  ...  g   ?        one event a day, ten days
    a year         = = =   = =      = =                  gggggggggg              ...  ?   a year later

g are events of another user, drawn by lot, for the day after a guest five times. A session teaches the rule once, as
in a replay. On a clock of periods there is no next day: ten events are what somebody does in one of them, and nobody is
a guest for a period, so that nothing of a guest, and of a year, is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, final

import numpy as np

from recsys.data.queries import Queries, Ragged
from recsys.data.stream import Stream
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.base import Forgetting, learning
from recsys.errors import DataError
from recsys.evaluation.metrics import ranking_metrics
from recsys.evaluation.resampling import Score, resamples
from recsys.experiments.drift.stage import Stage
from recsys.models.rank_utility import rank_utilities
from recsys.types import DAY, Doubles, Ints, Items

_EVENTS = 10
"""Of a guest, of a new taste, and titles of a list."""

_LEAST = 20
"""Visible events of a user who is measured."""

_TYPICAL = 100
"""Visible events of the users who are measured first."""

_USERS = 300

_GUESTS = 5
"""Guests of each user. Few lists have a hit: what one guest costs is mostly who the guest is."""

_DRAWS = 1000
"""Resamples of the users behind an interval."""

_TINY = 1e-12


@final
@dataclass(frozen=True)
class Visits:
    """What happens to lists of ten, means over some users with histories of about a hundred events.

    Lists that are compared could hold the same items: the history, and what is added to it in any of them, is in none.

    Attributes:
        users: number of users: those whose histories are nearest to 100 events.
        events: the median length of their histories.
        guest_kept: titles that are also in the list of the day after without the guest, mean over five guests; None
            unless the clock is "seconds".
        guest_cost: relative loss of NDCG@10 of the next question by the guest, 1 - with / without, both over the same
            users and guests; None where it is 0, or where `guest_kept` is None.
        guest_cost_low: lower end of its 95% interval over resamples of the users, likewise.
        guest_cost_high: upper end.
        event_kept: titles that stay when the first event of the next session has happened.
        sitting_changed: titles that are other ones at once after ten events of a new taste.
        taste_changed: titles that are other ones after ten days of a new taste.
        year_kept: titles, a year after the guest, that are also in the list in which every event counts in full; None
            unless the clock is "seconds".
    """

    users: int
    events: float
    guest_kept: float | None
    guest_cost: float | None
    guest_cost_low: float | None
    guest_cost_high: float | None
    event_kept: float
    sitting_changed: float
    taste_changed: float
    year_kept: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def measure_visits(stage: Stage, rule: Forgetting | None) -> Visits | None:
    """Measure what visits do to lists at the first question of each user of a stage.

    Args:
        stage: the test stage.
        rule: as tuned; one that learns is reset before and after. None: no decay.

    Returns:
        None where fewer than two users have histories long enough, or no other user's items are new to them.
    """
    try:
        lab = _Lab.of(stage, rule)
    except DataError:
        return None
    seconds = stage.log.clock == "seconds"
    day = DAY if seconds else 1
    both = [lab.history, lab.guest]
    following = [lab.history, lab.next_event]
    before, after = (lab.lists(parts, 1, following) for parts in ([lab.history], following))
    at_once, sitting = (lab.lists(parts, 1, both) for parts in ([lab.history], both))
    kept, cost = _guests(stage, rule, day) if seconds else (None, None)
    year = None
    if seconds:
        year = _shared(lab.after_guest(365 * day, both), lab.lists(both, 365 * day, both, decayed=False))
    return Visits(
        users=len(lab.rows),
        events=float(np.median(lab.stream.n_visible[lab.rows])),
        guest_kept=kept,
        guest_cost=None if cost is None else cost.value,
        guest_cost_low=None if cost is None else cost.low,
        guest_cost_high=None if cost is None else cost.high,
        event_kept=_shared(after, before),
        sitting_changed=_EVENTS - _shared(sitting, at_once),
        taste_changed=_EVENTS - _shared(lab.after_new_taste(day, both), lab.lists([lab.history], _EVENTS * day, both)),
        year_kept=year,
    )


def _guests(stage: Stage, rule: Forgetting | None, day: int) -> tuple[float, Score | None]:
    """Return the titles that stay a day after a guest, and what the guest costs; both over several guests."""
    kept, users = [], []
    ndcg: list[list[Doubles]] = [[], []]  # without and with the guest
    for turn in range(1, _GUESTS + 1):
        try:
            lab = _Lab.of(stage, rule, turn)
        except DataError:  # so few users that a turn makes somebody their own guest
            continue
        both = [lab.history, lab.guest]
        lists = lab.lists([lab.history], day, both), lab.after_guest(day, both)
        kept += [_shared(*lists)] * len(lab.rows)
        users.append(lab.rows)
        for values, one in zip(ndcg, lists, strict=True):
            values.append(lab.ndcg(one))
    _, user = np.unique(np.concatenate(users), return_inverse=True)
    without, joined = (np.bincount(user, np.concatenate(values)) for values in ndcg)
    if not without.any():
        return float(np.mean(kept)), None
    drawn = [
        1.0 - count @ joined / max(count @ without, _TINY)
        for block in resamples(len(without), _DRAWS, stage.seed)
        for count in block
        if count @ without > 0
    ]
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return float(np.mean(kept)), Score(float(1.0 - joined.sum() / without.sum()), low, high, len(without))


def _shared(one: Items, other: Items) -> float:
    """Return the mean number of items that are in both lists of a row."""
    return float((one[:, :, None] == other[:, None, :]).any(2).sum(1).mean())


@final
@dataclass(frozen=True, eq=False)
class _Lab:
    """The users, and what is done to them. Parts of a history are rows of positions in the log."""

    stage: Stage
    rule: Forgetting | None
    stream: Stream
    rows: Ints  # "users", their questions
    history: list[Ints]  # "users"
    guest: list[Ints]  # "users", events of another user, of items that are not in the history, nor relevant
    next_event: list[Ints]  # "users", the event before which the question is asked
    items: Items  # "items of the log", numbers of the model, `UNKNOWN` for those without training events

    @classmethod
    def of(cls, stage: Stage, rule: Forgetting | None, turn: int = 1) -> _Lab:
        stream = Stream.of(stage.log, stage.start, stage.question_settings)
        fitted, log = stage.model.fitted_on, stream.log
        numbers = fitted.translation(log).items
        items = np.where(np.append(fitted.item_counts, 0)[numbers] > 0, numbers, UNKNOWN).astype(np.int32)
        _, rows = np.unique(stream.users, return_index=True)
        rows = rows[stream.n_visible[rows] >= _LEAST]
        distance = np.abs(np.log(stream.n_visible[rows] / _TYPICAL))
        rows = rows[np.argsort(distance, kind="stable")][:_USERS]
        history = [np.arange(log.indptr[stream.users[row]], stream.visible_until[row]) for row in rows]
        # Each user is the guest of another one: a cycle through all of them in a random order.
        cycle = np.random.default_rng(stage.seed).permutation(len(rows))
        host = np.empty(len(rows), np.int64)
        host[cycle] = np.roll(cycle, turn)
        guest = []
        for place, row in enumerate(rows.tolist()):
            events = history[host[place]]
            known = np.concatenate([log.item_num[history[place]], stream.relevant.row(row)])
            item = log.item_num[events]
            fresh = events[~np.isin(item, known) & (items[item] != UNKNOWN)]
            _, first = np.unique(log.item_num[fresh], return_index=True)
            guest.append(fresh[np.sort(first)][-_EVENTS:])
        enough = [place for place, events in enumerate(guest) if len(events) == _EVENTS and host[place] != place]
        if not enough:
            raise DataError(f"{log.name}: no user with a history of {_LEAST} events could have a guest")
        kept = rows[enough]
        history, guest = ([rows_of[place] for place in enough] for rows_of in (history, guest))
        return cls(stage, rule, stream, kept, history, guest, [stream.event[[row]] for row in kept], items)

    def lists(
        self, parts: Sequence[list[Ints]], later: int, excluded: Sequence[list[Ints]], *, decayed: bool = True
    ) -> Items:
        """Return "users 10": lists `later` than the question, where what is behind the history has just happened."""
        return self._lists(self._queries(parts, later), excluded, decayed=decayed)

    def after_guest(self, later: int, excluded: Sequence[list[Ints]]) -> Items:
        """Return the lists `later` than a guest's session, which the rule has learned from."""
        with_guest = self._queries([self.history, self.guest], later)
        return self._learned([(self._queries([self.history], 0), self.guest)], with_guest, excluded)

    def after_new_taste(self, day: int, excluded: Sequence[list[Ints]]) -> Items:
        """Return the lists after one event of the new taste a day, each of which the rule has learned from."""
        when = np.arange(_EVENTS) * day
        taught = []
        for count in range(_EVENTS):
            earlier, event = ([row[part] for row in self.guest] for part in (slice(count), slice(count, count + 1)))
            taught.append((self._queries([self.history, earlier], count * day, when[:count]), event))
        return self._learned(taught, self._queries([self.history, self.guest], _EVENTS * day, when), excluded)

    def ndcg(self, lists: Items) -> Doubles:
        """Return NDCG@10 of lists on the next question, "users"."""
        relevant = self.stream.relevant.take(self.rows)
        numbers = Ragged(relevant.indptr, self.items[relevant.items])
        return ranking_metrics(lists, numbers, (_EVENTS,), ("ndcg",))[f"ndcg@{_EVENTS}"]

    def _learned(
        self, taught: Sequence[tuple[Queries, list[Ints]]], asked: Queries, excluded: Sequence[list[Ints]]
    ) -> Items:
        """Return lists after the rule has learned sessions: queries, and the events that followed."""
        rule, model = learning(self.rule), self.stage.model
        if rule is None:
            return self._lists(asked, excluded)
        rule.reset()
        numbers = model.fitted_on.translation(self.stream.log)
        for queries, events in taught:
            items = Ragged.of([self.items[self.stream.log.item_num[row]] for row in events])
            hypotheses = rule.hypotheses(queries)
            rule.observe(queries, rank_utilities(model, numbers.with_users(queries), items, hypotheses))
        lists = self._lists(asked, excluded)
        rule.reset()
        return lists

    def _lists(self, queries: Queries, excluded: Sequence[list[Ints]], *, decayed: bool = True) -> Items:
        numbers, log = self.stage.model.fitted_on.translation(self.stream.log), self.stream.log
        rows = [self.items[log.item_num[np.concatenate(parts)]] for parts in zip(*excluded, strict=True)]
        asked = replace(numbers.with_users(queries), exclude=Ragged.of(rows))
        if self.rule is not None and decayed:
            asked = asked.with_weights(self.rule.weights(queries))
        return self.stage.model.recommend(asked, _EVENTS).items

    def _queries(self, parts: Sequence[list[Ints]], later: int, when: Ints | None = None) -> Queries:
        """Return queries `later` than the questions; `when` is how much later the events behind the history are."""
        log, now = self.stream.log, self.stream.now[self.rows]
        positions = [np.concatenate(rows) for rows in zip(*parts, strict=True)]
        lengths = [len(row) for row in positions]
        position = np.concatenate(positions)
        times = [log.time[row].copy() for row in positions]
        for place, row in enumerate(times):
            begin = len(self.history[place])
            row[begin:] = now[place] + (0 if when is None else when)
        history = Ragged.from_lengths(lengths, self.items[log.item_num[position]])
        kinds = None if log.kinds is None else log.kinds[position]
        users = self.stream.users[self.rows]
        return Queries(users, history, log.value[position], np.concatenate(times), now + later, kinds=kinds)
