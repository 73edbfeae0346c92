import json

import pytest

from recsys.errors import ConfigError
from recsys.policy.reading import parse_individual, parse_policy
from recsys.policy.schema import Amount, Condition, Context, Predicate

SHOP = """\
policy: 1
name: shop
valid: {from: 2026-12-01, until: 2027-06-01}
lists: {from: 5, until: 20}
layers:
  - layer: law
    prefer_cap: 0.3
    rules:
      - {id: age, deny: {tag: adult}, when: {age_below: 18}, why: "Minors are protected."}
      - {id: sensitive, no_profiling: {genres: [Politics, Religion]}, unless: {consent: sensitive}}
  - layer: organisation
    rules:
      - {id: licence, require: {window: licensed}}
      - {id: indie, at_least: 2, of: {provider_size: small}, in_first: 10}
  - layer: role
    rules: [{id: one-genre, at_most: 40%, of: each genre}]
  - layer: individual
    rules:
      - {id: no-horror, deny: {genre: Horror}}
      - {id: old-films, prefer: {before: 1980}, weight: 0.2}
"""


def test_a_policy_is_read_as_it_is_written() -> None:
    policy = parse_policy(SHOP.encode())
    rules = {rule.id: rule for _, rule in policy.rules}
    assert [layer.name for layer in policy.layers] == ["law", "organisation", "role", "individual"]
    assert (policy.valid_from, policy.valid_until) == (1796083200, 1811808000)
    assert (policy.shortest, policy.longest, policy.layers[0].prefer_cap) == (5, 20, 0.3)
    assert len(policy.version) == 64
    assert rules["age"].when == Condition(age_below=18)
    assert (rules["age"].kind, rules["age"].of, rules["age"].line) == ("deny", Predicate(tags=("adult",)), 9)
    assert rules["sensitive"].of == Predicate(genres=("Politics", "Religion"))
    assert rules["indie"].of == Predicate(columns=(("provider_size", ("small",)),))
    assert (rules["indie"].at_least, rules["indie"].in_first) == (Amount(2), 10)
    assert (rules["one-genre"].at_most, rules["one-genre"].of) == (Amount(0.4, True), Predicate(each="genre"))
    assert (rules["old-films"].of, rules["old-films"].weight) == (Predicate(before=1980), 0.2)
    assert str(rules["indie"]) == "at least 2 of provider_size small in the first 10"
    assert policy.to_dict()["layers"][0]["rules"][0]["why"] == "Minors are protected."


def test_conditions_hold_where_all_of_them_do_and_unknown_age_is_the_youngest() -> None:
    condition = Condition(age_below=18, region=("EU",))
    assert condition.holds(Context(region="EU"))
    assert condition.holds(Context(17, "EU"))
    assert not condition.holds(Context(18, "EU"))
    assert not condition.holds(Context(17, "US"))
    assert Condition(consent=("ads",)).holds(Context(consents=frozenset({"ads"})))
    assert not Condition(role=("children",)).holds(Context())


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("policy: 1", "policy: 2", "line 1: policy must be 1"),
        ("name: shop", "nmae: shop", "has no 'nmae'; did you mean 'name'?"),
        (
            "layer: role",
            "layer: rule",
            "line 15: layer is 'rule'; it must be one of law, organisation, role, individual",
        ),
        ("layer: role", "layer: law", "each once, in this order"),
        ("id: indie", "id: age", "line 14: id 'age' is given twice"),
        ("at_least: 2,", "at_least: 2.5,", "line 14: at_least: a number of items is 2.5"),
        ("at_most: 40%", "at_most: 140%", "a share is 140%"),
        ("at_most: 40%", "at_most: some", "at_most is 'some'"),
        ("in_first: 10", "in_first: 0", "in_first is 0; it must be from 1 to 100"),
        ("deny: {genre: Horror}", "deny: {genre: Horror}, weight: 1", "has 'weight', which says nothing of deny"),
        ("deny: {genre: Horror}", "deny: Horror", "items are selected by a mapping"),
        ("deny: {genre: Horror}", "deny: {genre: []}", "genre is an empty list"),
        ("deny: {genre: Horror}", "why: yes", "rule 'no-horror' must do one of"),
        (", weight: 0.2", "", "needs a weight"),
        ("weight: 0.2", "weight: .inf", "must be a finite number"),
        ("{age_below: 18}", "{age_bellow: 18}", "did you mean 'age_below'?"),
        ("until: 2027-06-01", "until: 2026-06-01", "valid.from must be before valid.until"),
        ("until: 2027-06-01", "until: soon", "must be a date"),
        ("{from: 5, until: 20}", "{from: 5, until: 500}", "lengths are from 1 to 100"),
        ("layers:", "layers: {}\nmore:", "has no 'more'"),
        ("name: shop", "name: [", "is not YAML"),
    ],
)
def test_what_cannot_be_said_is_an_error_with_its_line(old: str, new: str, fault: str) -> None:
    assert old in SHOP
    with pytest.raises(ConfigError, match=r"shop\.yaml") as error:
        parse_policy(SHOP.replace(old, new, 1).encode(), "shop.yaml")
    assert fault in str(error.value)


def test_files_are_bounded() -> None:
    with pytest.raises(ConfigError, match="1,000,001 bytes"):
        parse_policy(b"#" * 1_000_001)
    many = "\n".join(f"    - {{id: r{place}, deny: {{item: a}}}}" for place in range(1_001))
    with pytest.raises(ConfigError, match="1,001 rules"):
        parse_policy(f"policy: 1\nname: x\nlayers:\n  - layer: law\n    rules:\n{many}".encode())


def test_rules_of_a_person_are_a_list() -> None:
    rules = parse_individual(json.dumps([{"id": "a", "deny": {"genre": "Horror"}}]))
    assert [rule.id for rule in rules] == ["a"]
    assert parse_individual("") == ()
    with pytest.raises(ConfigError, match="must be a list"):
        parse_individual("{}")
