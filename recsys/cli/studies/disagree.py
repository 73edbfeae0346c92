"""`recsys disagree`: whom one rule for all leaves out, and how much of it a run's model repairs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from recsys.cli.arguments import Commands, add_choices, add_command, add_json, add_run, add_seed, of_choices, whole
from recsys.cli.render import percent, print_json, print_table, say


def add(commands: Commands) -> None:
    """Add `disagree` to the commands of a parser."""
    parser = add_command(
        commands,
        "disagree",
        _disagree,
        "whom one rule for all leaves out, and how much of it the model repairs",
        "The run's model is fitted anew, on half of the users or on everybody's first ratings; the run keeps its own.",
    )
    add_run(parser, required=False)
    parser.add_argument(
        "--protocol",
        choices=("masked", "held_out", "camps"),
        default="masked",
        help="masked: new users judge pairs whose ratings are taken out of their histories; held_out: everybody's last "
        "ratings; camps: simulated users of whom the truth is known (default: %(default)s)",
    )
    add_choices(parser)
    parser.add_argument("--raters", type=whole(1), help="least users who judge a pair (default: 80; of held_out 20)")
    parser.add_argument(
        "--cap", type=whole(1), metavar="PAIRS", help="at most so many pairs of each user (default: all)"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep in the run how split people are over pairs of items: recommended items then tell it",
    )
    add_seed(parser, "of the halves of users")
    add_json(parser)


def _disagree(options: argparse.Namespace) -> None:
    if of_choices(options):
        _of_pairs(options)
    else:
        _of_run(options)


def _of_pairs(options: argparse.Namespace) -> None:
    from recsys.data.pairs import read_pair_log
    from recsys.evaluation.disagreement import pair_rewards

    log = read_pair_log(options.pairs, options.vectors, options.items, seed=options.seed)
    found = pair_rewards(log, options.personas, seed=options.seed)
    if options.json:
        print_json({"pairs": len(log.pairs), "rewards": found})
        return
    print_table(
        [
            {
                "reward": row["reward"],
                "right": percent(row["right"]),
                "users below a half": percent(row["below_half"]),
                "than one for all": "-"
                if row["diff"] is None
                else f"{row['diff']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]",
            }
            for row in found
        ]
    )
    print(f"of {found[0]['users']} users, whose held-out choices none of them saw; 95% intervals over users")


def _of_run(options: argparse.Namespace) -> None:
    from recsys.data.pairs.splits import RATERS, Splits
    from recsys.evaluation.disagreement import camp_worlds, disagreement
    from recsys.evaluation.disagreement.protocols import RATERS_HELD_OUT, RATERS_MASKED
    from recsys.experiments.runs import SPLITS, load_model, run_log

    model = load_model(options.run, options.allow_model)
    if options.protocol == "camps":
        _print_camps(camp_worlds(model, seed=options.seed), as_json=options.json)
        return
    log = run_log(options.run, model, options.data, dict(options.columns))
    if options.keep:
        splits = Splits.of(log, model.fitted_on.items)
        splits.save(options.run / SPLITS, model.fitted_on.items)
        say(f"{len(splits)} pairs of items that {RATERS} people or more rated differently, in {options.run / SPLITS}")
    measured = disagreement(model, log, options.protocol, raters=options.raters, cap=options.cap, seed=options.seed)
    found = measured.to_dict()
    if not any(row["judgements"] for row in found["bins"]):
        least = options.raters or (RATERS_MASKED if options.protocol == "masked" else RATERS_HELD_OUT)
        say(
            f"no pair of items is judged by {least} users or more, so that nothing can be said of how split people "
            "are; give a smaller --raters, whose splits are less certain, or a larger log"
        )
    if options.json:
        print_json(found)
        return
    if found["unrated"]:
        say(f"{found['unrated']} events have no rating, and were not judged")
    overall = found["overall"]
    if overall["accuracy_model"] is None:
        return
    print_table([_row(row) for row in found["bins"]])
    right = (
        f"right: model {percent(overall['accuracy_model'])}, one rule for all {percent(overall['accuracy_pooled'])}; "
    )
    if not overall["users_model"]:
        print(f"{right}no user has enough contested pairs to be counted")
        return
    print(
        f"{right}of {overall['users_model']:.0f} users with enough contested pairs "
        f"{percent(overall['below_half_denoised_model'])} are below a half with the model, "
        f"{percent(overall['below_half_denoised_pooled'])} with one rule (freed of the noise of small numbers)"
    )


def _print_camps(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"protocol": "camps", "worlds": rows})
        return
    print_table(
        [
            {
                "larger camp": f"{row['p']:.0%}",
                "topics": row["topics"],
                "least for one rule": percent(row["bound"]),
                "one rule": percent(row["pooled"]),
                "model": percent(row["model"]),
                "users below a half, one rule": percent(row["below_half_pooled"]),
                "with the model": percent(row["below_half_model"]),
            }
            for row in rows
        ]
    )
    print("simulated users who want opposite things on every topic: shares that get the other item than they prefer")


def _row(row: dict[str, Any]) -> dict[str, object]:
    """Return a bin as people read it: who gets the other item than the one they prefer."""
    return {
        "split": f"{row['low']:g}-{row['high']:g}",
        "judgements": row["judgements"],
        "least for one rule": percent(row["bound"]),
        "one rule": percent(row["pooled"]),
        "model": percent(row["model"]),
        "minority right": percent(row["minority"]),
        "majority right": percent(row["majority"]),
    }
