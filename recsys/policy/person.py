"""The layer that a person may change: rules that only narrow, and the circumstances that a policy tells apart."""

from __future__ import annotations

from recsys.errors import ConfigError
from recsys.policy.binding import bind, preference_caps
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.conflicts import check
from recsys.policy.reading import parse_individual
from recsys.policy.schema import Condition, Context, Policy, Rule

MOST_OWN_RULES = 20


def own_rules(text: str, policy: Policy, catalogue: PolicyCatalogue, now: int) -> tuple[Rule, ...]:
    """Return the rules of one person, checked against the layers above.

    Args:
        text: a list of rules, in YAML or JSON.
        policy: its individual layer is the one that they take the place of.
        catalogue: of the items.
        now: Unix seconds.

    Raises:
        ConfigError: a rule cannot be read, names what the catalogue does not have, asks for more than a layer above
            allows, or contradicts it. Groups are compared by their items, so that a synonym helps nobody.
    """
    rules = parse_individual(text)
    if len(rules) > MOST_OWN_RULES:
        raise ConfigError(f"there are {len(rules)} rules; a person may have {MOST_OWN_RULES}")
    others = policy.with_individual(())
    taken = {rule.id for _, rule in others.rules}
    cap = preference_caps(others)["individual"]
    for rule in rules:
        if rule.id in taken:
            raise ConfigError(f"id {rule.id!r} is that of a rule above; give your rule another")
        if abs(rule.weight) > cap:
            raise ConfigError(f"rule {rule.id!r} has weight {rule.weight:g}; a layer above allows at most {cap:g}")
    whole = others.with_individual(rules)
    report = check(whole, catalogue, now)
    own = {rule.id for rule in rules}
    for conflict in report.conflicts:
        if own & set(conflict.rules):
            raise ConfigError(str(conflict))
    for n in {policy.shortest, policy.longest}:
        bound = bind(whole, catalogue, Context(), now, n, "clip")
        for name, reason in bound.void.items():
            if name in own:
                raise ConfigError(f"rule {name!r} allows more than there is, or nothing new: {reason}; leave it out")
    return rules


def context_class(policy: Policy, context: Context) -> Context:
    """Return the circumstances that the conditions of a policy tell apart, and nothing else of the person.

    >>> from recsys.policy.reading import parse_policy
    >>> rule = "{id: age, deny: {tag: adult}, when: {age_below: 18}}"
    >>> policy = parse_policy(f"policy: 1\\nname: x\\nlayers: [{{layer: law, rules: [{rule}]}}]".encode())
    >>> [context_class(policy, Context(age, "eu")).age for age in (None, 7, 17, 18, 90)]
    [17, 17, 17, 18, 18]
    """
    conditions = conditions_of(policy)
    ages = sorted({each.age_below for each in conditions if each.age_below is not None})
    above = [age for age in ages if context.age is None or context.age < age]
    age = None if not ages else above[0] - 1 if above else ages[-1]
    regions, consents, roles = (
        {value for each in conditions for value in getattr(each, name)} for name in ("region", "consent", "role")
    )
    return Context(
        age,
        context.region if context.region in regions else None,
        context.consents & consents,
        context.role if context.role in roles else None,
    )


def conditions_of(policy: Policy) -> list[Condition]:
    """Return the conditions of all rules."""
    return [each for _, rule in policy.rules for each in (rule.when, rule.unless) if each is not None]
