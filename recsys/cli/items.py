"""`recsys items import | export`: the catalogue of a service, between a store and files."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from recsys.cli.arguments import Commands, add_actions, add_command, add_json
from recsys.cli.events import add_store
from recsys.cli.render import print_json


def add(commands: Commands) -> None:
    """Add `items` to the commands of a parser."""
    actions = add_actions(add_command(commands, "items", None, "copy the catalogue of a service to and from files"))
    summary = "put the items of a file into the catalogue: all, or none where a line is wrong; twice is as good as once"
    importing = add_command(actions, "import", _import, summary)
    importing.add_argument("file", type=Path, help="CSV or TSV with a header, Parquet, or JSON lines")
    importing.add_argument(
        "--columns",
        nargs="+",
        type=_pair,
        default=[],
        metavar="FIELD=NAME",
        help="which column is what, where the usual names do not say: item_id=sku title=label year=made "
        "genres=kinds available=stock added_at=since; all others become metadata",
    )
    exporting = add_command(actions, "export", _export, "write the catalogue to a file that can be imported")
    exporting.add_argument("file", type=Path, help="a .jsonl file")
    exporting.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    for parser in (importing, exporting):
        add_store(parser)
        add_json(parser)


def _pair(text: str) -> tuple[str, str]:
    field, equal, name = text.partition("=")
    if not (field and equal and name):
        raise argparse.ArgumentTypeError(f"{text!r} is no FIELD=NAME")
    return field, name


def _import(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from recsys.events.addresses import open_store
    from recsys.events.items.reading import import_items

    with open_store(options.events) as store:
        put = import_items(store, options.file, int(time.time()), dict(options.columns))
    if options.json:
        print_json(asdict(put), indent=None)
    else:
        print(f"{put.added} new items, {put.changed} changed, {put.same} were so already")


def _export(options: argparse.Namespace) -> None:
    from recsys.events.addresses import open_store
    from recsys.events.items.reading import export_items

    with open_store(options.events, create=False) as store:
        count = export_items(store, options.file, overwrite=options.overwrite)
    if options.json:
        print_json({"items": count, "file": str(options.file)}, indent=None)
    else:
        print(f"{count} items: {options.file}")
