"""`recsys disagree`: whom one rule for all leaves out, and how much of it a run's model repairs."""

from __future__ import annotations

import argparse
import math
from typing import Any

from recsys.cli.arguments import Commands, add_command, add_json, add_run, add_seed, whole
from recsys.cli.render import print_json, print_table, say


def add(commands: Commands) -> None:
    """Add `disagree` to the commands of a parser."""
    parser = add_command(
        commands,
        "disagree",
        _disagree,
        "whom one rule for all leaves out, and how much of it the model repairs",
        "The run's model is fitted anew, on half of the users or on everybody's first ratings; the run is not changed.",
    )
    add_run(parser)
    parser.add_argument(
        "--protocol",
        choices=("masked", "held_out"),
        default="masked",
        help="masked: new users judge pairs whose ratings are taken out of their histories; held_out: everybody's last "
        "ratings (default: %(default)s)",
    )
    parser.add_argument("--raters", type=whole(1), help="least users who judge a pair (default: 80; of held_out 20)")
    parser.add_argument(
        "--cap", type=whole(1), metavar="PAIRS", help="at most so many pairs of each user (default: all)"
    )
    add_seed(parser, "of the halves of users")
    add_json(parser)


def _disagree(options: argparse.Namespace) -> None:
    from recsys.evaluation.disagreement import disagreement
    from recsys.experiments.runs import load_model, run_log

    model = load_model(options.run, options.allow_model)
    log = run_log(options.run, model, options.data, dict(options.columns))
    measured = disagreement(
        model,
        log,
        options.protocol,
        raters=options.raters,
        cap=options.cap,
        seed=options.seed,
    )
    if options.json:
        print_json(measured.to_dict())
        return
    found = measured.to_dict()
    if found["unrated"]:
        say(f"{found['unrated']} events have no rating, and were not judged")
    print_table([_row(row) for row in found["bins"]])
    overall = found["overall"]
    print(
        f"right: model {_share(overall['accuracy_model'])}, one rule for all {_share(overall['accuracy_pooled'])}; of "
        f"{overall['users_model']:.0f} users with enough contested pairs "
        f"{_share(overall['below_half_denoised_model'])} are below a half with the model, "
        f"{_share(overall['below_half_denoised_pooled'])} with one rule (freed of the noise of small numbers)"
    )


def _row(row: dict[str, Any]) -> dict[str, object]:
    """Return a bin as people read it: who gets the other item than the one they prefer."""
    return {
        "split": f"{row['low']:g}-{row['high']:g}",
        "judgements": row["judgements"],
        "least for one rule": _share(row["bound"]),
        "one rule": _share(row["pooled"]),
        "model": _share(row["model"]),
        "minority right": _share(row["minority"]),
        "majority right": _share(row["majority"]),
    }


def _share(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.1%}"
