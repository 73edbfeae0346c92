"""What `/metrics` counts of lists and personas."""

from __future__ import annotations

import re

import pytest

from recsys.serving.metrics import Metrics
from recsys.serving.records import Shelf


def _shelf(persona: int | None, share: float, seats: int, *, muted: bool = False) -> Shelf:
    return Shelf(persona, None if persona is None else f"persona {persona}", share, seats, muted=muted)


def _read(metrics: Metrics) -> dict[str, float]:
    text = metrics.render(0).decode()
    found = re.findall(r"^(recsys_persona_\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_lists_are_counted_by_what_they_do_to_personas() -> None:
    metrics = Metrics()
    metrics.observe_list([_shelf(0, 0.6, 6), _shelf(1, 0.4, 4), _shelf(None, 0.0, 2)])  # as mixed as the history
    metrics.observe_list([_shelf(0, 0.7, 10), _shelf(1, 0.3, 0)])  # the second has no place
    metrics.observe_list([_shelf(0, 0.95, 10), _shelf(1, 0.05, 0)])  # too small to be due one
    metrics.observe_list([_shelf(0, 0.5, 10), _shelf(1, 0.5, 0, muted=True)])  # the user's own wish
    metrics.observe_list([])
    found = _read(metrics)
    assert found['recsys_persona_lists_total{starved="yes"}'] == 1
    assert found['recsys_persona_lists_total{starved="no"}'] == 2
    assert found["recsys_persona_distance_count"] == 3
    assert found["recsys_persona_distance_sum"] == pytest.approx(0.0 + 0.6 + 0.1)
