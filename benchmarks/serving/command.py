"""Explained recommendations over HTTP: how many, how fast, how many durable events. `python -m benchmarks.serving`.

The service is `recsys serve` with one worker on the loopback address, and the load comes from a process of its own. A
closed loop on a few connections measures the capacity of the service; an open loop at half of it measures the latency,
from the moment a request is due. Short windows are repeated and the best counts, because other work of the machine can
only make a window worse; all windows are listed, with the load of the machine. On a machine with two cores the load
takes one of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.serving.measurement import Settings, measure
from benchmarks.serving.report import report
from benchmarks.serving.results import STORES
from benchmarks.tools.command import parser, program, require
from benchmarks.tools.report import report_folder, write_report, write_result

CONFIGS = ("persona_ease_decay", "persona_ease", "ease_decay")


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the exit code."""
    command = parser("serving", __doc__, quick="the simulated log, a second each")
    command.add_argument("--data", metavar="NAME", help="log (default ml-latest-small)")
    configs = f"shipped configurations; the first is measured in every respect (default {' '.join(CONFIGS)})"
    command.add_argument("--config", nargs="+", default=list(CONFIGS), metavar="NAME", help=configs)
    command.add_argument("--seconds", type=float, metavar="S", help="of a window (default 8)")
    command.add_argument("--windows", type=int, metavar="N", help="windows of each kind (default 3)")
    command.add_argument("--soak-seconds", type=float, metavar="S", help="of the soak; 0: none (default 600)")
    command.add_argument("--stores", nargs="*", choices=STORES, default=list(STORES), help="that take events (both)")
    kills_help = "a result.json of benchmarks.serving_kill to include"
    command.add_argument("--kills", type=Path, metavar="FILE", help=kills_help)
    options = command.parse_args(arguments)
    base = Settings(seconds=1.0, windows=1, soak_seconds=5.0, users=10) if options.quick else Settings()
    given = {name: getattr(options, name) for name in ("seconds", "windows", "soak_seconds")}
    settings = replace(base, **{name: value for name, value in given.items() if value is not None})
    data = options.data or ("simulated" if options.quick else "ml-latest-small")

    require("serving", "fastapi", "uvicorn", "sqlalchemy")
    kills = None if options.kills is None else json.loads(options.kills.read_text(encoding="utf-8"))
    result = measure(data, options.config, settings, options.stores, print)
    result.kills = kills
    out = report_folder("serving", options.out, options.quick)
    write_result(out, asdict(result))
    return write_report(out, report(result))
