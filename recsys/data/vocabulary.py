"""Maps external ids (integers or strings) to consecutive numbers and back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, final

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.errors import DataError
from recsys.types import Items, Mask

_WHOLE = re.compile(r"(-?[0-9]+)(\.0*)?")

_TOO_LARGE = 2**63

UNKNOWN = -1
"""The number of an id that is not in a vocabulary."""


@final
class Vocabulary:
    """An immutable one-to-one map between external ids and the numbers 0 .. size-1.

    Ids are all integers or all strings. An id of the other kind is unknown, not an error.

    Args:
        ids: unique ids; the position is the number. Integer ids are stored as int64, others as str.

    Raises:
        DataError: an id occurs twice or is missing.

    >>> vocabulary = Vocabulary(["b", "a"])
    >>> vocabulary.numbers(["a", "x"])
    array([ 1, -1], dtype=int32)
    >>> vocabulary.id_of(0)
    'b'
    """

    __slots__ = ("_ids", "_index")

    def __init__(self, ids: npt.NDArray[Any] | Iterable[int] | Iterable[str]) -> None:
        array = ids if isinstance(ids, np.ndarray) else np.asarray(list(ids))
        if array.size == 0 and array.dtype.kind == "f":
            array = array.astype(np.int64)
        if array.dtype.kind not in "iu" and pd.isna(array).any():
            raise DataError("an id of a vocabulary is missing (None, NaN or NA); leave it out")
        fits = array.dtype.kind in "iu" and (array.size == 0 or int(array.max()) <= np.iinfo(np.int64).max)
        array = array.astype(np.int64) if fits else array.astype(str).astype(object)
        index = pd.Index(array)
        if not index.is_unique:
            repeated = str(index[index.duplicated()][0])
            raise DataError(f"id {repeated!r} occurs twice in a vocabulary; ids must be unique")
        array.setflags(write=False)
        self._ids = array
        self._index = index

    @property
    def ids(self) -> npt.NDArray[Any]:
        """All ids in the order of their numbers, shape "size", int64 or object of str, read-only."""
        return self._ids

    @property
    def is_integer(self) -> bool:
        """Whether external ids are integers."""
        return self._ids.dtype.kind == "i"

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, external: object) -> bool:
        return bool(self.numbers([external])[0] != UNKNOWN)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and bool(np.array_equal(self._ids, other._ids))

    def __hash__(self) -> int:
        return hash((len(self._ids), self._ids[:8].tobytes() if self.is_integer else tuple(self._ids[:8])))

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} {'integer' if self.is_integer else 'string'} ids)"

    def numbers(self, external: npt.NDArray[Any] | Iterable[object]) -> Items:
        """Return the numbers of external ids, int32; `UNKNOWN` (-1) for ids that are not in the vocabulary.

        Text that spells an integer matches the integer id, so that ids from a command line need no type; and an id that
        is unknown matches the one that spells the same whole number, as 5 and "5" do "5.0".
        """
        array = external if isinstance(external, np.ndarray) else np.asarray(list(external), dtype=object)
        if self.is_integer and array.dtype.kind in "iu":
            return np.asarray(self._index.get_indexer(pd.Index(array)), dtype=np.int32)
        texts = [str(one) for one in array.tolist()]
        if self.is_integer:
            spelled = [_WHOLE.fullmatch(text.strip()) for text in texts]
            held = [int(match[1]) if match is not None else _TOO_LARGE for match in spelled]
            fits = np.array([-_TOO_LARGE <= number < _TOO_LARGE for number in held], dtype=np.bool_)
            found = [number if fit else 0 for number, fit in zip(held, fits, strict=True)]
            numbers = self._index.get_indexer(pd.Index(np.asarray(found, dtype=np.int64)))
            return np.where(fits, numbers, UNKNOWN).astype(np.int32)
        numbers = np.array(self._index.get_indexer(pd.Index(texts, dtype=object)), dtype=np.int32)
        unknown = np.flatnonzero(numbers == UNKNOWN)
        if len(unknown):  # at once: one look-up for each takes a minute on a log of 20,000 text ids
            stripped = [texts[place].strip() for place in unknown.tolist()]
            wholes = [_WHOLE.fullmatch(text) for text in stripped]
            others = [
                text if match is None else match[1] if match[2] else f"{match[1]}.0"
                for text, match in zip(stripped, wholes, strict=True)
            ]
            found, other = (self._index.get_indexer(pd.Index(each, dtype=object)) for each in (stripped, others))
            numbers[unknown] = np.where(found == UNKNOWN, other, found)
        return numbers

    def id_of(self, number: int) -> int | str:
        """Return the external id of one number as a plain Python value."""
        value = self._ids[number]
        return int(value) if self.is_integer else str(value)

    def take(self, numbers: npt.NDArray[np.integer] | Mask) -> Vocabulary:
        """Return the vocabulary of some numbers, renumbered in order."""
        return Vocabulary(self._ids[numbers])
