"""Prediction of ratings event by event: errors per event and per user.

    RMSE = sqrt( mean_e (r_e - r^_e)^2 )        MAE = mean_e |r_e - r^_e|        r^ clipped to the scale of training

Each event is predicted from its user's events strictly before it, by parameters that were trained on events before
`start`; a rule of forgetting may continue to learn from event to event. RMSE weighs users by their events; paired tests
on users take the mean squared error of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.stream import QuestionSettings, Stream, events_before
from recsys.data.translation import Translation
from recsys.data.vocabulary import UNKNOWN
from recsys.decay.base import Forgetting, OnlineForgetting
from recsys.errors import DataError
from recsys.types import Doubles, Floats, Ints, Items

Predict = Callable[[Queries, Items], npt.NDArray[np.floating]]
"""A model of ratings: queries and "queries" item numbers to "queries" ratings."""

SQUARED, ABSOLUTE = "squared_error", "absolute_error"
"""Columns of the table per user: means over the user's events."""

_BATCH = 4096


@final
@dataclass(frozen=True, eq=False)
class RatedEvents:
    """Events whose rating is predicted, in the order of time: of users and items of the training log."""

    stream: Stream  # the events of the log from a moment on
    rows: Ints  # "events", positions of the predicted events in the stream
    ratings: Doubles  # "events"
    numbers: Translation  # from numbers of the log to those of training
    low: float  # smallest rating in training
    high: float  # largest rating in training

    @classmethod
    def of(cls, log: Interactions, train: Interactions, start: int, stop: int | None = None) -> RatedEvents:
        """Select the events from `start` to `stop` (the end when None) that can be predicted.

        Blank ratings, users and items without an event in training, and items that the user had rated before are left
        out. The training log has numbers of its own.

        Raises:
            DataError: no event is left.
        """
        stream = Stream.of(log if stop is None else events_before(log, stop), start, QuestionSettings("event"))
        numbers = Translation.of(log, train.users, train.items)
        rating = stream.log.value[stream.event].astype(np.float64)
        known = (numbers.users[stream.users] != UNKNOWN) & (numbers.items[stream.relevant.items] != UNKNOWN)
        rows = np.flatnonzero(known & np.isfinite(rating))
        if len(rows) == 0:
            raise DataError(
                f"{log.name}: none of the {len(stream)} events from {start} on has a rating, and a user and an item "
                "of the training log; train on more of the log"
            )
        low, high = float(np.nanmin(train.value)), float(np.nanmax(train.value))
        return cls(stream, rows, rating[rows], numbers, low, high)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(np.unique(self.stream.users[self.rows]))

    def queries(self, events: Ints) -> tuple[Queries, Items]:
        """Return the queries before some events, and their items, in numbers of training."""
        rows = self.rows[events]
        queries = self.stream.queries(rows, self.numbers.items)
        return self.numbers.with_users(queries), self.numbers.items[self.stream.relevant.items[rows]]

    def batches(self, events: Ints) -> Iterator[Ints]:
        """Yield consecutive parts of some events whose histories fit into memory."""
        done = 0
        for rows in self.stream.batches(self.rows[events], _BATCH):
            yield events[done : done + len(rows)]
            done += len(rows)

    def rounds(self) -> Iterator[Ints]:
        """Yield the first events of all users, then the second ...; those of one user and one moment together."""
        number = np.full(len(self.stream), -1, np.int64)
        number[self.rows] = np.arange(len(self))
        for turn in self.stream.rounds(slice(0, len(self.stream))):
            events = number[turn]
            if (events >= 0).any():
                yield events[events >= 0]


def predicted_ratings(predict: Predict, events: RatedEvents, forgetting: Forgetting | None = None) -> Doubles:
    """Return the prediction of every event, "events", clipped to the scale.

    The rule of forgetting gives the event weights. An online rule observes after each event how well its hypotheses
    predicted it (`rating_utility`), and keeps its final state.
    """
    predicted = np.empty(len(events))
    online = forgetting if isinstance(forgetting, OnlineForgetting) else None
    turns = [np.arange(len(events))] if online is None else events.rounds()
    for turn in turns:
        learned = []
        for part in events.batches(turn):
            queries, items = events.queries(part)
            weighted = queries if forgetting is None else queries.with_weights(forgetting.weights(queries))
            predicted[part] = predict(weighted, items)
            if online is not None:
                learned.append((queries, rating_utility(predict, events, part, online)))
        # Only now: all events of a moment are predicted with the state before it.
        for queries, utility in learned:
            assert online is not None
            online.observe(queries, utility)
    return np.clip(predicted, events.low, events.high)


def rating_utility(predict: Predict, events: RatedEvents, part: Ints, rule: OnlineForgetting) -> Floats:
    """Return the utility of each hypothesis for some events, "events hypotheses": 1 - (error / width of the scale)^2.

    With it, an update of `TemporalDecay` at a learning rate of eta and sharpness 1 is that of Bayes' rule for Normal
    errors of variance (width of the scale)^2 / (2 eta).
    """
    queries, items = events.queries(part)
    width = max(events.high - events.low, np.finfo(np.float64).tiny)
    columns = []
    for weights in rule.hypotheses(queries):
        predicted = np.clip(predict(queries.with_weights(weights), items), events.low, events.high)
        columns.append(1.0 - ((predicted - events.ratings[part]) / width) ** 2)
    return np.clip(np.stack(columns, axis=1), 0.0, 1.0).astype(np.float32)


def rmse(predicted: Doubles, ratings: Doubles) -> float:
    """Return the root mean squared error over events.

    >>> rmse(np.asarray([1.0, 2.0]), np.asarray([4.0, 6.0]))
    3.5355339059327378
    """
    return float(np.sqrt(np.mean((predicted - ratings) ** 2)))


def mae(predicted: Doubles, ratings: Doubles) -> float:
    """Return the mean absolute error over events.

    >>> mae(np.asarray([1.0, 2.0]), np.asarray([4.0, 6.0]))
    3.5
    """
    return float(np.mean(np.abs(predicted - ratings)))


def errors_per_user(predicted: Doubles, events: RatedEvents) -> pd.DataFrame:
    """Return one row per user: `user_id`, `events`, and the means of `squared_error` and `absolute_error`."""
    users = events.stream.users[events.rows]
    error = predicted - events.ratings
    frame = pd.DataFrame({"user": users, "events": 1, SQUARED: error**2, ABSOLUTE: np.abs(error)})
    table = frame.groupby("user", sort=True).agg({"events": "sum", SQUARED: "mean", ABSOLUTE: "mean"}).reset_index()
    table.insert(0, "user_id", events.stream.log.users.ids[table.pop("user").to_numpy()])
    return table
