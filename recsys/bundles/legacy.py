"""Names and arguments of earlier versions, translated to today's, for bundles and configuration files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recsys.errors import ConfigError
from recsys.models.parameters import ARGUMENTS, CLASS

_DECAYED = "recsys.models.Decayed"
_PER_USER = {"lessons": "calibration_events", "changes": "changepoints"}
_CALIBRATION = ("calibration", "calibration_events")
_TEMPORAL, _GLOBAL = "recsys.decay.TemporalDecay", "recsys.decay.GlobalHalfLife"
SHARED = ("half_life", "clock", "floor")
"""Arguments of `Decayed` until version 0.1 that are those of `GlobalHalfLife` now."""
_SITUATION, _POPULATION = "recsys.decay.SituationDecay", "recsys.decay.PopulationDecay"
_FORMER_GRID: dict[str, Any] = {
    "events": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0],
    "days": [1.0, 4.0, 16.0, 64.0, 256.0],
    "periods": [],
    "learning_rate": 10.0,
    "shrinkage": 100.0,
    "caution": 6.0,
    "floors": [0.0],
    "paired": False,
}
"""What `TemporalDecay` was until version 0.2, when it had neither floors nor half-lives on both clocks."""
_BEFORE_VISITS: dict[str, Any] = {"share": 0.0, "last": 1.0, "absence_days": 0.0}
"""Its `visits` until weights depended on them."""
_VISITS = {"visit_share": "share", "last_visit_share": "last", "absence_days": "absence_days"}
"""Arguments of `TemporalDecay` that are fields of its `visits` now."""
_RENAMED = {"recsys.models.LinearAMPCF": "recsys.models.PersonaEASE"}
"""Today's names of models that had another one until version 0.2."""
_MEMORIES = "recsys.models.memories."
"""What this package exports is no model."""


def todays_manifest(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a manifest of format version 1 or 2 as one of version 2 with today's names.

    Version 1 names a model by the module that defined it, `recsys.models.ease.EASE`.
    """
    name = public_path(content["model"])
    parameters = _with_former_grid(arguments(name, content["parameters"]))
    return {**content, "format_version": 2, "model": name, "parameters": parameters}


def _with_former_grid(value: Any) -> Any:  # noqa: ANN401 - any plain value
    """Return the parameters of a bundle with the grid of each `TemporalDecay` as it was when it was saved."""
    if not isinstance(value, Mapping):
        return value
    today = {key: _with_former_grid(part) for key, part in value.items()}
    if today.get(CLASS) == _SITUATION:
        today[CLASS] = _POPULATION
    given = today.get(ARGUMENTS, {})
    if today.get(CLASS) == _TEMPORAL:
        visits = {"visits": _BEFORE_VISITS | given.get("visits", {})}
        today[ARGUMENTS] = ({} if "floors" in given else _FORMER_GRID) | given | visits
    return today


def section(value: Any) -> Any:  # noqa: ANN401 - any plain value
    """Return a mapping of `class_path` and `init_args` of any version with today's names, other values as they are."""
    if not (isinstance(value, Mapping) and isinstance(value.get(CLASS), str)):
        return value
    name = public_path(value[CLASS])
    given = value.get(ARGUMENTS)
    return {**value, CLASS: name} | ({ARGUMENTS: arguments(name, given)} if isinstance(given, Mapping) else {})


def public_path(path: str) -> str:
    """Return today's public name of a model that is named by a module of `recsys.models`; other names as they are.

    >>> public_path("recsys.models.ease.EASE"), public_path("recsys.models.LinearAMPCF")
    ('recsys.models.EASE', 'recsys.models.PersonaEASE')
    """
    moved = path.startswith("recsys.models.") and not path.startswith(_MEMORIES)
    name = f"recsys.models.{path.rpartition('.')[2]}" if moved else path
    return _RENAMED.get(name, name)


def arguments(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments of a class, of any version, with today's names.

    Args:
        name: public name of the class.
        values: its arguments as plain data.
    """
    today = {key: section(value) for key, value in values.items()}
    if name == _TEMPORAL and (visits := {_VISITS[key]: today.pop(key) for key in _VISITS if key in today}):
        today["visits"] = today.get("visits", {}) | visits
    return _decayed(today) if name == _DECAYED else today


def overrides(rule: str, pairs: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return (key, value) pairs that override settings of `Decayed`, of any version, with today's keys.

    A half-life takes the place of a `TemporalDecay` or `PopulationDecay`, and null, none, that of a `GlobalHalfLife`,
    unless another rule is given too.

    Args:
        rule: public name of the class of the rule so far.
        pairs: keys, with underscores, and plain values.

    Raises:
        ConfigError: `clock` or `floor` without a half-life.

    >>> overrides("recsys.decay.TemporalDecay", [("half_life", 5), ("per_user.changes", False)])[0][1]["init_args"]
    {'half_life': 5}
    """
    other_rule = any(key in ("rule", "model.rule") for key, _ in pairs)
    translates = rule in (_TEMPORAL, _POPULATION) and not other_rule
    if rule == _GLOBAL and not other_rule:
        given = {key.removeprefix("model.").removeprefix("rule."): value for key, value in pairs}
        if "half_life" in given and given["half_life"] is None:
            rest = [pair for pair in pairs if pair[0].rpartition(".")[2] not in SHARED]
            return [("rule", {CLASS: _TEMPORAL, ARGUMENTS: {}}), *overrides(_TEMPORAL, rest)]
    today, shared = [], {}
    for key, value in pairs:
        group, _, name = key.removeprefix("model.").rpartition(".")
        if translates and not group and name in SHARED:
            shared[name] = value
        elif group == "per_user" or (not group and name in _PER_USER):
            name = _PER_USER.get(name, name)
            today.append((name if name in _CALIBRATION else f"rule.init_args.{name}", value))
        else:
            today.append((key, value))
    if shared.get("half_life") is not None:
        return [("rule", {CLASS: _GLOBAL, ARGUMENTS: shared}), *today]
    if shared.get("clock", "events") != "events" or shared.get("floor", 0) != 0:
        raise ConfigError("clock and floor belong to half_life, which is not given; give it, or leave them out")
    return today


def _decayed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Decayed`, which had those of two rules of forgetting until version 0.1.

    `half_life`, `clock` and `floor` are those of `GlobalHalfLife`; without a half-life `per_user` holds the settings of
    `TemporalDecay`, and how it is calibrated.
    """
    shared = {key: values[key] for key in SHARED if key in values}
    per_user = values.get("per_user")
    today = {key: value for key, value in values.items() if key not in (*shared, "per_user")}
    if not isinstance(per_user, Mapping | None):  # it is refused as an unknown argument
        return dict(values)
    if not shared and per_user is None:
        return today
    own = {_PER_USER.get(key, key): value for key, value in (per_user or {}).items()}
    today |= {key: own.pop(key) for key in _CALIBRATION if key in own}
    if shared.get("half_life") is None:
        return {**today, "rule": {CLASS: _TEMPORAL, ARGUMENTS: _FORMER_GRID | {"visits": _BEFORE_VISITS} | own}}
    return {**today, "rule": {CLASS: _GLOBAL, ARGUMENTS: shared}}
