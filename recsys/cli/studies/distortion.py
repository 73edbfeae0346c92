"""`recsys distortion`: utility of a run's lists and who they say that users are, side by side."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from typing import Any

from recsys.cli.arguments import Commands, add_command, add_json, add_run, of_run, picture
from recsys.cli.render import percent, print_json, print_table, say

_AXES = ("tastes", "popularity", "personas")


def add(commands: Commands) -> None:
    """Add `distortion` to the commands of a parser."""
    parser = add_command(
        commands,
        "distortion",
        _distortion,
        "what lists bring, who they say that users are, and what less distortion costs",
        "The run's test lists are compared with the best scores of its model and with the most popular items.",
    )
    add_run(parser)
    parser.add_argument(
        "--axes",
        nargs="+",
        default=["tastes", "popularity"],
        metavar="AXIS",
        help=f"what is compared with the history: some of {', '.join(_AXES)} (default: tastes popularity)",
    )
    parser.add_argument(
        "--frontier",
        action="store_true",
        help="compare slates: settings chosen on validation for losses of 0.5, 1, 2 and 5%% of NDCG, measured on test",
    )
    parser.add_argument("--picture", type=picture, metavar="FILE", help="with --frontier: draw it as PNG, SVG or PDF")
    add_json(parser)


def _distortion(options: argparse.Namespace) -> None:
    from recsys.errors import ConfigError
    from recsys.experiments.distortion import curves, run_distortion

    if options.picture is not None and not options.frontier:
        raise ConfigError("--picture draws the frontier; add --frontier")
    found = run_distortion(options.run, axes=options.axes, frontier=options.frontier, say=say, **of_run(options))
    if options.picture is not None:
        from recsys.pictures import draw_lines

        say(f"picture: {draw_lines(options.picture, curves(found['frontier']), 'change of NDCG@10, %')}")
    if options.json:
        print_json(found)
        return
    lists = found["lists"]
    k = lists["this run"]["cutoff"]
    print_table([_utility(name, one, k) for name, one in lists.items()])
    for axis in lists["this run"]["axes"]:
        print_table([_axis(name, axis, one["axes"][axis]) for name, one in lists.items()])
    for line in _sentences(found):
        print(line)
    if options.frontier:
        print_table([_point(row) for row in found["frontier"]])


def _utility(name: str, one: Mapping[str, Any], k: int) -> dict[str, object]:
    means = one["means"]
    return {
        "lists": name,
        "chosen (NDCG)": _number(means[f"ndcg@{k}"]),
        "liked NDCG": _number(means[f"liked_ndcg@{k}"]),
        "regretted hits": percent(means[f"regret@{k}"]),
        "hits rated": percent(one["rated_hits"]),
        "C_KL": _number(means[f"ckl@{k}"], 3),
        "minority recall": _number(means[f"minority_recall@{k}"]),
    }


def _axis(name: str, axis: str, one: Mapping[str, Any]) -> dict[str, object]:
    direction = one["direction"]
    most = "" if direction is None else max(direction["loadings"], key=lambda key: abs(direction["loadings"][key]))
    towards = "-" if direction is None else f"{'more' if direction['loadings'][most] > 0 else 'less'} {most}"
    return {
        f"{axis}": name,
        "excess (distance)": f"{one['distance_excess']:+.3f}",
        "excess (squared)": f"{one['squared_excess']:+.4f}",
        "systematic": f"{one['systematic']:.4f}",
        "95%": f"{one['systematic_low']:.4f} to {one['systematic_high']:.4f}",
        "direction": towards,
        "pulled that way": "-" if direction is None else percent(direction["share"]),
        "sameness": _number(one["sameness"], 2),
    }


def _sentences(found: Mapping[str, Any]) -> list[str]:
    """Return in words what the lists bring and what they do, apart."""
    own = found["lists"]["this run"]
    utility, k = found["lift"]["utility"], own["cutoff"]
    lines = [f"slate: {found['slate']}"]
    regret = utility[f"regret@{k}"]
    objects = "" if math.isnan(regret) else f"; regretted hits {100 * regret:+.1f} points"
    lines.append(f"Against the most popular items: NDCG {utility[f'ndcg@{k}']:+.4f}{objects}.")
    for axis, one in own["axes"].items():
        direction = one["direction"]
        if direction is not None:
            pulled = max(one["mean"], key=lambda key: one["mean"][key])
            lines.append(
                f"Along {axis} lists have {100 * one['mean'][pulled]:+.1f} points of {pulled}; "
                f"{percent(direction['share'])} of the users are pulled the same way."
            )
    lines += [f"note: {note}" for note in own["notes"]]
    return lines


def _point(row: Mapping[str, Any]) -> dict[str, object]:
    exchange = row["exchange"].get("popularity", row["exchange"].get("tastes"))
    return {
        "slate": row["family"],
        "budget": f"{row['budget']:.1%}",
        "cost": f"{row['cost']:+.1%}",
        **{f"excess, {axis}": f"{value:+.3f}" for axis, value in row["excess"].items()},
        "systematic": _number(row["systematic"].get("tastes", math.nan)),
        "left": _number(row["left"], 2),
        "bought for 1%": "free" if exchange is None and row["left"] < 1 else _number(exchange, 3),
        "settings": row["slate"],
    }


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"
