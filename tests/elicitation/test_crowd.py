"""What a crowd would have answered, from logs of every kind."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.interactions import Interactions
from recsys.elicitation import Answer, Crowd
from recsys.errors import ConfigError, DataError


def test_the_last_event_of_a_pair_counts_and_people_without_events_do_not() -> None:
    log = Interactions.from_columns([1, 1, 2, 3], [7, 7, 7, 9], [5, 2, 4, 1], [1, 2, 3, 4])
    crowd = Crowd.of(log.select(log.user_num != 2))
    assert (crowd.n_users, crowd.n_items) == (2, 2)
    assert crowd.known.toarray().tolist() == [[1, 0], [1, 0]]
    assert crowd.liked.toarray().tolist() == [[0, 0], [1, 0]]
    assert (crowd.liked_at, crowd.scale) == (4.0, (2.0, 4.0)) or crowd.scale == (2.0, 5.0)


def test_likes_and_dislikes_without_ratings() -> None:
    log = Interactions.from_columns([1, 1, 2], [7, 8, 7], kinds=["like", "dislike", "dislike"])
    crowd = Crowd.of(log)
    assert crowd.scale is None
    assert crowd.known.toarray().tolist() == [[1, 1], [1, 0]]
    assert crowd.liked.toarray().tolist() == [[1, 0], [0, 0]]


def test_of_a_log_of_uses_every_use_is_liked() -> None:
    crowd = Crowd.of(Interactions.from_columns([1, 2], [7, 8]))
    assert np.array_equal(crowd.known.toarray(), crowd.liked.toarray())


def test_a_log_without_events_is_refused() -> None:
    log = Interactions.from_columns([1], [7]).select(np.zeros(1, np.bool_))
    with pytest.raises(DataError, match="no events"):
        Crowd.of(log)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "rating"}, "the rating of an answer"),
        ({"kind": "like", "value": 3.0}, "with the value 3"),
        ({"kind": "prefer"}, "about two items"),
        ({"kind": "like", "other": 0}, "about one item"),
        ({"kind": "prefer", "other": 1}, "a pair of one item"),
        ({"kind": "liked"}, "did you mean 'like'"),
    ],
)
def test_answers_that_say_nothing_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        Answer(1, **arguments)  # type: ignore[arg-type]
