"""`recsys audit`: what a model, retrained on what it caused, does to simulated people, against doing nothing."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from recsys.cli.arguments import Commands, add_command, add_json, whole
from recsys.cli.render import print_json, say

_MOST = 1_000


def add(commands: Commands) -> None:
    """Add `audit` to the commands of a parser."""
    parser = add_command(
        commands,
        "audit",
        _audit,
        "what the model does to people who choose from its lists, against no system",
        "In simulated worlds whose truth is known; a statement about models of people, not about people.",
    )
    parser.add_argument("--config", required=True, help="experiment file, or the name of a shipped one, such as ease")
    parser.add_argument("--worlds", nargs="+", default=["moods", "shaping", "chaney", "camps"], metavar="WORLD")
    parser.add_argument(
        "--mitigate",
        nargs="+",
        default=[],
        metavar="NAME",
        help="floor seats rate mixture appeal broad sampled explore weighted, or several joined: seats+explore",
    )
    parser.add_argument(
        "--personas",
        choices=("clusters", "found", "routed"),
        default="clusters",
        help="whose the items are, for mitigations: groups of items, personas found per user, those of PersonaEASE "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of the model, such as regularization=15"
    )
    parser.add_argument("--rounds", type=whole(1, _MOST), default=30, help="with the system (default: %(default)s)")
    parser.add_argument("--seeds", type=whole(1, _MOST), default=5, help="how many (default: %(default)s)")
    parser.add_argument("--first-seed", type=whole(0), default=0, help="the first of them (default: %(default)s)")
    parser.add_argument("--every", type=whole(1, _MOST), default=1, help="rounds between fits (default: %(default)s)")
    parser.add_argument("--processes", type=whole(1, 256), default=2, help="at a time (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report; an interrupted audit goes on")
    add_json(parser)


def _audit(options: argparse.Namespace) -> None:
    from recsys.audits.arms import Alone, Arm, Content, ExpectedOracle, Popular, Random, Recommended, SlateOracle
    from recsys.audits.mitigations import mitigations
    from recsys.audits.owners import Clusters, Found, Routed
    from recsys.audits.report import Audit, write_audit
    from recsys.audits.runs import Cell, audit, world_named
    from recsys.errors import ConfigError
    from recsys.experiments.configuration import read_experiment

    pairs = [tuple(setting.split("=", 1)) for setting in options.set]
    if any(len(pair) != 2 for pair in pairs):
        raise ConfigError(f"--set takes KEY=VALUE, not {' '.join(options.set)}")
    worlds = [world_named(name) for name in options.worlds]
    made = mitigations(options.mitigate)
    experiment = read_experiment(options.config, [(key, value) for key, value in pairs])
    partition = {"clusters": Clusters(), "found": Found(), "routed": Routed()}[options.personas]
    label = Path(options.config).stem
    arms: list[Arm] = [Alone(), Random(), Popular(), Content(), ExpectedOracle(), SlateOracle()]
    arms += [Recommended(label, partial(experiment.build, 0), each, options.every, partition) for each in (None, *made)]

    def progress(done: int, all_: int, cell: Cell) -> None:
        say(f"{done} of {all_}: {cell['world']}, {cell['arm']}, seed {cell['seed']}")

    seeds = range(options.first_seed, options.first_seed + options.seeds)
    cells = audit(
        worlds,
        arms,
        seeds,
        rounds=options.rounds,
        out=options.out,
        processes=options.processes,
        progress=progress,
    )
    found = Audit(cells)
    written = write_audit(found, options.out)
    if options.json:
        print_json(found.rows())
        return
    print(found.markdown())
    say(f"{', '.join(map(str, written))}")
