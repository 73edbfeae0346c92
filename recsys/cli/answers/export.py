"""`recsys export`: a run for programs without this library."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli.arguments import Commands, add_command, add_json, add_length, add_run
from recsys.cli.render import print_json, print_table, progress_of, say


def add(commands: Commands) -> None:
    """Add `export` to the commands of a parser."""
    parser = add_command(
        commands,
        "export",
        _export,
        "items, vectors, personas, everybody's lists and the network of a run, for other programs",
        "The\ndirectory appears when it is complete; an interrupted export goes on where it was.",
    )
    add_run(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the directory, which is made")
    parser.add_argument(
        "--lists",
        choices=("parquet", "sqlite", "none"),
        default="parquet",
        help="everybody's lists as lists.parquet or lists.db (default: %(default)s)",
    )
    add_length(parser, "length of the lists")
    parser.add_argument(
        "--explain",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="--no-explain: lists without reasons, which is several times as fast",
    )
    parser.add_argument(
        "--network",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="--no-network: no ONNX of models that are networks",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    add_json(parser, "print export.json")


def _export(options: argparse.Namespace) -> None:
    from recsys.experiments.exports.export import ExportSettings, export_run
    from recsys.experiments.lists.everybody import ListSettings

    settings = ExportSettings(options.lists, ListSettings(options.n, options.explain), options.network)
    with progress_of("lists") as progress:
        made = export_run(
            options.run,
            options.out,
            settings,
            source=options.data,
            columns=dict(options.columns),
            allow=options.allow_model,
            overwrite=options.overwrite,
            progress=progress,
            say=say,
        )
    if options.json:
        print_json(made)
        return
    print_table([{"file": str(options.out / name), "rows": rows} for name, rows in made["rows"].items()])
    for what, reason in made["left_out"].items():
        print(f"without {what}: {reason}")
