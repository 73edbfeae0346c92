"""This code against that of another commit: answers per second, and their p99. `python -m benchmarks.serving_against`.

The commit is checked out beside, trains its own configuration on the same log with its own code, and serves it with
one worker; so does the code of today. Both get the same requests, in windows by turns, so that other work of the
machine falls on both alike: what counts is the ratio within a pair of windows.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import final

from benchmarks.serving.measurement import HEADLINE
from benchmarks.serving.processes.served_process import OPEN, RECSYS, ServedProcess
from benchmarks.serving.results import Window
from benchmarks.serving.traffic import ANSWERS, BAR, EVENT, Traffic
from benchmarks.tools.command import Say, parser, program, require
from benchmarks.tools.environment import environment
from benchmarks.tools.report import (
    bar,
    bars_table,
    facts,
    method,
    number,
    report_folder,
    table,
    write_report,
    write_result,
)
from recsys.errors import ConfigError
from recsys.experiments.runs import run_data

_ROOT = Path(__file__).resolve().parents[2]
_P99 = 25.0
_MOST_PER_SECOND = 2_500
_KINDS = (*ANSWERS, EVENT)


@final
@dataclass(frozen=True)
class Contender:
    """Code and configuration that serve, and what is asked of them.

    Attributes:
        name: in the report.
        config: shipped with the code.
        parameters: of each question, beside the length of the list.
        source: checkout of the code; None: that of today.
    """

    name: str
    config: str
    parameters: str = ""
    source: Path | None = None


@final
@dataclass(frozen=True)
class Measured:
    """Windows of a contender, in the order of the turns."""

    contender: Contender
    closed: list[Window] = field(default_factory=list)
    at_bar: list[Window] = field(default_factory=list)  # an open loop at half of the bar


def compare(data: str, contenders: Sequence[Contender], seconds: float, turns: int, say: Say) -> list[Measured]:
    """Train and serve the contenders, and measure them by turns after one that warms them up."""
    most, measured = round(_MOST_PER_SECOND * seconds), [Measured(one) for one in contenders]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        services, traffic = [], []
        for place, one in enumerate(contenders):
            run = Path(name) / f"run-{place}"
            _train(one, data, run)
            say(f"{one.name} is trained")
            store = f"sqlite:///{name}/events-{place}.db"
            services.append(stack.enter_context(ServedProcess(run, store, OPEN, one.source)))
            log = run_data(Path(name) / "run-0").load()
            traffic.append(Traffic(log, HEADLINE, services[-1].port, parameters=one.parameters))
        for rate in (None, 0.5 * BAR / (1 - HEADLINE.events)):
            for turn in range(turns + 1):
                for service, load, result in zip(services, traffic, measured, strict=True):
                    window = Window.measure(service.pid, partial(load.put, seconds, most=most, rate=rate), rate)
                    if turn:
                        (result.closed if rate is None else result.at_bar).append(window)
                        say(f"{result.contender.name}: {window.rate:.0f}/s, {_p99(window):.1f} ms")
    return measured


def _train(contender: Contender, data: str, run: Path) -> None:
    command = [*RECSYS, "train", "--config", contender.config, "--data", data, "--out", str(run)]
    trained = subprocess.run(command, capture_output=True, text=True, cwd=contender.source, check=False)
    if trained.returncode != 0:
        raise ConfigError(f"{contender.name} could not be trained: {trained.stderr.strip()[-500:]}")


def _p99(window: Window) -> float:
    return window.milliseconds["answers"]["p99"]


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Check a commit out into a folder of its own, which is removed in the end.

    Raises:
        ConfigError: git has no such commit, or this is no checkout.
    """
    with tempfile.TemporaryDirectory() as name:
        made = _git("worktree", "add", "--detach", f"{name}/code", commit)
        if made.returncode != 0:
            raise ConfigError(f"commit {commit} cannot be checked out: {made.stderr.strip()}; see git log")
        try:
            yield Path(name) / "code"
        finally:
            _git("worktree", "remove", "--force", f"{name}/code")


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=False)


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the comparison; return the report."""
    command = parser("serving_against", __doc__, quick="the simulated log, a second each")
    command.add_argument("--commit", default="65256f8", help="the other one (default 65256f8)")
    command.add_argument("--commit-config", default="ampcf_decay", metavar="NAME", help="its configuration")
    command.add_argument("--config", default="ease_personas_decay", metavar="NAME", help="that of today")
    command.add_argument("--data", metavar="NAME", help="log (default ml-latest-small)")
    command.add_argument("--seconds", type=float, default=6.0, metavar="S", help="of a window (default 6)")
    command.add_argument("--turns", type=int, default=5, metavar="N", help="windows of each kind (default 5)")
    options = command.parse_args(arguments)
    data = options.data or ("simulated" if options.quick else "ml-latest-small")
    require("serving", "fastapi", "uvicorn", "sqlalchemy")
    with checkout(options.commit) as source:
        contenders = (
            Contender(f"commit {options.commit}", options.commit_config, source=source),
            Contender("today, details=ready", options.config, "&details=ready"),
            Contender("today, reasons searched", options.config),
        )
        seconds, turns = (1.0, 1) if options.quick else (options.seconds, options.turns)
        measured = compare(data, contenders, seconds, turns, print)
    made = environment() | {"log": data, "windows": f"{turns} of {seconds:g} seconds each, by turns"}
    out = report_folder("serving-against", options.out, options.quick)
    write_result(out, {**made, "measured": [asdict(one) | {"contender": one.contender.name} for one in measured]})
    return write_report(out, report(measured, made))


def report(measured: Sequence[Measured], made: dict[str, str]) -> list[str]:
    """Return the paragraphs of the report; the first of the measured is what the others are compared with."""
    first, rows, windows = measured[0], [], []
    for one in measured[1:]:
        name = one.contender.name
        ratio = median(b.rate / a.rate for a, b in zip(first.closed, one.closed, strict=True))
        rows.append(
            bar(f"{name}: answers per second over {first.contender.name}", "at least 1", f"{ratio:.2f}", ratio >= 1)
        )
        p99 = median(map(_p99, one.at_bar))
        rows.append(bar(f"{name}: p99 at {BAR // 2} a second", f"under {_P99:.0f} ms", f"{p99:.1f} ms", p99 < _P99))
    for one in measured:
        for kind, each in (("closed", one.closed), (f"{BAR // 2}/s", one.at_bar)):
            times = [[window.milliseconds[name] for window in each] for name in ("answers", *_KINDS)]
            cells = [" / ".join(number(median(t[q] for t in kinds), 1) for q in ("p50", "p99")) for kinds in times]
            rate, processor = (
                f"{median(values):.{d}f}"
                for values, d in (([w.rate for w in each], 0), ([w.processor for w in each], 2))
            )
            windows.append(
                [
                    f"{one.contender.name}, `{one.contender.config}`, {kind}",
                    rate,
                    *cells,
                    processor,
                    str(sum(w.failed for w in each)),
                ]
            )
    header = ["", "answers/s", "p50 / p99 ms", *(f"{kind} ms" for kind in _KINDS), "processor ms", "failed"]
    return [
        "# Served answers against an earlier commit",
        facts(made),
        method(__doc__),
        bars_table(rows),
        table(header, windows),
        f"Medians over windows. Traffic: {HEADLINE}.",
    ]
