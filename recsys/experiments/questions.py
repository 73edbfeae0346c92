"""Recommendations and personas of a run's model, for a user of its log or for a history in a file."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from recsys.data.queries import Queries, Ragged
from recsys.data.readers.times import moment
from recsys.data.sessions import PAUSE
from recsys.decay import ShortTerm
from recsys.errors import CapabilityError, ConfigError, DataError
from recsys.experiments.controls import Controls, list_of, shelves_of
from recsys.experiments.history_files import read_history
from recsys.experiments.lists.batch import RunLists
from recsys.experiments.runs import load_model, run_log, splits_of_run
from recsys.explanations import describe_personas, explain_items
from recsys.explanations.activity import persona_activity
from recsys.explanations.external_ids import queries_by_id
from recsys.explanations.half_life import user_half_lives
from recsys.explanations.reasons import explain_lists, with_splits
from recsys.explanations.reasons.user_list import UserList
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.cold_items.adding import why_new, with_items_of
from recsys.models.cold_items.model import WithColdItems
from recsys.models.personas.model import WithPersonas
from recsys.models.slated import Slated

LOGGER = logging.getLogger("recsys.experiments")


@final
@dataclass(frozen=True)
class ExplainedList:
    """A list with its reasons.

    Attributes:
        items: best first, see `Explanation.to_dict`.
        shelves: see `recsys.experiments.controls.shelves_of`; empty for a model that finds no personas.
    """

    items: list[dict[str, Any]]
    shelves: list[dict[str, Any]]


@final
@dataclass(frozen=True)
class NewItems:
    """Items since training that can be listed.

    Attributes:
        file: a table of items with titles and genres, of which the model takes those that it does not have.
        vectors: a file with a vector for each row of `file`.
        only: list nothing but items that training did not know.

    Raises:
        ConfigError: vectors without the items that they are of.
    """

    file: Path | None = None
    vectors: Path | None = None
    only: bool = False

    def __post_init__(self) -> None:
        if self.vectors is not None and self.file is None:
            raise ConfigError("--item-vectors are of the rows of --new-items; give both, or leave it out")


def recommend(
    run: Path,
    *,
    user: str | None = None,
    history: Path | None = None,
    n: int = 10,
    at: str | None = None,
    source: str | None = None,
    columns: Mapping[str, Any] | None = None,
    exact: bool = False,
    allow: Iterable[type | str] = (),
    controls: Controls = Controls(),  # noqa: B008 - frozen
    new_items: NewItems = NewItems(),
) -> ExplainedList:
    """Return explained recommendations, best first, and the shelves of the list, as plain values.

    Args:
        run: directory of a finished run.
        user: an external user id of the run's log; give this or `history`.
        history: a file with the items of a person who need not be in the log.
        n: length of the list.
        at: the moment of the question (an ISO date or time, or a number in the log's unit); only earlier events are
            seen. None: the next visit, after everything.
        source: read the log from here instead of where the run read it.
        columns: how to read it, in addition to what the run recorded.
        exact: score every item, also where the run has an index.
        allow: classes from elsewhere that the run's bundle may name.
        controls: personas that are muted or boosted, or the visit that is going on in place of the list of n.
        new_items: items since training that can be listed, too.

    Raises:
        CapabilityError: the model takes no new items; or personas are named, and the model finds none; or the visit is
            asked for, and it does not fold in.
        ConfigError: the user has no such persona; or only new items are asked for, and something of `controls`.
        DataError: the visit is asked for, and the log's times are not Unix seconds.
    """
    if new_items.only and controls != Controls():
        raise ConfigError(
            "new items belong to no persona or visit; leave out --only-new, or --mute, --boost and --visit"
        )
    model = load_model(run, allow)
    if new_items.file is not None:
        model, exact = with_items_of(model, new_items.file, new_items.vectors), True  # an index holds no new item
    queries = queries_of_run(model, run, user, history, at, source, columns)
    n = min(n, model.n_items)
    if new_items.only:
        return ExplainedList(_of_new_items(model, queries, n), [])
    if controls.visit:
        return ExplainedList(_of_visit(model, queries, n, during=at is None), [])
    if controls.of_personas:
        made = list_of(model, queries, n, controls)
        explained = explain_lists(made, model.fitted_on.items.ids.tolist(), recent=model.read(queries).recent)[0]
        if (splits := splits_of_run(run, model)) is not None:
            explained = list(with_splits(explained, splits, model.fitted_on))
        return ExplainedList([explanation.to_dict() for explanation in explained], shelves_of(made))
    lister = RunLists.of(run, model, n, exact=exact)
    listed = lister.lists(queries)
    items = _telling_features(model, queries, [one.to_dict() for one in lister.explained(queries, listed)[0]])
    found = isinstance(model, WithPersonas)
    return ExplainedList(items, shelves_of(UserList.of(model, queries, n, listed)) if found else [])


def _of_new_items(model: Recommender, queries: Queries, n: int) -> list[dict[str, Any]]:
    scoring = model.read(queries).model
    if not isinstance(scoring, WithColdItems):
        raise CapabilityError(
            f"{type(model).__name__} scores no new items; train with configs/ease_cold.yaml, or wrap the model in "
            "WithColdItems"
        )
    new = np.flatnonzero(scoring.is_new).astype(np.int32)
    listed = model.recommend(queries, n, candidates=Ragged.of([new]))
    (explained,) = explain_items(model, queries, listed, searched=0)
    return _telling_features(model, queries, [one.to_dict() for one in explained])


def _telling_features(model: Recommender, queries: Queries, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return explained items, the new ones with what of them fits the user: feature -> part of the score."""
    numbers = model.fitted_on.items.numbers([item["item_id"] for item in items]).tolist()
    told = [why_new(model, queries, number) for number in numbers]
    return [item | ({"features": features} if features else {}) for item, features in zip(items, told, strict=True)]


def _of_visit(model: Recommender, queries: Queries, n: int, *, during: bool) -> list[dict[str, Any]]:
    """Return what goes with the visit that is going on; `during`: with the last one, as if it were."""
    if model.fitted_on.clock != "seconds":
        raise DataError(
            f"{model.fitted_on.dataset} has clock {model.fitted_on.clock!r}: no pause ends a visit; leave out --visit"
        )
    scoring = (model.base if isinstance(model, WithPersonas | Slated) else model).scoring_model
    as_fold_in(scoring, "a list of what goes with a visit")
    listed = model.recommend(queries, n).items[0]
    if during and len(queries.times):
        queries = queries.at(queries.times[-1:] + 1)
    visit = ShortTerm().visit(replace(queries, exclude=Ragged.of([np.union1d(queries.excluded.items, listed)])))
    if not visit.matrix(model.n_items).sum() > 0:
        return []
    (explained,) = explain_items(scoring, visit, scoring.recommend(visit, n), searched=0)
    return [one.to_dict() for one in explained if one.evidence]


def personas(
    run: Path,
    user: str,
    *,
    at: str | None = None,
    source: str | None = None,
    columns: Mapping[str, Any] | None = None,
    allow: Iterable[type | str] = (),
) -> list[dict[str, Any]]:
    """Return a user's personas, the largest share first, as plain values. Those found in the history have a `medoid`.

    Each has its `activity` over time, the values at `times`, with `share_now` and `share_long_term`; of a decayed model
    also the `half_life` by which the history is weighed, the same for all personas. Arguments as for `recommend`.
    """
    model = load_model(run, allow)
    queries = queries_of_run(model, run, user, None, at, source, columns)
    described = [persona.to_dict() for persona in describe_personas(model, queries)[0]]
    if isinstance(model, WithPersonas):
        described = [persona | {"medoid": persona["items"][0]} for persona in described]
    (activity,) = persona_activity(model, queries)
    half_lives = user_half_lives(model, queries)
    weighed = half_lives is not None and len(queries.history.items) > 0
    half_life = {"half_life": half_lives[0].to_dict()} if weighed and half_lives else {}
    for number, persona in enumerate(described):
        persona |= {
            "share_now": float(activity.now[number]),
            "share_long_term": float(activity.long_term[number]),
            "activity": {
                "clock": model.fitted_on.clock,
                "times": activity.times.tolist(),
                "values": activity.values[:, number].tolist(),
            },
            **half_life,
        }
    return sorted(described, key=lambda persona: -float(persona["share"]))


def queries_of_run(
    model: Recommender,
    run: Path,
    user: str | None,
    history: Path | None,
    at: str | None,
    source: str | None,
    columns: Mapping[str, Any] | None,
) -> Queries:
    """Return a user of a run, or a person whose history stands in a file, as one query; see `recommend`."""
    if history is not None:
        return _queries_of_file(model, history, at)
    assert user is not None
    queries, _ = queries_by_id(model, user, log=run_log(run, model, source, columns), at=at)
    return queries


def _queries_of_file(model: Recommender, path: Path, at: str | None) -> Queries:
    history = read_history(path, model.fitted_on.items)
    if history.unknown_items:
        LOGGER.warning("%s: unknown_items, which do not count: %s", path, ", ".join(history.unknown_items))
    if at is not None and history.times is None:
        raise ConfigError(f"{path} has no times, so that nothing in it is before or after {at}; leave out --at")
    times = np.arange(len(history.items), dtype=np.int64) if history.times is None else history.times
    order = np.argsort(times, kind="stable")
    if at is not None:
        now = moment(at, history.clock, (int(times.min()), int(times.max())))
    else:  # the next visit
        now = int(times.max(initial=0)) + (PAUSE if history.clock == "seconds" else 1)
    order = order[times[order] < now]
    queries = Queries.from_history([history.items[order]], times=[times[order]], now=[now])
    return replace(queries, values=history.values[order], kinds=history.kinds[order])
