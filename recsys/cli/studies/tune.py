"""`recsys tune`: the search for the settings of an experiment."""

from __future__ import annotations

import argparse
import shlex
from functools import partial
from pathlib import Path

from recsys.cli.arguments import Commands, add_command, add_engine, add_json, add_seed, positive, whole
from recsys.cli.render import print_json, print_table, program, say, short
from recsys.cli.train import add_log, data_settings, log_arguments, parse_settings
from recsys.errors import ConfigError
from recsys.training.session import ACCELERATORS


def add(commands: Commands) -> None:
    """Add `tune` to the commands of a parser."""
    parser = add_command(
        commands,
        "tune",
        tune,
        "search for the settings of an experiment that are best on validation",
        "The section\n`search` of the file says what is tried. An interrupted search goes on by the same command.\n"
        "Every other setting can be replaced by its name, as in `recsys train`.",
    )
    parser.add_argument(
        "--config", type=Path, required=True, help="name of a shipped experiment, such as ease, or a YAML file"
    )
    parser.add_argument("--out", type=Path, required=True, help="the directory of the search")
    add_log(parser)
    parser.add_argument(
        "--trials", type=whole(1, 100_000), default=30, help="in all, with those of earlier calls (default: 30)"
    )
    parser.add_argument("--minutes", type=positive, help="no trial begins after so many minutes of this call")
    parser.add_argument("--sampler", choices=("tpe", "random"), default="tpe", help="default: %(default)s")
    add_seed(parser, "seed of the draws")
    add_seed(parser, "seed of the models", "--model-seed")
    parser.add_argument(
        "--storage", help="database of the study: sqlite:///FILE or postgresql://... (default: in --out)"
    )
    parser.add_argument("--accelerator", choices=ACCELERATORS, default="auto", help="default: %(default)s")
    add_engine(parser, "trials, as many at a time as there are workers,")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_json(parser)


def tune(options: argparse.Namespace) -> None:
    """Run `tune`; arguments that its parser does not know (`rest`) are settings of the experiment."""
    from recsys.experiments.configuration import read_experiment, read_search
    from recsys.experiments.tuning.space import SearchSpace
    from recsys.experiments.tuning.tune import TuneSettings
    from recsys.experiments.tuning.tune import tune as run_tuning
    from recsys.scale.engines import engine_of

    if options.data is None:
        raise ConfigError("--data is missing; see `recsys tune --help`")
    experiment = read_experiment(options.config, parse_settings(options.rest))
    space = SearchSpace.of(read_search(options.config), experiment, options.config)
    settings = TuneSettings(
        options.trials, options.minutes, options.sampler, options.seed, options.model_seed, options.storage
    )
    tell = (lambda _: None) if options.quiet else say
    with engine_of(options.engine, options.workers, tell) as engine:
        found = run_tuning(
            space,
            data_settings(options),
            options.out,
            settings,
            accelerator=options.accelerator,
            say=tell,
            each=None if options.engine == "local" else partial(engine.map, what="trial of this round"),
            workers=engine.workers,
        )
    if options.json:
        print_json(found)
        return
    best = found["best"]
    print_table([{"setting": key, "best": short(value)} for key, value in best["settings"].items()])
    own = "" if found["own"] is None else f", {found['own']:.4f} with the file's settings"
    counts = f"{found['trials']} trials, {found['pruned']} ended early, {found['failed']} that could not be used"
    print(f"validation {found['metric']} {best['value']:.4f}{own}; {counts}; report: {options.out / 'report.md'}")
    again = ["--config", found["tuned"], *log_arguments(options), "--seed", str(options.model_seed), "--out", "DIR"]
    print(f"Train it: {program()} train {shlex.join(again)}")
