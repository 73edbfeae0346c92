import numpy as np
import pytest

from recsys.policy.feasibility import is_feasible, minimal_conflict, relax
from recsys.policy.groups import Bound, Groups
from recsys.policy.solve import solve
from tests.policy.examples import best_by_enumeration, groups_of, keeps, random_case, worth


def test_lists_are_the_best_of_all_that_keep_the_bounds() -> None:
    rng = np.random.default_rng(0)
    feasible = laminar = 0
    for _ in range(1_500):
        scores, bounds, n = random_case(rng)
        groups = Groups.of(bounds, len(scores))
        found = solve(scores, np.arange(len(scores)), groups, n)
        best = best_by_enumeration(scores, bounds, n)
        assert (found is None) == (best is None)
        laminar += groups.is_laminar
        if found is not None and best is not None:
            feasible += 1
            assert found.gap == 0
            assert keeps(found.items, bounds)
            assert worth(found.items, scores, bounds) == pytest.approx(best, abs=1e-9)
    assert feasible > 500
    assert 300 < laminar < 1_400


def test_nested_groups_are_at_every_rank_at_least_as_good_as_the_program() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        scores, part = rng.normal(size=300), rng.integers(0, 6, 300)
        bounds = [Bound(part == group, int(group < 3), 3, 10) for group in range(6)]
        bounds.append(Bound(part < 2, 2, 4, 10))
        groups = Groups.of(bounds, 300)
        assert groups.is_laminar
        found = solve(scores, np.arange(300), groups, 10)
        crossing = Groups.of([*bounds, Bound(rng.random(300) < 0.5, 0, 10, 10)], 300)
        program = solve(scores, np.arange(300), crossing, 10)
        assert found is not None
        assert program is not None
        assert found.value == pytest.approx(program.value)
        assert (np.cumsum(scores[found.items]) >= np.cumsum(scores[program.items]) - 1e-9).all()


def test_equal_scores_follow_the_given_order() -> None:
    groups = Groups.of([Bound(np.asarray([True] * 3 + [False] * 3), 0, 1, 3)], 6)
    for order, expected in ((np.arange(6), [0, 3, 4]), (np.arange(6)[::-1], [5, 4, 3])):
        found = solve(np.zeros(6), order, groups, 3)
        assert found is not None
        assert found.items.tolist() == expected


def test_feasibility_is_that_of_enumeration_and_conflicts_are_minimal() -> None:
    rng = np.random.default_rng(2)
    conflicts = 0
    for _ in range(400):
        scores, bounds, n = random_case(rng)
        groups, available = groups_of(scores, bounds)
        length = min(n, int(available.sum()))
        best = best_by_enumeration(scores, bounds, n)
        assert is_feasible(groups, available, length) == (best is not None)
        clash = minimal_conflict(groups, available, length)
        assert bool(clash) == (best is None)
        for place in clash:
            rest = [bounds[other] for other in clash if other != place]
            assert best_by_enumeration(scores, rest, n) is not None
        if clash:
            conflicts += 1
            assert best_by_enumeration(scores, [bounds[place] for place in clash], n) is None
    assert conflicts > 100


def test_what_gives_way_is_the_least_of_the_lowest_layers() -> None:
    rng = np.random.default_rng(3)
    relaxed = 0
    for _ in range(300):
        scores, bounds, n = random_case(rng)
        groups, available = groups_of(scores, bounds)
        length = min(n, int(available.sum()))
        if length == 0 or is_feasible(groups, available, length):
            continue
        relaxation = relax(groups, available, length)
        if relaxation.length < length:  # only law makes a list shorter
            law = [bound for bound in bounds if bound.level == 0]
            assert best_by_enumeration(scores, law, length) is None
            continue
        relaxed += 1
        assert all(bounds[place].level > 0 for place in relaxation.relaxed)
        found = solve(scores, np.arange(len(scores)), groups.with_bounds(relaxation.bounds), length)
        assert found is not None
        for place in relaxation.relaxed:  # had it not given way, what binds as much or more would have given way more
            others = [bound for other, bound in enumerate(relaxation.bounds) if other != place]
            kept = [bound for bound in others if bound.level <= bounds[place].level]
            assert best_by_enumeration(scores, [*kept, bounds[place]], n) is None
    assert relaxed > 50


def test_a_bound_gives_way_by_more_than_a_short_list_has_places() -> None:
    bounds = [Bound(np.asarray([False, True]), 2, 5, 5, 2)]
    groups = Groups.of(bounds, 2)
    relaxation = relax(groups, np.bincount(groups.signature[:1], minlength=len(groups.has)), 1)
    assert (relaxation.length, relaxation.relaxed, relaxation.bounds[0].low) == (1, (0,), 0)
