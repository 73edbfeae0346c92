"""`recsys benchmark drift`: rules of forgetting compared on a log."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys.cli.arguments import (
    Commands,
    add_actions,
    add_ask,
    add_bad_rows,
    add_columns,
    add_command,
    add_json,
    add_seed,
    whole,
)
from recsys.cli.render import print_json, print_table, probability, say
from recsys.experiments.drift.names import DRIFT_ARMS

_BASES = ("ease", "itemknn", "ials", "persona_ease")
_ARMS = ("none", "global", "window", "koren", "population_adwin", "user_adwin", "per_user")


def add(commands: Commands) -> None:
    """Add `benchmark` to the commands of a parser."""
    actions = add_actions(add_command(commands, "benchmark", None, "compare rules of forgetting on a log"))
    parser = add_command(
        actions,
        "drift",
        _drift,
        "replay a log under each rule of forgetting",
        "A call that was interrupted\ngoes on when it is made again.",
    )
    parser.add_argument("--data", required=True, help="name of a data set, or a file with user, item and time")
    parser.add_argument("--out", type=Path, required=True, help="directory of the result; a part of it is continued")
    parser.add_argument(
        "--base",
        nargs="+",
        default=list(_BASES),
        metavar="BASE",
        help=f"models that fold in: names of shipped experiments, or files (default: {' '.join(_BASES)})",
    )
    parser.add_argument(
        "--arms",
        nargs="+",
        default=list(_ARMS),
        metavar="ARM",
        help=f"of {', '.join(DRIFT_ARMS)} (default: {' '.join(_ARMS)})",
    )
    parser.add_argument("--users", type=whole(1), help="ask at most so many users; the models are fitted on everybody")
    add_ask(
        parser,
        "at the first event of each session or day, to which all its items are relevant, or before each event "
        "(default: session)",
    )
    parser.add_argument("--came-back", action="store_true", help="ask only users who have been there for a day or more")
    parser.add_argument("--limit", type=whole(1), help="ask at most the first so many questions")
    parser.add_argument(
        "--candidates", type=whole(1), default=12, help="rules that an arm may try (default: %(default)s)"
    )
    parser.add_argument(
        "--retrain-days",
        type=whole(1),
        default=30,
        help="days between two fits of the retrained arms (default: %(default)s)",
    )
    add_seed(parser, "of models, of the users drawn")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_json(parser, "print drift.json")
    add_bad_rows(parser)
    add_columns(parser)


def _drift(options: argparse.Namespace) -> None:
    from recsys.data.catalogue import datasets
    from recsys.data.readers.columns import Columns
    from recsys.experiments.drift.arm_results import Settings
    from recsys.experiments.drift.bases import read_bases
    from recsys.experiments.drift.benchmark import check_options, run_drift
    from recsys.types import HOUR

    columns = Columns.from_mapping(dict(options.columns)) if options.columns else None
    names = ("users", "ask", "came_back", "limit", "candidates", "retrain_days", "seed")
    settings = Settings(pause=options.pause * HOUR, **{name: getattr(options, name) for name in names})
    check_options(options.arms, settings)
    read_bases(options.base, options.seed)  # refused before the log is read, as it may be large
    content = run_drift(
        datasets.load(options.data, columns=columns, on_error=options.on_error, seed=options.seed),
        options.base,
        options.arms,
        options.out,
        settings,
        command=_command(options),
        say=(lambda _: None) if options.quiet else say,
    )
    if options.json:
        print_json(content)
        return
    print_table([row for base, entry in content["bases"].items() for row in _rows(base, entry)], decimals=4)
    for base, reason in content["refused"].items():
        print(f"{base} refuses {content['dataset']}: {reason}")
    for reason in content["questions"]["refusals"]:
        print(f"No claim about taste. {reason}")
    print(f"kept in {options.out}; report.md is the report")


def _command(options: argparse.Namespace) -> str:
    """Return the command line that repeats a call, with the defaults written out."""
    words: list[object] = ["recsys", "benchmark", "drift", "--data", options.data, "--base", *options.base]
    words += ["--arms", *options.arms, "--out", options.out]
    words += ["--came-back"] if options.came_back else []
    for name in ("users", "ask", "pause", "limit", "candidates", "retrain_days", "seed"):
        value = getattr(options, name)
        words += [] if value is None else [f"--{name.replace('_', '-')}", value]
    words += ["--columns", *(f"{role}={name}" for role, name in options.columns)] if options.columns else []
    words += ["--on-error", options.on_error] if options.on_error != "raise" else []
    return shlex.join(map(str, words))


def _rows(base: str, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each arm of a base, with the difference of `per_user` from it."""
    rows = []
    for arm, values in entry["arms"].items():
        pair = entry["paired"].get(f"per_user-{arm}")
        rows.append(
            {
                "base": base,
                "arm": arm,
                "choice": values["choice"],
                "ndcg@10": values["over_users"]["ndcg@10"],
                "hr@10": values["over_users"]["hr@10"],
                "ndcg@10 over questions": values["ndcg@10"],
                "per_user -": None if pair is None else f"{pair['diff']:+.4f}",
                "p (Holm)": None if pair is None else probability(pair["p_holm"]),
            }
        )
    return rows
