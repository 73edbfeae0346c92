"""Names in settings: what they resolve to, and the errors of those that resolve to nothing."""

from __future__ import annotations

import pytest

import recsys.models
from recsys.checks import class_named, object_named, public_name
from recsys.errors import ConfigError
from recsys.models import EASE
from recsys.models.base import Recommender


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
