"""External ids to numbers and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import DataError

INTEGERS = st.lists(st.integers(-(2**62), 2**62), max_size=30)
TEXTS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6), max_size=30)


@settings(deadline=None)
@given(INTEGERS | TEXTS)
def test_encoding_and_lookup_are_inverse(column: list[int] | list[str]) -> None:
    vocabulary, numbers = Vocabulary.encode(column)
    assert [vocabulary.id_of(int(number)) for number in numbers] == column
    assert np.array_equal(vocabulary.numbers(vocabulary.ids), np.arange(len(vocabulary)))
    assert len(vocabulary) == len(set(column))
    assert list(vocabulary.ids) == sorted(set(column))  # type: ignore[type-var]


@settings(deadline=None)
@given(INTEGERS, INTEGERS)
def test_other_ids_are_unknown(held: list[int], others: list[int]) -> None:
    vocabulary = Vocabulary(np.unique(np.asarray(held, dtype=np.int64)))
    numbers = vocabulary.numbers(np.asarray(others, dtype=np.int64))
    assert [number != UNKNOWN for number in numbers] == [identifier in held for identifier in others]
    assert numbers.dtype == np.int32


def test_text_that_spells_an_integer_matches_it() -> None:
    vocabulary = Vocabulary([5, 7])
    assert vocabulary.numbers(["7", "5.0", "x", "5.5", "", None]).tolist() == [1, 0, -1, -1, -1, -1]
    assert "5" in vocabulary
    assert "nonsense" not in vocabulary


def test_integers_are_unknown_text_ids_unless_spelled_alike() -> None:
    vocabulary = Vocabulary(["a", "7"])
    assert vocabulary.numbers([7, 8]).tolist() == [1, -1]
    assert not vocabulary.is_integer


def test_repeated_id_is_an_error() -> None:
    with pytest.raises(DataError, match="'a' occurs twice"):
        Vocabulary(["a", "b", "a"])


def test_equality_and_hash_follow_the_ids_and_their_order() -> None:
    assert Vocabulary([1, 2]) == Vocabulary(np.asarray([1, 2], dtype=np.int32))
    assert hash(Vocabulary(["a", "b"])) == hash(Vocabulary(np.asarray(["a", "b"])))
    assert Vocabulary([1, 2]) != Vocabulary([2, 1])
    assert Vocabulary([1]) != [1]


def test_ids_are_read_only_and_returned_as_plain_values() -> None:
    vocabulary = Vocabulary([3])
    with pytest.raises(ValueError, match="read-only"):
        vocabulary.ids[0] = 4
    assert type(vocabulary.id_of(0)) is int
    assert type(Vocabulary(["x"]).id_of(0)) is str


def test_take_renumbers_in_order() -> None:
    assert Vocabulary([10, 20, 30]).take(np.asarray([2, 0])).ids.tolist() == [30, 10]
    assert Vocabulary([10, 20, 30]).take(np.asarray([True, False, True])).ids.tolist() == [10, 30]


def test_empty_vocabulary() -> None:
    assert len(Vocabulary([])) == 0
    assert Vocabulary([]).numbers([1]).tolist() == [-1]
