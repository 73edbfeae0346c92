"""The cost of decay: measurements and their table, never the times themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.drift.cost import BATCH, main, measure, rows
from recsys.data.catalogue.locations import shipped
from recsys.data.interactions import Interactions
from recsys.errors import CapabilityError, ConfigError
from recsys.experiments.configuration import Experiment, read_experiment
from recsys.worlds.drift import timescale_world


@pytest.fixture(scope="module")
def log() -> Interactions:
    return timescale_world(n_users=20, events_per_user=60).log


def shipped_experiment(name: str, *overrides: tuple[str, str]) -> Experiment:
    return read_experiment(shipped("configs") / f"{name}.yaml", overrides)


@pytest.mark.parametrize("name", ["ease_decay", "itemknn"])
def test_table_has_every_cost(log: Interactions, name: str) -> None:
    own = [("rule.own", "always")] if name == "ease_decay" else []
    cost = measure(log, shipped_experiment(name, *own), questions=BATCH + 7)
    for way in ("alone", "batches"):
        costs = cost[way]
        assert set(costs) == {"undecayed", "decayed", "observe", "ratio"}
        assert min(costs.values()) > 0
        assert costs["ratio"] == pytest.approx((costs["decayed"] + costs["observe"]) / costs["undecayed"])
    assert 0 < cost["questions"] <= BATCH + 7
    assert cost["bytes_per_user"] == 288
    assert cost["day_seconds"] == pytest.approx(cost["events_per_day"] * cost["batches"]["observe"])
    assert cost["retraining_factor"] == pytest.approx(cost["fit_seconds"] / cost["day_seconds"])
    table = rows({name: cost})
    assert all(len(row) == 2 for row in table)
    assert ["bytes per user", "288"] in table


def test_log_without_days_has_no_events_per_day(log: Interactions) -> None:
    cost = measure(replace(log, clock="order"), shipped_experiment("itemknn"), questions=20)
    assert np.isnan(cost["events_per_day"])
    assert np.isnan(cost["retraining_factor"])
    assert cost["fit_seconds"] > 0


def test_models_without_per_user_decay_are_refused(log: Interactions) -> None:
    half_life = "{class_path: recsys.decay.GlobalHalfLife, init_args: {half_life: 3}}"
    with pytest.raises(ConfigError, match="GlobalHalfLife observes nothing"):
        measure(log, shipped_experiment("ease_decay", ("rule", half_life)))
    with pytest.raises(CapabilityError, match="cannot fold in"):
        measure(log, shipped_experiment("popularity"))
    with pytest.raises(ConfigError, match="there is no query"):
        measure(log.select(np.arange(len(log)) == 0), shipped_experiment("itemknn"))


def test_command_prints_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", "no-such-log"]) == 2
    assert "error: " in capsys.readouterr().out
