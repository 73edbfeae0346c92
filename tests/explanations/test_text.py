from __future__ import annotations

import pytest

from recsys.explanations import text


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (["A"], "Because of your Crime side: you rated A."),
        (["A", "B"], "Because of your Crime side: you rated A and B."),
        (["A", "B", "C"], "Because of your Crime side: you rated A, B and C."),
    ],
)
def test_sentences_for_one_two_and_three_items(titles: list[str], expected: str) -> None:
    assert text.because(titles, [True] * len(titles), "your Crime side") == expected


def test_the_verb_is_neutral_if_one_item_was_not_rated() -> None:
    assert text.because(["A", "B"], [True, False]) == "Because you chose A and B."
    assert text.resembles(["A", "B"], [True, False]) == "It resembles A and B, which you chose."


def test_titles_are_not_escaped() -> None:
    assert text.because(["<b> & 'c'"], [True]) == "Because you rated <b> & 'c'."


def test_every_sentence_is_one_sentence() -> None:
    sentences = [
        text.POPULAR,
        text.COLD,
        text.UNKNOWN_ITEMS,
        text.MUTED,
        text.UNSUPPORTED,
        text.unnamed(),
        text.unnamed("your Crime side"),
    ]
    assert all(sentence.endswith(".") and sentence.count(".") == 1 for sentence in sentences)


def test_an_enumeration_needs_words() -> None:
    with pytest.raises(ValueError, match="no words to enumerate"):
        text.enumeration([])
