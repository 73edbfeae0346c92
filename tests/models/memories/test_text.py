"""Texts: what is written is read again, edits do what they say, and bad input is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.data.vocabulary import Vocabulary
from recsys.errors import DataError
from recsys.models import EASE
from recsys.models.memories.text.grammar import parse, render
from recsys.models.memories.text.reading import TextReader, blended
from recsys.models.memories.text.state import WORDS, Clause, TasteText
from recsys.models.memories.text.tables import Tables
from recsys.models.memories.text.writing import TextSummary
from recsys.worlds.simulation import simulated_log

TITLES = (
    *(
        "Heat (1995)",
        "Good, the Bad and the Ugly, The (1966)",
        "Up (2009)",
        "Emma (1996)",
        "Emma (1996)",
        "Emma (2009)",
    ),
    *(
        "Mr. Holland's Opus (1995)",
        "Like Water for Chocolate (1992)",
        "Lock, Stock & Barrel; or not (1998)",
        "Amélie (2001)",
    ),
    *('Say "Yes" (1990)', "Up (2009), Heat (1995)", "Bad and the Ugly", "like Heat", "2001: A Space Odyssey (1968)"),
)
GENRES = ("Crime", "Comedy", "Film-Noir", "Drama", "Horror")
TABLES = Tables(
    Vocabulary.of(np.arange(len(TITLES))) if hasattr(Vocabulary, "of") else Vocabulary(np.arange(len(TITLES))),
    ItemMetadata(TITLES, tuple((GENRES[place % 5],) for place in range(len(TITLES)))),
)
YEARS = ("1990s", "1991 to 1996", "1994 to 1994", "2008 on", "before 1970")


@st.composite
def texts(draw: st.DrawFn) -> TasteText:
    """Draw a text that does not contradict itself."""
    items = draw(st.permutations(range(len(TITLES))))
    clauses: list[Clause] = []
    said: set[tuple[str, ...]] = set()
    avoided: set[str] = set()
    wanted: set[str] = set()
    for word in draw(st.lists(st.sampled_from(WORDS), max_size=5)):
        labels = tuple(draw(st.lists(st.sampled_from(GENRES), unique=True, max_size=3)))
        labels += tuple(draw(st.lists(st.sampled_from(YEARS), max_size=1)))
        titles = tuple(items.pop() for _ in range(min(len(items), draw(st.integers(0, 3)))))
        if not titles:
            side, other = (avoided, wanted) if word == "avoids" else (wanted, avoided)
            if not labels or labels in said or other & set(labels):
                continue
            said.add(labels)
            side |= set(labels)
        clauses.append(Clause(word, labels, titles))
    return TasteText(tuple(clauses))


@settings(max_examples=200, deadline=None)
@given(texts())
def test_every_text_is_read_as_it_was_written(text: TasteText) -> None:
    assert parse(render(text, TABLES), TABLES) == text


def test_a_person_may_write_otherwise() -> None:
    said = parse("loves HEAT (1995) and amelie".replace("loves ", "loves like "), TABLES)
    assert said.clauses == (Clause("mostly", (), (0, 9)),)
    assert parse("  Mostly   comedies;never horror ", TABLES).clauses == (
        Clause("mostly", ("Comedy",)),
        Clause("avoids", ("Horror",)),
    )
    assert parse("", TABLES) == TasteText()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Mostly like Heatt (1995).", "did you mean 'Heat \\(1995\\)'"),
        ("Mostly horor.", "did you mean 'horror'"),
        ("Mosty like Up (2009).", "did you mean 'mostly'"),
        ("Mostly like Emma.", "3 titles match"),
        ("Mostly horror; avoids horror.", "keep one"),
        ("Mostly like Up (2009); often like Up (2009).", "said twice"),
        ("Mostly horror; often horror.", "said twice"),
        ("Mostly like", "title is missing"),
        ('Mostly like "Up (2009).', "quote is not closed"),
        ("x" * 2_001, "at most 2000"),
    ],
)
def test_bad_input_is_named_with_the_nearest(text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        parse(text, TABLES)


LOG = simulated_log(n_users=120, n_items=150)
MODEL = EASE(50.0).fit(LOG)
READER = TextReader(MODEL)
QUERIES = Queries.from_interactions(LOG, np.arange(12, dtype=np.int32))
NOBODY = np.zeros(LOG.n_items, np.bool_)


def test_texts_of_users_are_short_true_and_read_again() -> None:
    for row, text in enumerate(TextSummary().write(MODEL, QUERIES, READER)):
        own = set(QUERIES.history.row(row).tolist())
        assert set(text.titles) <= own
        words = render(text, READER.tables)
        assert len(words) <= 400
        assert parse(words, READER.tables) == text
        for clause in text.clauses:
            if clause.labels and clause.titles:
                assert READER.tables.has(clause.labels)[list(clause.titles)].all()


def test_a_text_says_more_than_popularity_and_than_the_text_of_another() -> None:
    texts = TextSummary().write(MODEL, QUERIES, READER)
    whole = MODEL.score(QUERIES).numpy()
    own = READER.title_scores(texts)
    right = [np.corrcoef(one, other)[0, 1] for one, other in zip(own, whole, strict=True)]
    wrong = [np.corrcoef(one, other)[0, 1] for one, other in zip(np.roll(own, 1, 0), whole, strict=True)]
    assert np.mean(right) > 0.6
    assert np.mean(right) > np.mean(wrong) + 0.2


def test_edits_do_what_they_say_and_are_undone_to_the_last_bit() -> None:
    genre = READER.tables.labels[0]
    has = READER.tables.has((genre,))
    for text in TextSummary().write(MODEL, QUERIES, READER):
        plain = TasteText(tuple(clause for clause in text.clauses if clause.titles))
        before = READER.recommend(plain, NOBODY, 10)
        avoiding, _ = READER.recommend(TasteText((*plain.clauses, Clause("avoids", (genre,)))), NOBODY, 10)
        mostly, _ = READER.recommend(TasteText((*plain.clauses, Clause("mostly", (genre,)))), NOBODY, 10)
        assert not has[avoiding].any()
        assert set(before[0][~has[before[0]]].tolist()) <= set(avoiding.tolist())
        assert has[mostly].sum() >= 7
        again = READER.recommend(parse(render(plain, READER.tables), READER.tables), NOBODY, 10)
        np.testing.assert_array_equal(before[0], again[0])
        np.testing.assert_array_equal(before[1], again[1])


def test_an_empty_text_lists_what_is_popular() -> None:
    items, _ = READER.recommend(TasteText(), NOBODY, 5)
    assert items.tolist() == MODEL.fitted_on.tie_order.numpy()[:5].tolist()


def test_new_events_count_as_ten_do() -> None:
    one, other = np.asarray([1.0, 0, 0, 0], np.float32), np.asarray([0, 1.0, 0, 0], np.float32)
    assert blended(one, other, 0) is one
    assert blended(one, other, 9).argmax() == 0
    assert blended(one, other, 11).argmax() == 1
