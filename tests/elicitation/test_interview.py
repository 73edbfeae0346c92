"""A whole interview: it is stateless, ends, and finds the camp."""

from __future__ import annotations

import pytest

from recsys.data.interactions import Interactions
from recsys.elicitation import Answer, Crowd, Interview
from recsys.elicitation.leanings import leanings
from recsys.errors import DataError
from tests.elicitation.crowds import crowd, two_camps


def test_ten_questions_find_the_camp() -> None:
    people = crowd()
    interview = Interview.of(people)
    answers: list[Answer] = []
    known = []
    while len(answers) < 8:
        found = interview.progress(answers, 4, 5)
        known.append(found.known)
        answers += [Answer(i, "like" if i >= 12 else "dislike") for i in found.questions]
    listed = interview.recommend(answers, 5).tolist()
    assert all(item >= 12 for item in listed)
    assert not set(listed) & {answer.item for answer in answers}
    assert known[0] == 0 < known[1]
    assert interview.progress(answers, 4, 5).items == tuple(listed)
    assert interview.questions[:4] == tuple(interview.next([], 4))


def test_it_ends_when_nothing_is_left_and_reads_no_more_than_200_answers() -> None:
    interview = Interview.of(crowd())
    everything = [Answer(item, "dont_know") for item in range(24)]
    found = interview.progress(everything)
    assert found.questions == found.items == ()
    with pytest.raises(DataError, match="at most 200"):
        interview.progress([Answer(0, "like")] * 201)


def test_leanings_name_the_genres_that_moved() -> None:
    from dataclasses import replace

    from recsys.data.items import ItemMetadata

    log = two_camps()
    genres = tuple(("Western",) if item < 12 else ("Noir",) for item in range(24))
    log = replace(log, metadata=ItemMetadata(log.metadata.titles, genres))
    interview = Interview.of(crowd())
    found = interview.progress([Answer(0, "like"), Answer(13, "dislike"), Answer(1, "like")])
    (up, down) = leanings(found.expected, found.before, log.metadata, [0, 1, 13])
    assert (up.genre, down.genre) == ("Western", "Noir")
    assert up.lift > 1 > down.lift
    assert leanings(found.before, found.before, log.metadata) == ()


def test_in_a_crowd_of_one_answers_tell_nothing() -> None:
    log = Interactions.from_columns([0] * 6, list(range(6)), [1, 2, 3, 4, 5, 5])
    interview = Interview.of(Crowd.of(log))
    assert interview.progress([], 4).known == 0
    assert interview.progress([Answer(0, "like")], 4).known == 0
