"""A search on workers finds what it finds in one process, where draws do not depend on what was found before."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="pip install 'recsys[tune]'")

from recsys.experiments.configuration import read_experiment
from recsys.experiments.run_log import DataSettings
from recsys.experiments.tuning.space import SearchSpace
from recsys.experiments.tuning.tune import TuneSettings, tune
from recsys.scale.engine import InProcess
from recsys.scale.engines import engine_of

SETTINGS = TuneSettings(5, sampler="random")


def _space() -> SearchSpace:
    search = {"regularization": {"low": 1, "high": 2000, "log": True}}
    return SearchSpace.of(search, read_experiment("ease", [("feedback", "events")]), "ease")


class _KilledOnce:
    """Kills its own process before it makes the first trial."""

    def __init__(self, make: Callable[[Any], Any], mark: Path) -> None:
        self._make, self._mark = make, mark

    def __call__(self, settings: Any) -> Any:
        if not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self._make(settings)


@pytest.mark.usefixtures("cluster")
def test_a_search_on_workers_is_that_of_one_process_also_when_one_is_killed(log_file: Path, tmp_path: Path) -> None:
    data = DataSettings(str(log_file))
    alone = tune(_space(), data, tmp_path / "alone", SETTINGS)
    told: list[str] = []
    with engine_of("ray", 2, told.append) as engine:

        def each(make: Callable[[Any], Any], settings: Any) -> Any:
            return engine.map(_KilledOnce(make, tmp_path / "mark"), settings, "trial of this round")

        found = tune(_space(), data, tmp_path / "workers", SETTINGS, each=each, workers=engine.workers)
    for name in ("best", "trials", "failed", "own"):
        assert found[name] == alone[name]
    assert len(told) >= 1
    assert all("lost its worker" in line for line in told)


def test_trials_of_a_round_are_drawn_from_what_was_found_before_it(log_file: Path, tmp_path: Path) -> None:
    """Also by the guided sampler, so that a search is repeated by the same number of workers."""
    asked: list[int] = []

    def each(make: Callable[[Any], Any], settings: Any) -> Any:
        asked.append(len(settings))
        return InProcess().map(make, settings)

    data, settings = DataSettings(str(log_file)), TuneSettings(14)
    found = [tune(_space(), data, tmp_path / name, settings, each=each, workers=4) for name in ("one", "two")]
    assert asked == [4, 4, 4, 2] * 2
    assert found[0]["best"] == found[1]["best"]
    assert found[0]["trials"] == 14
