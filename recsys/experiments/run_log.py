"""The log of a run: how it is read and split, and how it is told from another one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, final

import numpy as np

from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.readers.columns import Columns
from recsys.data.readers.log import OnError, with_items
from recsys.data.readers.remarks import told_before
from recsys.data.readers.repeats import find_repeats
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.splits.later import later_questions
from recsys.data.splits.names import Among, Ask, SplitName
from recsys.data.splits.paper import binarised
from recsys.data.splits.standard import check_options, split
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import DataError
from recsys.evaluation.leaks import SHOWN
from recsys.events.addresses import is_address
from recsys.events.transfer import log_of
from recsys.experiments.configuration import Filters
from recsys.models.base import Recommender

_LOG = logging.getLogger("recsys.experiments")


@final
@dataclass(frozen=True)
class DataSettings:
    """The log of a run, and how it is read and split.

    Attributes:
        source: the name of a dataset card, a file, or the address of an event store.
        split: name of the split.
        seed: of a random split, and of the simulated log.
        threshold: keep only events of at least this value (the `paper` split of rating logs); None keeps all.
        columns: names of a file's columns by role, where they are not recognised.
        on_error: "raise", or "skip" to set bad rows aside.
        items: a file with titles and genres of the items.
        ask: when each user is asked, see `recsys.data.splits.standard.split`.
        pause: seconds that end a session; with `ask`.
        among: what splits about new items ask and rank.
        item_vectors: a file with a vector for each row of `items`.
    """

    source: str
    split: SplitName = "global_time"
    seed: int = 0
    threshold: float | None = None
    columns: Mapping[str, Any] | None = None
    on_error: OnError = "raise"
    items: str | None = None
    ask: Ask | None = None
    pause: int | None = None
    among: Among | None = None
    item_vectors: str | None = None

    def load(self) -> Interactions:
        """Return the log."""
        return self._load()

    def check(self, filters: Filters) -> None:
        """Raise a ConfigError or a DataError for what is wrong whatever the log holds."""
        check_options(self.split, seed=self.seed, **self._options, **asdict(filters))
        _ = self._columns

    def load_grown(self, until: int) -> Interactions:
        """Return the log with the events up to `until` as they were read when nothing was later.

        Otherwise an item that somebody uses again would be missing there, as the last of repeats is kept.
        """
        policies = self._policies
        if policies is None:
            return self.load()
        log = self._load(duplicates="keep", re_ratings="keep")
        early = np.flatnonzero(log.time <= until)
        kinds = None if log.kinds is None else log.kinds[early]
        repeats = find_repeats(log.user_num[early], log.item_num[early], log.value[early], log.time[early], kinds)
        dropped, superseded = np.zeros((2, len(log)), np.bool_)
        gone, replaced = repeats.resolved(policies.duplicates, policies.re_ratings)
        dropped[early[repeats.pairs[gone]]] = True
        superseded[early[repeats.pairs[replaced]]] = True
        return log.select(~dropped).superseding(superseded[~dropped])

    def cut(self, log: Interactions, filters: Filters) -> Split:
        """Return the split of the log, with an experiment's filters."""
        return split(log, self.split, seed=self.seed, **self._options, **asdict(filters))

    def _load(self, **policies: Any) -> Interactions:  # noqa: ANN401 - policies for repeats
        if is_address(self.source):
            log = log_of(self.source, **policies)
        else:
            log = datasets.load(self.source, columns=self._columns, on_error=self.on_error, seed=self.seed, **policies)
        return log if self.items is None else with_items(log, self.items, self.item_vectors)

    @property
    def _options(self) -> dict[str, Any]:
        return {"threshold": self.threshold, "ask": self.ask, "pause": self.pause, "among": self.among}

    @property
    def _columns(self) -> Columns | None:
        return Columns.from_mapping(self.columns) if self.columns else None

    @property
    def _policies(self) -> Columns | None:
        """What the file declares about repeats; None for a log that is made otherwise, such as by a reader."""
        if is_address(self.source):
            return Columns()
        return datasets.policies_of(self.source, self._columns)


@final
@dataclass(frozen=True)
class LogRecord:
    """What a run records of the log that it read.

    Attributes:
        fingerprint: SHA-256 of its events, the held-out ones included.
        events, users, items: their numbers.
        until: the time of the last event; None where times of different users cannot be compared.
    """

    fingerprint: str
    events: int
    users: int
    items: int
    until: int | None

    @classmethod
    def of(cls, log: Interactions) -> Self:
        """Describe a log."""
        whole = log.compact()
        until = int(whole.time.max(initial=0)) if whole.has_time else None
        return cls(whole.fingerprint, len(whole), whole.n_users, whole.n_items, until)

    @classmethod
    def read(cls, metrics: Mapping[str, Any]) -> Self | None:
        """Return the record in a run's metrics; None in those of earlier versions."""
        recorded = metrics.get("log")
        if not isinstance(recorded, Mapping) or set(recorded) != {field.name for field in fields(cls)}:
            return None
        record = cls(**recorded)
        return record if isinstance(record.fingerprint, str) and isinstance(record.until, int | None) else None

    def __str__(self) -> str:
        return f"fingerprint {self.fingerprint[:SHOWN]}, {self.events} events"


@told_before()
def log_for_questions(
    run: Path, model: Recommender, data: DataSettings, recorded: LogRecord | None, *, given: bool
) -> Interactions:
    """Return the log that holds the histories of the users who ask.

    Args:
        run: directory of the run.
        model: the run's model.
        data: where the log is.
        recorded: what the run recorded of its log.
        given: whether the user named this log. Another one than the run's is then used, and a line says what the model
            knows of it; else it is refused, as it changed without anybody's saying so. An event store may change: it
            grows, and people are erased from it.

    Raises:
        DataError: the log is not the one that the run read, or one of which the model knows no item or no user.
    """
    log = data.load()
    if recorded is None:
        _LOG.warning("%s records no fingerprint of its log, so %s is taken for that log", run, data.source)
        return log
    found = LogRecord.of(log)
    if found.fingerprint == recorded.fingerprint:
        return log
    if not (given or is_address(data.source)):
        raise DataError(
            f"{data.source} has changed since {run} read it ({found}; then {recorded}); use it as it is now with "
            f"--data {data.source}, or train again with `recsys train --overwrite`"
        )
    fitted = model.fitted_on
    shares = {
        kind: float(np.mean(own.numbers(ids) != UNKNOWN)) if len(ids) else 0.0
        for kind, own, ids in (("items", fitted.items, log.items.ids), ("users", fitted.users, log.users.ids))
    }
    difference = f"{data.source} is not the log that {run} read ({found}; that one {recorded})"
    for kind, share in shares.items():
        if share == 0:
            raise DataError(
                f"{difference}, and the model knows none of its {kind}; give the run's log with --data, or train on "
                f"this one with `recsys train --config {run / 'config.yaml'} --data {data.source} --out DIR`"
            )
    known = ", ".join(f"{share:.1%} of its {kind}" for kind, share in shares.items())
    _LOG.warning("%s: the model knows %s", difference, known)
    return log


@told_before()
def questions_again(
    run: Path,
    data: DataSettings,
    recorded: LogRecord | None,
    filters: Filters,
    part: Literal["valid", "test"] = "test",
) -> tuple[Holdout, Interactions]:
    """Return the test (or validation) questions of a run, and its training log.

    Raises:
        DataError: the log is not the one that the run read.
    """
    log = data.load()
    if recorded is None:
        _LOG.warning(
            "%s records no fingerprint of its log, as it was made by an earlier version: the training part of %s is "
            "checked, the test questions are not",
            run,
            data.source,
        )
    elif (found := LogRecord.of(log)).fingerprint != recorded.fingerprint:
        grown = recorded.until is not None and LogRecord.of(_beginning(data, recorded.until)[1]) == recorded
        cure = "it has only grown: ask what is later with --later" if grown else "give the run's log with --data"
        raise DataError(
            f"{data.source} is not the log that {run} read ({found}; that one {recorded}), so the model may have "
            f"learned from its test questions; {cure}, or train again"
        )
    cut = data.cut(log, filters)
    return cut.test if part == "test" else cut.valid, cut.train


@told_before()
def questions_later(
    run: Path, data: DataSettings, recorded: LogRecord | None, filters: Filters
) -> tuple[Holdout, Interactions]:
    """Return questions about the events of a grown log that are later than all that the run read, and its training log.

    Raises:
        DataError: the run does not know its log, the log has no times, its beginning is not the log that the run read,
            or nothing is later.
    """
    if recorded is None:
        raise DataError(f"{run} records no fingerprint of its log, so what is later is not known; train again")
    if recorded.until is None:
        raise DataError(f"the log of {run} has no times, so none of its events is later than another; train again")
    log, beginning = _beginning(data, recorded.until)
    own = LogRecord.of(beginning)
    if own.fingerprint != recorded.fingerprint:
        raise DataError(
            f"{data.source} up to the last event of the log that {run} read is not that log ({own}; that one "
            f"{recorded}): events were added, removed or changed, or users or items renamed; give a log that has only "
            "grown, or train again"
        )
    cut = data.cut(beginning, filters)
    if data.split == "paper":
        log = binarised(log, data.threshold)
    return later_questions(log, cut.train, recorded.until), cut.train


def _beginning(data: DataSettings, until: int) -> tuple[Interactions, Interactions]:
    """Return a grown log, and the part of it that is not later than `until`."""
    log = data.load_grown(until)
    return log, log.select(log.time <= until).compact()
