"""`recsys benchmark drift`: its arguments, and what it prints."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys.data.catalogue import datasets
from recsys.data.readers.columns import Columns
from recsys.experiments.drift.benchmark import run_drift
from recsys.experiments.drift.cells import Say
from recsys.experiments.drift.names import DRIFT_ARMS

_BASES = ("ease", "itemknn", "ials", "ampcf")
_ARMS = ("none", "global", "window", "koren", "population_adwin", "user_adwin", "per_user")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command, less those that every command has for reading a log."""
    parser.add_argument("--data", required=True, help="name of a data set, or a file with user, item and time")
    parser.add_argument(
        "--out", type=Path, required=True, help="directory of the result; what is there is gone on with"
    )
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
    parser.add_argument("--users", type=int, help="ask at most so many users; the models are fitted on everybody")
    parser.add_argument("--limit", type=int, help="ask at most the first so many questions")
    parser.add_argument("--candidates", type=int, default=12, help="rules that an arm may try (default: %(default)s)")
    parser.add_argument(
        "--retrain-days",
        type=int,
        default=30,
        help="days between two fits of the retrained arms (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of models, of the users drawn (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="print drift.json")


def run(options: argparse.Namespace, columns: Mapping[str, str] | None, say: Say) -> dict[str, Any]:
    """Run the command and return what `drift.json` holds."""
    named = None if not columns else Columns.from_mapping(columns)
    log = datasets.load(options.data, columns=named, on_error=options.on_error, seed=options.seed)
    return run_drift(
        log,
        options.base,
        options.arms,
        options.out,
        users=options.users,
        limit=options.limit,
        candidates=options.candidates,
        retrain_days=options.retrain_days,
        seed=options.seed,
        command=command(options),
        say=say,
    )


def command(options: argparse.Namespace) -> str:
    """Return the command line that asks for the same; the defaults are written out."""
    words: list[object] = ["recsys", "benchmark", "drift", "--data", options.data, "--base", *options.base]
    words += ["--arms", *options.arms, "--out", options.out]
    for name in ("users", "limit", "candidates", "retrain_days", "seed"):
        value = getattr(options, name)
        words += [] if value is None else [f"--{name.replace('_', '-')}", value]
    words += ["--columns", *options.columns] if options.columns else []
    words += ["--on-error", options.on_error] if options.on_error != "raise" else []
    return shlex.join(map(str, words))


def rows(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is printed: one row for each base and arm, with the difference of `per_user` from it."""
    found = []
    for base, entry in content["bases"].items():
        for arm, values in entry["arms"].items():
            pair = entry["paired"].get(f"per_user-{arm}")
            found.append(
                {
                    "base": base,
                    "arm": arm,
                    "choice": values["choice"],
                    "ndcg@10": values["ndcg@10"],
                    "hr@10": values["hr@10"],
                    "per_user -": None if pair is None else f"{pair['diff']:+.4f}",
                    "p (Holm)": None if pair is None else f"{pair['p_holm']:.2g}",
                }
            )
    return found
