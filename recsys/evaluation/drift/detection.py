"""Score of change detectors: how soon alarms follow changes, and how often they are false."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from recsys.types import Ints


@final
@dataclass(frozen=True)
class Detection:
    """How soon alarms follow changes, and how often they are false.

    Attributes:
        changes: users with a change.
        detected: share of them with an alarm within the horizon; NaN without changes.
        delay: mean events from the change to the first alarm, of the detected; NaN without any.
        delay_median: the median of these.
        false_alarms: alarms before a change, more than the horizon after it, or of users without one.
        false_per_1000: false alarms per 1,000 events at which an alarm would be false; NaN without such events.
    """

    changes: int
    detected: float
    delay: float
    delay_median: float
    false_alarms: int
    false_per_1000: float


def detection(
    alarm_users: npt.NDArray[np.integer],
    alarm_positions: npt.NDArray[np.integer],
    changed_at: Ints,
    first_position: Ints,
    stop_position: Ints,
    *,
    horizon: int = 50,
) -> Detection:
    """Compare the alarms of a change detector with the true changes.

    An alarm of user u at position p is right if 0 <= p - c_u < horizon, else false. The delay of u is the least p - c_u
    of a right alarm. Further right alarms do not count. An alarm that resets everyone is one alarm of every user, at
    the user's next event.

    Args:
        alarm_users: "alarms", user numbers.
        alarm_positions: "alarms", positions in the user's history.
        changed_at: "users", c_u; -1 for users without a change.
        first_position: "users", first position at which alarms are counted.
        stop_position: "users", end (exclusive) of the positions at which alarms are counted.
        horizon: events after a change within which an alarm belongs to it.
    """
    changed = changed_at >= 0
    after = alarm_positions - changed_at[alarm_users]
    right = changed[alarm_users] & (after >= 0) & (after < horizon)
    delay = np.full(len(changed_at), np.inf)
    np.minimum.at(delay, alarm_users[right], after[right])
    delays = delay[np.isfinite(delay)]
    begin, end = np.clip(np.stack([changed_at, changed_at + horizon]), first_position, stop_position)
    monitored = np.maximum(stop_position - first_position, 0)
    quiet = int((monitored - np.where(changed, end - begin, 0)).sum())
    wrong = int((~right).sum())
    changes = int(changed.sum())
    nan = float("nan")
    mean, median = (float(delays.mean()), float(np.median(delays))) if len(delays) else (nan, nan)
    detected = len(delays) / changes if changes else nan
    return Detection(changes, detected, mean, median, wrong, 1000.0 * wrong / quiet if quiet else nan)
