"""Persona health on attention with known values, and placebos: personas that are no personas must not look healthy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recsys.data.queries import Queries
from recsys.data.splits.standard import split
from recsys.models import PersonaEASE
from recsys.models.health import PersonaHealth, persona_health
from recsys.types import Floats
from recsys.worlds.simulation import simulated_log


def test_all_personas_in_use_and_orthogonal() -> None:
    attention = torch.eye(3).repeat(2, 1, 1)
    health = PersonaHealth.of(attention, torch.eye(3).repeat(2, 1, 1))
    assert health.effective == pytest.approx(3)
    assert health.mean_cosine == pytest.approx(0)
    assert health.dead == 0


def test_dead_and_identical_personas_are_reported() -> None:
    attention = torch.tensor([[[1.0], [0.0], [0.0], [0.0]]])
    health = PersonaHealth.of(attention, torch.ones(1, 4, 5))
    assert health.effective == pytest.approx(1)
    assert health.mean_cosine == pytest.approx(1)
    assert health.dead == pytest.approx(0.75)


@pytest.mark.parametrize("attention", [torch.full((3, 4, 4), 0.25), torch.eye(4).repeat(3, 1, 1)])
def test_identical_personas_count_as_one_whatever_their_attention(attention: torch.Tensor) -> None:
    one = torch.randn(3, 1, 6, generator=torch.Generator().manual_seed(0))
    scaled = one * torch.tensor([1.0, 2.0, 0.5, 0.0])[None, :, None]
    for personas in (one.repeat(1, 4, 1), scaled, torch.zeros(3, 4, 6)):
        assert PersonaHealth.of(attention, personas).effective == pytest.approx(1)


def test_effective_number_by_hand() -> None:
    """Two used personas of cosine .6: (.5 + .3) ^ -.5 twice is 1 / .8."""
    personas = torch.tensor([[[1.0, 0.0], [0.6, 0.8]]])
    health = PersonaHealth.of(torch.full((1, 2, 1), 0.5), personas)
    assert health.effective == pytest.approx(1 / 0.8)
    opposite = PersonaHealth.of(torch.full((1, 2, 1), 0.5), torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]))
    assert opposite.effective == pytest.approx(2)


def _placebo(model: PersonaEASE, routing: Floats) -> PersonaEASE:
    other = PersonaEASE(**model.parameters_of_constructor())
    other.restore(model.fitted_on, {**model.arrays(), "routing": routing})
    return other


def test_placebos_are_less_healthy_than_personas() -> None:
    cut = split(simulated_log(n_users=200, n_items=120, events_per_user=30), "global_time")
    model = PersonaEASE(personas=4).fit(cut.train)
    routing = model.routing()
    real = persona_health(model, cut.test.queries).effective
    identical = persona_health(_placebo(model, np.full_like(routing, 0.25)), cut.test.queries).effective
    shuffled = np.random.default_rng(0).permutation(routing)
    assert identical == pytest.approx(1)
    assert 1 < persona_health(_placebo(model, shuffled), cut.test.queries).effective < real


def test_users_without_a_history_do_not_count() -> None:
    cut = split(simulated_log(n_users=100, n_items=80, events_per_user=20), "global_time")
    model = PersonaEASE(personas=3).fit(cut.train)
    some = [[1, 2, 3, 4], [5, 6, 7]]
    with_new = persona_health(model, Queries.from_history([*some, [], [], []]), 5)
    assert with_new == persona_health(model, Queries.from_history(some), 5)
    assert math.isfinite(with_new.effective)
    with pytest.raises(ValueError, match="users with a history"):
        persona_health(model, Queries.from_history([[]]), 5)
