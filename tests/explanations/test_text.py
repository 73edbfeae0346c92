from __future__ import annotations

import pytest

from recsys.explanations import text


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (["A"], "Because you rated A above your average (Crime): without that, it would not be here."),
        (["A", "B"], "Because you rated A and B above your average (Crime): without them it would not be here."),
        (
            ["A", "B", "C"],
            "Because you rated A, B and C above your average (Crime): without them it would not be here.",
        ),
    ],
)
def test_sentences_for_one_two_and_three_items(titles: list[str], expected: str) -> None:
    assert text.because(titles, "rated", "Crime", "fair", "above your average") == expected


def test_certainty_is_worded() -> None:
    leads = [text.because(["A"], "chose", None, word).split(" you ")[0] for word in ("strong", "fair", "weak")]
    assert leads == ["Above all because", "Because", "Partly because"]


def test_titles_are_not_escaped() -> None:
    assert "chose <b> & 'c':" in text.because(["<b> & 'c'"], "chose", None, "fair")


def test_every_sentence_is_one_sentence() -> None:
    sentences = [
        text.POPULAR,
        text.FOR_EVERYBODY,
        text.COLD,
        text.UNKNOWN_ITEMS,
        text.MUTED,
        text.UNSUPPORTED,
        text.WEAK,
        text.unnamed(),
        text.unnamed("Crime"),
        text.because(["A", "B"], "rated", "Crime", "weak", "above your average"),
        text.whole_taste("Crime", 84, ["A", "B"], 0.9),
        text.two_tastes("crime", 4, ["A", "B"], "comedy"),
        text.popular_too("crime", 4, ["A"]),
        text.speak_for_it(["A"]),
        text.resembles(["A"], "rated", "Crime"),
    ]
    assert all(sentence.endswith(".") and sentence.count(".") == 1 for sentence in sentences)


def test_an_enumeration_needs_words() -> None:
    with pytest.raises(ValueError, match="no words to enumerate"):
        text.enumeration([])
