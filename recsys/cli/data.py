"""`recsys data list | fetch | inspect | partition`: the known data sets, what a log looks like, and logs in parts."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli.arguments import (
    Commands,
    add_actions,
    add_bad_rows,
    add_columns,
    add_command,
    add_items,
    add_json,
    picture,
    whole,
)
from recsys.cli.render import print_json, print_table, say, short


def add(commands: Commands) -> None:
    """Add `data` to the commands of a parser; without an action it lists."""
    command = add_command(commands, "data", _list, "list, fetch, inspect and partition logs")
    actions = add_actions(command, required=False)
    listing = add_command(actions, "list", _list, "list the known data sets and where they are")
    fetch = add_command(actions, "fetch", _fetch, "download a data set and check it")
    fetch.add_argument("name", help="name of a data set")
    inspect = add_command(actions, "inspect", _inspect, "counts, spans, duplicates and a picture of a log")
    inspect.add_argument("log", metavar="NAME_OR_FILE", help="name of a data set, or a file")
    inspect.add_argument("--picture", type=picture, metavar="FILE", help="draw the histograms: .png, .svg or .pdf")
    add_bad_rows(inspect)
    add_columns(inspect)
    add_items(inspect)
    partition = add_command(
        actions,
        "partition",
        _partition,
        "write a log as Parquet files of some users each",
        "The log is\nread once, and never whole in memory. `recsys train --data DIR` then holds one part at a time.",
    )
    partition.add_argument("log", metavar="NAME_OR_FILE", help="name of a data set, or a file")
    partition.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to make")
    partition.add_argument(
        "--parts", type=whole(1, 4096), default=16, help="files; a worker holds one (default: %(default)s)"
    )
    add_bad_rows(partition)
    add_columns(partition)
    add_items(partition)
    for parser in (command, listing, inspect, partition):
        add_json(parser)


def _list(options: argparse.Namespace) -> None:
    from recsys.data.catalogue import cards, fetching

    rows = [
        {
            "name": name,
            "title": card.title,
            "at hand": "yes" if fetching.is_available(name) else "no",
            "licence": card.licence,
        }
        for name, card in cards.all_cards().items()
    ]
    print_table(rows, as_json=options.json)


def _fetch(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from recsys.data.catalogue import cards, fetching

    cards.card(options.name)  # an unknown name is an error before a progress bar appears
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(options.name, total=None)
        path = fetching.fetch(options.name, progress=lambda done, total: bar.update(task, completed=done, total=total))
    print(path)


def _inspect(options: argparse.Namespace) -> None:
    from recsys.data.catalogue import datasets
    from recsys.data.inspection import draw_log, inspect
    from recsys.data.readers.columns import Columns

    columns = Columns.from_mapping(dict(options.columns)) if options.columns else None
    # Repeats are kept, so that they can be counted.
    log = datasets.load(
        options.log,
        columns=columns,
        on_error=options.on_error,
        items=options.items,
        duplicates="keep",
        re_ratings="keep",
    )
    policies = datasets.policies_of(options.log, columns) or Columns(duplicates="keep", re_ratings="keep")
    figures = inspect(log, policies).to_dict()
    if options.json:
        print_json(figures)
    else:
        print_table([{"figure": name, "value": short(value)} for name, value in figures.items()])
    if options.picture is not None:
        say(f"picture: {draw_log(log, options.picture)}")


def _partition(options: argparse.Namespace) -> None:
    from recsys.data.partitions.writing import write_partitions
    from recsys.data.readers.columns import Columns

    log = write_partitions(
        options.log,
        options.out,
        options.parts,
        columns=Columns.from_mapping(dict(options.columns)) if options.columns else None,
        on_error=options.on_error,
        items=options.items,
    )
    figures = {"parts": len(log), "events": log.events, "users": log.users, "items": len(log.items)}
    if options.json:
        print_json(figures | {"out": str(options.out), "clock": log.clock, "fingerprint": log.fingerprint})
        return
    largest = max(size.events for size in log.sizes)
    print(f"{options.out}: {log.events} events of {log.users} users in {len(log)} parts, {largest} in the largest")
