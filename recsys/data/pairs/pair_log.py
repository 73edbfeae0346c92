"""`PairLog`: a file of choices (user, chosen, rejected), as preference data for reward models come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import pandas as pd

from recsys.checks import object_named, path_of
from recsys.data.catalogue import cards
from recsys.data.pairs.pairs import Pairs
from recsys.data.readers.metadata import read_vectors
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import DataError, nearest
from recsys.types import Floats

COLUMNS: Final = ("user", "chosen", "rejected")
_SUFFIXES: Final = (".csv", ".parquet", ".jsonl")


@final
@dataclass(frozen=True, eq=False)
class PairLog:
    """Choices between two items, with what is known of the items.

    Attributes:
        users: vocabulary of users.
        items: vocabulary of items, such as answers of a language model.
        pairs: the choices, in the numbers of both; their gap is 1.
        vectors: "items dim", float32, such as embeddings; None where there are none.
        texts: one text for each item; None where there are none.
        name: for messages and reports.
    """

    users: Vocabulary
    items: Vocabulary
    pairs: Pairs
    vectors: Floats | None = None
    texts: tuple[str, ...] | None = None
    name: str = "pairs"

    def __post_init__(self) -> None:
        if self.vectors is not None and (self.vectors.ndim != 2 or len(self.vectors) != len(self.items)):
            raise DataError(
                f"{self.name}: vectors of shape {self.vectors.shape} for {len(self.items)} items; give one row for each"
            )
        if self.vectors is not None and not np.isfinite(self.vectors).all():
            row = int(np.flatnonzero(~np.isfinite(self.vectors).all(1))[0])
            raise DataError(f"{self.name}: row {row} of the vectors has a value that is no finite number; repair it")
        if self.texts is not None and len(self.texts) != len(self.items):
            raise DataError(f"{self.name}: {len(self.texts)} texts for {len(self.items)} items; give one for each")


def read_pair_log(
    path: str | Path,
    vectors: str | Path | None = None,
    items: str | Path | None = None,
    name: str | None = None,
    seed: int = 0,
) -> PairLog:
    """Read choices from a file, CSV, Parquet or JSON lines, with the columns `user`, `chosen`, `rejected`.

    Args:
        path: the choices, one a row; `chosen` and `rejected` are ids of items, which may be their texts. Or the name of
            a card of choices, such as `simulated-pairs`.
        vectors: one vector for each item: a `.npy` file, or a `.safetensors` file with one matrix.
        items: a table with the column `item`, whose rows are those of the vectors, and maybe a column `text`. Without
            it and with vectors, ids are the numbers of their rows, from 0.
        name: of the log; that of the file when None.
        seed: of a simulated log.

    Raises:
        DataError: a file cannot be read, a column is missing, an id is blank or has no vector, or an item is preferred
            to itself; the message names file, row and cure.
    """
    source = path_of("read_pair_log", path)
    card = cards.all_cards().get(str(path))
    if card is not None and card.pairs and card.generator is not None:
        simulated: PairLog = object_named(f"card {card.name}: generator", card.generator, "recsys.worlds")(seed=seed)
        return replace(simulated, name=name or card.name)
    frame = _table(source, COLUMNS)
    users, _ = _vocabulary(frame["user"])
    matrix = None if vectors is None else read_vectors(path_of("read_pair_log", vectors))
    texts: tuple[str, ...] | None = None
    if items is not None:
        described = _table(path_of("read_pair_log", items), ("item",))
        listed, numbers = _vocabulary(described["item"])
        if len(listed) != len(described):
            row = int(np.flatnonzero(pd.Series(numbers).duplicated())[0])
            raise DataError(f"{items}, row {row + 1}: item {described['item'].iloc[row]!r} occurs twice; list it once")
        listed = Vocabulary(listed.ids[numbers])
        if "text" in described:
            texts = tuple(str(text) for text in described["text"])
    elif matrix is not None:
        listed = Vocabulary(np.arange(len(matrix)))
    else:
        listed, _ = _vocabulary(pd.concat([frame["chosen"], frame["rejected"]], ignore_index=True))
    winner, loser = (listed.numbers(frame[column].to_numpy(object)) for column in ("chosen", "rejected"))
    for column, number in (("chosen", winner), ("rejected", loser)):
        if (number == UNKNOWN).any():
            row = int(np.flatnonzero(number == UNKNOWN)[0])
            raise DataError(
                f"{source}, row {row + 1}: {column} {frame[column].iloc[row]!r} is not among the {len(listed)} items "
                f"of {items or vectors}; add it there, or leave the row out"
            )
    if (winner == loser).any():
        row = int(np.flatnonzero(winner == loser)[0])
        raise DataError(
            f"{source}, row {row + 1}: {frame['chosen'].iloc[row]!r} is preferred to itself; leave the row out"
        )
    user = users.numbers(frame["user"].to_numpy(object))
    pairs = Pairs(user, winner, loser, np.ones(len(user), np.float32))
    return PairLog(users, listed, pairs, matrix, texts, name or source.stem)


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table that has certain columns without blanks."""
    if path.suffix.lower() not in _SUFFIXES:
        raise DataError(f"{path}: pairs are read from {', '.join(_SUFFIXES)}, not {path.suffix or 'no suffix'!r}")
    if not path.exists():
        raise DataError(f"there is no file {path}, and no data set of pairs with this name; see `recsys data list`")
    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
        elif path.suffix.lower() == ".csv":
            frame = pd.read_csv(path, dtype=object, keep_default_na=False)
        else:
            frame = pd.read_json(path, lines=True, dtype=False)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({str(error) or type(error).__name__}); mend or replace it") from error
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes the first fields of longer rows as an index
        raise DataError(f"{path}: its rows have more fields than the first line has names; name each, or quote commas")
    names = [str(column) for column in frame.columns]
    for column in columns:
        if column not in names:
            raise DataError(
                f"{path}: no column {column!r}{nearest(column, names)}; it has {', '.join(names) or 'none'}"
            )
        blank = frame[column].isna() | (frame[column].astype(str).str.strip() == "")
        if blank.any():
            row = int(np.flatnonzero(blank)[0])
            raise DataError(f"{path}, row {row + 1}: {column} is blank; fill it in, or leave the row out")
    if len(frame) == 0:
        raise DataError(f"{path}: it has no rows; at least one is needed")
    return frame


def _vocabulary(ids: pd.Series[Any]) -> tuple[Vocabulary, np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the vocabulary of ids, whole numbers where all are, and the number of each."""
    texts = ids.astype(str).str.strip()
    whole = texts.str.fullmatch(r"-?(0|[1-9][0-9]{0,17})").all()
    codes, distinct = pd.factorize(texts.astype(np.int64) if whole else texts, sort=True)
    return Vocabulary(np.asarray(distinct) if whole else [str(one) for one in distinct]), codes.astype(np.int64)
