"""Persona health on attention with known values."""

from __future__ import annotations

import pytest
import torch

from recsys.models.health import PersonaHealth


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
