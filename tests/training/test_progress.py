from __future__ import annotations

import re

import numpy as np
import pytest

from recsys.models import EASE, LinearNextItem, PersonaEASE
from recsys.models.base import Recommender
from recsys.training import progress
from recsys.training.session import Session
from recsys.worlds.simulation import simulated_log

CLOSED_FORM = (EASE(20.0), PersonaEASE(personas=2), LinearNextItem())


@pytest.mark.parametrize("model", CLOSED_FORM, ids=lambda model: type(model).__name__)
def test_a_long_fit_says_first_what_it_will_take_and_then_how_far_it_is(
    model: Recommender, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_seconds", lambda work: 240.0)
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    log = simulated_log(n_users=30, n_items=50, events_per_user=12)
    silent = model.unfitted().fit(log).arrays()
    assert capsys.readouterr().err == ""
    reported = model.unfitted().fit(log, session=Session(progress=True)).arrays()
    first, *others = capsys.readouterr().err.splitlines()
    name = type(model).__name__
    assert re.fullmatch(rf"{name} on .*: about 4 minutes and \d+\.\d GB of memory expected on this machine", first)
    assert others
    assert all(re.fullmatch(rf"{name} on .*: \d+% done, about \d+ (seconds|minutes) left", line) for line in others)
    for key, values in silent.items():
        np.testing.assert_array_equal(values, reported[key])


def test_a_short_fit_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    EASE(20.0).fit(simulated_log(n_users=30, n_items=50, events_per_user=12), session=Session(progress=True))
    assert capsys.readouterr().err == ""


def test_expected_seconds_grow_with_the_work() -> None:
    assert progress._seconds(1e9) == 0
    assert progress._seconds(1e15) > progress._seconds(1e12) > 0
