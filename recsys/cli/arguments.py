"""What the parsers of several commands share. No module of the command line imports a heavy library by itself."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeAlias, final

from recsys.errors import nearest

_INVALID_CHOICE = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)")


@final
class Parser(argparse.ArgumentParser):
    """Reports misuse as one line, with the nearest right word."""

    def error(self, message: str) -> NoReturn:
        choice = _INVALID_CHOICE.search(message)
        hint = nearest(choice[1], re.findall(r"[\w-]+", choice[2])) if choice else ""
        sys.stderr.write(f"{self.prog}: {message}{hint}\n")
        sys.exit(2)


Call = Callable[[argparse.Namespace], None]
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_command(commands: Commands, name: str, call: Call | None, summary: str, details: str = "") -> Parser:
    """Add a command to a parser, or an action to a command, which `call` runs (None: its actions do).

    Its help is the summary, one line without a full stop, and further sentences.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}. {details}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if call is not None:
        parser.set_defaults(call=call)
    return parser


def add_actions(command: Parser, *, required: bool = True) -> Commands:
    """Return the collection of a command's actions."""
    return command.add_subparsers(title="actions", dest="action", required=required, metavar="ACTION")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the run that a command is about, and where to read its log."""
    parser.add_argument("--run", type=Path, required=True, help="directory of a finished run")
    parser.add_argument("--data", help="read the run's log from here")
    parser.add_argument(
        "--allow-model",
        nargs="+",
        default=[],
        metavar="CLASS",
        help="models and rules of your own that the run's bundle may use: my_package.MyModel",
    )


def add_moment(parser: argparse.ArgumentParser) -> None:
    """Add the moment of a question."""
    parser.add_argument("--at", help="as of this moment: an ISO date or time, or a number in the log's unit")


def add_cutoffs(parser: argparse.ArgumentParser) -> None:
    """Add the lengths of lists that metrics are computed at."""
    parser.add_argument("--k", type=int, nargs="+", default=[5, 10, 20], help="cutoffs (default: 5 10 20)")


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Add the roles of a file's columns, as pairs for `dict`."""
    parser.add_argument(
        "--columns",
        nargs="+",
        type=_role,
        default=[],
        metavar="ROLE=NAME",
        help="which column of the file is what, where the usual names do not say: user=buyer item=sku time=bought_at",
    )


def add_bad_rows(parser: argparse.ArgumentParser) -> None:
    """Add what happens to rows that cannot be read."""
    parser.add_argument("--on-error", choices=("raise", "skip"), default="raise", help="what to do with bad rows")


def add_json(parser: argparse.ArgumentParser, text: str = "print JSON") -> None:
    """Add the form of the output that programs read."""
    parser.add_argument("--json", action="store_true", help=text)


def _role(text: str) -> tuple[str, str]:
    role, equals, name = text.partition("=")
    if not (role and equals and name):
        raise argparse.ArgumentTypeError(f"{text}: write ROLE=NAME, such as item=sku")
    return role, name
