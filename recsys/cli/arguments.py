"""What the parsers of several commands share. No module of the command line imports a heavy library by itself."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias, final

from recsys.checks import LARGEST_SEED
from recsys.data.splits.names import ASKS
from recsys.errors import ConfigError, nearest
from recsys.files import PICTURES

LONGEST_LIST = 100_000
MOST = 2**31 - 1
"""The largest number of users, events, days and the like."""

_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)")
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_INVALID_CHOICE = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)")


_OTHER_WORDS: Final = {
    **dict.fromkeys(("explain", "predict", "ask", "reasons", "why", "top"), "recommend"),
    **dict.fromkeys(("fit", "learn", "run"), "train"),
    **dict.fromkeys(("eval", "test", "score", "metrics", "validate"), "evaluate"),
    **dict.fromkeys(("stats", "statistics", "describe", "inspect", "info"), "data inspect"),
    **dict.fromkeys(("fetch", "download"), "data fetch"),
    **dict.fromkeys(("profile", "persona", "tastes"), "personas"),
    **dict.fromkeys(("diff", "significance"), "compare"),
    **dict.fromkeys(("server", "api", "start"), "serve"),
}
"""Commands by other words for what they do."""


@final
class Parser(argparse.ArgumentParser):
    """Reports misuse as one line, with the nearest right word; an option of one value that is repeated is misuse."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - those of any parser
        super().__init__(*args, **kwargs)
        for name in (None, "store"):
            self.register("action", name, _StoreOnce)

    def error(self, message: str) -> NoReturn:
        hint = ""
        if (choice := _INVALID_CHOICE.search(message)) is not None:
            known = re.findall(r"[\w-]+", choice[2])
            command = _OTHER_WORDS.get(choice[1], "")
            hint = f"; that is `recsys {command}` here" if command.split(" ")[0] in known else nearest(choice[1], known)
        sys.stderr.write(f"{self.prog}: {message}{hint}\n")
        sys.exit(2)


@final
class _StoreOnce(argparse._StoreAction):
    """Stores what an option is given, and refuses the option a second time: one of the values would be lost."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401 - as its type returns
        option_string: str | None = None,
    ) -> None:
        given: frozenset[str] = getattr(namespace, "given", frozenset())
        if option_string is not None and self.dest in given:
            several = self.nargs in ("+", "*")
            raise argparse.ArgumentError(self, f"given twice; give it once{', with all values' if several else ''}")
        namespace.given = given | {self.dest}
        super().__call__(parser, namespace, values, option_string)


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
        add_debug(parser, default=argparse.SUPPRESS)
    return parser


def add_debug(parser: argparse.ArgumentParser, default: str | bool = False) -> None:
    """Add the option that shows where an error comes from."""
    parser.add_argument("--debug", action="store_true", default=default, help="show the traceback of an error")


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """Return the type of options that are whole numbers from `least` to `most`.

    >>> whole(1)("7")
    7
    """

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if not least <= value <= most:
            bound = f"at least {least}" if value < least else f"at most {most}"
            raise argparse.ArgumentTypeError(f"{text} is out of range; give {bound}")
        return value

    return read


def add_engine(parser: argparse.ArgumentParser, what: str) -> None:
    """Add where work is done: `--engine` and `--workers`; `what` is done by a worker, for the help."""
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help=f"ray: {what} on the workers of RAY_ADDRESS, or else of this machine; the result is the same",
    )
    parser.add_argument("--workers", type=whole(1, 10_000), help="of --engine ray (default: one for each processor)")


def finite(text: str) -> float:
    """Return the value of an option that is a finite number.

    >>> finite("0.5")
    0.5
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no finite number")
    return value


def positive(text: str) -> float:
    """Return the value of an option that is a finite number above 0.

    >>> positive("0.5")
    0.5
    """
    value = finite(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def duration(text: str) -> float:
    """Return a length of time in seconds.

    >>> duration("90s"), duration("5m"), duration("1.5h"), duration("0")
    (90.0, 300.0, 5400.0, 0.0)
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; give 90s, 5m, 1.5h, 1d, or 0")
    return float(found[1]) * _UNITS[found[2] or "s"]


def picture(text: str) -> Path:
    """Return the path of a picture, whose suffix says what is written.

    >>> picture("personas.svg").suffix
    '.svg'
    """
    path = Path(text)
    if path.suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(f"{text!r} has no suffix of a picture; give {', '.join(PICTURES)}")
    return path


def add_seed(parser: argparse.ArgumentParser, text: str, name: str = "--seed") -> None:
    """Add the seed of random draws."""
    help_text = f"{text} (default: %(default)s)"
    parser.add_argument(name, type=whole(0, LARGEST_SEED), default=0, metavar="SEED", help=help_text)


def add_length(parser: argparse.ArgumentParser, text: str, default: int = 10) -> None:
    """Add the length of lists."""
    parser.add_argument("-n", "-k", type=whole(1, LONGEST_LIST), default=default, help=f"{text} (default: %(default)s)")


def add_actions(command: Parser, *, required: bool = True) -> Commands:
    """Return the collection of a command's actions."""
    return command.add_subparsers(title="actions", dest="action", required=required, metavar="ACTION")


def add_run(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add the run that a command is about, and where to read its log."""
    parser.add_argument("--run", type=Path, required=required, help="directory of a finished run")
    parser.add_argument("--data", help="read the run's log from here")
    add_columns(parser, " (in addition to what the run was trained with)")
    add_allowed(parser)


def of_run(options: argparse.Namespace) -> dict[str, Any]:
    """Return how the run of `add_run` is read, as keyword arguments."""
    return {"source": options.data, "columns": dict(options.columns), "allow": options.allow_model}


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Add a log of choices, in the place of a run."""
    parser.add_argument(
        "--pairs",
        metavar="FILE",
        help="instead of a run: choices (user, chosen, rejected), or simulated-pairs; rewards are trained on them",
    )
    parser.add_argument("--vectors", type=Path, metavar="FILE", help="item vectors of --pairs: .npy or .safetensors")
    parser.add_argument("--items", type=Path, metavar="FILE", help="table of the items of --pairs, with a column item")
    parser.add_argument("--personas", type=whole(1, 64), default=4, help="of the reward of --pairs (default: 4)")


def of_choices(options: argparse.Namespace) -> bool:
    """Return whether a command is about a log of choices, and not about a run.

    Raises:
        ConfigError: it is about both, about neither, or tells of items of pairs without pairs.
    """
    if (options.run is None) == (options.pairs is None):
        raise ConfigError("give either --run DIR, a model of a log of ratings, or --pairs FILE, a log of choices")
    if options.pairs is None and (options.vectors is not None or options.items is not None):
        raise ConfigError("--vectors and --items go with --pairs, a log of choices; leave them out")
    return options.pairs is not None


def add_allowed(parser: argparse.ArgumentParser) -> None:
    """Add the classes from elsewhere that the bundle of a run may name."""
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


def add_ask(parser: argparse.ArgumentParser, text: str) -> None:
    """Add `--ask` and `--pause`: when the question is asked."""
    parser.add_argument("--ask", choices=ASKS, help=f"when the question is asked: {text}")
    parser.add_argument(
        "--pause",
        type=whole(1, 24 * 366),
        default=12,
        metavar="HOURS",
        help="hours without an event that end a session (default: %(default)s)",
    )


def add_cutoffs(parser: argparse.ArgumentParser) -> None:
    """Add the lengths of lists that metrics are computed at."""
    parser.add_argument(
        "--k", type=whole(1, LONGEST_LIST), nargs="+", default=[5, 10, 20], help="cutoffs (default: 5 10 20)"
    )


def add_columns(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Add the roles of a file's columns, as pairs for `dict`."""
    parser.add_argument(
        "--columns",
        nargs="+",
        type=_role,
        default=[],
        metavar="ROLE=NAME",
        help="which column of the file is what, where the usual names do not say: user=buyer item=sku rating=mark "
        "time=bought_at kind=did title=name genres=kinds; names=user,item,rating,timestamp for a file without a "
        "header; and how to read it: separator=';' encoding=latin-1 decimal=, value_range=1,5 time_unit=iso" + more,
    )


def add_items(parser: argparse.ArgumentParser) -> None:
    """Add the file that describes the items."""
    parser.add_argument("--items", metavar="FILE", help="titles and genres of the items, in a file of any format")
    parser.add_argument(
        "--item-vectors", metavar="FILE", help="a vector for each row of --items, for new items: .npy or .safetensors"
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
