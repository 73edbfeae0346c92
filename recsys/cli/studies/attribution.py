"""`recsys attribution`: what was shown and clicked, by model and position, and the difference of two models."""

from __future__ import annotations

import argparse

from recsys.cli.arguments import Commands, add_command, add_json
from recsys.cli.events import add_store
from recsys.cli.render import print_json


def add(commands: Commands) -> None:
    """Add `attribution` to the commands of a parser."""
    summary = "how much of what lists showed was clicked, by model and position, and which of two models does better"
    parser = add_command(commands, "attribution", _attribution, summary)
    add_store(parser)
    add_json(parser)


def _attribution(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from recsys.events.addresses import open_store
    from recsys.events.impressions.attribution import attribution

    with open_store(options.events, create=False) as store:
        found = attribution(store)
    if options.json:
        print_json(asdict(found), indent=None)
        return
    if not found.rates:
        print("nothing was shown yet; send POST /v1/impressions")
    for one in found.rates:
        interval = "" if one.low is None or one.high is None else f" (95%: {one.low:.4f} to {one.high:.4f})"
        counts = f"{one.clicks} clicks of {one.impressions} impressions in {one.lists} lists of {one.users} users"
        print(f"{one.variant} {one.model}: {one.rate:.4f}{interval}, {counts}")
    if (by := found.difference) is not None:
        print(f"beside less main: {by.difference:+.4f} (95%: {by.low:+.4f} to {by.high:+.4f})")
    for each in found.positions:
        rate = each.clicks / each.impressions
        print(f"{each.variant} {each.model}, position {each.position}: {rate:.4f} of {each.impressions}")
