"""Questions to the model of a run: recommendations and personas, for a user of the log or a history in a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.bundles.index import recommender_of
from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.data.readers.columns import Role, recognised
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import CapabilityError, DataError
from recsys.experiments.runs import load_model, run_data
from recsys.explanations import describe_personas, explain_items
from recsys.explanations.activity import persona_activity
from recsys.explanations.half_life import user_half_lives
from recsys.models.base import Recommender


def recommend(
    run: Path,
    *,
    user: str | None = None,
    history: Path | None = None,
    n: int = 10,
    at: str | None = None,
    source: str | None = None,
    exact: bool = False,
) -> list[dict[str, Any]]:
    """Return explained recommendations, best first, as plain values.

    Args:
        run: directory of a finished run.
        user: an external user id of the run's log; give this or `history`.
        history: a file with the items of somebody unknown.
        n: length of the list.
        at: the moment of the question (an ISO date or time, or a number in the log's unit); only earlier events are
            seen. None: after everything.
        source: read the log from here instead of where the run read it.
        exact: score every item, also where the run has an index.
    """
    model = load_model(run)
    queries = _queries(model, run, user, history, at, source)
    found = recommender_of(run / "model", model, exact=exact)(queries, n)
    return [explanation.to_dict() for explanation in explain_items(model, queries, found)[0]]


def personas(run: Path, user: str, *, at: str | None = None, source: str | None = None) -> list[dict[str, Any]]:
    """Return a user's personas, the largest share first, as plain values.

    Each has its `activity` over time, the values at `times`, with `share_now` and `share_long_term`; of a decayed model
    also what is believed of the user's `half_life`, the same for all personas.
    """
    model = load_model(run)
    queries = _queries(model, run, user, None, at, source)
    described = [persona.to_dict() for persona in describe_personas(model, queries)[0]]
    (activity,) = persona_activity(model, queries)
    half_lives = user_half_lives(model, queries)
    memory = {} if half_lives is None else {"half_life": half_lives[0].to_dict()}
    for number, persona in enumerate(described):
        persona |= {
            "share_now": float(activity.now[number]),
            "share_long_term": float(activity.long_term[number]),
            "activity": {
                "clock": model.fitted_on.clock,
                "times": activity.times.tolist(),
                "values": activity.values[:, number].tolist(),
            },
            **memory,
        }
    return sorted(described, key=lambda persona: -float(persona["share"]))


def queries_of_user(model: Recommender, log: Interactions, user: str | int, at: int | None = None) -> Queries:
    """Return the question of one user of a log, whose item numbers need not be the model's.

    Raises:
        DataError: the log has no such user.
    """
    number = int(log.users.numbers([user])[0])
    if number == UNKNOWN:
        some = ", ".join(str(identifier) for identifier in log.users.ids[:5])
        raise DataError(f"{log.name} has no user {user!r}; its users are such as {some}")
    now = None if at is None else np.asarray([at], dtype=np.int64)
    return model.fitted_on.queries(log, np.asarray([number], dtype=np.int32), now)


def parse_time(text: str, clock: str) -> int:
    """Return a moment in a log's unit: a number as it is, an ISO-8601 date or time (UTC) as Unix seconds.

    >>> parse_time("2001-09-09T01:46:40", "seconds")
    1000000000
    """
    try:
        return int(text)
    except ValueError:
        pass
    if clock != "seconds":
        raise DataError(f"time {text!r}: this log has no wall-clock time (its clock is {clock!r}); give a whole number")
    try:
        moment = pd.Timestamp(text)
    except ValueError as error:
        raise DataError(
            f"time {text!r} is neither Unix seconds nor an ISO-8601 date or time such as 2015-06-30"
        ) from error
    moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment
    return int(moment.timestamp())


def _queries(
    model: Recommender, run: Path, user: str | None, history: Path | None, at: str | None, source: str | None
) -> Queries:
    moment = None if at is None else parse_time(at, model.fitted_on.clock)
    if history is not None:
        return _queries_of_file(model, history, moment)
    assert user is not None
    log = run_data(run, source).load()
    queries = queries_of_user(model, log, user, moment)
    if queries.users[0] == UNKNOWN and not model.folds_in and model.needs_known_users:
        raise CapabilityError(
            f"user {user!r} is not in the training part of the log, and {type(model).__name__} cannot fold in a "
            "history; use a model that can (EASE, ItemKNN, IALS, or AMPCF and MF with users='history')"
        )
    return queries


def _queries_of_file(model: Recommender, path: Path, at: int | None) -> Queries:
    items, times = read_history(path, model.fitted_on.items, model.fitted_on.clock)
    if times is None:
        times = np.arange(len(items), dtype=np.int64)
    order = np.argsort(times, kind="stable")
    items, times = items[order], times[order]
    if at is not None:
        items, times = items[times < at], times[times < at]
    now = at if at is not None else int(times.max(initial=-1)) + 1
    return Queries.from_history([items], times=[times], now=[now])


def read_history(
    path: Path, items: Vocabulary, clock: str = "seconds"
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64] | None]:
    """Read one person's history: item ids one to a line, a CSV with an item and perhaps a time column, or JSON.

    JSON is a list of ids, or of objects with "item" and perhaps "time".

    Raises:
        DataError: naming file, line and value: nothing readable, no item column, no known item.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give a file with the ids of the items, one to a line") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    if not text:
        raise DataError(f"{path}: empty; give the ids of the items, one to a line")
    ids, raw_times = _from_json(path, text) if text[0] == "[" else _from_lines(path, text)
    numbers = items.numbers(ids)
    if (numbers == UNKNOWN).all():
        known = ", ".join(str(identifier) for identifier in items.ids[:5])
        raise DataError(
            f"{path}: none of its {len(ids)} items is known to the model, the first is {ids[0]!r}; "
            f"the model's items are such as {known}"
        )
    times = None if raw_times is None else np.asarray([parse_time(value, clock) for value in raw_times], dtype=np.int64)
    return numbers, times


def _from_json(path: Path, text: str) -> tuple[list[str], list[str] | None]:
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error})") from error
    if all(isinstance(entry, dict) and "item" in entry for entry in entries):
        timed = [entry["time"] for entry in entries if "time" in entry]
        if timed and len(timed) != len(entries):
            raise DataError(f"{path}: some entries have a time and others do not; give all a time, or none")
        return [str(entry["item"]) for entry in entries], [str(time) for time in timed] or None
    if any(isinstance(entry, dict | list) for entry in entries):
        raise DataError(f'{path}: a history is a list of ids, or of objects with "item" and perhaps "time"')
    return [str(entry) for entry in entries], None


def _from_lines(path: Path, text: str) -> tuple[list[str], list[str] | None]:
    lines = text.splitlines()
    rows = list(csv.reader(lines, delimiter="\t" if "\t" in lines[0] else ","))
    names = [name.strip() for name in rows[0]]
    found = recognised(names)
    if "item" not in found and len(names) == 1:
        return [row[0].strip() for row in rows if row], None
    if "item" not in found:
        raise DataError(f"{path}, line 1: no item column in {', '.join(names)}; name one 'item'")
    item = found["item"]
    clocks: tuple[Role, ...] = ("time", "order", "period")
    time = next((found[role] for role in clocks if role in found), None)
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise DataError(
                f"{path}, line {number}: {len(row)} fields where the header has {len(names)}: {lines[number - 1]!r}"
            )
    body = [[field.strip() for field in row] for row in rows[1:]]
    if not body:
        raise DataError(f"{path}: only a header; give the ids of the items, one to a line")
    return [row[item] for row in body], None if time is None else [row[time] for row in body]
