"""External ids to numbers and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.errors import DataError

INTEGERS = st.lists(st.integers(-(2**62), 2**62), max_size=30)
TEXTS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6), max_size=30)


@settings(deadline=None)
@given(INTEGERS | TEXTS)
def test_numbers_and_ids_are_inverse(column: list[int] | list[str]) -> None:
    distinct = list(dict.fromkeys(column))
    vocabulary = Vocabulary(distinct)  # type: ignore[arg-type]
    assert [vocabulary.id_of(number) for number in range(len(vocabulary))] == distinct
    assert np.array_equal(vocabulary.numbers(vocabulary.ids), np.arange(len(vocabulary)))


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


def test_ids_that_spell_one_whole_number_match_unless_both_are_held() -> None:
    vocabulary = Vocabulary(["1.0", "2", "2.0", "03"])
    assert vocabulary.numbers([1, 1.0, "1", "1.0", " 1.0 ", 2, "2.0", 3, "1.5"]).tolist() == [
        0,
        0,
        0,
        0,
        0,
        1,
        2,
        -1,
        -1,
    ]


def test_large_ids_are_exact() -> None:
    vocabulary = Vocabulary([2**53, 2**53 + 1])
    assert vocabulary.numbers([str(2**53 + 1), f"{2**53}.0", str(2**70)]).tolist() == [1, 0, -1]
    beyond = Vocabulary(np.array([2**63 + 5, 1], dtype=np.uint64))
    assert beyond.ids.tolist() == [str(2**63 + 5), "1"]
    assert beyond.numbers(np.array([2**63 + 5], dtype=np.uint64)).tolist() == [0]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_missing_id_is_an_error(missing: object) -> None:
    with pytest.raises(DataError, match="an id of a vocabulary is missing"):
        Vocabulary(np.array(["a", missing], dtype=object))


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
