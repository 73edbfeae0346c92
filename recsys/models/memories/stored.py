"""What a memory keeps of each user, as bytes: sizes are counted here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from recsys.data.queries import Ragged
from recsys.types import Floats, Ints

Bytes = npt.NDArray[np.uint8]

SMALL = 65_536
"""Items of a catalogue whose numbers take two bytes; those of larger ones take four."""

_LEVELS = 255
"""Steps of a weight in one byte."""

_TINY = float(np.finfo(np.float16).tiny)
_HUGE = float(np.finfo(np.float16).max)


@final
@dataclass(frozen=True, eq=False)
class Stored:
    """The bytes of each user.

    Attributes:
        indptr: "users + 1": user u has `data[indptr[u]:indptr[u + 1]]`.
        data: "bytes", uint8.
        weighted: whether events are kept with weights.
    """

    indptr: Ints
    data: Bytes
    weighted: bool = False

    @classmethod
    def of_equal(cls, rows: Bytes) -> Stored:
        """Keep as many bytes of every user, "users bytes"."""
        users, width = rows.shape
        return cls(np.arange(users + 1, dtype=np.int64) * width, rows.reshape(-1))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def sizes(self) -> Ints:
        """ "users", the bytes of each."""
        return self.indptr[1:] - self.indptr[:-1]


def item_bytes(n_items: int) -> int:
    """Return the bytes of an item's number in a catalogue.

    >>> item_bytes(9_724), item_bytes(1_000_000)
    (2, 4)
    """
    return 2 if n_items <= SMALL else 4


def pack_events(events: Ragged, weights: Floats | None, n_items: int) -> Stored:
    """Keep known items, and of each a weight in one byte, in steps of 1/255 of the user's largest.

    Args:
        events: the items of each user.
        weights: "events", at least 0; None: all are 1, and take no byte.
        n_items: of the catalogue.
    """
    width = item_bytes(n_items)
    columns = [events.items.astype(f"<u{width}").reshape(-1, 1).view(np.uint8)]
    if weights is not None:
        largest = np.zeros(len(events))
        np.maximum.at(largest, events.rows, weights)
        share = weights / np.maximum(largest, 1e-30)[events.rows]
        columns.append(np.rint(share * _LEVELS).astype(np.uint8).reshape(-1, 1))
    data = np.concatenate(columns, axis=1)
    return Stored(events.indptr * data.shape[1], data.reshape(-1), weights is not None)


def unpack_events(stored: Stored, n_items: int) -> tuple[Ragged, Floats]:
    """Return the items of each user, and their weights, "events", as shares of the largest."""
    width, weighted = item_bytes(n_items), stored.weighted
    data = stored.data.reshape(-1, width + weighted)
    items = np.ascontiguousarray(data[:, :width]).view(f"<u{width}").reshape(-1).astype(np.int32)
    weights = data[:, width].astype(np.float32) / _LEVELS if weighted else np.ones(len(items), np.float32)
    return Ragged(stored.indptr // (width + weighted), items), np.asarray(weights, np.float32)


def pack_numbers(numbers: Floats) -> Stored:
    """Keep numbers of each user, "users m", in one signed byte each, and their scale as float16."""
    largest = np.abs(numbers).max(1, initial=0.0) / 127.0
    scale = np.clip(np.where(largest > 0, largest, 1.0), _TINY, _HUGE).astype("<f2")
    rounded = np.clip(np.rint(numbers / scale.astype(np.float32)[:, None]), -127, 127).astype(np.int8)
    return Stored.of_equal(np.concatenate([rounded.view(np.uint8), scale.reshape(-1, 1).view(np.uint8)], axis=1))


def unpack_numbers(stored: Stored) -> Floats:
    """Return the numbers of each user, "users m", up to half of a step."""
    data = stored.data.reshape(len(stored), -1) if len(stored) else np.zeros((0, 2), np.uint8)
    scale = np.ascontiguousarray(data[:, -2:]).view("<f2").astype(np.float32)
    return np.asarray(np.ascontiguousarray(data[:, :-2]).view(np.int8).astype(np.float32) * scale)
