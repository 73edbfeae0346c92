"""`recsys index`: an index of a run's items, for large catalogues."""

from __future__ import annotations

import argparse

from recsys.cli.arguments import Commands, add_command, add_json, add_length, add_run, add_seed, finite, of_run, whole
from recsys.cli.render import print_json, say
from recsys.experiments.index_settings import IndexSettings


def add(commands: Commands) -> None:
    """Add `index` to the commands of a parser."""
    default = IndexSettings()
    parser = add_command(
        commands, "index", _index, "index a run's items, so that a large catalogue is answered quickly"
    )
    add_run(parser)
    add_length(parser, "length of the lists", default.n)
    parser.add_argument(
        "--recall",
        type=finite,
        default=default.recall,
        help="share of the exact lists to be found (default: %(default)g)",
    )
    parser.add_argument(
        "--depth", type=whole(1), default=default.depth, help="candidates of each persona (default: %(default)s)"
    )
    parser.add_argument(
        "--questions",
        type=whole(1),
        default=default.questions,
        help="at most so many tune it, and as many others measure it (default: %(default)s)",
    )
    parser.add_argument("--cells", type=whole(1), help="of the index (default: twice the square root of the items)")
    add_seed(parser, "seed of the cells and the questions")
    parser.add_argument("--threads", type=whole(1, 1024), default=default.threads, help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="keep an index that is hardly faster than the exact lists")
    add_json(parser, "print what the manifest says of it")


def _index(options: argparse.Namespace) -> None:
    from recsys.bundles.index import describe_index
    from recsys.experiments.indexing import index_run

    names = ("n", "recall", "depth", "questions", "cells", "seed", "threads", "force")
    settings = IndexSettings(**{name: getattr(options, name) for name in names})
    record = index_run(options.run, settings, say=say, **of_run(options))
    if options.json:
        print_json(record, indent=None)
        return
    times = {name: record["measured"][name] for name in ("index", "exact")}
    latencies = [f"{name} {time['median']:.2f} ms (99%: {time['p99']:.2f} ms)" for name, time in times.items()]
    size = f"{record['bytes'] / 1e6:.1f} MB, made in {record['build_seconds']:.1f} s"
    print(f"{describe_index(record)}; {', '.join(latencies)} a list; {size}; kept in {options.run / 'model'}")
