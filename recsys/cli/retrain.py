"""`recsys retrain`: models that follow each other, each judged before it takes the place of the last."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.cli.arguments import (
    Commands,
    add_allowed,
    add_columns,
    add_command,
    add_json,
    add_seed,
    finite,
    whole,
)
from recsys.cli.render import print_json, print_table, say
from recsys.data.splits.names import SPLIT_NAMES
from recsys.errors import ConfigError

if TYPE_CHECKING:
    from recsys.experiments.registry import Registry, RunningService

_TOKEN = "RECSYS_TOKEN"  # noqa: S105 - the name of a variable


def add(commands: Commands) -> None:
    """Add `retrain` to the commands of a parser."""
    parser = add_command(
        commands,
        "retrain",
        _retrain,
        "train on what came in, judge the model against the one in place, and serve it if it may be",
        "Runs are kept in --registry; its link\n`served` leads to the one in place: recsys serve --run "
        "REGISTRY/served. A run is refused where it is worse,\nwhere people do not find their personas again, or where "
        "the policy cannot be kept.",
    )
    parser.add_argument("--registry", type=Path, required=True, metavar="DIR", help="folder of the runs")
    parser.add_argument("--config", type=Path, help="experiment file, or the name of a shipped one")
    parser.add_argument("--data", help="an event store, or a log that grows at its end")
    parser.add_argument("--split", choices=SPLIT_NAMES, default="global_time", help="default: %(default)s")
    parser.add_argument(
        "--service",
        nargs="+",
        default=[],
        metavar="URL",
        help=f"services that serve the link, each told to load the new run; a token of the scope admin in ${_TOKEN}",
    )
    parser.add_argument(
        "--tolerance",
        type=finite,
        default=0.02,
        help="how much worse it may be, share of NDCG@10 (default: %(default)g)",
    )
    parser.add_argument(
        "--matched", type=finite, default=0.7, help="how many personas must go on (default: %(default)g)"
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="norms that the new items must allow to keep")
    parser.add_argument("--attributes", type=Path, metavar="FILE", help="facts about items that the policy asks for")
    parser.add_argument(
        "--watch",
        type=finite,
        default=60.0,
        metavar="SECONDS",
        help="how long services are watched, and the run taken back on alarm (default: %(default)g)",
    )
    parser.add_argument("--keep", type=whole(2, 10_000), default=5, help="runs that are kept (default: %(default)s)")
    parser.add_argument("--every", type=finite, metavar="HOURS", help="go on for ever, with so many hours between")
    parser.add_argument("--list", action="store_true", help="what became of each run, and nothing else")
    parser.add_argument("--rollback", action="store_true", help="put the run before back in place, and nothing else")
    add_seed(parser, "seed of the model")
    add_columns(parser)
    add_allowed(parser)
    add_json(parser)


def _retrain(options: argparse.Namespace) -> None:
    from recsys.errors import DataError
    from recsys.experiments.registry import Registry, RunningService, roll_back
    from recsys.experiments.registry.retraining import plain

    if options.every is not None and options.every <= 0:
        raise ConfigError(f"--every is {options.every:g}; give hours above 0")
    if (options.list or options.rollback) and not options.registry.is_dir():
        raise DataError(f"{options.registry} is no registry of models")
    registry = Registry(options.registry)
    services = [RunningService(url, os.environ.get(_TOKEN)) for url in options.service]
    if options.list:
        rows = registry.lineage
        print_json([one.to_dict() for one in rows]) if options.json else print_table([plain(one) for one in rows])
        return
    if options.rollback:
        back = roll_back(registry, services, say=say)
        print_json(back.to_dict()) if options.json else print(f"{back.run} is in place again, before it {back.former}")
        return
    for name in ("config", "data"):
        if getattr(options, name) is None:
            raise ConfigError(f"--{name} is missing; see `recsys retrain --help`")
    while True:
        _turn(options, registry, services)
        if options.every is None:
            return
        time.sleep(options.every * 3600)


def _turn(options: argparse.Namespace, registry: Registry, services: Sequence[RunningService]) -> None:
    from recsys.experiments.configuration import read_experiment
    from recsys.experiments.registry import RetrainSettings, retrain
    from recsys.experiments.run_log import DataSettings
    from recsys.training.session import Session

    found = retrain(
        read_experiment(options.config, []),
        DataSettings(options.data, options.split, columns=dict(options.columns) or None),
        registry,
        RetrainSettings(
            options.tolerance, options.matched, options.policy, options.attributes, options.watch, options.keep
        ),
        services,
        config=str(options.config),
        seed=options.seed,
        session=Session(progress=False),
        allow=options.allow_model,
        say=say,
    )
    if options.json:
        print_json(None if found is None else found.to_dict())
    elif found is None:
        print("nothing new")
    else:
        print(f"{found.run}: {found.outcome}{': ' + found.reason if found.reason else ''}")
