"""A run says whether half-lives of users' own are used."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.data.interactions import Interactions
from recsys.decay import TemporalDecay
from recsys.experiments.configuration import read_experiment
from recsys.experiments.run_log import DataSettings
from recsys.experiments.runs import load_model, read_metrics, train_run
from recsys.explanations.half_life import own_gain
from recsys.models import EASE, Decayed, Remembering, WithColdItems, WithPersonas
from recsys.models.base import Recommender
from recsys.worlds.drift import DriftConfig, simulate_drift
from tests.log_file import write_log


@pytest.fixture(scope="module")
def log() -> Interactions:
    return simulate_drift(DriftConfig(n_users=40, n_items=200, events_per_user=60)).log


def test_a_run_says_it_and_keeps_it(log: Interactions, tmp_path: Path) -> None:
    experiment = read_experiment("ease_decay", [("regularization", "20")])
    said = list[str]()
    metrics = train_run(experiment, DataSettings(str(write_log(log, tmp_path))), tmp_path / "run", say=said.append)
    gain = own_gain(load_model(tmp_path / "run"))
    assert gain is not None
    assert str(gain) in said
    found = read_metrics(tmp_path / "run")["own_half_lives"]
    assert (
        found == metrics["own_half_lives"] == pytest.approx({"mean": gain.mean, "error": gain.error, "used": gain.used})
    )


DECAYED = Decayed(EASE(20.0), TemporalDecay(own="earned"))


@pytest.mark.parametrize("model", [DECAYED, WithPersonas(DECAYED), Remembering(DECAYED), WithColdItems(DECAYED)])
def test_it_is_found_in_what_stands_around(log: Interactions, model: Recommender) -> None:
    assert own_gain(model.fit(log)) == own_gain(DECAYED.fit(log))


def test_a_model_that_was_not_asked_says_nothing(log: Interactions) -> None:
    assert own_gain(EASE(20.0).fit(log)) is None
    assert own_gain(Decayed(EASE(20.0), TemporalDecay()).fit(log)) is None
