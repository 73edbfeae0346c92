# PYTHON_ARGCOMPLETE_OK
"""The command line: one module per command, which declares arguments, calls the library and prints.

A module imports what its command needs when the command runs, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, final

import recsys
from recsys.cli import (
    ask,
    benchmark,
    data,
    demo,
    events,
    index,
    items,
    policy,
    retrain,
    serve,
    tokens,
    train,
)
from recsys.cli.answers import export, interview, lists, reliability
from recsys.cli.arguments import Parser, add_debug
from recsys.cli.render import as_typed, prepare_output, say
from recsys.cli.studies import attribution, audit, compare, disagree, distortion, tune
from recsys.errors import RecsysError
from recsys.training.session import CHECKPOINT

_CURES: Final = {
    errno.ENOSPC: "; make room, or give another place",
    errno.EFBIG: "; raise the limit for the size of files, or give another place",
    errno.EACCES: "; give a place that you may use",
    errno.ENOTDIR: "; a part of that path is a file: give another place",
    errno.EISDIR: "; it is a directory: give a file",
    errno.ENOENT: "; give a place that exists",
    errno.ENAMETOOLONG: "; give a shorter name",
    errno.EROFS: "; give a place that can be written",
}
"""What helps with errors of the operating system."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0; 1 for a defect of this program; 2 for misuse or bad input; 130 when interrupted, 141 when nobody reads the output
    any more, as of the signals.
    """
    prepare_output()
    code = 0
    try:
        try:
            code = _run(arguments)
        finally:
            print(end="", flush=True)
    except (OSError, SystemExit) as end:
        # rich ends the program by itself when its reader is gone
        if isinstance(end, SystemExit) and not isinstance(end.__context__, OSError):
            raise
        error = end.__context__ if isinstance(end, SystemExit) else end
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError) and code == 0:
            say(f"recsys: the output cannot be written ({error.strerror}); give it another place")
        nowhere = os.open(os.devnull, os.O_WRONLY)  # what is flushed at exit goes there
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)
        return 141 if isinstance(error, BrokenPipeError) else 2
    return code


def _run(arguments: Sequence[str] | None) -> int:
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks for completions
        import argcomplete

        argcomplete.autocomplete(parser)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.call not in (train.train, tune.tune):  # there they are settings
        parser.error(f"unknown arguments: {' '.join(rest)}; see `recsys {options.command} --help`")
    options.rest = rest
    remarks = logging.StreamHandler()
    remarks.setFormatter(_Remark("%(message)s"))
    logging.basicConfig(handlers=[remarks], level=logging.WARNING)
    try:
        options.call(options)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        say(f"recsys: interrupted{_kept(options)}")
        return 130
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        code, text = _told(error, getattr(options, "out", None))
        say(f"recsys: {as_typed(' '.join(text.split()))}")
        return code
    return 0


def _kept(options: argparse.Namespace) -> str:
    """Return what an interrupted command has kept, and how it goes on, as far as it does."""
    if options.call is train.train and options.out is not None and (options.out / "logs" / CHECKPOINT).exists():
        return "; complete epochs are kept, `--resume` goes on from there"
    if options.command in ("benchmark", "tune") or (
        options.command in ("recommend", "similar", "export") and options.out is not None
    ):
        return "; what was complete is kept, the same command goes on from there"
    return ""


def _told(error: Exception, out: Path | None) -> tuple[int, str]:
    """Return the exit code and the message of an error.

    Libraries wrap errors of the operating system into their own, so that the cause decides. Where it names no file, the
    directory of the results stands for it.
    """
    if isinstance(error, RecsysError):
        return 2, str(error)
    system = next((cause for cause in _causes(error) if isinstance(cause, OSError)), None)
    if system is not None:
        place = system.filename or out
        cure = _CURES.get(system.errno or 0, "")
        reason = system.strerror if system.errno is None else os.strerror(system.errno)
        return 2, f"{'' if place is None else f'{place}: '}{reason or system}{cure}"
    if isinstance(error, MemoryError):
        return 2, f"not enough memory ({error or 'an array is too large'}); ask for less, or use a smaller log"
    return 1, (
        f"unexpected {type(error).__name__}: {error}; this is a defect of recsys: run the command again with --debug, "
        "and report what it prints"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(prog="recsys", description=(recsys.__doc__ or "").splitlines()[0])
    parser.add_argument("--version", action="version", version=f"recsys {recsys.__version__}")
    parser.add_argument(
        "--print-completion", action=_PrintCompletion, choices=("bash", "zsh"), help="print what completes in a shell"
    )
    add_debug(parser)
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    demo.add(commands)
    data.add(commands)
    train.add_train(commands)
    train.add_evaluate(commands)
    tune.add(commands)
    index.add(commands)
    policy.add(commands)
    ask.add_recommend(commands)
    lists.add_similar(commands)
    ask.add_personas(commands)
    interview.add(commands)
    ask.add_memory(commands)
    export.add(commands)
    compare.add(commands)
    disagree.add(commands)
    audit.add(commands)
    reliability.add(commands)
    distortion.add(commands)
    events.add(commands)
    items.add(commands)
    attribution.add(commands)
    serve.add(commands)
    retrain.add(commands)
    tokens.add(commands)
    benchmark.add(commands)
    return parser


@final
class _Remark(logging.Formatter):
    """Writes what the library tells in the words of the command line."""

    def format(self, record: logging.LogRecord) -> str:
        return as_typed(super().format(record))


@final
class _PrintCompletion(argparse.Action):
    """Prints the code by which a shell completes commands and options, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: object, values: Any, option: object = None) -> None:  # noqa: ANN401
        from argcomplete.shell_integration import shellcode

        sys.stdout.write(shellcode([parser.prog], shell=values))
        parser.exit()
