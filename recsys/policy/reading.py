"""Reads policy files: YAML, every key and value checked, errors with the line and the cure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn, final

import yaml

from recsys.errors import ConfigError, nearest
from recsys.policy.schema import (
    FORMAT,
    KINDS,
    LAYERS,
    LONGEST,
    Amount,
    Condition,
    Kind,
    Layer,
    LayerName,
    Policy,
    Predicate,
    Rule,
)

LARGEST_FILE: Final = 1_000_000
"""Bytes."""

MOST_RULES: Final = 1_000
_QUOTA: Final = ("at_least", "at_most")
_TOP: Final = ("policy", "name", "valid", "lists", "layers")
_RULE: Final = ("id", "deny", "require", "no_profiling", "at_least", "at_most", "prefer", *("of", "in_first", "weight"))
_ABOUT: Final = ("when", "unless", "why")
_CONDITIONS: Final = ("age_below", "region", "consent", "role")
_OWN: Final = ("genre", "genres", "tag", "tags", "item", "items", "before", "after", "window")


def read_policy(path: str | Path) -> Policy:
    """Read a policy file.

    Raises:
        ConfigError: it is missing, too large, not YAML, or says something that a policy cannot say.
    """
    place = Path(path)
    try:
        content = place.read_bytes()
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        fault = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: {fault}; give the path of a policy file") from None
    return parse_policy(content, str(path))


def parse_policy(content: bytes, where: str = "policy") -> Policy:
    """Parse the content of a policy file; messages call it `where`. See `read_policy`."""
    if len(content) > LARGEST_FILE:
        raise ConfigError(f"{where} has {len(content):,} bytes; a policy may have {LARGEST_FILE:,}")
    try:
        node = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{where} is not YAML in UTF-8: {error}") from None
    return _Reader(where).policy(node, hashlib.sha256(content).hexdigest())


def parse_individual(rules: str, where: str = "rules") -> tuple[Rule, ...]:
    """Parse the rules of one person: a YAML (or JSON) list of rules. See `read_policy`."""
    try:
        node = yaml.compose(rules, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not a list of rules: {error}") from None
    reader = _Reader(where)
    return () if node is None else tuple(reader.rule(each) for each in reader.entries(node, "rules"))


@final
class _Reader:
    """Turns nodes, which know their lines, into a policy."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._ids: set[str] = set()

    def policy(self, node: yaml.Node | None, version: str) -> Policy:
        fields = self._fields(node, _TOP, "the file")
        if self._whole(fields.get("policy"), "policy", node) != FORMAT:
            self._refuse(fields.get("policy") or node, f"policy must be {FORMAT}, the format of the file")
        start, end = self._validity(fields.get("valid"))
        shortest, longest = self._lengths(fields.get("lists"))
        layers = tuple(self._layer(each) for each in self.entries(fields.get("layers"), "layers", node))
        names = [layer.name for layer in layers]
        if len(set(names)) < len(names) or names != sorted(names, key=LAYERS.index):
            self._refuse(
                fields["layers"], f"layers are {', '.join(names)}; each once, in this order: {', '.join(LAYERS)}"
            )
        if len(self._ids) > MOST_RULES:
            self._refuse(fields["layers"], f"there are {len(self._ids):,} rules; a policy may have {MOST_RULES:,}")
        name = self._text(fields.get("name"), "name", node)
        return Policy(name, version, layers, start, end, shortest, longest)

    def entries(self, node: yaml.Node | None, key: str, parent: yaml.Node | None = None) -> list[yaml.Node]:
        """Return the entries of a list."""
        if not isinstance(node, yaml.SequenceNode):
            self._refuse(node or parent, f"{key} must be a list")
        return list(node.value)

    def rule(self, node: yaml.Node) -> Rule:
        """Return one rule."""
        fields = self._fields(node, (*_RULE, *_ABOUT), "a rule")
        name = self._text(fields.get("id"), "id", node)
        if name in self._ids:
            self._refuse(node, f"id {name!r} is given twice; give every rule an id of its own")
        self._ids.add(name)
        kinds: list[Kind] = [kind for kind in KINDS if kind in fields]
        kinds += ["quota"] if set(_QUOTA) & set(fields) else []
        if len(kinds) != 1:
            self._refuse(node, f"rule {name!r} must do one of: deny, require, no_profiling, at_least / at_most, prefer")
        (kind,) = kinds
        self._allow(fields, node, name, kind)
        bounds = {key: self._amount(fields[key], key) for key in _QUOTA if key in fields}
        first = self._whole(fields["in_first"], "in_first", node) if "in_first" in fields else None
        if first is not None and not 1 <= first <= LONGEST:
            self._refuse(fields["in_first"], f"in_first is {first}; it must be from 1 to {LONGEST}")
        return Rule(
            name,
            kind,
            self._predicate(fields.get("of" if kind == "quota" else kind), node),
            bounds.get("at_least"),
            bounds.get("at_most"),
            first,
            self._weight(fields, node) if kind == "prefer" else 0.0,
            self._condition(fields.get("when")),
            self._condition(fields.get("unless")),
            self._text(fields["why"], "why", node) if "why" in fields else "",
            node.start_mark.line + 1,
        )

    def _allow(self, fields: dict[str, yaml.Node], node: yaml.Node, name: str, kind: Kind) -> None:
        own = {"quota": (*_QUOTA, "of", "in_first"), "prefer": ("prefer", "weight")}.get(kind, (kind,))
        for key in fields:
            if key not in ("id", *_ABOUT, *own):
                self._refuse(node, f"rule {name!r} has {key!r}, which says nothing of {kind.replace('_', ' ')}")

    def _layer(self, node: yaml.Node) -> Layer:
        fields = self._fields(node, ("layer", "rules", "prefer_cap"), "a layer")
        name = self._text(fields.get("layer"), "layer", node)
        if name not in LAYERS:
            known = ", ".join(LAYERS)
            self._refuse(fields["layer"], f"layer is {name!r}; it must be one of {known}{nearest(name, LAYERS)}")
        layer: LayerName = LAYERS[LAYERS.index(name)]
        cap = self._number(fields["prefer_cap"], "prefer_cap") if "prefer_cap" in fields else None
        if cap is not None and cap < 0:
            self._refuse(fields["prefer_cap"], f"prefer_cap is {cap:g}; it must be at least 0")
        rules = self.entries(fields.get("rules"), "rules", node)
        return Layer(layer, tuple(self.rule(each) for each in rules), cap)

    def _predicate(self, node: yaml.Node | None, parent: yaml.Node) -> Predicate:
        if isinstance(node, yaml.ScalarNode) and str(node.value).startswith("each "):
            return Predicate(each=str(node.value).removeprefix("each ").strip())
        if not isinstance(node, yaml.MappingNode) or not node.value:
            self._refuse(node or parent, "items are selected by a mapping, such as {genre: Horror}, or by 'each genre'")
        words: dict[str, tuple[str, ...]] = {"genre": (), "tag": (), "item": ()}
        years: dict[str, int] = {}
        window, columns = None, []
        for key, value in self._pairs(node):
            single = key[:-1] if key in ("genres", "tags", "items") else key
            if single in words:
                words[single] += self._texts(value, key)
            elif key in ("before", "after"):
                years[key] = self._whole(value, key, node)
            elif key == "window":
                window = self._text(value, key, node)
            else:
                columns.append((key, self._texts(value, key)))
        return Predicate(
            words["genre"], words["tag"], words["item"], years.get("before"), years.get("after"), window, tuple(columns)
        )

    def _condition(self, node: yaml.Node | None) -> Condition | None:
        if node is None:
            return None
        fields = self._fields(node, _CONDITIONS, "a condition")
        if not fields:
            self._refuse(node, f"a condition names one of {', '.join(_CONDITIONS)}")
        age = self._whole(fields["age_below"], "age_below", node) if "age_below" in fields else None
        texts = {key: self._texts(fields[key], key) for key in _CONDITIONS[1:] if key in fields}
        return Condition(age, texts.get("region", ()), texts.get("consent", ()), texts.get("role", ()))

    def _validity(self, node: yaml.Node | None) -> tuple[int | None, int | None]:
        if node is None:
            return None, None
        fields = self._fields(node, ("from", "until"), "valid")
        start, end = (self._moment(fields[key], key) if key in fields else None for key in ("from", "until"))
        if start is not None and end is not None and start >= end:
            self._refuse(node, "valid.from must be before valid.until")
        return start, end

    def _lengths(self, node: yaml.Node | None) -> tuple[int, int]:
        fields = {} if node is None else self._fields(node, ("from", "until"), "lists")
        shortest = self._whole(fields["from"], "from", node) if "from" in fields else Policy.shortest
        longest = self._whole(fields["until"], "until", node) if "until" in fields else max(shortest, Policy.longest)
        if not 1 <= shortest <= longest <= LONGEST:
            self._refuse(node, f"lists are from {shortest} to {longest}; lengths are from 1 to {LONGEST}")
        return shortest, longest

    def _weight(self, fields: dict[str, yaml.Node], node: yaml.Node) -> float:
        if "weight" not in fields:
            self._refuse(node, "a preference needs a weight, in ranges of the scores: weight: 0.2")
        return self._number(fields["weight"], "weight")

    def _amount(self, node: yaml.Node, key: str) -> Amount:
        text = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
        try:
            return Amount(float(text[:-1]) / 100, True) if text.endswith("%") else Amount(float(text))
        except (ValueError, OverflowError):
            self._refuse(node, f"{key} is {text!r}; it must be a number of items, or a share such as 20%")
        except ConfigError as error:
            self._refuse(node, f"{key}: {error}")

    def _moment(self, node: yaml.Node, key: str) -> int:
        text = self._text(node, key, node)
        moment = parse_date(text)
        if moment is None:
            self._refuse(node, f"{key} is {text!r}; it must be a date (UTC), such as 2026-12-01")
        return moment

    def _whole(self, node: yaml.Node | None, key: str, parent: yaml.Node | None) -> int:
        text = self._text(node, key, parent)
        try:
            return int(text)
        except ValueError:
            self._refuse(node, f"{key} is {text!r}; it must be a whole number")

    def _number(self, node: yaml.Node, key: str) -> float:
        text = self._text(node, key, node)
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not abs(value) < float("inf"):
            self._refuse(node, f"{key} is {text!r}; it must be a finite number")
        return value

    def _text(self, node: yaml.Node | None, key: str, parent: yaml.Node | None) -> str:
        if not isinstance(node, yaml.ScalarNode) or not str(node.value).strip():
            self._refuse(node or parent, f"{key} must be given, as a text")
        return str(node.value)

    def _texts(self, node: yaml.Node, key: str) -> tuple[str, ...]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not nodes:
            self._refuse(node, f"{key} is an empty list")
        return tuple(self._text(each, key, node) for each in nodes)

    def _fields(self, node: yaml.Node | None, known: Sequence[str], what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, f"{what} must be a mapping with {', '.join(known)}")
        fields: dict[str, yaml.Node] = {}
        for key, value in self._pairs(node):
            if key not in known:
                self._refuse(node, f"{what} has no {key!r}{nearest(key, known)}; it has {', '.join(known)}")
            fields[key] = value
        return fields

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node]]:
        seen: set[str] = set()
        for key, value in node.value:
            name = self._text(key, "a key", node)
            if name in seen:
                self._refuse(key, f"{name!r} is given twice")
            seen.add(name)
            yield name, value

    def _refuse(self, node: yaml.Node | None, fault: str) -> NoReturn:
        line = "" if node is None else f", line {node.start_mark.line + 1}"
        raise ConfigError(f"{self._where}{line}: {fault}")


def parse_date(text: str) -> int | None:
    """Return the moment of a date or time in ISO format, in UTC, as Unix seconds; None if it is none.

    >>> parse_date("1970-01-02"), parse_date("soon")
    (86400, None)
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
