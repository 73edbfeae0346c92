from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from recsys.data.queries import Queries
from recsys.errors import CapabilityError
from recsys.explanations import explain, explain_items, text
from recsys.explanations.records import LOW_CERTAINTY
from tests.explanations.explanation_models import (
    CountPopularity,
    LearnedTastes,
    LinearItems,
    TastesFromHistory,
    movie_log,
)


def linear() -> LinearItems:
    """Item 7 is made of 0 (weight 3), 1 (weight 1) and 2 (weight -2); item 6 of nothing but 2."""
    matrix = np.zeros((8, 8), np.float32)
    matrix[[0, 1, 2], 7] = [3.0, 1.0, -2.0]
    matrix[2, 6] = 1.0
    return LinearItems(matrix, bias=5.0).fit(movie_log())


def test_evidence_of_a_linear_model_is_its_weights() -> None:
    model = linear()
    (answers,) = explain(model, Queries.from_history([[2, 1, 0]]), 2)
    best = answers[0]
    assert (best.item_id, best.title, best.score) == (7, "Comedy 7", 7.0)
    assert [(fact.item_id, fact.contribution, fact.share) for fact in best.evidence] == [(0, 3.0, 0.75), (1, 1.0, 0.25)]
    assert best.evidence_kind == "contribution"
    assert best.personas == ()
    # Without item 0 it falls below what is listed instead, without item 1 it does not.
    assert (best.reason_kind, best.without, best.certainty, best.certainty_word) == ("because", (0,), 0.75, "strong")
    assert best.reason == "Above all because you chose Crime 0: without that, it would not be here."
    assert [fact.age for fact in best.evidence] == [1, 2]


def test_certainty_is_smaller_with_less_evidence() -> None:
    ((best, *_),) = explain(linear(), Queries.from_history([[0, 1]]), 2, evidence=1)
    assert [fact.item_id for fact in best.evidence] == [0]
    assert best.certainty == pytest.approx(0.75)


def test_evidence_with_all_events_shown_sums_to_the_score_less_the_bias() -> None:
    ((best, *_),) = explain(linear(), Queries.from_history([[0, 1]]), 1, evidence=8)
    assert sum(fact.contribution for fact in best.evidence) == pytest.approx(best.score - 5.0)


def test_a_repeated_item_is_named_once() -> None:
    ((best, *_),) = explain(linear(), Queries.from_history([[0, 1, 0]]), 1)
    assert [fact.item_id for fact in best.evidence] == [0, 1]
    assert best.evidence[0].age == 1


def test_event_weights_reach_the_evidence() -> None:
    queries = Queries.from_history([[0, 1]]).with_weights(np.array([0.1, 1.0], np.float32))
    ((best, *_),) = explain(linear(), queries, 1)
    assert [fact.item_id for fact in best.evidence] == [1, 0]


def test_items_that_no_few_events_carry_are_told_so() -> None:
    matrix = np.zeros((8, 8), np.float32)
    matrix[:7, 7] = 1.0  # seven events that speak for one item alike
    queries = Queries.from_history([[0, 1, 2, 3, 4, 5, 6]])
    model = LinearItems(matrix).fit(movie_log())
    ((one,),) = explain(model, queries, 1, evidence=1)
    ((two,),) = explain(model, queries, 1, evidence=2)
    assert [one.certainty, two.certainty] == pytest.approx([1 / 7, 2 / 7])
    assert (one.low_certainty, two.low_certainty) == (True, False)
    assert (one.reason_kind, one.without, one.certainty_word) == ("taste", (), None)
    assert one.reason == "Crime 0, Crime 1 and 5 more titles of your history speak for it."
    assert 1 / 7 < LOW_CERTAINTY < 2 / 7
    assert one.to_dict()["low_certainty"] is True


def test_an_event_without_a_rating_is_not_said_to_be_rated() -> None:
    values = np.array([4.0, 4.0, np.nan], np.float32)
    queries = replace(Queries.from_history([[2, 1, 0]]), values=values, kinds=None)
    ((best, *_),) = explain(linear(), queries, 2)
    assert {fact.item_id: fact.rating for fact in best.evidence} == {0: None, 1: 4.0}
    assert best.reason.startswith("Above all because you chose Crime 0:")


def test_what_was_rated_below_the_own_mean_is_no_reason() -> None:
    queries = replace(Queries.from_history([[0, 1]]), values=np.array([1.0, 4.0], np.float32), kinds=None)
    ((best, *_),) = explain(linear(), queries, 2)
    assert [fact.item_id for fact in best.evidence] == [1]
    assert 0 not in best.without
    assert "Crime 0" not in best.reason


def test_unsearched_items_are_told_what_speaks_for_them() -> None:
    ((best, *_),) = explain(linear(), Queries.from_history([[0, 1]]), 2, searched=0)
    assert (best.reason_kind, best.without) == ("taste", ())
    assert best.reason == "Crime 0 and Crime 1, of your history, speak for it."


def test_sentences_for_cold_users_and_unsupported_items() -> None:
    cold, unsupported, unknown = explain(linear(), Queries.from_history([[], [5], [-1, -1]]), 1)
    assert cold[0].reason == text.COLD
    assert unsupported[0].reason == text.UNSUPPORTED
    assert unknown[0].reason == text.UNKNOWN_ITEMS
    for answer in (cold[0], unsupported[0], unknown[0]):
        assert (answer.evidence, answer.evidence_kind, answer.certainty, answer.low_certainty) == (
            (),
            "none",
            None,
            False,
        )


def test_unknown_items_of_a_history_are_no_evidence() -> None:
    ((best, *_),) = explain(linear(), Queries.from_history([[-1, 0]]), 1)
    assert [fact.item_id for fact in best.evidence] == [0]


def test_ratings_and_persona_appear_in_the_sentence() -> None:
    log = movie_log()
    model = TastesFromHistory().fit(log)
    ((best, *_),) = explain(model, Queries.from_interactions(log, np.array([0])), 3)
    # User 0 rated crime 0, 1, 2 and comedy 4; crime 3 is the closest to what is left.
    assert best.title == "Crime 3"
    assert best.reason == "Crime 1 and Crime 0, of your history, speak for it."
    assert [persona.persona for persona in best.personas] == [0, 1]
    assert sum(persona.weight for persona in best.personas) == pytest.approx(1.0)
    assert [fact.rating for fact in best.evidence] == [5.0, 4.0]  # crime 2, rated 3, is below the own mean of 3.25


def test_attentive_evidence_sums_to_the_score_given_the_attention() -> None:
    log = movie_log()
    model = TastesFromHistory().fit(log)
    for answers in explain(model, Queries.from_interactions(log), 8, evidence=8):
        assert len(answers) == 4
        for answer in answers:
            assert sum(fact.contribution for fact in answer.evidence) <= answer.score + 1e-5
            assert all(fact.rating >= 3.25 for fact in answer.evidence if fact.rating is not None)


def test_learned_users_get_similarity() -> None:
    log = movie_log()
    model = LearnedTastes().fit(log)
    ((best, *_),) = explain(
        model, replace(Queries.from_interactions(log, np.array([0])), values=np.ones(4, np.float32)), 1
    )
    assert best.title == "Comedy 7"
    assert (best.evidence_kind, best.reason_kind, best.certainty) == ("similarity", "similar", None)
    assert best.evidence[0].title == "Comedy 4"
    assert best.reason.startswith("It fits your taste for comedy and resembles Comedy 4")
    assert best.reason.endswith(", which you chose.")


def test_what_was_rated_below_the_own_mean_resembles_nothing() -> None:
    log = movie_log()
    queries = Queries.from_interactions(log, np.array([0]))
    ((best, *_),) = explain(LearnedTastes().fit(log), queries, 1)
    assert best.title == "Comedy 7"  # user 0 rated comedy 4 with 1
    assert "Comedy 4" not in [fact.title for fact in best.evidence]


def test_learned_users_without_history_have_personas_but_no_evidence() -> None:
    model = LearnedTastes().fit(movie_log())
    ((best, *_),) = explain(model, Queries.from_history([[]], users=[0]), 1)
    assert best.evidence_kind == "none"
    assert [persona.name for persona in best.personas] == ["persona 0", "persona 1"]
    assert best.reason == text.unnamed()


def test_unknown_users_of_learned_models_are_refused() -> None:
    with pytest.raises(CapabilityError, match="LearnedTastes"):
        explain(LearnedTastes().fit(movie_log()), Queries.from_history([[0]]), 1)


def test_sentence_for_popularity() -> None:
    ((best, *_),) = explain(CountPopularity().fit(movie_log()), Queries.from_history([[3]]), 1)
    assert (best.item_id, best.reason, best.evidence_kind, best.personas) == (
        0,
        text.FOR_EVERYBODY,
        "none",
        (),
    )
    assert best.reason_kind == "popular"


def test_a_log_without_clock_has_no_ages() -> None:
    matrix = np.ones((8, 8), np.float32)
    model = LinearItems(matrix).fit(replace(movie_log(), clock="none"))
    ((best, *_),) = explain(model, Queries.from_history([[0]]), 1)
    assert "age" not in best.evidence[0].to_dict()


def test_explanations_become_json_with_the_documented_keys() -> None:
    log = movie_log()
    lists = explain(TastesFromHistory().fit(log), Queries.from_interactions(log), 2)
    plain = json.loads(json.dumps([[answer.to_dict() for answer in answers] for answers in lists]))
    first = plain[0][0]
    keys = {"item_id", "title", "score", "personas", "evidence", "evidence_kind"}
    keys |= {"certainty", "low_certainty", "reason"}
    assert set(first) == keys | {"reason_kind", "genres"}
    assert set(first["personas"][0]) == {"persona", "weight", "name"}
    assert set(first["evidence"][0]) == {"item_id", "title", "contribution", "share", "rating", "age"}


def test_short_lists_and_batches() -> None:
    log = movie_log()
    model = TastesFromHistory().fit(log)
    many = Queries.from_history([[0, 1, 4]] * 130 + [list(range(8))])
    lists = explain(model, many, 3, searched=1)
    assert lists[0] == lists[129]
    assert lists[130] == []
    assert explain_items(model, many, model.recommend(many, 3), searched=1) == lists


@pytest.mark.parametrize("rating", [0.5, 1.1, 5.0])
def test_ratings_that_are_all_alike_are_told_as_ratings_and_not_as_likes(rating: float) -> None:
    """The mean of many equal numbers is not exactly that number."""
    log = movie_log()
    queries = Queries.from_interactions(log, np.array([0]))
    alike = replace(queries, values=np.full(len(queries.values), rating, np.float32), kinds=None)
    (answers,) = explain(TastesFromHistory().fit(log), alike, 3)
    assert any("you rated" in one.reason for one in answers) or all(one.reason_kind == "taste" for one in answers)
    assert not any("your average" in one.reason or "liked" in one.reason for one in answers)
