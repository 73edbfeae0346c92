"""Result of a prequential replay: a table of questions and its means, in one Parquet file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

import numpy as np
import pandas as pd

from recsys.data.stream import Stream
from recsys.errors import DataError
from recsys.evaluation.tables import read_table, write_table
from recsys.types import Ints, Items, Mask

_KEY = b"recsys.replay"
_FORMAT = 1


@final
@dataclass(frozen=True, eq=False)
class Replay:
    """The result of a replay.

    Attributes:
        table: one row per question, in order: `user_num` (of the log) and `user_id`; `position` of the
            event in the user's history, from 0; `n_visible`, events that were visible; `time`; `item`, number in the
            log; `known`, whether the model was trained on the item; `rank` in the list from 1, 0 if it is not in it;
            `trained_until`, the time before which the model's training events lie; "ndcg@k" and "hr@k".
        cutoffs: ascending list lengths k.
        repeats: events that are no questions because the user had used the item before.
        seconds: time spent on building queries, weights, scoring, utilities of hypotheses (`judging`), observing
            and refitting.
        state_bytes: state of the forgetting per user; 0 if it has none.
    """

    table: pd.DataFrame
    cutoffs: tuple[int, ...]
    repeats: int
    seconds: dict[str, float]
    state_bytes: float

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
        """Numbers of questions, of users, of questions with an unknown item or an empty history, and of repeats."""
        return {
            "questions": len(self.table),
            "users": int(self.table["user_num"].nunique()),
            "unknown_items": int((~self.table["known"]).sum()),
            "empty_histories": int((self.table["n_visible"] == 0).sum()),
            "repeats": self.repeats,
        }

    def save(self, path: str | Path) -> Path:
        """Write one Parquet file; it appears complete or not at all."""
        extra = {name: getattr(self, name) for name in ("cutoffs", "repeats", "seconds", "state_bytes")}
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
        return cls(rows, tuple(extra["cutoffs"]), extra["repeats"], extra["seconds"], extra["state_bytes"])


def question_table(
    stream: Stream, rank: Items, known: Mask, trained_until: Ints, cutoffs: tuple[int, ...]
) -> pd.DataFrame:
    """Return one row per question. With one relevant item NDCG@k is 1 / log2(1 + rank), its ideal being 1."""
    gain = np.where(rank > 0, 1.0 / np.log2(1.0 + np.maximum(rank, 1)), 0.0)
    within = {k: (rank > 0) & (rank <= k) for k in cutoffs}
    columns = {
        "user_num": stream.users,
        "user_id": stream.log.users.ids[stream.users],
        "position": stream.positions.astype(np.int32),
        "n_visible": stream.n_visible.astype(np.int32),
        "time": stream.times,
        "item": stream.items,
        "known": known,
        "rank": rank,
        "trained_until": trained_until,
    }
    columns |= {f"ndcg@{k}": np.where(within[k], gain, 0.0) for k in cutoffs}
    columns |= {f"hr@{k}": within[k].astype(np.float64) for k in cutoffs}
    return pd.DataFrame(columns)
