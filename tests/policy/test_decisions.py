"""Policies on made catalogues: what is allowed is checked by counting, one rule after the other."""

import numpy as np
import pytest

from benchmarks.policy.cases import GENRES, broken_rules, catalogue, policy_of, random_policy
from recsys.data.items import ItemMetadata
from recsys.errors import ConfigError
from recsys.policy.binding import bind
from recsys.policy.catalogue import PolicyCatalogue
from recsys.policy.conflicts import check
from recsys.policy.decide import decide, effects
from recsys.policy.reading import parse_policy
from recsys.policy.schema import Amount, Context, Layer, Policy, Predicate, Rule
from recsys.types import Doubles

NOW = 1_800_000_000
NOBODY = Context()


def scores_of(rng: np.random.Generator, items: int) -> Doubles:
    return np.where(rng.random(items) < 0.1, -np.inf, rng.normal(size=items))


def test_no_binding_rule_is_ever_broken() -> None:
    rng = np.random.default_rng(0)
    relaxed = 0
    for _ in range(600):
        films, policy, n = catalogue(rng, int(rng.integers(12, 40))), random_policy(rng), int(rng.integers(1, 11))
        scores = scores_of(rng, len(films))
        decision = decide(bind(policy, films, NOBODY, NOW, n, "clip"), scores, np.arange(len(films)), n)
        clipped = set(bind(policy, films, NOBODY, NOW, n, "clip").clipped)
        assert len(set(decision.items)) == len(decision.items) <= n
        assert (scores[list(decision.items)] > -np.inf).all()
        broken = broken_rules(films, policy, decision.items, n) - set(decision.relaxed) - clipped
        layers = {rule.id: layer for layer, rule in policy.rules}
        assert all(layers[rule] != "law" for rule in decision.relaxed)
        relaxed += bool(decision.relaxed)
        if len(decision.items) == n:
            assert not broken
        else:  # a short list keeps at least what forbids
            quota = {rule.id for _, rule in policy.rules if rule.at_least is not None}
            assert broken <= quota
    assert 20 < relaxed < 500


def test_without_the_rules_that_are_named_the_decision_is_another() -> None:
    rng = np.random.default_rng(1)
    seen = 0
    for _ in range(80):
        films, policy, n = catalogue(rng, 40), random_policy(rng), 8
        scores, order = scores_of(rng, 40), np.arange(40)
        bound = bind(policy, films, NOBODY, NOW, n, "clip")
        plain = np.argsort(-scores, kind="stable")[:n].tolist()
        listed = decide(bound, scores, order, n).items
        found = {effect.item: effect for effect in effects(bound, scores, order, n)}
        assert set(found) == set(plain) ^ set(listed)
        for item, effect in found.items():
            assert effect.change == ("lifted" if item in listed else "removed")
            for rules, there in (
                (set(effect.rules), True),
                *((set(effect.rules) - {rule}, False) for rule in effect.rules),
            ):
                again = decide(bound.without(frozenset(rules)), scores, order, n).items
                assert ((item in again) == (effect.change == "removed")) == there
            seen += 1
    assert seen > 100


def test_preferences_are_soft_and_capped_by_the_layers_above() -> None:
    films = catalogue(np.random.default_rng(2), 30)
    prefer = Rule("old", "prefer", Predicate(before=1980), weight=5.0)
    free = policy_of(("individual", [prefer]))
    capped = Policy("test", "0", (Layer("law", (), 0.1), Layer("individual", (prefer,))))
    assert bind(free, films, NOBODY, NOW, 10).bonus.max() == 5.0
    assert bind(capped, films, NOBODY, NOW, 10).bonus.max() == 0.1


def test_lower_layers_narrow_and_never_widen() -> None:
    films = catalogue(np.random.default_rng(3), 60)
    drama, same = Predicate(genres=("Drama",)), Predicate(genres=("Drama", "Drama"))
    upper = Rule("upper", "quota", drama, at_most=Amount(3))
    wider, narrower = (Rule("lower", "quota", same, at_most=Amount(most)) for most in (5, 2))
    scores = np.asarray(["Drama" in genres for genres in films.metadata.genres], np.float64)
    for lower, dramas in ((wider, 3), (narrower, 2)):
        bound = bind(policy_of(("law", [upper]), ("individual", [lower])), films, NOBODY, NOW, 10)
        assert scores[list(decide(bound, scores, np.arange(60), 10).items)].sum() == dramas
        assert ("lower" in bound.void) == (lower is wider)
    against = policy_of(("law", [upper]), ("individual", [Rule("more", "quota", same, at_least=Amount(5))]))
    with pytest.raises(ConfigError, match=r"'more' \(individual\) wants from 5 to 10"):
        bind(against, films, NOBODY, NOW, 10)
    assert set(bind(against, films, NOBODY, NOW, 10, "clip").clipped) == {"more"}


def test_what_is_not_known_of_an_item_counts_against_it() -> None:
    films = PolicyCatalogue(("a", "b"), ItemMetadata(("A", "B"), (("War",), ())), {"size": ["small", None]})
    for kind, removed in (("deny", [True, True]), ("require", [False, True])):
        bound = bind(policy_of(("law", [Rule("r", kind, Predicate(genres=("War",)))])), films, NOBODY, NOW, 1)  # type: ignore[arg-type]
        assert bound.removed.tolist() == removed
        assert bound.unknown == {"r": 1}
    quota = Rule("q", "quota", Predicate(columns=(("size", ("small",)),)), at_least=Amount(1))
    assert bind(policy_of(("law", [quota])), films, NOBODY, NOW, 2).groups.bounds[0].members.tolist() == [True, False]


@pytest.mark.parametrize(
    ("of", "fault"),
    [
        (Predicate(genres=("Horor",)), "no item has genre 'Horor'; did you mean 'Horror'?"),
        (Predicate(tags=("adlt",)), "did you mean 'adult'?"),
        (Predicate(items=("i99",)), "no item has item 'i99'"),
        (Predicate(columns=(("sise", ("small",)),)), "items have no 'sise'; did you mean 'size'?"),
        (Predicate(columns=(("size", ("smal",)),)), "did you mean 'small'?"),
        (Predicate(window="size"), "a window is FROM/UNTIL"),
        (Predicate(each="sise"), "did you mean 'size'?"),
    ],
)
def test_names_that_the_catalogue_does_not_have_are_errors(of: Predicate, fault: str) -> None:
    films = catalogue(np.random.default_rng(4), 30)
    with pytest.raises(ConfigError, match="rule 'r'") as error:
        bind(policy_of(("law", [Rule("r", "quota", of, at_least=Amount(1))])), films, NOBODY, NOW, 10)
    assert fault in str(error.value)


def test_rules_hold_in_their_circumstances_and_time() -> None:
    films = catalogue(np.random.default_rng(5), 30)
    text = """\
policy: 1
name: shop
valid: {from: 2026-12-01, until: 2027-06-01}
layers:
  - layer: law
    rules: [{id: age, deny: {tag: adult}, when: {age_below: 18}}]
"""
    policy = parse_policy(text.encode())
    adults, inside, after = bind(policy, films, Context(30), NOW, 5), bind(policy, films, NOBODY, NOW, 5), None
    after = bind(policy, films, NOBODY, NOW + 10**9, 5)
    assert inside.removed.any()
    assert not adults.removed.any()
    assert not after.rules


def test_planted_conflicts_are_found_with_a_minimal_set_and_good_policies_pass() -> None:
    rng = np.random.default_rng(6)
    films = catalogue(rng, 60)
    harmless = [
        Rule(f"fine{place}", "quota", Predicate(genres=(name,)), at_most=Amount(9)) for place, name in enumerate(GENRES)
    ]
    for length in range(4, 12):
        least = length // 2 + 1
        plant = [
            Rule("old", "quota", Predicate(before=1980), at_least=Amount(least)),
            Rule("new", "quota", Predicate(after=1985), at_least=Amount(length - least + 1)),
        ]
        policy = policy_of(("law", harmless), ("organisation", [plant[0]]), ("role", [plant[1]]))
        report = check(Policy("p", "0", policy.layers, shortest=length, longest=length), films, NOW)
        assert [set(conflict.rules) for conflict in report.conflicts] == [{"old", "new"}]
        assert report.conflicts[0].lengths == (length,)
        alone = Policy("p", "0", policy.layers[:2], shortest=length, longest=length)
        assert check(alone, films, NOW).conflicts == ()


def test_a_check_warns_of_what_never_acts_and_of_what_is_unknown() -> None:
    films = catalogue(np.random.default_rng(7), 40)
    rules = [
        Rule("idle", "quota", Predicate(genres=("War",)), at_most=Amount(10)),
        Rule("size", "deny", Predicate(columns=(("size", ("large",)),))),
    ]
    policy = Policy("p", "0", (Layer("law", tuple(rules)),), valid_until=NOW + 100_000, shortest=5, longest=6)
    text = "\n".join(check(policy, films, NOW).warnings)
    assert "'idle' can never act" in text
    assert "'size' asks for what is not known of" in text
    assert "the policy ends in 1 days" in text


def test_circumstances_are_counted_before_they_are_tried() -> None:
    when = [{"consent": f"c{place}"} for place in range(13)]
    rules = ", ".join(
        f"{{id: r{place}, deny: {{item: i1}}, when: {{consent: {each['consent']}}}}}" for place, each in enumerate(when)
    )
    text = f"policy: 1\nname: x\nlayers:\n  - layer: law\n    rules: [{rules}]\n"
    with pytest.raises(ConfigError, match="tell 8,192 circumstances apart"):
        check(parse_policy(text.encode()), catalogue(np.random.default_rng(8), 12), NOW)
