"""`recsys events import | export`. It reads arguments, calls the library and prints; everything else is elsewhere."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recsys.data.readers.columns import Columns
from recsys.events.addresses import open_store
from recsys.events.transfer import export_events, import_events

_STORE = "the event store: a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE"


def add_command(commands: Any) -> None:  # noqa: ANN401 (argparse's collection of subcommands has no public type)
    """Add `events` to the commands of a parser."""
    summary = "copy events between a store and files"
    parser = commands.add_parser("events", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    actions = parser.add_subparsers(title="actions", dest="action", required=True, metavar="ACTION")
    taking = add_action(actions, "import", _import, "append the events of a file to a store; twice is as good as once")
    taking.add_argument("file", type=Path, help="CSV, TSV or Parquet with user, item, time and, best, event_id")
    taking.add_argument(
        "--columns",
        nargs="+",
        type=_pair,
        default=[],
        metavar="ROLE=NAME",
        help="which column of the file is what, where the usual names do not say: user=buyer item=sku time=bought_at",
    )
    giving = add_action(actions, "export", _export, "write the events of a store to a file, in order of arrival")
    giving.add_argument("file", type=Path, help="a .csv or .parquet file")
    giving.add_argument("--overwrite", action="store_true", help="replace a file that is there")


def add_action(
    actions: Any,  # noqa: ANN401
    name: str,
    call: Callable[[argparse.Namespace], None],
    summary: str,
) -> argparse.ArgumentParser:
    """Add an action on an event store to a command, with the options that all of them have."""
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )
    parser.set_defaults(call=call)
    parser.add_argument("--events", required=True, metavar="STORE", help=_STORE)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _import(options: argparse.Namespace) -> None:
    columns = Columns.from_mapping(dict(options.columns))
    with open_store(options.events) as store:
        done = import_events(store, options.file, columns=columns)
    told = f"{done.rows} rows: {done.accepted} new events, {done.repeated} were there already"
    sys.stdout.write((json.dumps(asdict(done)) if options.json else told) + "\n")


def _export(options: argparse.Namespace) -> None:
    with open_store(options.events, create=False) as store:
        count = export_events(store, options.file, overwrite=options.overwrite)
    told = (
        json.dumps({"events": count, "file": str(options.file)}) if options.json else f"{count} events: {options.file}"
    )
    sys.stdout.write(told + "\n")


def _pair(text: str) -> tuple[str, str]:
    role, equals, name = text.partition("=")
    if not (role and equals and name):
        raise argparse.ArgumentTypeError(f"{text!r}: write ROLE=NAME, such as item=sku")
    return role, name
