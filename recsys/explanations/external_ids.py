"""Queries by external ids: of users of a log, or of a person with a given history."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Interactions, check_log
from recsys.data.queries import Queries
from recsys.data.readers.times import Moment, moment
from recsys.data.sessions import next_visits
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import CapabilityError, ConfigError, DataError
from recsys.models.base import Recommender
from recsys.types import Ints, Items

Id = int | str
"""An external id of a user or an item."""

_LOOKED_UP = 1000
"""Items of a log that are looked up first."""

_NAMED = 5
"""Ids that a message names at most."""


def queries_by_id(
    model: Recommender,
    users: Id | Iterable[Id] | None = None,
    *,
    history: Id | Iterable[Id] | None = None,
    log: Interactions | None = None,
    at: Moment | None = None,
) -> tuple[Queries, npt.NDArray[Any]]:
    """Return queries in the model's numbers, and the external id of the user of each (None for a history).

    Args:
        model: a fitted model.
        users: ids of users of the log; all of its users when None.
        history: item ids of one person who need not be in any log, oldest first, in place of users and log.
        log: holds the users' events, which a model does not keep.
        at: only events strictly before this moment are visible, a date or a number in the unit of the log's clock;
            everything when None, as of each user's next visit.

    Raises:
        ConfigError: neither a log nor a history, or both.
        DataError: users that the log lacks, or a history of which the model knows no item.
        CapabilityError: users that the model cannot serve.
    """
    check_model(model)
    if history is not None:
        if users is not None or log is not None or at is not None:
            raise ConfigError("give users with the log that holds their events, or a history of item ids, not both")
        return _of_history(model, listed(history, "history", "items")), np.asarray([None], dtype=object)
    if log is None:
        raise ConfigError(
            "a model keeps no events of its users: give the log that holds them, as in recommend(model, users=[1, 2], "
            "log=log), or the items that somebody used, as in recommend(model, history=[7, 9])"
        )
    numbers = user_numbers(model, log, users)
    now = moments(log, numbers, None if at is None else moment(at, log.clock, log.span))
    return model.fitted_on.queries(log, numbers, now), log.users.ids[numbers]


def moments(log: Interactions, users: Items, at: int | None) -> Ints:
    """Return, "users", the moment at which each is asked: a given one, or when the next visit can begin."""
    return next_visits(log, users) if at is None else np.full(len(users), at, np.int64)


def check_model(model: object) -> None:
    """Raise a ConfigError, with what makes a model, unless it is one."""
    if not isinstance(model, Recommender):
        raise ConfigError(f"a fitted model is needed, not {model!r}: train(log, 'ease'), or load_model(DIR)")


def user_numbers(model: Recommender, log: Interactions, users: Id | Iterable[Id] | None) -> Items:
    """Return the log's numbers of users whom the model can serve; of all users of the log when None.

    Raises:
        DataError: users that the log lacks, or a log of which the model knows no item.
        CapabilityError: users that the model cannot serve.
    """
    check_log(log, "a model, which keeps no events of its users,")
    _check_items(model, log)
    every = np.arange(log.n_users, dtype=np.int32)
    numbers = every if users is None else known_numbers(log.users, users, "users", log.name)
    if model.needs_known_users:
        ids = log.users.ids[numbers]
        unknown = ids[model.fitted_on.users.numbers(ids) == UNKNOWN]
        if len(unknown):
            raise CapabilityError(
                f"{type(model).__name__} cannot serve users it was not trained on: {_some(unknown)} ({len(unknown)} of "
                f"{len(ids)}); leave them out, train with their events, or use a fold-in model (EASE, ItemKNN, IALS, "
                "or AMPCF and MF with users='history')"
            )
    return numbers


def _check_items(model: Recommender, log: Interactions) -> None:
    """Raise a DataError if the model knows no item of a log; it would recommend the same to everybody."""
    items, known = log.items.ids, model.fitted_on.items
    # The first ones tell almost always; looking up all of a large catalogue takes longer than answering.
    if len(items) and all((known.numbers(part) == UNKNOWN).all() for part in (items[:_LOOKED_UP], items)):
        raise DataError(
            f"the model knows none of the {len(items)} items of {log.name!r}, {_some(items)}: it was fitted on "
            f"{model.fitted_on.dataset!r}, whose items are such as {_some(known.ids)}; give the log of its users, or "
            "fit a model on this one"
        )


def known_numbers(vocabulary: Vocabulary, ids: Id | Iterable[Id], kind: str, owner: str) -> Items:
    """Return the numbers of one or more ids.

    Raises:
        DataError: naming the unknown ids, their kind ("users" or "items") and the owner of the vocabulary.
    """
    several = listed(ids, kind, kind)
    numbers = vocabulary.numbers(several)
    unknown = [one for one, number in zip(several, numbers.tolist(), strict=True) if number == UNKNOWN]
    if unknown:
        single, counted = f"{kind[:-1]} {unknown[0]!r}", f"{kind} {_some(unknown)} ({len(unknown)} of {len(several)})"
        missing = single if len(several) == 1 else counted
        raise DataError(f"{owner} has no {missing}; its {kind} are such as {_some(vocabulary.ids)}")
    return numbers


def listed(ids: Id | Iterable[Id], argument: str, kind: str) -> list[Id]:
    """Return one or more ids as a list.

    Raises:
        ConfigError: they are a table, or no ids, instead of those of users or items, the `kind`.
    """
    if isinstance(ids, int | str | np.integer):
        return [ids]
    if hasattr(ids, "columns") or not isinstance(ids, Iterable):
        raise ConfigError(
            f"{argument} is a {type(ids).__name__}; give a list of ids of {kind}, as a table's column of them"
        )
    return list(ids)


def _of_history(model: Recommender, history: list[Id]) -> Queries:
    items = model.fitted_on.items
    numbers = items.numbers(history)
    unknown = [item for item, number in zip(history, numbers.tolist(), strict=True) if number == UNKNOWN]
    if history and len(unknown) == len(history):
        raise DataError(
            f"the model knows none of the {len(history)} items of the history, {_some(unknown)}; its items are such as "
            f"{_some(items.ids)}"
        )
    if unknown:
        warnings.warn(
            f"the model does not know {len(unknown)} of the {len(history)} items of the history, which do not count: "
            f"{_some(unknown)}",
            stacklevel=4,
        )
    queries = Queries.from_history([numbers])
    model.check_queries(queries)
    return queries


def _some(ids: Iterable[object]) -> str:
    """Return the first ids as text."""
    several = list(ids)
    return ", ".join(str(one) for one in several[:_NAMED]) + (", ..." if len(several) > _NAMED else "")
