"""The command line of a benchmark: common options, optional libraries, and errors that name their cure."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import ParamSpec, TypeVar

from recsys.errors import ConfigError, RecsysError, nearest

Say = Callable[[str], object]
"""Receives a line about the progress of a benchmark."""

_Plan = TypeVar("_Plan")
_Arguments = ParamSpec("_Arguments")


def parser(name: str, description: str | None, *, quick: str = "", threads: bool = False) -> argparse.ArgumentParser:
    """Return the parser of `python -m benchmarks.NAME`, with `--out` and `--quick` where there is a `quick` trial."""
    command = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    if quick:
        command.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default: dated)")
        command.add_argument("--quick", action="store_true", help=f"{quick}: tries the benchmark itself")
    if threads:
        help_text = "threads of torch (default: all cores; fewer on a busy machine)"
        command.add_argument("--threads", type=_use_threads, metavar="N", help=help_text)
    return command


def _use_threads(count: str) -> int:
    import torch  # noqa: PLC0415 (the process that puts load on a service has a parser, too, and must stay small)

    torch.set_num_threads(int(count))
    return int(count)


def program(main: Callable[_Arguments, Path | int]) -> Callable[_Arguments, int]:
    """Make `main` return an exit code: its own, 0 for a report, which it names, or 2 for an error, which it prints."""

    @wraps(main)
    def run(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> int:
        try:
            result = main(*arguments, **named)
        except (RecsysError, OSError) as error:
            print(f"error: {error}")
            return 2
        if isinstance(result, Path):
            print(f"report: {result}")
            return 0
        return result

    return run


def require(extra: str, *libraries: str) -> None:
    """Check before anything is read or measured that the optional libraries of a benchmark can be imported.

    Raises:
        ConfigError: one is missing or damaged; with the commands that install it.
    """
    for library in libraries:
        try:
            import_module(library)
        except ImportError as error:
            raise ConfigError(
                f"this benchmark needs {library} ({error}); install it with `make bench-setup`, or with "
                f"pip install 'recsys[{extra}]'"
            ) from error


def plans_named(names: Sequence[str] | None, plans: dict[str, _Plan]) -> tuple[_Plan, ...]:
    """Return the plans of these names; all plans for None.

    Raises:
        ConfigError: there is no plan of such a name.
    """
    for name in names or ():
        if name not in plans:
            raise ConfigError(f"no benchmark on {name!r}{nearest(name, plans)}; there are {', '.join(plans)}")
    return tuple(plans.values() if names is None else (plans[name] for name in names))
