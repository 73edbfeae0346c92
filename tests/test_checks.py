"""Names in settings: what they resolve to, and the errors of those that resolve to nothing."""

from __future__ import annotations

from typing import Any

import pytest

import recsys.models
from recsys.checks import class_named, object_named, positive, public_name
from recsys.decay.fixed import GlobalHalfLife
from recsys.errors import ConfigError
from recsys.models import AMPCF, BPR, EASE, IALS, MF, PersonaEASE, TimeSVD
from recsys.models.base import Recommender
from recsys.training.trainable import Optimization
from recsys.worlds.simulation import simulated_log


def model_named(path: str) -> type[Recommender]:
    return class_named("model", path, Recommender, "recsys.models", "recsys.models")


@pytest.mark.parametrize("path", ["recsys.models.EASE", "recsys.models.linear.ease.EASE"])
def test_class_by_public_name_and_by_dotted_path(path: str) -> None:
    assert model_named(path) is EASE


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("recsys.models.EAS", "did you mean 'recsys.models.EASE'"),
        ("EASE", "did you mean"),
        ("zzz-zzz-zzz-zzz", "cannot be found: it is no dotted path"),
        ("no_such_package_anywhere.Q", "No module named 'no_such_package_anywhere'; install the package"),
        ("os.path.qqqqqqqqqqqqqqq", "os.path has no 'qqqqqqqqqqqqqqq'"),
        ("..", "cannot be found"),
        (".x", "cannot be found"),
        ("", "cannot be found"),
        ("os.system", "is not a Recommender: it must derive from recsys.models.Recommender"),
        ("builtins.int", "is not a Recommender"),
        ("recsys.models.PersonaRecommender", "is abstract"),
        ("recsys.models.Recommender", "is abstract"),
    ],
)
def test_wrong_names_are_refused_with_a_reason(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model_named(path)


def test_functions_can_be_named_too() -> None:
    assert object_named("metric", "recsys.checks.public_name", "recsys.metrics") is public_name


def test_public_names_are_those_that_packages_export() -> None:
    for name in recsys.models.__all__:
        assert public_name(getattr(recsys.models, name)) == f"recsys.models.{name}"
    assert public_name(ConfigError) == "recsys.errors.ConfigError"


@pytest.mark.parametrize("value", [float("inf"), 1e308, float("nan"), 0.0, -1.0])
def test_numbers_beyond_those_of_models_are_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="regularization is"):
        EASE(regularization=value)
    with pytest.raises(ConfigError, match="x is"):
        positive("x", value)


def test_an_infinite_half_life_is_no_decay() -> None:
    assert GlobalHalfLife(float("inf")).half_life == float("inf")
    with pytest.raises(ConfigError, match="half_life is 1e\\+300"):
        GlobalHalfLife(1e300)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", True])
@pytest.mark.parametrize("kind", [AMPCF, BPR, IALS, PersonaEASE, MF, TimeSVD])
def test_seeds_have_the_bounds_of_all_libraries(kind: Any, seed: Any) -> None:
    with pytest.raises(ConfigError, match="seed is"):
        kind(seed=seed)


@pytest.mark.parametrize(
    "model",
    [
        IALS(alpha=3e38, embedding_size=2, iterations=2),
        BPR(learning_rate=1e30, epochs=2),
        TimeSVD(optimization=Optimization(learning_rate=1e30, epochs=2)),
    ],
    ids=repr,
)
def test_training_that_diverges_is_an_error_with_its_cure(model: Recommender) -> None:
    log = simulated_log(seed=1, n_users=40, n_items=30, events_per_user=10)
    with pytest.raises(ConfigError, match=r"scores of the model are NaN.*smaller"):
        model.fit(log).recommend(model.fitted_on.queries(log), 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("learning_rate", -1.0),
        ("weight_decay", float("inf")),
        ("epochs", -1),
        ("batch_size", 0),
        ("validate_every", 0),
        ("patience", -1),
    ],
)
def test_settings_of_training_have_bounds(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} is"):
        Optimization(**{name: value})
