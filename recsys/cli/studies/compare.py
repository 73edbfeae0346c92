"""`recsys compare`: two runs on their test users, or a leaderboard of many."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli.arguments import Commands, add_command, add_json
from recsys.cli.render import print_json, print_table, probability, say
from recsys.errors import ConfigError
from recsys.experiments.leaderboard.directions import smaller_is_better


def add(commands: Commands) -> None:
    """Add `compare` to the commands of a parser."""
    parser = add_command(
        commands,
        "compare",
        _compare,
        "compare two runs on their test users, or many on a leaderboard",
        "Of two runs differences\nare B minus A; of more, each is compared with the best.",
    )
    parser.add_argument("runs", metavar="DIR", type=Path, nargs="+", help="directories of runs; of two: A, B")
    parser.add_argument(
        "--metric", nargs="+", help="metrics (default: ndcg@10 and, where defined, liked_ndcg@10 and regret@10)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write the leaderboard as Markdown and HTML, with pictures"
    )
    add_json(parser)


def _compare(options: argparse.Namespace) -> None:
    if len(options.runs) < 2:
        raise ConfigError(f"{options.runs[0]} is one run; give two or more")
    if len(options.runs) > 2 or options.out is not None:
        _compare_many(options)
    else:
        _compare_two(options)


def _compare_two(options: argparse.Namespace) -> None:
    from recsys.experiments import runs

    first, second = options.runs
    rows = runs.compare_runs(first, second, options.metric).to_dict(orient="records")
    if options.json:
        print_json(rows)
        return
    print_table(
        [
            {
                "users": f"{row['n']} {row['group'].partition(' ')[0]}",
                "metric": row["metric"],
                "A": row["mean_a"],
                "B": row["mean_b"],
                "B - A": f"{row['diff']:+.4f}" if row["n"] else "-",
                "95% interval": f"{row['low']:+.4f} .. {row['high']:+.4f}" if row["n"] else "-",
                "p (Holm)": probability(row["p_holm"]) if row["n"] else "-",
                "better": better(row["metric"], row["established"]),
            }
            for row in rows
        ],
        decimals=4,
    )
    if not rows[0]["n"]:
        print("No test user with a history is served by both models, so they cannot be compared on who is better.")


def _compare_many(options: argparse.Namespace) -> None:
    from recsys.experiments.leaderboard.board import leaderboard
    from recsys.experiments.leaderboard.report import cells, write_leaderboard

    boards = leaderboard(options.runs, options.metric)
    if options.out is not None:
        for path in write_leaderboard(options.out, boards)[:2]:
            say(f"written: {path}")
    if options.json:
        print_json([board.to_dict() for board in boards])
        return
    names = ("", "run", "model", "mean", "less the best", "95% interval", "p (Holm)", "verdict")
    for board in boards:
        print(f"{board.metric}, {board.users} users whom all models serve from a history of their own")
        print_table([dict(zip(names, cells(row), strict=True)) for row in board.rows])


def better(metric: str, established: int) -> str:
    """Return which of two runs is better, A or B, by the sign of an established difference B - A.

    >>> better("ndcg@10", 1), better("regret@10", 1), better("tdd@10", -1), better("ndcg@10", 0)
    ('B', 'A', 'B', '-')
    """
    return {1: "B", -1: "A"}.get(-established if smaller_is_better(metric) else established, "-")
