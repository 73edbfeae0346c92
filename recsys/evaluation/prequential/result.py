"""Result of a prequential replay: a table of questions and its means, in one Parquet file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

import numpy as np
import pandas as pd

from recsys.data.queries import Ragged
from recsys.data.sessions import Ask
from recsys.data.stream import Stream
from recsys.errors import DataError
from recsys.evaluation.tables import read_table, write_table
from recsys.types import Ints, Items, Mask

_KEY = b"recsys.replay"
_FORMAT = 2


@final
@dataclass(frozen=True, eq=False)
class Replay:
    """The result of a replay.

    Attributes:
        table: one row per question, in order: `user_num` (of the log) and `user_id`; `position` in the user's history,
            from 0, of the event before which it was asked; `n_visible`, events that were visible; `time`; `gap`, time
            since the last visible event, -1 without one; `relevant`, items that were relevant; `known`, of how many of
            them the model had training events; `rank` in the list of the first of them, from 1, 0 if none is in it;
            `trained_until`, the time before which the model's training events lie; "ndcg@k" and "hr@k".
        cutoffs: ascending list lengths k.
        repeats: events that are relevant to no question because the user had used the item before.
        ask: when the questions were asked, see `recsys.data.sessions`.
        pause: seconds that end a session.
        seconds: time spent on building queries, weights, scoring, utilities of hypotheses (`judging`), observing
            and refitting.
        state_bytes: state of the forgetting per user; 0 if it has none.
    """

    table: pd.DataFrame
    cutoffs: tuple[int, ...]
    repeats: int
    seconds: dict[str, float]
    state_bytes: float
    ask: Ask
    pause: int

    @property
    def metrics(self) -> tuple[str, ...]:
        """The columns of metrics."""
        return tuple(f"{name}@{k}" for name in ("ndcg", "hr") for k in self.cutoffs)

    @property
    def summary(self) -> dict[str, float]:
        """The mean of each metric over all questions, so that heavy users count more; unknown items are misses."""
        return {name: float(self.table[name].mean()) for name in self.metrics}

    @property
    def over_users(self) -> dict[str, float]:
        """The mean over users of each user's mean of each metric, as paired differences and their tests weigh them."""
        means = self.table.groupby("user_num")[list(self.metrics)].mean()
        return {name: float(means[name].mean()) for name in self.metrics}

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of questions, users, relevant items, unknown ones of these, empty histories, and repeats."""
        return {
            "questions": len(self.table),
            "users": int(self.table["user_num"].nunique()),
            "relevant_items": int(self.table["relevant"].sum()),
            "unknown_items": int((self.table["relevant"] - self.table["known"]).sum()),
            "empty_histories": int((self.table["n_visible"] == 0).sum()),
            "repeats": self.repeats,
        }

    def save(self, path: str | Path) -> Path:
        """Write one Parquet file; it appears complete or not at all."""
        extra = {name: getattr(self, name) for name in ("cutoffs", "repeats", "seconds", "state_bytes", "ask", "pause")}
        return write_table(self.table, Path(path), _KEY, {"format": _FORMAT} | extra)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            DataError: the file is missing, unreadable, not written by `save`, or of a later format.
        """
        rows, extra = read_table(path, _KEY, "a table of a replay", "replay again")
        if extra.get("format") != _FORMAT:
            raise DataError(f"{path}: this Parquet file was not written by a replay of this version; replay again")
        facts = (extra[name] for name in ("repeats", "seconds", "state_bytes", "ask", "pause"))
        return cls(rows, tuple(extra["cutoffs"]), *facts)


def question_table(
    stream: Stream, rank: Items, known: Mask, trained_until: Ints, cutoffs: tuple[int, ...]
) -> pd.DataFrame:
    """Return one row per question.

        NDCG@k = sum over relevant items with rank <= k of 1 / log2(1 + rank)
                 / sum over the first min(k, number of relevant items) ranks of 1 / log2(1 + rank)
        HR@k   = whether there is one

    Args:
        stream: the questions.
        rank: "relevant items of all questions", from 1, 0 for those not in the list.
        known: likewise, whether the model had training events of the item.
        trained_until: "questions".
        cutoffs: list lengths k.
    """
    relevant = stream.relevant
    columns = {
        "user_num": stream.users,
        "user_id": stream.log.users.ids[stream.users],
        "position": stream.positions.astype(np.int32),
        "n_visible": stream.n_visible.astype(np.int32),
        "time": stream.times,
        "gap": stream.gaps,
        "relevant": relevant.lengths.astype(np.int32),
        "known": relevant.sum(known).astype(np.int32),
        "rank": _first(relevant, rank),
        "trained_until": trained_until,
    }
    gain = np.where(rank > 0, 1.0 / np.log2(1.0 + np.maximum(rank, 1)), 0.0)
    ideal = np.cumsum(1.0 / np.log2(2.0 + np.arange(max(cutoffs))))
    within = {k: (rank > 0) & (rank <= k) for k in cutoffs}
    columns |= {
        f"ndcg@{k}": relevant.sum(np.where(within[k], gain, 0.0)) / ideal[np.minimum(relevant.lengths, k) - 1]
        for k in cutoffs
    }
    columns |= {f"hr@{k}": (relevant.sum(within[k]) > 0).astype(np.float64) for k in cutoffs}
    return pd.DataFrame(columns)


def _first(relevant: Ragged, rank: Items) -> Items:
    """Return "questions": the smallest rank of a question that is not 0, or 0."""
    if len(relevant) == 0:
        return np.zeros(0, np.int32)
    last = np.iinfo(np.int32).max
    first = np.minimum.reduceat(np.where(rank > 0, rank, last), relevant.indptr[:-1])
    return np.asarray(np.where(first < last, first, 0), dtype=np.int32)
