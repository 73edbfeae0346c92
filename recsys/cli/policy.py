"""`recsys policy check | explain | diff`: norms that bind lists."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli.arguments import (
    Commands,
    add_actions,
    add_command,
    add_json,
    add_length,
    add_moment,
    add_run,
    whole,
)
from recsys.cli.render import print_json, print_table, say
from recsys.errors import ConfigError

_AGES = 150


def add(commands: Commands) -> None:
    """Add `policy` to the commands of a parser."""
    command = add_command(commands, "policy", None, "check a policy file, and explain what it does to a list")
    actions = add_actions(command)
    check = add_command(actions, "check", _check, "find contradictions, what cannot be met, and what can never act")
    explain = add_command(actions, "explain", _explain, "the list of a user under the policy, and which rule did what")
    for parser in (check, explain):
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
    explain.add_argument("--age", type=whole(0, _AGES), help="of the person; unknown counts as the youngest")
    explain.add_argument("--region", help="where the request comes from, as the file writes regions")
    explain.add_argument("--consent", action="append", default=[], metavar="PURPOSE", help="may be repeated")
    explain.add_argument("--role", help="what the service acts as")
    diff = add_command(actions, "diff", _diff, "which rules of one policy file are not those of another")
    for name in ("old", "new"):
        diff.add_argument(name, type=Path)
    add_json(diff)


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
    from recsys.policy.schema import Context

    told = explain_policy(
        options.run,
        options.file,
        user=options.user,
        history=options.history,
        n=options.n,
        context=Context(options.age, options.region, frozenset(options.consent), options.role),
        attributes=options.attributes,
        at=options.at,
        source=options.data,
        columns=dict(options.columns),
        allow=options.allow_model,
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
