"""What decides lists, and what a person can change, in words."""

from __future__ import annotations

from recsys.policy.person import conditions_of
from recsys.policy.schema import Policy

_ABOVE = {
    "law": "the law's rules, which nothing overrules",
    "organisation": "the rules of the organisation that runs the service",
    "role": "the rules of the role in which the service acts",
    "individual": "your own rules, or those that are set for you until you change them",
}


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
