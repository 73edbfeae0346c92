"""Experiment files: typed, complete, and unforgiving of typos."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from recsys.bundles.classes import classes_of
from recsys.data.catalogue.locations import shipped
from recsys.errors import ConfigError
from recsys.experiments.configuration import check_experiment, listed_settings, read_experiment
from recsys.experiments.shipped import experiment_file
from recsys.models.base import Recommender

CONFIGS = sorted(shipped("configs").glob("*.yaml"))


def ampcf(**arguments: Any) -> dict[str, Any]:
    return {"model": {"class_path": "recsys.models.AMPCF", "init_args": arguments}}


EASE = {"class_path": "recsys.models.EASE"}


SHARED = {"class_path": "recsys.decay.GlobalHalfLife"}


def decayed(model: object, **arguments: Any) -> dict[str, Any]:
    return {"model": {"class_path": "recsys.models.Decayed", "init_args": {"model": model} | arguments}}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid_and_survives_a_round_trip(path: Path) -> None:
    experiment = read_experiment(path)
    again = check_experiment(yaml.safe_load(yaml.safe_dump(experiment.to_dict())))
    assert again == experiment
    assert experiment.build(3).parameters_of_constructor() == again.build(3).parameters_of_constructor()


def test_the_promised_configurations_are_there() -> None:
    promised = {"popularity", "itemknn", "ease", "ials", "bpr", "mf", "persona_ease"}
    promised |= {"ampcf_paper_dot", "ampcf_paper_cosine"}
    promised |= {"ease_decay", "ials_decay", "mf_decay", "persona_ease_decay"}
    assert promised <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (ampcf(persona=3), "unknown key 'persona'; did you mean 'personas'"),
        (ampcf(objective={"los": "bpr"}), "objective: unknown key 'los'; did you mean 'loss'"),
        (ampcf(personas="three"), "personas"),
        (ampcf(objective={"loss": "bprr"}), "loss.*bprr"),
        (ampcf(objective=3), "expected a mapping"),
        (ampcf(personas=0), "personas is 0"),
        ({"model": {"class_path": "recsys.models.AMPC"}}, "did you mean 'recsys.models.AMPCF'"),
        ({"model": {"class_path": "os.system"}}, "is not a Recommender"),
        ({"modle": {}}, "needs a section 'model'"),
        (ampcf() | {"filter": {}}, "unknown key 'filter'; did you mean 'filters'"),
        (ampcf() | {"validation": {"metrc": "ndcg@10"}}, "did you mean 'metric'"),
        ([], "needs a section"),
        (decayed({"class_path": "recsys.models.EAS"}), "model.class_path .* did you mean 'recsys.models.EASE'"),
        (decayed({"class_path": "os.system"}), "is not a Recommender"),
        (decayed({"class_path": "recsys.models.EASE", "init_arg": {}}), "did you mean 'init_args'"),
        (decayed(EASE | {"init_args": {"regularisation": 1}}), "model: EASE.*did you mean 'regularization'"),
        (decayed(EASE | {"init_args": {"regularization": "much"}}), "model: EASE.*regularization"),
        (decayed("EASE"), "model.class_path is missing"),
        (decayed(EASE, rule=SHARED | {"init_args": {"halflife": 3}}), "rule: GlobalHalfLife.*did you mean 'half_life'"),
        (decayed(EASE, rule={"class_path": "recsys.decay.NoDecai"}), "did you mean 'recsys.decay.NoDecay'"),
        (decayed(EASE, rule=EASE), "is not a Forgetting"),
        (decayed(EASE, per_user={"day": [1]}), "TemporalDecay: unknown key 'day'; did you mean 'days'"),
        (decayed(EASE, clock="evnts", half_life=3), "clock"),
        ({"model": {"class_path": "recsys.models.Decayed"}}, "Decayed: model is missing"),
    ],
)
def test_mistakes_are_named_with_the_nearest_right_word(content: object, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_experiment(content)


def test_overrides_reach_any_depth_by_full_or_short_name() -> None:
    pairs = [("personas", "2"), ("objective.loss", "bpr"), ("learning-rate", "1e-2"), ("min_user_events", "5")]
    experiment = check_experiment(ampcf(), pairs)
    assert experiment.arguments["personas"] == 2
    assert experiment.arguments["objective"]["loss"] == "bpr"
    assert experiment.arguments["optimization"]["learning_rate"] == 0.01
    assert experiment.filters.min_user_events == 5


def test_overrides_and_the_seed_reach_a_wrapped_model() -> None:
    nested = decayed({"class_path": "recsys.models.MF", "init_args": {"users": "history"}})
    pairs = [
        ("rule", "{class_path: recsys.decay.GlobalHalfLife, init_args: {half_life: 5}}"),
        ("model.init_args.embedding_size", "8"),
        ("batch_size", "32"),
        ("optimization.learning-rate", "1e-2"),
    ]
    experiment = check_experiment(nested, pairs)
    inner = experiment.arguments["model"]["init_args"]
    assert experiment.arguments["rule"]["init_args"] == {"half_life": 5, "clock": "events", "floor": 0.0}
    caution = check_experiment(nested, [("caution", "0")]).arguments["rule"]
    assert (caution["class_path"], caution["init_args"]["caution"]) == ("recsys.decay.TemporalDecay", 0)
    assert (inner["embedding_size"], inner["optimization"]["batch_size"]) == (8, 32)
    assert inner["optimization"]["learning_rate"] == 0.01
    assert experiment.build(7).parameters_of_constructor()["model"]["init_args"]["seed"] == 7
    assert inner["seed"] == 0
    assert nested["model"]["init_args"]["model"]["init_args"] == {"users": "history"}
    by_name = check_experiment(nested, [("rule", "recsys.decay.GlobalHalfLife"), ("rule.half_life", "5")])
    assert by_name.arguments["rule"] == experiment.arguments["rule"]
    with pytest.raises(ConfigError, match="GlobalHalfLife: half_life is missing"):
        check_experiment(nested, [("rule", "recsys.decay.GlobalHalfLife")])
    with pytest.raises(ConfigError, match=r"--detector; .*another rule.* --rule CLASS --rule\.detector VALUE"):
        check_experiment(nested, [("detector", "adwin")])
    with pytest.raises(ConfigError, match="--learning_rate is ambiguous"):
        check_experiment(nested, [("learning_rate", "1")])
    with pytest.raises(ConfigError, match="--embeding_size; did you mean --embedding_size"):
        check_experiment(nested, [("embeding_size", "1")])


@pytest.mark.parametrize(
    ("pairs", "where", "value"),
    [
        ([("half_life", "5")], ("rule", "init_args", "half_life"), 5),
        ([("model.half_life", "5")], ("rule", "init_args", "half_life"), 5),
        ([("clock", "time"), ("half-life", "5")], ("rule", "init_args", "clock"), "time"),
        ([("half_life", "5"), ("floor", "0.2")], ("rule", "init_args", "floor"), 0.2),
        ([("half_life", "5")], ("rule", "class_path"), "recsys.decay.GlobalHalfLife"),
        ([("half_life", "null")], ("rule", "class_path"), "recsys.decay.TemporalDecay"),
        ([("per_user.calibration", "0.2")], ("calibration",), 0.2),
        ([("per_user.events", "[1, 2]")], ("rule", "init_args", "events"), (1, 2)),
        ([("per_user.changes", "false")], ("rule", "init_args", "changepoints"), False),
        ([("changes", "false")], ("rule", "init_args", "changepoints"), False),
        ([("per_user.learning_rate", "5")], ("rule", "init_args", "learning_rate"), 5),
        ([("lessons", "200")], ("calibration_events",), 200),
        ([("rule", "NoDecay")], ("rule", "class_path"), "recsys.decay.NoDecay"),
        ([("half_life", "7"), ("rule", "GlobalHalfLife")], ("rule", "init_args", "half_life"), 7),
        ([("rule", "{class_path: recsys.decay.GlobalHalfLife}"), ("half_life", "7")], ("rule", "init_args"), None),
        ([("rule", "GradientHalfLife"), ("clock", "time")], ("rule", "init_args", "clock"), "time"),
        ([("model", "EASE"), ("regularization", "7")], ("model", "init_args", "regularization"), 7),
    ],
)
def test_overrides_of_a_decayed_model(pairs: list[tuple[str, str]], where: tuple[str, ...], value: object) -> None:
    found: Any = read_experiment("persona_ease_decay", pairs).arguments
    for key in where:
        found = found[key]
    assert found == ({"half_life": 7, "clock": "events", "floor": 0} if value is None else value)


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ([("floor", "0.2")], "belong to half_life"),
        ([("half_life", "5"), ("caution", "1")], "unknown option --caution"),
        ([("half_lif", "5")], "did you mean --half_life"),
        ([("rule", "NoDecai")], "did you mean 'recsys.decay.NoDecay'"),
        ([("rule", "AMPCF")], "recsys.decay has .*GlobalHalfLife"),
        ([("rule", "5")], "rule.class_path is missing; it names a class that derives from recsys.decay.Forgetting"),
        ([("personas", "{bad")], "--personas is '{bad', which is not valid YAML"),
        ([("personas", "2020-13-45")], "not valid YAML"),
        ([("half_life", "1" + 400 * "0")], "must be a number"),
    ],
)
def test_mistakes_in_overrides_of_a_decayed_model(pairs: list[tuple[str, str]], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        read_experiment("persona_ease_decay", pairs)


def test_an_unknown_override_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="--learnin_rate; did you mean --learning_rate"):
        check_experiment(ampcf(), [("learnin_rate", "1")])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such experiment file"):
        read_experiment(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("model: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_experiment(broken)
    with pytest.raises(ConfigError, match="Is a directory"):
        read_experiment(".")
    with pytest.raises(
        ConfigError, match=r"nowhere.persona_ease\.yaml: no such experiment file; did you mean 'persona_ease'"
    ):
        read_experiment(tmp_path / "nowhere" / "persona_ease.yaml")
    near = shipped("configs") / "personaease.yaml"
    with pytest.raises(ConfigError, match=r"did you mean '.*persona_ease\.yaml'"):
        read_experiment(near)


@pytest.mark.parametrize("name", sorted(classes_of(Recommender)))
def test_every_model_has_defaults_that_an_experiment_can_name(name: str) -> None:
    wraps = name.endswith(("Decayed", "Reliable", "Remembering", "Slated", "WithColdItems", "WithPersonas"))
    arguments: dict[str, Any] = {"model": {"class_path": "recsys.models.EASE"}} if wraps else {}
    if name.endswith("Slated"):
        arguments["slate"] = {"class_path": "recsys.slates.Diverse"}
    experiment = check_experiment({"model": {"class_path": name, "init_args": arguments}})
    assert type(experiment.build()) is classes_of(Recommender)[name]


def _changed(path: Path, key: str, text: str) -> object:
    """Return the settings with another value of one, or that it is out of range, if the error names it."""
    try:
        return listed_settings(read_experiment(path, [(key, text)]))
    except ConfigError as error:
        return "out of range" if key.rpartition(".")[2] in str(error) and "unknown" not in str(error) else str(error)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_listed_setting_can_be_set(path: Path) -> None:
    experiment = read_experiment(path)
    listed = listed_settings(experiment)
    assert {"filters.min_user_events", "filters.min_item_events", "validation.metric", "validation.users"} <= set(
        listed
    )
    for key, (value, _) in listed.items():
        text = yaml.safe_dump(list(value) if isinstance(value, tuple) else value)
        if key.rpartition(".")[2] in ("model", "expert"):  # another class brings its own defaults, which may not fit
            continue
        of_rule = key.rpartition(".")[2] == "rule"
        if of_rule and str(value).endswith("GlobalHalfLife"):  # whose half-life has no default
            continue
        if of_rule:
            assert listed_settings(read_experiment(path, [(key, value)]))[key] == (value, None)
            continue
        assert read_experiment(path, [(key, text)]) == experiment, key
        if type(value) in (int, float):
            other = value + 1 if type(value) is int else value / 2
            assert _changed(path, key, str(other)) in (listed | {key: (other, listed[key][1])}, "out of range")


def test_no_half_life_takes_the_place_of_a_shared_one() -> None:
    shared = decayed(EASE, rule=SHARED | {"init_args": {"half_life": 5, "clock": "time"}})
    rule = check_experiment(shared, [("half_life", "null"), ("rule.changepoints", "false")]).arguments["rule"]
    assert rule["class_path"] == "recsys.decay.TemporalDecay"
    assert rule["init_args"]["changepoints"] is False
    assert check_experiment(shared, [("half_life", "7")]).arguments["rule"]["init_args"]["half_life"] == 7
    assert check_experiment(shared, [("rule.half_life", "null")]).arguments["rule"]["class_path"] == rule["class_path"]


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({"filters": {"min_user_events": 0}}, "filters.min_user_events is 0"),
        ({"filters": {"min_item_events": "few"}}, "min_item_events"),
        ({"validation": {"metric": "ndgc@10"}}, "ndgc"),
        ({"validation": {"metric": "ndcg"}}, "needs a positive cutoff"),
        ({"validation": {"users": 0}}, "validation.users is 0"),
    ],
)
def test_filters_and_validation_are_checked_before_training(section: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        check_experiment({"model": EASE} | section)


def test_tuned_files_are_read_by_name_and_installed_with_the_library() -> None:
    root = shipped("configs")
    project = tomllib.loads((root.parent / "pyproject.toml").read_text(encoding="utf-8"))
    installed = project["tool"]["setuptools"]["data-files"]
    for file in sorted((root / "tuned").glob("*/*.yaml")):
        name = file.relative_to(root).with_suffix("").as_posix()
        assert experiment_file(name) == file
        read_experiment(name)
        folder = file.parent.relative_to(root.parent).as_posix()
        assert installed[f"share/recsys/{folder}"] == [f"{folder}/*.yaml"]
    with pytest.raises(ConfigError, match="no such experiment file"):
        read_experiment("tuned/no-log/ease")


def test_the_model_within_a_model_within_is_named_in_full() -> None:
    key = "model.init_args.model"
    assert listed_settings(read_experiment("ampcf_decay"))[key] == ("recsys.models.EASE", None)
    found = listed_settings(read_experiment("ampcf_decay", [(key, "ItemKNN")]))
    assert (found[key], found["model"]) == (("recsys.models.ItemKNN", None), ("recsys.models.Decayed", None))
