"""What decides lists, and what a person can change, in words."""

from __future__ import annotations

from collections.abc import Sequence

from recsys.explanations.text import enumeration
from recsys.policy.person import conditions_of
from recsys.policy.schema import LayerName, Policy
from recsys.serving.norms.records import RuleFacts

_ABOVE = {
    "law": "the law's rules, which nothing overrules",
    "organisation": "the rules of the organisation that runs the service",
    "role": "the rules of the role in which the service acts",
    "individual": "your own rules, or those that are set for you until you change them",
}


_WHOSE: dict[LayerName, str] = {
    "law": "a rule of the law",
    "organisation": "a rule of the service",
    "role": "a rule of the role in which the service acts",
    "individual": "a rule of your own",
}


def lifted_by(rules: Sequence[RuleFacts], price: float | None, speaks: str) -> str:
    """Return why an item has a place that its score alone would not give it, and then what speaks for it.

    Args:
        rules: that have a part in it, the first ones binding most.
        price: how much larger the sum of scores would be without these rules, where that was tried; else None.
        speaks: the sentence of what speaks for the item.

    >>> rule = RuleFacts("old", "organisation", "at least 2 of before 1980", "")
    >>> lifted_by([rule], None, "Your history as a whole speaks for it.")
    'A rule of the service helped it here: at least 2 of before 1980. Your history as a whole speaks for it.'
    >>> lifted_by([rule], 0.5, "")
    'Because of a rule of the service: at least 2 of before 1980. Without it the scores would add up to 0.5 more.'
    """
    named = enumeration([f"{_WHOSE[rule.layer]}: {rule.rule}" for rule in rules])
    if price is None:
        told = f"{named[:1].upper()}{named[1:]}".replace(": ", " helped it here: ", 1)
    else:
        without = "it" if len(rules) == 1 else "them"
        told = f"Because of {named}. Without {without} the scores would add up to {price:.2g} more"
    return f"{told}. {speaks}".strip()


def parameters_of(policy: Policy | None) -> list[str]:
    """Return the main parameters of lists, the most important first."""
    layers = [] if policy is None else [each.name for each in policy.layers if each.rules]
    return [
        *(_ABOVE[layer] for layer in layers),
        "what you used, rated, liked or rejected, with the time at which you did: it decides how each item is scored",
        "where the model finds personas in your history, how much of it each of them has: it decides their seats",
        "what you muted, boosted or renamed, and what a request filters",
        "how many people used an item, where scores are equal or nothing is known of you",
    ]


def options_of(policy: Policy | None) -> list[tuple[str, str]]:
    """Return what a person can change: how, and what it does."""
    options = [
        ("profiling=none", "ask for a list without your history: what suits people in general"),
        ("PUT /v1/users/{id}/personas/{persona}", "mute, boost or rename a persona"),
        ("DELETE /v1/users/{id}/events/{event}", "take back something that you did"),
        ("DELETE /v1/users/{id}/data", "erase everything that is held of you"),
    ]
    if policy is None:
        return options
    purposes = sorted({name for each in conditions_of(policy) for name in each.consent})
    own = [("PUT /v1/users/{id}/policy", "set rules of your own, which may narrow what the others allow")]
    if purposes:
        own.append(("consents of PUT /v1/users/{id}/policy", f"agree to {', '.join(purposes)}, or take that back"))
    own.append(("decisions=true", "ask of each removed and lifted item by which rule it is so, and at what price"))
    return [*own, *options]
