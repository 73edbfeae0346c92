"""`recsys policy check | explain | cost | diff | verify`: norms that bind lists, and the record of what they did."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.cli.arguments import (
    Commands,
    add_actions,
    add_command,
    add_json,
    add_length,
    add_moment,
    add_run,
    of_run,
    whole,
)
from recsys.cli.render import print_json, print_table, say
from recsys.errors import ConfigError, DataError

if TYPE_CHECKING:
    from recsys.policy.schema import Context

_AGES = 150


def add(commands: Commands) -> None:
    """Add `policy` to the commands of a parser."""
    command = add_command(commands, "policy", None, "check a policy file, and explain what it does to a list")
    actions = add_actions(command)
    check = add_command(actions, "check", _check, "find contradictions, what cannot be met, and what can never act")
    explain = add_command(actions, "explain", _explain, "the list of a user under the policy, and which rule did what")
    cost = add_command(actions, "cost", _cost, "what each rule and each layer costs on the run's held-out questions")
    for parser in (check, explain, cost):
        parser.add_argument("file", type=Path, help="the policy")
        add_run(parser)
        parser.add_argument(
            "--attributes", type=Path, metavar="FILE", help="CSV or Parquet: item ids, then facts that rules ask for"
        )
        add_json(parser)
    user = explain.add_mutually_exclusive_group(required=True)
    user.add_argument("--user", help="id of a user of the log")
    user.add_argument("--history", type=Path, help="file with somebody's items: ids one to a line, CSV or JSON")
    add_length(explain, "how many")
    add_moment(explain)
    add_length(cost, "length of the lists")
    cost.add_argument("--users", type=whole(1, 1_000_000), default=1_000, help="the most questions (default: 1000)")
    cost.add_argument("--on", choices=("valid", "test"), default="test", help="which questions (default: %(default)s)")
    for parser in (explain, cost):
        parser.add_argument("--age", type=whole(0, _AGES), help="of the person; unknown counts as the youngest")
        parser.add_argument("--region", help="where the request comes from, as the file writes regions")
        parser.add_argument("--consent", action="append", default=[], metavar="PURPOSE", help="may be repeated")
        parser.add_argument("--role", help="what the service acts as")
    diff = add_command(actions, "diff", _diff, "which rules of one policy file are not those of another")
    for name in ("old", "new"):
        diff.add_argument(name, type=Path)
    add_json(diff)
    verify = add_command(actions, "verify", _verify, "check that a ledger is as it was written, line by line")
    verify.add_argument("ledger", type=Path, help="folder that `recsys serve --ledger` writes")
    add_json(verify)


def _check(options: argparse.Namespace) -> None:
    from recsys.experiments.policies import check_policy

    report = check_policy(options.run, options.file, options.attributes, options.allow_model)
    if options.json:
        print_json(report.to_dict())
    else:
        for warning in report.warnings:
            say(f"warning: {warning}")
    if report.conflicts:
        raise ConfigError("; ".join(f"{options.file}: {conflict}" for conflict in report.conflicts))
    if not options.json:
        print(f"{options.file}: no conflicts")


def _explain(options: argparse.Namespace) -> None:
    from recsys.experiments.policies import explain_policy

    told = explain_policy(
        options.run,
        options.file,
        user=options.user,
        history=options.history,
        n=options.n,
        context=_context(options),
        attributes=options.attributes,
        at=options.at,
        **of_run(options),
    )
    if options.json:
        print_json(told)
        return
    print_table([{"item": one["item_id"], "title": one["title"]} for one in told["items"]])
    for change in told["changes"]:
        rules = " and ".join(
            f"{rule['id']} ({rule['layer']}: {rule['why'] or rule['rule']})" for rule in change["rules"]
        )
        print(f"{change['change']}: {change['title']}, because of {rules}")
    for rule in told["relaxed"]:
        print(f"not kept, as no list keeps all rules: {rule}")


def _context(options: argparse.Namespace) -> Context:
    from recsys.policy.schema import Context

    return Context(options.age, options.region, frozenset(options.consent), options.role)


def _cost(options: argparse.Namespace) -> None:
    from recsys.experiments.policy_costs import policy_costs

    found = policy_costs(
        options.run,
        options.file,
        part=options.on,
        n=options.n,
        users=options.users,
        context=_context(options),
        attributes=options.attributes,
        **of_run(options),
    )
    if options.json:
        print_json([each.to_dict() for each in found])
        return
    rows = [
        {
            "rule": "all" if each.layer == "all" else ", ".join(each.rules),
            "layer": each.layer,
            "lists changed": f"{each.changed:.0%}",
            "gave way": f"{each.relaxed:.0%}",
            "score": f"{100 * each.score:+.2f}%",
            f"ndcg@{options.n}": f"{each.change:+.4f}",
            "95%": f"{each.low:+.4f} to {each.high:+.4f}",
            "p (Holm)": f"{each.p:.3f}",
        }
        for each in found
    ]
    print_table(rows)
    if found:
        print(f"{found[0].users:,} users; each row: the policy against the policy without the rule")


def _verify(options: argparse.Namespace) -> None:
    from recsys.policy.ledger import verify

    found = verify(options.ledger)
    if options.json:
        print_json({"lines": found.lines, "heads": dict(found.heads), "broken": list(found.broken)})
    if found.broken:
        raise DataError("; ".join(f"{options.ledger}, {fault}" for fault in found.broken))
    if not options.json:
        print(f"{options.ledger}: {found.lines:,} lines, as they were written")
        for name, head in found.heads.items():
            print(f"{name} ends with {head}")


def _diff(options: argparse.Namespace) -> None:
    from recsys.policy.reading import read_policy

    old, new = (
        {rule.id: f"{layer}: {rule}" for layer, rule in read_policy(path).rules} for path in (options.old, options.new)
    )
    rows = [
        {"rule": name, "old": old.get(name, ""), "new": new.get(name, "")}
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    print_table(rows, as_json=options.json)
