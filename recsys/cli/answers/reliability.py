"""`recsys reliability`: which of a user's ratings are preferences, and which to ask about again."""

from __future__ import annotations

import argparse
from typing import Any

from recsys.cli.arguments import Commands, add_command, add_json, add_run, whole
from recsys.cli.render import print_json, print_table, progress_of, say


def add(commands: Commands) -> None:
    """Add `reliability` to the commands of a parser."""
    parser = add_command(
        commands,
        "reliability",
        _reliability,
        "which of a user's ratings are preferences, and which to ask about again",
        "A run of configs/ease_reliable.yaml knows; for another run the mixture is fitted first, which takes a minute.",
    )
    add_run(parser)
    parser.add_argument("--user", required=True, help="id of a user of the log")
    parser.add_argument("-n", type=whole(1), default=5, help="most ratings that are named (default: %(default)s)")
    add_json(parser)


def _reliability(options: argparse.Namespace) -> None:
    from recsys.experiments.answers.user_reliability import user_reliability
    from recsys.experiments.runs import load_model, run_log

    model = load_model(options.run, options.allow_model)
    log = run_log(options.run, model, options.data, dict(options.columns))
    with progress_of("rounds of the mixture") as progress:
        found = user_reliability(model, log, options.user, options.n, progress).to_dict(model)
    if options.json:
        print_json(found)
        return
    if found["genuine"] is None:
        print(f"nothing is told apart: {found['reason']}")
        return
    share = found["genuine"]
    print(
        f"{share['share']:.0%} of {found['answers']} ratings are preferences, with 90% between {share['low']:.0%} and "
        f"{share['high']:.0%}; {found['reason']}"
    )
    say("least likely preferences")
    print_table([_row(answer) | {"why": answer["why"]} for answer in found["doubted"]])
    if found["ask_again"]:
        say("worth asking again: by the bits that a second answer tells, and by what of the list of ten depends on it")
        rows = found["ask_again"]
        print_table(
            [_row(answer) | {"bits": f"{answer['bits']:.2f}", "changes of ten": answer["changed"]} for answer in rows]
        )


def _row(answer: dict[str, Any]) -> dict[str, object]:
    chances = {name: "-" if value is None else f"{value:.0%}" for name, value in answer["probabilities"].items()}
    return {"title": answer["title"], "rating": f"{answer['value']:g}", **chances}
