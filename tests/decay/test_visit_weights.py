"""What the visit that is going on, the last one and a long absence do to weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.queries import Queries
from recsys.decay import PopulationDecay, TemporalDecay
from recsys.decay.visits import VisitWeights, before_visit, going_on, past_events, visits_since
from recsys.errors import ConfigError
from recsys.types import DAY, HOUR
from tests.decay.random_queries import NO_VISITS


def _of(*rows: list[int], now: list[int]) -> Queries:
    return Queries.from_history([list(range(len(row))) for row in rows], times=list(rows), now=now)


def _part(weights: npt.NDArray[np.floating], events: slice) -> float:
    return float(weights[events].sum() / weights.sum())


def test_visits_since_counts_pauses() -> None:
    queries = _of([0, DAY, DAY + HOUR, 3 * DAY], [], [5], now=[3 * DAY + HOUR, 9, 2 * DAY])
    assert visits_since(queries).tolist() == [2, 1, 1, 0, 1]
    past = before_visit(queries, going_on(queries))
    assert past.history.lengths.tolist() == [3, 0, 1]
    assert past.now.tolist() == [3 * DAY, 9, 2 * DAY]


@given(gaps=st.lists(st.sampled_from([0, HOUR, 11 * HOUR, 12 * HOUR, DAY]), max_size=12), wait=st.integers(0, 2 * DAY))
def test_past_events_counts_what_is_not_going_on(gaps: list[int], wait: int) -> None:
    times = np.cumsum(gaps).tolist()
    queries = _of(times, now=[(times[-1] if times else 0) + wait])
    assert past_events(queries) == int((~going_on(queries)).sum())


def test_the_past_is_weighed_as_when_the_visit_began() -> None:
    rule = TemporalDecay().for_log(1, "seconds")
    old = [0, 5 * DAY, 9 * DAY, 300 * DAY]
    began = 301 * DAY
    before = rule.weights(_of(old, now=[began])).astype(float)
    for number, hours in ((1, 0), (2, 3), (5, 9)):
        visit = [began + place for place in range(number)]
        during = rule.weights(_of(old + visit, now=[began + hours * HOUR + number])).astype(float)
        np.testing.assert_allclose(during[:4] / during[:4].sum(), before / before.sum(), rtol=1e-5)
        share = 0.8 * number**2 / (number**2 + 36)
        assert _part(during, slice(4, None)) == pytest.approx(share, rel=1e-5)
        assert rule.recent(_of(old + visit, now=[began + hours * HOUR + number]))[4:].all()


@pytest.mark.parametrize(
    ("past", "number", "share"), [(144, 6, 0.4), (200, 6, 0.8 * 36 / 86), (576, 12, 0.4), (576, 6, 0.16)]
)
def test_after_a_long_history_a_visit_needs_more_events(past: int, number: int, share: float) -> None:
    times = [DAY * place for place in range(past)] + [DAY * past + place for place in range(number)]
    queries = _of(times, now=[times[-1]])
    weights = TemporalDecay().for_log(1, "seconds").weights(queries).astype(float)
    assert _part(weights, slice(past, None)) == pytest.approx(share, rel=1e-3)
    alone = VisitWeights().with_one_visit(np.full(past, 1 / past), number).astype(float)
    assert _part(alone, slice(past, None)) == pytest.approx(share, rel=1e-3)


def test_a_first_visit_counts_in_full() -> None:
    rule = TemporalDecay().for_log(1, "seconds")
    assert rule.weights(_of([0, 1, 2, 3], now=[9])).tolist() == [1.0] * 4
    # And so does one that was the only one.
    assert rule.weights(_of([0, 0, 0, 0], now=[5 * DAY])).tolist() == [1.0] * 4


def test_a_guest_has_little_of_the_next_list_until_a_second_visit_confirms_it() -> None:
    rule, free = (
        TemporalDecay(changepoints=False, caution=0.0, visits=VisitWeights(last=last, absence_days=0.0)).for_log(
            1, "seconds"
        )
        for last in (0.15, 1.0)
    )
    old = [day * DAY for day in range(80)]
    guest = [81 * DAY] * 10
    next_day = _of(old + guest, now=[82 * DAY])
    held, all_of_it = (_part(one.weights(next_day), slice(80, None)) for one in (rule, free))
    assert held == pytest.approx(0.15, rel=1e-5)
    assert all_of_it > 0.3
    again = _of(old + guest + [83 * DAY] * 10, now=[84 * DAY])
    assert _part(rule.weights(again), slice(90, None)) == pytest.approx(0.15, rel=1e-5)
    ratios = [one.weights(again)[80:90].sum() / one.weights(again)[:80].sum() for one in (rule, free)]
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-4)  # nothing is held back of the visit before


def test_a_visit_of_one_event_is_not_held_back() -> None:
    held, free = (
        TemporalDecay(visits=VisitWeights(last=last, absence_days=0.0)).for_log(1, "seconds") for last in (0.0, 1.0)
    )
    queries = _of([day * DAY for day in range(8)], now=[9 * DAY])
    np.testing.assert_allclose(held.weights(queries), free.weights(queries), rtol=1e-6)


def test_the_last_visit_never_counts_less_than_if_all_events_did_alike() -> None:
    weights = VisitWeights(0.8, 0.15, 0.0)
    queries = _of([0, DAY] + [3 * DAY] * 18, now=[4 * DAY])
    assert weights.of_past(queries, np.ones(20, np.float32))[2:].sum() == pytest.approx(0.9)
    assert weights.of_past(queries, 2.0 ** np.arange(20, dtype=np.float32))[2:].sum() == pytest.approx(0.9)


def test_after_a_long_absence_all_events_count_alike() -> None:
    rule = TemporalDecay(changepoints=False, visits=VisitWeights(last=1.0)).for_log(1, "seconds")
    times = [day * DAY for day in range(30)]
    spread = []
    for days in (1, 30, 90, 365, 3650):
        weights = rule.weights(_of(times, now=[(29 + days) * DAY]))
        spread.append(float(weights.min()))
    assert spread == sorted(spread)
    assert spread[-1] > 0.99
    half = VisitWeights(0.0, 1.0, 90.0).of_past(_of([0, DAY], now=[91 * DAY]), np.asarray([0.0, 1.0], np.float32))
    np.testing.assert_allclose(half, [0.25, 0.75])


@given(
    rows=st.lists(st.lists(st.integers(0, 60), max_size=9).map(sorted), max_size=5),
    waits=st.lists(st.integers(0, 900), min_size=5, max_size=5),
    by=st.integers(1, 10**6),
)
def test_weights_are_finite_within_bounds_and_the_same_at_any_time(
    rows: list[list[int]], waits: list[int], by: int
) -> None:
    times = [[hour * 4 * HOUR for hour in row] for row in rows]
    now = [(row[-1] if row else 0) + wait * HOUR for row, wait in zip(times, waits, strict=False)]
    queries = _of(*times, now=now)
    for rule in (TemporalDecay().for_log(0, "seconds"), PopulationDecay().for_log(0, "seconds")):
        weights = rule.weights(queries)
        assert weights.dtype == np.float32
        assert ((weights >= 0) & (weights <= 1)).all()
        largest = np.zeros(len(queries))
        np.maximum.at(largest, queries.history.rows, weights)
        np.testing.assert_allclose(largest, queries.history.lengths > 0, rtol=1e-6)
        later = replace(queries, times=queries.times + by, now=queries.now + by)
        assert rule.weights(later).tolist() == weights.tolist()
        # Each history is weighed by itself.
        alone = [rule.weights(queries.take(np.asarray([row]))) for row in range(len(queries))]
        np.testing.assert_allclose(np.concatenate([*alone, np.zeros(0)]), weights, rtol=1e-5, atol=1e-7)


def test_periods_and_positions_know_no_visits() -> None:
    for clock in ("period", "order"):
        rules = (rule.for_log(1, clock) for rule in (TemporalDecay(), TemporalDecay(visits=NO_VISITS)))
        queries = _of([0, 1, 2, 2, 2], now=[3])
        one, other = (rule.weights(queries).tolist() for rule in rules)
        assert one == other


@pytest.mark.parametrize("settings", [{"last": 1.5}, {"absence_days": -1.0}, {"share": 2.0}])
def test_invalid_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        VisitWeights(**settings)
