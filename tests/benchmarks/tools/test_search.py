from __future__ import annotations

import pytest

from benchmarks.accuracy.command import CONFIGS
from benchmarks.tools.search import SPACES, setting, shipped_experiment, trials, with_settings
from recsys.errors import ConfigError
from recsys.experiments.configuration import Experiment, check_experiment


def _experiment(name: str) -> Experiment:
    return shipped_experiment(name.removesuffix("_twin"))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_trial_of_every_configuration_can_be_built(name: str) -> None:
    experiment = _experiment(name)
    drawn = trials(name, experiment, 6)
    assert drawn[0] == {}
    assert len(drawn) == min(6, max(1, len(drawn)))
    for changes in drawn:
        changed = with_settings(experiment, changes)
        assert type(changed.build(1)) is experiment.model_class
        assert all(setting(changed, key) == value for key, value in changes.items())


def test_trials_are_reproducible_distinct_and_without_the_files_own_setting() -> None:
    experiment = check_experiment({"model": {"class_path": "recsys.models.EASE", "init_args": {"regularization": 500}}})
    drawn = trials("ease", experiment, 4)
    assert drawn == trials("ease", experiment, 4)
    assert drawn[:3] == trials("ease", experiment, 3)
    values = [changes["regularization"] for changes in drawn[1:]]
    assert len(set(values)) == 3
    assert 500.0 not in values
    assert len(trials("ease", experiment, 100)) == len(SPACES["ease"]["regularization"])
    assert trials("popularity", _experiment("popularity"), 5) == [{}]


def test_small_numbers_survive_yaml() -> None:
    changed = with_settings(_experiment("ampcf_latent"), {"optimization.weight_decay": 1e-05})
    assert setting(changed, "optimization.weight_decay") == 1e-05


def test_unknown_setting_is_an_error() -> None:
    with pytest.raises(ConfigError, match="regularisation"):
        with_settings(_experiment("ease"), {"regularisation": 3.0})
