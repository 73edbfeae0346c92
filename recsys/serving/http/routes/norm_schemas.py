"""Bodies of requests and answers about the policy, documented in OpenAPI."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from recsys.policy.person import MOST_OWN_RULES
from recsys.policy.schema import LayerName, Policy, Rule
from recsys.serving.http.schemas import Age, Body

_EXAMPLE: JsonDict = {"rules": [{"id": "no-horror", "deny": {"genre": "Horror"}}], "consents": []}


class OwnPolicyIn(Body):
    """A person's own rules, in place of all earlier ones, and what the person agrees to."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    rules: list[dict[str, Any]] = Field(
        max_length=MOST_OWN_RULES,
        description="as in the individual layer of a policy file: each with id and one of deny, require, no_profiling, "
        "at_least / at_most with of, prefer with weight",
    )
    consents: list[str] = Field(
        default_factory=list, max_length=20, description="purposes, as the conditions of the policy name them"
    )


class CircumstancesIn(Body):
    """What the service knows of a person, for the conditions of the policy; null: unknown, an age then the youngest."""

    age: Age = Field(None, description="in years")
    region: str | None = Field(None, min_length=1, max_length=50, description="as the policy writes regions")


class RuleOut(BaseModel):
    """A rule of the policy in words."""

    id: str
    rule: str
    why: str
    when: str
    unless: str


class LayerOut(BaseModel):
    """The rules of one layer."""

    layer: LayerName
    rules: list[RuleOut]


class OptionOut(BaseModel):
    """What a person can change, at any time."""

    option: str
    says: str


class PolicyOut(BaseModel):
    """What decides lists, in words, the most important first; name and version are null without a policy."""

    name: str | None
    version: str | None
    valid_from: int | None
    valid_until: int | None
    parameters: list[str]
    layers: list[LayerOut]
    options: list[OptionOut]


class OwnPolicyOut(BaseModel):
    """A person's own layer: in words as it binds, and as it was stored; null: that of the policy."""

    layer: list[RuleOut]
    rules: list[dict[str, Any]] | None
    consents: list[str]
    age: int | None
    region: str | None


class AuditOut(BaseModel):
    """A line of the ledger.

    `intact` tells whether the next line has its hash; `is_users` whether it is about the user of the request, and
    `replayed` whether the same question gets the same list from the model, policy and history of today; null where
    no user was given, or where that cannot be told.
    """

    line: dict[str, Any]
    intact: bool
    is_users: bool | None
    replayed: bool | None
    note: str


def rule_out(rule: Rule) -> RuleOut:
    """Return a rule in words."""
    return RuleOut(
        id=rule.id,
        rule=str(rule),
        why=rule.why,
        when="" if rule.when is None else str(rule.when),
        unless="" if rule.unless is None else str(rule.unless),
    )


def layers_out(policy: Policy) -> list[LayerOut]:
    """Return the layers of a policy in words."""
    return [LayerOut(layer=each.name, rules=[rule_out(rule) for rule in each.rules]) for each in policy.layers]
