"""Explanations of a decayed model: recent and long-term evidence, half-lives, activity of personas."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from recsys.data.interactions import Clock, Interactions
from recsys.data.queries import Queries
from recsys.data.vocabulary import UNKNOWN
from recsys.decay import GlobalHalfLife
from recsys.decay.ages import AgeClock
from recsys.decay.temporal import TemporalDecay
from recsys.errors import CapabilityError
from recsys.explanations import describe_personas, explain
from recsys.explanations.activity import persona_activity
from recsys.explanations.half_life import user_half_lives
from recsys.models import EASE, Decayed, PersonaEASE
from recsys.models.base import Recommender
from recsys.types import Mask
from recsys.worlds.blocks import block_log
from tests.explanations.explanation_models import LearnedTastes, LinearItems, TastesFromHistory, movie_log

DAY = 86_400


def linear() -> LinearItems:
    """Item 7 is made of 0 (weight 3) and 1 (weight 1)."""
    matrix = np.zeros((8, 8), np.float32)
    matrix[[0, 1], 7] = [3.0, 1.0]
    return LinearItems(matrix)


def recent(model: Decayed, queries: Queries) -> Mask:
    mask = model.read(queries).recent
    assert mask is not None
    return mask


def believing(model: Recommender, log: Interactions, **belief: float) -> Decayed:
    """Return a fitted model in which user 0 has this belief over half-lives, named as in `HalfLives.names`."""
    prior = TemporalDecay(events=(1.0, 4.0), days=(1.0,), floors=(0.0,), paired=False, caution=0.0)
    decayed = Decayed(model, prior, calibration=0.0).fit(log)
    rule = decayed.rule
    assert isinstance(rule, TemporalDecay)
    names = [name.replace(" ", "_") for name in rule.half_lives.names]
    state = rule.state()
    # Nothing is known of the population, so that evidence log(p) / eta is belief p.
    shares = np.array([belief.get(f"in_{name}", 0.0) for name in names])
    state["evidence"][0] = np.log(np.maximum(shares, 1e-12)) / rule.learning_rate
    state["seen"][0] = 9
    rule.restore(state)
    return decayed


def test_evidence_is_recent_or_long_term() -> None:
    model = Decayed(linear(), GlobalHalfLife(1.0)).fit(movie_log())
    ((best, *_),) = explain(model, Queries.from_history([[0, 5, 4, 1]]), 1)
    assert [(fact.item_id, fact.recent) for fact in best.evidence] == [(1, True), (0, False)]
    assert best.recent == pytest.approx(1 / (1 + 3 * 2**-3))
    assert best.reason == "Crime 1 and Crime 0, of your history, speak for it."
    record = json.loads(json.dumps(best.to_dict()))
    assert record["recent"] + record["long_term"] == pytest.approx(1)
    assert [fact["recent"] for fact in record["evidence"]] == [True, False]


def test_recent_share_counts_the_whole_history() -> None:
    model = Decayed(linear(), GlobalHalfLife(1.0, floor=0.5)).fit(movie_log())
    ((best, *_),) = explain(model, Queries.from_history([[0, 5, 4, 1]]), 1, evidence=1)
    assert [fact.item_id for fact in best.evidence] == [0]
    assert best.recent == pytest.approx(1 / (1 + 3 * (0.5 + 0.5 * 2**-3)))


def test_an_event_as_old_as_the_half_life_is_recent() -> None:
    model = Decayed(linear(), GlobalHalfLife(3.0, floor=0.2)).fit(movie_log())
    queries = Queries.from_history([[3, 0, 5, 4, 1], []])
    assert recent(model, queries).tolist() == [False, True, True, True, True]
    by_time = Decayed(linear(), GlobalHalfLife(3.0, clock="time")).fit(movie_log())
    assert recent(by_time, queries).tolist() == [False, False, True, True, True]  # now is one unit after the last


def test_recency_under_a_belief_follows_the_odds() -> None:
    log = movie_log()
    queries = Queries.from_history([[0, 1, 2, 3]], users=[0], times=[[0, 1, 2, 3]], now=[2 * DAY])
    quick = believing(linear(), log, in_1_events=0.5, in_4_events=0.3, in_never=0.2)
    assert recent(quick, queries).tolist() == [False, False, True, True]
    slow = believing(linear(), log, in_1_events=0.1, in_4_events=0.3, in_never=0.6)
    assert recent(slow, queries).all()
    # Two days ago is long ago for one who counts days, whatever happened since.
    assert not recent(believing(linear(), log, in_1_days=1.0), queries).any()


def test_no_recency_without_decay_or_order() -> None:
    ((plain, *_),) = explain(linear().fit(movie_log()), Queries.from_history([[0, 1]]), 1)
    unordered = Decayed(linear(), GlobalHalfLife(2.0)).fit(replace(movie_log(), clock="none"))
    ((none, *_),) = explain(unordered, Queries.from_history([[0, 1]]), 1)
    for answer in (plain, none):
        assert answer.recent is None
        assert [fact.recent for fact in answer.evidence] == [None, None]
        assert "recent" not in answer.to_dict()
        assert "recent" not in answer.evidence[0].to_dict()
        assert answer.reason == "Crime 0 and Crime 1, of your history, speak for it."
    cold = explain(Decayed(linear(), GlobalHalfLife(2.0)).fit(movie_log()), Queries.from_history([[]]), 1)[0][0]
    assert cold.recent is None


def test_half_lives_have_intervals() -> None:
    model = believing(linear(), movie_log(), in_1_events=0.15, in_4_events=0.6, in_1_days=0.05, in_never=0.2)
    half_life = user_half_lives(model, Queries.from_history([[0], [1]], users=[0, UNKNOWN]))
    assert half_life is not None
    known, stranger = half_life
    events, days = known.clocks
    assert (events.unit, days.unit) == ("events", "days")
    assert (events.median, events.low, events.high) == (4.0, 1.0, None)
    assert [events.probability, days.probability, known.never] == pytest.approx([0.75, 0.05, 0.2])
    assert (days.low, days.median) == (1.0, None)
    assert (known.learned_from, stranger.learned_from) == (9, 0)
    record = json.loads(json.dumps(known.to_dict()))
    assert record["kind"] == "own"
    assert record["events"]["high"] is None


def test_half_life_includes_how_long_the_present_taste_has_lasted() -> None:
    """Four fifths of the belief in three events, the rest in all of the past."""
    model = believing(linear(), movie_log(), in_4_events=1.0)
    rule = model.rule
    assert isinstance(rule, TemporalDecay)
    assert rule.changepoints is not None
    state = rule.changepoints.state()
    three = int(np.flatnonzero(rule.changepoints.lengths == 3)[0])
    state["belief"][0] = 0
    state["belief"][0, [three, -1]] = 4 / 5, 1 / 5
    state["until"][0] = 9
    state["parameters"][0] = 1e-9  # nothing changes at the question itself
    rule.changepoints.restore(state)
    queries = Queries.from_history([[0, 1, 2, 3, 4, 5, 0, 1, 2]], users=[0], times=[np.arange(9) * DAY], now=[9 * DAY])
    (half_life,) = user_half_lives(model, queries) or []
    assert half_life.lasted is not None
    assert (half_life.lasted.median, half_life.lasted.low, half_life.lasted.high) == (3.0, 3.0, None)
    assert half_life.lasted.probability == pytest.approx(4 / 5, abs=0.02)
    assert half_life.to_dict()["lasted"]["high"] is None
    assert recent(model, queries).tolist() == [False] * 6 + [True] * 3  # by the half-life alone it would be five
    plain = Decayed(linear(), TemporalDecay(changepoints=False), calibration=0.0).fit(movie_log())
    (without,) = user_half_lives(plain, queries) or []
    assert "lasted" not in without.to_dict()


@pytest.mark.parametrize(
    ("clock", "of_log", "unit", "value"),
    [("events", "seconds", "events", 3.0), ("time", "seconds", "days", 3.0 / DAY), ("time", "period", "periods", 3.0)],
)
def test_units_of_a_shared_half_life(clock: AgeClock, of_log: Clock, unit: str, value: float) -> None:
    log = replace(movie_log(), clock=of_log)
    model = Decayed(linear(), GlobalHalfLife(3.0, clock=clock, floor=0.1)).fit(log)
    record = (user_half_lives(model, Queries.from_history([[0]])) or [])[0].to_dict()
    assert record["kind"] == "shared"
    assert record[unit]["median"] == value
    assert (record["never"], record["learned_from"]) == (0.1, None)
    assert user_half_lives(linear().fit(log), Queries.from_history([[0]])) is None


def test_activity_follows_a_drifting_taste() -> None:
    log = block_log()
    queries = Queries.from_history([log.items.numbers([f"{block}-{n}" for block in (0, 1) for n in range(5)])])
    faded = Decayed(PersonaEASE(2, factors=4, routing_sharpness=20.0), GlobalHalfLife(1.0)).fit(log)
    (activity,) = persona_activity(faded, queries)
    assert activity.times.tolist() == list(range(11))  # ten events, and the question
    np.testing.assert_allclose(activity.values.sum(1), 1.0)
    np.testing.assert_allclose(activity.long_term, 0.5, atol=0.01)
    first = int(activity.values[0].argmax())
    assert activity.values[4, first] > 0.95
    assert activity.values[9, first] == pytest.approx(
        sum(2.0**-n for n in range(5, 10)) / sum(2.0**-n for n in range(10))
    )
    np.testing.assert_array_equal(activity.now, activity.values[-1])
    (plain,) = persona_activity(faded.scoring_model, queries)
    np.testing.assert_allclose(plain.now, plain.long_term)
    np.testing.assert_allclose(plain.values[:5], activity.values[:5], atol=0.02)


def test_decay_does_not_change_descriptions_of_personas() -> None:
    log = block_log()
    queries = Queries.from_history([log.items.numbers([f"{block}-{n}" for block in (0, 1) for n in range(5)])])
    faded = Decayed(PersonaEASE(2, factors=4, temperature=1e4), GlobalHalfLife(0.2)).fit(log)
    plain, now = (describe_personas(model, queries)[0] for model in (faded.scoring_model, faded))
    assert [(persona.name, persona.share) for persona in now] == [(persona.name, persona.share) for persona in plain]
    assert [persona.recommended for persona in now] != [persona.recommended for persona in plain]


def test_activity_of_every_kind_of_personas() -> None:
    log = movie_log()
    queries = Queries.from_history([[0, 1, 4], []], users=[0, 1])
    for model in (TastesFromHistory().fit(log), LearnedTastes().fit(log)):
        some, none = persona_activity(model, queries)
        shares = [persona.share for persona in describe_personas(model, queries)[0]]
        np.testing.assert_allclose(some.now, shares, rtol=1e-6)
        np.testing.assert_allclose(none.values, [[0.5, 0.5]])
        assert none.times.tolist() == queries.now[1:].tolist()
    with pytest.raises(CapabilityError, match="no personas"):
        persona_activity(EASE(10.0).fit(log), queries)


def test_activity_of_a_long_history_is_sampled() -> None:
    log = movie_log()
    (activity,) = persona_activity(TastesFromHistory().fit(log), Queries.from_history([np.arange(700) % 8]))
    assert len(activity.times) <= 101
    assert (activity.times[0], activity.times[-1]) == (0, 700)
    assert (np.diff(activity.times) > 0).all()
