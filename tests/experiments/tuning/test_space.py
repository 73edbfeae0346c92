"""Search spaces: every end is accepted by the constructor, and mistakes are told before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from recsys.data.catalogue.locations import shipped
from recsys.errors import ConfigError
from recsys.experiments.configuration import read_experiment, read_search
from recsys.experiments.tuning.space import Choices, Range, SearchSpace

DECAYED = "ease_decay"


def _space(name: str, **section: Any) -> SearchSpace:
    return SearchSpace.of(section, read_experiment(name), name)


def test_numbers_are_whole_where_the_setting_is() -> None:
    space = _space("ials", embedding_size={"low": 32, "high": 64}, regularization={"low": 1, "high": 90, "log": True})
    assert space.settings["embedding_size"] == Range(32, 64, whole=True)
    assert space.settings["regularization"] == Range(1, 90, log=True)
    assert space.experiment({"embedding_size": 40, "regularization": 2.5}).arguments["regularization"] == 2.5
    with pytest.raises(ConfigError, match="embedding_size: the setting is a whole number"):
        _space("ials", embedding_size={"low": 32, "high": 64.5})


def test_own_settings_are_the_first_trial_where_the_space_holds_them() -> None:
    assert _space("ease", regularization=[100.0, 1000.0]).own() == {"regularization": 1000.0}
    assert _space("ease", regularization={"low": 1, "high": 10}).own() is None
    assert _space("ials", embedding_size={"low": 32, "high": 242, "step": 30}).own() is None


def test_rules_and_short_keys_can_be_searched() -> None:
    rules = [{"class_path": "recsys.decay.GlobalHalfLife", "init_args": {"half_life": days}} for days in (5.0, 9.0)]
    space = _space(DECAYED, rule=rules, regularization={"low": 1, "high": 9})
    assert isinstance(space.settings["rule"], Choices)
    experiment = space.experiment({"rule": rules[1], "regularization": 3.0})
    assert experiment.arguments["rule"]["init_args"]["half_life"] == 9.0
    assert experiment.arguments["model"]["init_args"]["regularization"] == 3.0


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (None, "search is missing"),
        ({"regularizatio": [1.0]}, "ease.yaml: search: .* did you mean regularization"),
        ({"regularization": {"low": -1, "high": 5}}, "regularization: -1.0 cannot be used"),
        ({"regularization": {"low": 1, "high": 5, "lgo": True}}, "unknown key 'lgo'"),
        ({"regularization": {"low": 5, "high": 1}}, "low must be smaller"),
        ({"regularization": {"low": 0, "high": 1, "log": True}}, "has no logarithm"),
        ({"regularization": {"low": 1, "high": 5, "log": True, "step": 1}}, "has no steps"),
        ({"regularization": {"low": "1e-4", "high": 5}}, "1.0e-4"),
        ({"regularization": {"low": True, "high": 5}}, "finite number"),
        ({"regularization": {"low": 1, "high": 5, "log": "yes"}}, "true or false"),
        ({"regularization": {"low": 1, "high": 5, "step": 0}}, "must be positive"),
        ({"regularization": {"low": 1, "high": 8, "step": 3}}, "give high: 7"),
        ({"regularization": 5}, "give choices"),
        ({"regularization": []}, "no choices"),
        ({"regularization": [5.0, 5.0]}, "one twice"),
        ({"feedback": ["events", "likes"]}, "feedback: 'likes' cannot be used"),
        ({"validation.metric": ["ndcg@10", "ndcg@5"]}, "how trials are measured"),
        ({3: [1.0]}, "no key of a setting"),
        ({"regularization": [5.0], "model.regularization": [6.0]}, "are the same setting"),
    ],
)
def test_mistakes_are_told(section: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        SearchSpace.of(section, read_experiment("ease"), "ease.yaml")


def test_shipped_spaces_are_valid_and_other_commands_ignore_them(tmp_path: Path) -> None:
    searched = [path for path in shipped("configs").glob("*.yaml") if read_search(path) is not None]
    assert {"ease", "ials"} <= {path.stem for path in searched}
    for path in searched:
        space = SearchSpace.of(read_search(path), read_experiment(path), path)
        assert space.own() is not None, path
        again = tmp_path / path.name
        again.write_text(yaml.safe_dump(space.base.to_dict() | {"search": space.plain()}))
        assert SearchSpace.of(read_search(again), read_experiment(again), again) == space
