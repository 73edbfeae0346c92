# PYTHON_ARGCOMPLETE_OK
"""The command line: one module per command, which declares arguments, calls the library and prints.

A module imports what its command needs when the command runs, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, final

import recsys
from recsys.cli import ask, benchmark, data, demo, events, index, serve, tokens, train
from recsys.cli.arguments import Parser
from recsys.cli.render import say
from recsys.errors import RecsysError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0; 2 for misuse or bad input; 130 when interrupted, 141 when nobody reads the output any more, as of the signals.
    """
    try:
        try:
            return _run(arguments)
        finally:
            print(end="", flush=True)
    except (BrokenPipeError, SystemExit) as end:
        # rich ends the program by itself when its reader is gone
        if isinstance(end, SystemExit) and not isinstance(end.__context__, BrokenPipeError):
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)  # what is flushed at exit goes there
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)
        return 141


def _run(arguments: Sequence[str] | None) -> int:
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks for completions
        import argcomplete

        argcomplete.autocomplete(parser)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.call is not train.train:  # there they are settings
        parser.error(f"unknown arguments: {' '.join(rest)}; see `recsys {options.command} --help`")
    options.rest = rest
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        options.call(options)
    except RecsysError as error:
        say(f"recsys: {' '.join(str(error).split())}")
        return 2
    except OSError as error:
        if error.filename is None or isinstance(error, BrokenPipeError):
            raise
        say(f"recsys: {error.filename}: {error.strerror}")
        return 2
    except KeyboardInterrupt:
        say("recsys: interrupted; what was complete is kept, `--resume` goes on from there")
        return 130
    return 0


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(prog="recsys", description=(recsys.__doc__ or "").splitlines()[0])
    parser.add_argument("--version", action="version", version=f"recsys {recsys.__version__}")
    parser.add_argument(
        "--print-completion", action=_PrintCompletion, choices=("bash", "zsh"), help="print what completes in a shell"
    )
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    demo.add(commands)
    data.add(commands)
    train.add_train(commands)
    train.add_evaluate(commands)
    index.add(commands)
    ask.add_recommend(commands)
    ask.add_personas(commands)
    train.add_compare(commands)
    events.add(commands)
    serve.add(commands)
    tokens.add(commands)
    benchmark.add(commands)
    return parser


@final
class _PrintCompletion(argparse.Action):
    """Prints the code by which a shell completes commands and options, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: object, values: Any, option: object = None) -> None:  # noqa: ANN401
        from argcomplete.shell_integration import shellcode

        sys.stdout.write(shellcode([parser.prog], shell=values))
        parser.exit()
