"""Closed loops: common random numbers, known answers, bad input."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
import pytest

from recsys.audits.arms import Alone, Arm, Content, ExpectedOracle, Popular, Random, Recommended, SlateOracle
from recsys.audits.beliefs import History, Mixture, Rate, Record
from recsys.audits.loop import Trace, run_loop
from recsys.audits.measures import measures, series
from recsys.audits.mitigations import MITIGATIONS, mitigation
from recsys.audits.owners import Found, Routed, Whole
from recsys.errors import CapabilityError, ConfigError
from recsys.models import EASE, MF, PersonaEASE
from recsys.types import Doubles
from recsys.worlds.loops import Camps, Chaney, LoopWorld, Moods, shaping

SMALL = Moods(users=60, items=120, organic=6)
EASE_15 = partial(EASE, regularization=15.0)
WORLDS: tuple[LoopWorld, ...] = (
    SMALL,
    replace(shaping(), users=60, items=120, organic=6),
    Chaney(users=60, items=120, search=120, organic=6),
    Camps(users=60, items=120, organic=6),
)


def run(world: LoopWorld, arm: Arm, rounds: int = 8, seed: int = 0) -> Trace:
    return run_loop(world, lambda people: arm.begin(people, world.slate), rounds, seed, arm=arm.name)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_no_system_is_the_same_bit_by_bit_and_everybody_begins_with_it(world: LoopWorld) -> None:
    one, other = run(world, Alone()), run(world, Alone())
    for name in ("chosen", "expected", "moment"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    served = run(world, Random())
    np.testing.assert_array_equal(served.chosen[: world.organic], one.chosen[: world.organic])
    assert (served.chosen[world.organic :] != one.chosen[world.organic :]).mean() > 0.5
    assert (run(world, Alone(), seed=1).chosen != one.chosen).mean() > 0.5


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_nobody_has_an_item_twice_and_everything_is_measured(world: LoopWorld) -> None:
    for arm in (Popular(), Content(), Recommended("ease", EASE_15, mitigation("seats+explore"))):
        trace = run(world, arm, rounds=4)
        assert all(len(set(items)) == len(items) for items in trace.chosen.T.tolist())
        found = measures(trace)
        assert np.isfinite([found["moment"], found["neighbour"], found["taste"]]).all()
        assert np.isfinite(found["starvation"]) == (trace.end.weights.shape[1] > 1)
        assert np.isfinite(found["across"]) == (world.name == "camps")
        assert len(series(trace)["moment"]) == 4


def test_tastes_move_only_where_choices_move_them() -> None:
    still, moved = (measures(run(world, Random()))["drift"] for world in WORLDS[:2])
    assert still == 0
    assert moved > 0.05


def test_users_are_compared_with_all_others() -> None:
    """In camps every second user is of the same camp: whoever is next is of the other."""
    trace = run(Camps(users=6, items=30), Random(), 4)
    taste, chosen = trace.end.taste, [set(column.tolist()) for column in trace.chosen.T]
    pairs = list(combinations(range(6), 2))
    apart = [np.abs(taste[one] - taste[other]).sum() for one, other in pairs]
    alike = [len(chosen[one] & chosen[other]) / len(chosen[one] | chosen[other]) for one, other in pairs]
    found = measures(trace)
    assert found["distance"] == pytest.approx(np.mean(apart))
    assert found["stranger"] == pytest.approx(np.mean(alike))


def test_oracles_order_as_their_knowledge_does() -> None:
    found = {arm.name: measures(run(Moods(), arm, 10)) for arm in (Random(), ExpectedOracle(), SlateOracle())}
    assert found["slate oracle"]["moment"] > found["oracle"]["moment"] + 0.3  # the mean taste starves the small ones
    assert found["oracle"]["expected"] > found["slate oracle"]["expected"] > found["random"]["expected"]
    assert found["oracle"]["starvation"] > 0.6 > 0.05 > found["slate oracle"]["starvation"]
    assert found["slate oracle"]["sycophancy"] < 0.1


def test_seats_of_random_lists_do_not_pass_for_care() -> None:
    found = measures(run(Moods(), Random(), 6))
    assert found["sycophancy"] > 0.5
    assert found["moment"] < measures(run(Moods(), Alone(), 6))["moment"]


@pytest.mark.parametrize("name", ["floor", "seats", "rate", "mixture"])
def test_with_one_persona_nothing_is_to_mitigate(name: str) -> None:
    world = Moods(shares=(1.0,), archetypes=1)
    base = measures(run(world, Recommended("ease", EASE_15), 6))
    whole = Recommended("ease", EASE_15, mitigation(name), partition=Whole())
    assert measures(run(world, whole, 6))["moment"] == pytest.approx(base["moment"], rel=0.005)


def _record(weights: Doubles, lists: int, rng: np.random.Generator, *, biased: bool) -> Record:
    """Return lists of ten places and choices of personas that take their own items where there are any."""
    personas = len(weights)
    catalogue = np.array([6.0, 3.0, 1.0]) / 10 if biased else np.full(personas, 1 / personas)
    shown = rng.multinomial(10, catalogue, size=(lists, 1))
    acting = rng.choice(personas, size=(lists, 1), p=weights)
    any_place = (rng.random((lists, 1))[:, :, None] * 10 >= np.cumsum(shown, 2)).sum(2)
    own = np.take_along_axis(shown, acting[:, :, None], 2)[:, :, 0] > 0
    return Record(np.zeros((1, personas), np.int64), shown, np.where(own, acting, any_place).astype(np.int32))


def test_rates_recover_how_often_personas_act_from_random_lists() -> None:
    weights = np.array([0.6, 0.28, 0.12])
    rng = np.random.default_rng(0)
    even = _record(weights, 20_000, rng, biased=False)
    assert np.abs(Rate().shares(even)[0] - weights).sum() <= 0.05
    biased = _record(weights, 20_000, rng, biased=True)
    assert np.abs(Rate().shares(biased)[0] - weights).sum() > 0.3  # clicks per place are no shares where places differ
    assert np.abs(Mixture(strength=8.0, floor=0.01).shares(biased)[0] - weights).sum() <= 0.05
    assert (
        np.abs(History().shares(biased)[0] - weights).sum()
        > np.abs(Mixture(strength=8.0, floor=0.01).shares(biased)[0] - weights).sum()
    )


def test_beliefs_without_evidence_are_the_organic_shares() -> None:
    record = Record(np.array([[6, 3, 0]]), np.zeros((0, 1, 3), np.int64), np.zeros((0, 1), np.int32))
    np.testing.assert_allclose(History().shares(record), [[2 / 3, 1 / 3, 0]])
    assert Mixture().shares(record)[0].argmax() == 0
    assert Mixture().shares(record).min() > 0


def test_a_round_without_a_list_says_nothing() -> None:
    organic, shown = np.array([[6, 3], [1, 1]]), np.array([[[4, 6], [0, 0]]])  # of the second user nothing was left
    found = Mixture().shares(Record(organic, shown, np.array([[1, -1]], np.int32)))
    np.testing.assert_array_equal(found[1], [0.5, 0.5])
    before = (3 * organic[0] / 9 + 1) / 5
    assert found[0, 1] > before[1]


def test_personas_of_the_models_can_own_the_seats() -> None:
    found = Recommended("ease", EASE_15, mitigation("seats"), every=4, partition=Found())
    routed = Recommended("pe", partial(PersonaEASE, factors=8), mitigation("seats"), every=4, partition=Routed())
    for arm in (found, routed):
        assert np.isfinite(measures(run(SMALL, arm, 4))["moment"])
    with pytest.raises(CapabilityError, match="routes no items"):
        run(SMALL, Recommended("ease", EASE_15, mitigation("seats"), partition=Routed()), 1)


def test_lists_end_where_nothing_is_left() -> None:
    world = Moods(users=20, items=16, archetypes=4, organic=3, search=16)
    trace = run(world, Random(), rounds=15)
    assert trace.short > 0
    assert (trace.chosen[-1] == -1).all()  # everything was chosen, and nobody stumbles


def test_settings_out_of_range() -> None:
    for wrong, text in (
        (lambda: Moods(eta=2.0), "eta is 2.0"),
        (lambda: Moods(shares=(0.5, 0.6)), "shares are"),
        (lambda: Moods(shares=()), "shares are"),
        (lambda: Mixture(rounds=2.5), "rounds is 2.5"),  # type: ignore[arg-type]
        (lambda: Moods(slate=500), "slate is 500"),
        (lambda: Camps(reach=-1), "reach is -1"),
        (lambda: Chaney(known=1.5), "known is 1.5"),
        (lambda: mitigation("flor"), "floor"),
        (lambda: mitigation("floor+seats"), "both make the lists"),
        (lambda: replace(MITIGATIONS["seats"], sampled=1.0), "needs an appeal"),
        (lambda: run(SMALL, Alone(), rounds=0), "rounds is 0"),
    ):
        with pytest.raises(ConfigError, match=text):
            wrong()


def test_a_model_of_learned_users_is_fitted_on_the_organic_log_first() -> None:
    assert np.isfinite(measures(run(SMALL, Recommended("mf", partial(MF, embedding_size=4), every=9), 2))["moment"])
    with pytest.raises(CapabilityError):
        run(SMALL, Recommended("mf", partial(MF, embedding_size=4), mitigation("weighted")), 1)
