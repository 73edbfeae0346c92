"""Summary statistics of a log: sizes, spans, repeats, values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from recsys import pictures
from recsys.data.feedback import DEFAULT_WEIGHTS, RatingScale, described, is_rated, kinds_of
from recsys.data.interactions import Clock, Interactions
from recsys.data.readers.columns import Columns
from recsys.data.readers.repeats import find_repeats
from recsys.data.sessions import sessions, users_per_span
from recsys.errors import DataError
from recsys.types import DAY, Doubles, Floats, Ints, Mask

_QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p90": 0.9, "max": 1.0}
_MAX_VALUES = 32
_DEFAULT = Columns()


@final
@dataclass(frozen=True)
class Inspection:
    """Summary statistics of a log.

    Spans are in days for clock "seconds", in periods for clock "period", and None otherwise.

    Attributes:
        name: of the log.
        clock: the meaning of its times.
        events: number of events.
        users: number of users with events.
        items: number of items with events.
        density: distinct user-item pairs / (users * items).
        events_per_user: quantiles (min, p25, median, p75, p90, max).
        events_per_item: the same per item.
        begin: first time: ISO-8601 for clock "seconds", the number of the period for clock "period", else None.
        end: last time, likewise.
        span: last time minus first time.
        span_per_user: quantiles over users of last minus first time of the user.
        one_day_users: share of users whose events are all on one day (UTC); None unless the clock is "seconds".
        users_per_span: users by how long they stay; None unless users share a time.
        sessions_per_user: quantiles over users of their sessions, divided by pauses of 12 hours; likewise.
        exact_duplicates: events equal to an earlier one in user, item, value and time. Readers drop them by default: to
            count those of a file, load it with duplicates="keep" and re_ratings="keep".
        re_ratings: other events on an item that the user has used before.
        training_events: events that are left when repeats are dropped as the log's policies say.
        values: number of ratings of each value, by value; of more than 32 values, in 32 equal ranges by lower end.
            Empty for a log without ratings.
        blank_values: events without value.
        kinds: number of events of each kind, by kind.
        reading: how a model that reads feedback reads the events, in words.
        rated_again: pairs of user and item with ratings at several times.
        equal_again: share of those whose second rating equals the first; None without any.
        conditions: number of events under each condition, by name; "" where nothing is said.
        across_conditions: pairs of user and item that were rated under several conditions.
        reliability: what can be told of how reliable ratings are, in words; see `recsys.reliability`.
        titles: whether items have titles.
        genres: whether items have genres.
        tags: whether items have tags.
    """

    name: str
    clock: Clock
    events: int
    users: int
    items: int
    density: float
    events_per_user: dict[str, float]
    events_per_item: dict[str, float]
    begin: str | int | None
    end: str | int | None
    span: float | None
    span_per_user: dict[str, float] | None
    one_day_users: float | None
    users_per_span: dict[str, int] | None
    sessions_per_user: dict[str, float] | None
    exact_duplicates: int
    re_ratings: int
    training_events: int
    values: dict[str, int]
    blank_values: int
    kinds: dict[str, int]
    reading: str
    rated_again: int
    equal_again: float | None
    conditions: dict[str, int]
    across_conditions: int
    reliability: str
    titles: bool
    genres: bool
    tags: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics as plain values, ready for JSON."""
        return asdict(self)


def inspect(log: Interactions, policies: Columns = _DEFAULT) -> Inspection:
    """Compute the summary statistics of a log, whose repeats are read by these policies.

    Raises:
        DataError: the log has no events.

    >>> summary = inspect(Interactions.from_columns([1, 1, 2], [5, 6, 5], times=[0, 86_400, 7]))
    >>> summary.density, summary.span, summary.one_day_users
    (0.75, 1.0, 0.5)
    """
    if len(log) == 0:
        raise DataError(f"{log.name} has no events; there is nothing to inspect")
    per_user, per_item = np.bincount(log.user_num), np.bincount(log.item_num)
    per_user, per_item = per_user[per_user > 0], per_item[per_item > 0]
    repeats = find_repeats(log.user_num, log.item_num, log.value, log.time, log.kinds)
    distinct = len(log) - len(repeats.pairs) + int((~repeats.duplicate & ~repeats.later).sum())
    kinds = described(kinds_of(log))
    again, across = _again(log), _across_conditions(log)
    conditions = _conditions(log)
    unit = DAY if log.clock == "seconds" else 1
    first, last = int(log.time.min()), int(log.time.max())
    begin, end = (f"{np.datetime64(time, 's')}Z" if log.clock == "seconds" else time for time in (first, last))
    return Inspection(
        name=log.name,
        clock=log.clock,
        events=len(log),
        users=len(per_user),
        items=len(per_item),
        density=distinct / (len(per_user) * len(per_item)),
        events_per_user=_quantiles(per_user),
        events_per_item=_quantiles(per_item),
        begin=begin if log.has_time else None,
        end=end if log.has_time else None,
        span=(last - first) / unit if log.has_time else None,
        span_per_user=_quantiles(user_spans(log) / unit) if log.has_time else None,
        one_day_users=float(np.mean(user_spans(log, DAY) == 0)) if log.clock == "seconds" else None,
        users_per_span=users_per_span(log) if log.has_time else None,
        sessions_per_user=_quantiles(_sessions_per_user(log)) if log.has_time else None,
        exact_duplicates=int(repeats.duplicate.sum()),
        re_ratings=int((repeats.later & ~repeats.duplicate).sum()),
        training_events=len(log) - int(repeats.dropped(policies.duplicates, policies.re_ratings).sum()),
        values=_histogram(log.value[is_rated(log.value, log.kinds)]) if "rating" in kinds else {},
        blank_values=int(np.isnan(log.value).sum()),
        kinds=kinds,
        reading=_reading(log, kinds),
        rated_again=len(again),
        equal_again=float(again.mean()) if len(again) else None,
        conditions=conditions,
        across_conditions=across,
        reliability=_reliability(log, again, [name for name in conditions if name]),
        titles=log.metadata.titles != tuple(map(str, log.items.ids.tolist())),
        genres=log.metadata.has_genres,
        tags=any(log.metadata.tags),
    )


def user_spans(log: Interactions, unit: int = 1) -> Ints:
    """Return "users with events", int64: last minus first time of each user, after rounding down to a unit.

    With a unit of a day, 0 means that all events of the user are on one calendar day.
    """
    active = np.flatnonzero(np.diff(log.indptr))
    first, last = log.time[log.indptr[active]], log.time[log.indptr[active + 1] - 1]
    return np.asarray(last // unit - first // unit)


def _sessions_per_user(log: Interactions) -> Ints:
    """ "users with events", int64."""
    last = log.indptr[1:][np.diff(log.indptr) > 0] - 1
    return np.asarray(sessions(log)[last] + 1)


def _reading(log: Interactions, kinds: dict[str, int]) -> str:
    scale = RatingScale.of(log)
    weights = {kind: getattr(DEFAULT_WEIGHTS, kind) for kind in kinds if kind != "rating"}
    if scale is None and len(kinds) == 1:
        return "all events alike"
    ratings = (
        "ratings tell nothing apart"
        if scale is None
        else f"a rating against its user's mean and spread, of few ratings near {scale.mean:.2f} and {scale.spread:.2f}"
    )
    others = ", ".join(f"a {kind} as {weight:g}" for kind, weight in weights.items())
    return "; ".join([*([ratings] if "rating" in kinds else []), *([others] if others else [])])


def _again(log: Interactions) -> Mask:
    """Return whether the second rating equals the first, of each pair of user and item with ratings at several times.

    Ratings at one time are left out: most files have lost those that are equal, as duplicates.
    """
    rated = log.select(is_rated(log.value, log.kinds))
    if rated.clock == "none" or len(rated) == 0:
        return np.zeros(0, np.bool_)
    pair = rated.user_num.astype(np.int64) * rated.n_items + rated.item_num
    order = np.lexsort((rated.time, pair))
    pair, time, value = pair[order], rated.time[order], rated.value[order]
    new = np.r_[True, (np.diff(pair) != 0) | (np.diff(time) != 0)]
    pair, value = pair[new], value[new]
    second = np.flatnonzero(np.diff(pair, prepend=-1) == 0)
    second = second[np.diff(pair[second], prepend=-1) != 0]
    return np.asarray(value[second] == value[second - 1])


def _conditions(log: Interactions) -> dict[str, int]:
    if log.conditions is None:
        return {}
    counts = np.bincount(log.conditions + 1, minlength=len(log.condition_names) + 1).tolist()
    return {name: count for name, count in zip(("", *log.condition_names), counts, strict=True) if count}


def _across_conditions(log: Interactions) -> int:
    if log.conditions is None:
        return 0
    rated = is_rated(log.value, log.kinds)
    pair = (log.user_num.astype(np.int64) * log.n_items + log.item_num)[rated]
    distinct = np.unique(np.stack([pair, log.conditions[rated]]), axis=1)[0]
    return int((np.unique(distinct, return_counts=True)[1] > 1).sum())


def _reliability(log: Interactions, again: Mask, conditions: list[str]) -> str:
    """Return what `recsys.reliability.ResponseMixture` can tell apart in the log."""
    if RatingScale.of(log) is None:
        return "nothing of ratings, for there are none that differ; events can be weighed by how well they agree"
    told = ["preferences and non-attitudes, as far as other ratings foretell a rating"]
    if len(again):
        told.append(f"{len(again)} second ratings, {again.mean():.0%} of them equal, tell more than single ones")
    moved = [*(["the order of the sitting"] if log.has_time else []), *(["conditions"] if len(conditions) > 1 else [])]
    told.append(
        f"constructed answers, where they follow {' or '.join(moved)}"
        if moved
        else "constructed answers not, for no condition of an answer is known"
    )
    return "; ".join(told)


def _quantiles(values: Ints | Doubles) -> dict[str, float]:
    return dict(zip(_QUANTILES, np.quantile(values, list(_QUANTILES.values())).tolist(), strict=True))


def _histogram(values: Floats) -> dict[str, int]:
    values = values[~np.isnan(values)]
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) > _MAX_VALUES:
        counts, edges = np.histogram(values, bins=_MAX_VALUES)
        distinct = edges[:-1]
    return {f"{value:g}": int(count) for value, count in zip(distinct, counts, strict=True)}


def draw_log(log: Interactions, path: Path) -> Path:
    """Write histograms of a log and return `path`: events per user and item, over time, spans, ratings or kinds.

    The two panels on time are empty for logs without times that can be compared between users.

    Raises:
        DataError: the log has no events.
    """
    summary = inspect(log)
    unit = DAY if log.clock == "seconds" else 1
    return pictures.draw_events(
        path,
        f"{summary.name}: {summary.events:,} events, {summary.users:,} users, {summary.items:,} items",
        per_user=np.bincount(log.user_num),
        per_item=np.bincount(log.item_num),
        counted=("rating", summary.values) if summary.values else ("kind", summary.kinds),
        times=log.time if log.has_time else None,
        spans=user_spans(log) / unit,
        clock=log.clock,
    )
