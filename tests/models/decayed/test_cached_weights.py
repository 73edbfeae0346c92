"""Cached weights against reading the history again at every moment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.interactions import Interactions
from recsys.data.queries import Queries
from recsys.decay import GlobalHalfLife, PopulationDecay, TemporalDecay
from recsys.decay.base import Forgetting
from recsys.explanations import UserFacts
from recsys.models import EASE, Decayed, PersonaEASE, PersonaPrior

_DAY = 86_400


def _log(clock: str = "seconds") -> Interactions:
    source = np.random.default_rng(0)
    users, items = source.integers(0, 40, 1500), source.integers(0, 30, 1500)
    times = np.sort(source.integers(0, 300 * _DAY, 1500)) if clock == "seconds" else np.arange(1500) // 50
    return Interactions.from_columns(users, items, times=times, clock=clock)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def models() -> dict[str, Decayed]:
    linear = PersonaEASE(personas=2, factors=4)
    each: dict[str, Forgetting] = {
        "changes": TemporalDecay(changepoints=True),
        "no changes": TemporalDecay(changepoints=False),
        "events only": TemporalDecay(days=()),
        "time only": TemporalDecay(events=()),
        "everybody": PopulationDecay(),
    }
    return {name: Decayed(linear, rule, calibration=0.3).fit(_log()) for name, rule in each.items()}


@pytest.mark.parametrize("name", ["changes", "no changes", "events only", "time only", "everybody"])
@settings(max_examples=40, deadline=None)
@given(
    user=st.integers(-1, 39),
    gaps=st.lists(st.sampled_from([0, 1, 3600, _DAY, 64 * _DAY, 256 * _DAY]), max_size=40),
    waits=st.lists(st.sampled_from([0, 1, _DAY, 4 * _DAY, 256 * _DAY, 10_000 * _DAY]), min_size=1, max_size=4),
    weighted=st.booleans(),
)
def test_cached_weights_equal_fresh_weights_to_the_last_bit(
    models: dict[str, Decayed], name: str, user: int, gaps: list[int], waits: list[int], weighted: bool
) -> None:
    model, times = models[name], np.cumsum(gaps).astype(np.int64)
    items = [number % 32 - 1 for number in range(len(gaps))]
    asked = Queries.from_history([items], users=[user], times=[times])
    cached = model.cached_weights(asked)
    assert cached is not None
    now = int(times[-1]) if len(times) else 0
    for wait in waits:
        now += wait
        question = replace(asked, now=np.asarray([now], np.int64))
        if weighted:
            question = question.with_weights(np.linspace(0, 1, len(items), dtype=np.float32))
        expected, read = model.read(question), cached.read(question)
        assert read.model is expected.model
        assert expected.queries.weights is not None
        assert read.queries.weights is not None
        assert read.queries.weights.tobytes() == expected.queries.weights.tobytes()
        assert expected.recent is not None
        assert read.recent is not None
        assert read.recent.tolist() == expected.recent.tolist()


@pytest.mark.parametrize("name", ["changes", "everybody"])
@settings(max_examples=20, deadline=None)
@given(
    gaps=st.lists(st.sampled_from([0, 60, 3600, 13 * 3600, 40 * _DAY]), min_size=1, max_size=25),
    user=st.integers(-1, 39),
)
def test_a_cache_that_grows_with_the_history_reads_what_a_new_one_reads(
    models: dict[str, Decayed], name: str, gaps: list[int], user: int
) -> None:
    model, times = models[name], np.cumsum(gaps)
    former = None
    for count in range(1, len(gaps) + 1):
        asked = Queries.from_history([np.arange(count) % 30], users=[user], times=[times[:count]])
        asked = asked.at(times[count - 1 : count] + 1)
        former = model.cached_weights(asked, former)
        assert former is not None
        weights = former.read(asked).queries.weights
        assert weights is not None
        expected = model.read(asked).queries.weights
        assert expected is not None
        assert weights.tobytes() == expected.tobytes()


def test_a_grown_cache_forgets_what_was_read_before_the_rule_learned() -> None:
    model = Decayed(EASE(), TemporalDecay(), calibration=0.3).fit(_log())
    begin = Queries.from_history([[1, 2, 3, 4]], users=[3], times=[[0, _DAY, 2 * _DAY, 3 * _DAY]], now=[5 * _DAY])
    former = model.cached_weights(begin)
    assert former is not None
    former.read(begin)
    during = Queries.from_history([[1, 2, 3, 4, 9]], users=[3], times=[[0, _DAY, 2 * _DAY, 3 * _DAY, 5 * _DAY]])
    during = during.at(begin.now + 1)
    taken = model.cached_weights(during, former)
    assert taken is not None
    assert taken.pasts[4] is former.pasts[4]
    model.observe(begin, np.asarray([9], np.int32))
    anew = model.cached_weights(during, former)
    assert anew is not None
    assert anew.pasts[4] is not former.pasts[4]


def test_no_cache_unless_the_rule_alone_gives_the_weights() -> None:
    log = _log()
    others = [
        Decayed(EASE(), GlobalHalfLife(3.0)),
        Decayed(PersonaEASE(personas=2, factors=4), persona_prior=PersonaPrior(strength=0.5)),
        Decayed(PersonaEASE(personas=2, factors=4), per_persona=True),
    ]
    one = Queries.from_history([[1, 2]], users=[0])
    for model in others:
        assert model.fit(log).cached_weights(one) is None
    learned = Decayed(EASE()).fit(log)
    assert learned.cached_weights(one) is not None
    assert learned.cached_weights(Queries.from_history([[1], [2]], users=[0, 1])) is None


def test_extended_facts_equal_new_ones(models: dict[str, Decayed]) -> None:
    model, source = models["changes"], np.random.default_rng(4)
    items: list[int] = []
    former: UserFacts | None = None
    for _ in range(40):
        items = [*items, int(source.integers(-1, 30))][-25:]
        asked = Queries.from_history([items], users=[3])
        facts, anew = UserFacts.of(model, asked, former), UserFacts.of(model, asked)
        assert facts.personas == anew.personas
        assert facts.sums is not None
        assert anew.sums is not None
        assert facts.sums.sums.tolist() == anew.sums.sums.tolist()
        assert facts.history.items.tolist() == anew.history.items.tolist()
        former = facts
    assert UserFacts.of(EASE().fit(_log()), Queries.from_history([[1]])).sums is None
