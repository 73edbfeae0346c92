"""`recsys events import | export`: events between a store and files."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli.arguments import Commands, add_actions, add_columns, add_command, add_json
from recsys.cli.render import print_json


def add(commands: Commands) -> None:
    """Add `events` to the commands of a parser."""
    actions = add_actions(add_command(commands, "events", None, "copy events between a store and files"))
    summary = "append the events of a file to a store; twice is as good as once"
    importing = add_command(actions, "import", _import, summary)
    importing.add_argument("file", type=Path, help="CSV, TSV or Parquet with user, item, time and, best, event_id")
    add_columns(importing)
    exporting = add_command(actions, "export", _export, "write the events of a store to a file, in order of arrival")
    exporting.add_argument("file", type=Path, help="a .csv or .parquet file")
    exporting.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    for parser in (importing, exporting):
        add_store(parser)
        add_json(parser)


def add_store(parser: argparse.ArgumentParser, default: str = "") -> None:
    """Add the address of an event store, required unless there is a default."""
    text = "the event store: a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE"
    parser.add_argument("--events", required=not default, metavar="STORE", help=text + default)


def _import(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from recsys.data.readers.columns import Columns
    from recsys.events.addresses import open_store
    from recsys.events.transfer import import_events

    columns = Columns.from_mapping(dict(options.columns))
    with open_store(options.events) as store:
        counts = import_events(store, options.file, columns=columns)
    if options.json:
        print_json(asdict(counts), indent=None)
    else:
        print(f"{counts.rows} rows: {counts.accepted} new events, {counts.repeated} were there already")


def _export(options: argparse.Namespace) -> None:
    from recsys.events.addresses import open_store
    from recsys.events.transfer import export_events

    with open_store(options.events, create=False) as store:
        count = export_events(store, options.file, overwrite=options.overwrite)
    if options.json:
        print_json({"events": count, "file": str(options.file)}, indent=None)
    else:
        print(f"{count} events: {options.file}")
