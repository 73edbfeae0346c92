"""Answers in time under a laminar policy, at 150 a second. `python -m benchmarks.serving_policy`.

An open loop asks `recsys serve --policy` for lists of ten (`details=ready`) of users of the log, in a fixed order;
latency counts from the moment a request is due. The policy denies a title and wants one film from before 1980, and each
decision is recorded. In time is an answer within 100 ms. The same requests are asked without a policy.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.serving.load import Plan, Request, put_load
from benchmarks.serving.processes.served_process import OPEN, ServedProcess
from benchmarks.tools.command import parser, program
from benchmarks.tools.environment import environment
from benchmarks.tools.report import facts, method, report_folder, table, write_report, write_result
from recsys.experiments.runs import load_model

POLICY: Final = """\
policy: 1
name: laminar
layers:
  - layer: law
    rules: [{id: gone, deny: {item: "%s"}}]
  - layer: organisation
    rules: [{id: old, at_least: 1, of: {before: 1980}}]
"""
IN_TIME: Final = 100.0
"""Milliseconds."""


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("serving_policy", __doc__, quick="two seconds each")
    command.add_argument("--run", type=Path, required=True, help="directory of a finished run with titles")
    command.add_argument("--rate", type=float, default=150.0, metavar="N", help="requests a second (default 150)")
    command.add_argument("--seconds", type=float, default=30.0, metavar="S", help="of each window (default 30)")
    options = command.parse_args(arguments)
    out = report_folder("serving_policy", options.out, options.quick)
    seconds = 2.0 if options.quick else options.seconds
    fitted = load_model(options.run).fitted_on
    users = np.random.default_rng(0).permutation(len(fitted.users))
    asked = [
        Request("list", "GET", f"/v1/users/{fitted.users.id_of(int(user))}/recommendations?n=10&details=ready")
        for user in np.resize(users, int(2 * options.rate * seconds))
    ]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "laminar.yaml"
        policy.write_text(POLICY % fitted.items.id_of(0), encoding="utf-8")
        for name, extra in (("none", ()), ("laminar", ("--policy", str(policy), "--ledger", f"{folder}/ledger"))):
            with ServedProcess(options.run, f"{folder}/{name}.db", (*OPEN, *extra)) as service:
                put_load(Plan(service.port, asked[:200], seconds, 2))  # states of users are cached
                result = put_load(Plan(service.port, asked, seconds, 16, options.rate))
            half, high = np.percentile(result.milliseconds, [50, 99])
            found[name] = {
                "answers": len(result.milliseconds),
                "a_second": result.rate("list"),
                "median": float(half),
                "p99": float(high),
                "in_time": float((result.milliseconds <= IN_TIME).mean()),
                "failed": result.failed,
            }
            print(name, found[name], flush=True)
    write_result(out, found)
    rows = [[name, *(f"{value:.4g}" for value in each.values())] for name, each in found.items()]
    header = ["policy", "answers", "a second", "median ms", "99% ms", "in time", "failed"]
    return write_report(out, ["# Answers under a policy", table(header, rows), method(__doc__), facts(environment())])
