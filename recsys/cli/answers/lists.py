"""`recsys recommend --all | --users` and `recsys similar`: lists of many users, and of items."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path

from recsys.cli.arguments import Commands, add_allowed, add_command, add_json, add_length, of_run
from recsys.cli.render import print_json, print_table, progress_of, say
from recsys.errors import ConfigError


def recommend_many(options: argparse.Namespace) -> None:
    """Run `recommend` for many users."""
    from recsys.experiments.lists.everybody import ListSettings, write_lists
    from recsys.scale.engines import engine_of

    which = "--all" if options.all else "--users"
    if options.out is None:
        raise ConfigError(f"{which} writes a file; name it with --out: lists.parquet, lists.csv or lists.jsonl")
    if options.mute or options.boost or options.visit:
        raise ConfigError(f"{which} asks for the usual list of everybody; leave out --mute, --boost and --visit")
    with progress_of("lists") as progress, engine_of(options.engine, options.workers, say) as engine:
        written = write_lists(
            options.run,
            options.out,
            ListSettings(options.n, options.explain, options.at, options.exact),
            users=options.users,
            overwrite=options.overwrite,
            progress=progress,
            each=partial(engine.map, what="part of the lists"),
            **of_run(options),
        )
    if written.unserved:
        say(f"{written.unserved} users of the log have no list, as the model was not trained with them")
    if options.json:
        print_json(asdict(written) | {"out": str(options.out)})
        return
    rate = (written.users - written.kept) / max(written.seconds, 1e-3)
    before = f"{written.kept} of them were there already; " if written.kept else ""
    took = f"{written.seconds:.1f} seconds, {rate:.0f} lists a second"
    lists = "the list of 1 user" if written.users == 1 else f"lists of {written.users} users"
    print(f"{options.out}: {lists}; {before}{took}")


def add_similar(commands: Commands) -> None:
    """Add `similar` to the commands of a parser."""
    parser = add_command(
        commands,
        "similar",
        _similar,
        "the items that go with an item",
        "What the model recommends\nto somebody with this item alone; of a model "
        "that learned its users, the nearest item vectors.",
    )
    parser.add_argument("--run", type=Path, required=True, help="directory of a finished run")
    add_allowed(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--item", help="id of an item of the log")
    which.add_argument("--all", action="store_true", help="all items, into a file: --out")
    parser.add_argument("--out", type=Path, metavar="FILE", help="of --all: .parquet, .csv or .jsonl")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --out")
    add_length(parser, "how many")
    add_json(parser)


def _similar(options: argparse.Namespace) -> None:
    from recsys.experiments.lists.similar import similar_to, write_similar

    if options.all != (options.out is not None):
        raise ConfigError("--all and --out go together: all items are written to a file, one item is printed")
    if options.item is not None:
        print_table(similar_to(options.run, options.item, options.n, options.allow_model), as_json=options.json)
        return
    with progress_of("items") as progress:
        written = write_similar(
            options.run,
            options.out,
            options.n,
            allow=options.allow_model,
            overwrite=options.overwrite,
            progress=progress,
        )
    if options.json:
        print_json(written | {"out": str(options.out)})
    else:
        print(f"{options.out}: what goes with each of {written['items']} items; {written['seconds']:.1f} seconds")
