"""Bad input: Schemathesis calls a live service by its OpenAPI schema. `python -m benchmarks.serving_fuzz`.

Every operation is called with input that the schema allows and with input that it does not: values at and beyond their
bounds, wrong types, missing and unknown fields, other methods, other content types, and sequences of calls. A service
with tokens is called with one and without one, and a service without tokens from this machine. No answer may be a 5xx;
allowed input must be accepted, and other input refused; answers must conform to the schema; every error has a
documented code and names a cure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final
from urllib.request import urlopen

from benchmarks.serving.processes.served_process import OPEN, UNLIMITED, ServedProcess, small_run
from benchmarks.tools.command import Say, parser, program, require
from benchmarks.tools.environment import environment
from benchmarks.tools.report import facts, method, report_folder, table, verdict, write_report, write_result
from recsys.errors import ConfigError
from recsys.events.addresses import open_store
from recsys.events.tokens import SCOPES
from recsys.serving.access import new_token

BAR = 5_000
"""Cases."""

_ROOT = Path(__file__).resolve().parents[2]
_EXCLUDED_CHECK = "use_after_free"
"""An erased user is a new one to the next request: that is the meaning of the route, and not a defect."""

_CONFIGURATION = """\
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 415, 422, 428, 429, 431, "5xx"]
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 422]
"""
"""A head that is too large is refused as such, whatever else the schema forbids in it. What the schema allows may be
refused for a text that the grammar cannot read, and for nothing else: see `fuzz_checks.unreadable_text_alone`."""


@final
@dataclass(frozen=True)
class Outcome:
    """Result of a series of cases."""

    caller: str  # with or without a token
    cases: int  # requests that were generated and sent
    accepted: int  # requests that the schema allows and that were answered with a success
    failures: int  # number of findings
    output: str  # of Schemathesis, where there is a finding


def fuzz_with_tokens(
    run: Path, folder: Path, examples: int, *, seed: int = 0, phases: str = "coverage,fuzzing,stateful"
) -> list[Outcome]:
    """Call a service with tokens, with a token and (fewer cases) without one.

    There are at most so many `examples` of an operation and a phase of Schemathesis; values at bounds come in addition.

    Raises:
        ConfigError: Schemathesis is not installed, or could not call the service.
    """
    store = str(folder / "tokens.db")
    secret, token = new_token("fuzz", SCOPES, None, None)
    with open_store(store) as opened:
        opened.put_token(token)
    with ServedProcess(run, store, UNLIMITED) as service:
        return [
            _call(service.url, folder, "a token of all scopes", examples, seed, phases, secret),
            _call(service.url, folder, "no token", max(1, examples // 4), seed, "fuzzing", None),
        ]


def fuzz_without_tokens(
    run: Path, folder: Path, examples: int, *, seed: int = 0, phases: str = "coverage,fuzzing,stateful"
) -> Outcome:
    """Call a service without tokens; see `fuzz_with_tokens`."""
    with ServedProcess(run, str(folder / "open.db"), OPEN) as service:
        return _call(service.url, folder, "this machine, without tokens", examples, seed, phases, None)


def _call(url: str, folder: Path, caller: str, examples: int, seed: int, phases: str, secret: str | None) -> Outcome:
    report_file = folder / "schemathesis.json"
    (folder / "schemathesis.toml").write_text(_CONFIGURATION, encoding="utf-8")
    schema = folder / "openapi.json"
    schema.write_bytes(urlopen(f"{url}/openapi.json").read())
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(schema), "--url", url, "--no-color", "--no-shrink"]
    command += ["--continue-on-failure", "--seed", str(seed), "--max-examples", str(examples), "--phases", phases]
    command += ["--checks", "all", "--exclude-checks", _EXCLUDED_CHECK, "--generation-database", "none"]
    command += ["--report", "json", "--report-json-path", str(report_file)]
    command += [] if secret is None else ["--header", f"Authorization: Bearer {secret}"]
    variables = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "benchmarks.serving.fuzz_checks",
        "PYTHONPATH": str(_ROOT),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(_ROOT / ".hypothesis"),  # its table of Unicode takes seconds to make
        "NO_PROXY": "127.0.0.1",
    }
    completed = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if not report_file.is_file():
        raise ConfigError(
            f"Schemathesis did not run; pip install 'recsys[test]'. Its output: {completed.stderr[-500:]}"
        )
    result = json.loads(report_file.read_text(encoding="utf-8"))
    report_file.unlink()
    if not result["complete"]:
        raise ConfigError(f"Schemathesis could not call the service: {result['errors']} {completed.stdout[-1000:]}")
    rates = [rate for phases in result["valid_rates"].values() for rate in phases.values()]
    failures = len(result["failures"]) + len(result["errors"])
    generated, accepted = result["test_cases"]["generated"], sum(rate["accepted"] for rate in rates)
    return Outcome(caller, generated, accepted, failures, completed.stdout if failures else "")


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code: 1 if there is a failure."""
    command = parser("serving_fuzz", __doc__, quick="few cases")
    help_text = "cases of an operation and a phase, at most (default 400)"
    command.add_argument("--examples", type=int, default=400, metavar="N", help=help_text)
    command.add_argument("--seed", type=int, default=0, help="of the cases (default 0)")
    options = command.parse_args(arguments)

    require("test", "schemathesis")
    require("serving", "fastapi", "uvicorn", "sqlalchemy")
    out = report_folder("serving-fuzz", options.out, options.quick)
    outcomes = run(3 if options.quick else options.examples, options.seed, out, print)
    return 1 if any(outcome.failures for outcome in outcomes) else 0


def run(examples: int, seed: int, out: Path, say: Say) -> list[Outcome]:
    """Call a small run, write `result.json` and the report, and return the outcomes."""
    with tempfile.TemporaryDirectory() as folder:
        trained = small_run(Path(folder) / "run")
        outcomes = fuzz_with_tokens(trained, Path(folder), examples, seed=seed)
        outcomes.append(fuzz_without_tokens(trained, Path(folder), max(1, examples // 4), seed=seed))
    for outcome in outcomes:
        say(f"{outcome.caller}: {outcome.cases} cases, {outcome.failures} failures")
        if outcome.output:
            say(outcome.output)
    made = environment() | {"seed": str(seed)}
    write_result(out, {**made, "outcomes": [asdict(outcome) for outcome in outcomes]})
    say(f"report: {write_report(out, report(outcomes, made))}")
    return outcomes


def report(outcomes: Sequence[Outcome], made: dict[str, str]) -> list[str]:
    """Return the paragraphs of the report."""
    rows = [[o.caller, f"{o.cases:,}", f"{o.accepted:,}", str(o.failures)] for o in outcomes]
    cases, failures = sum(o.cases for o in outcomes), sum(o.failures for o in outcomes)
    bar = [[f"no finding in {BAR:,} cases", f"{failures} in {cases:,}", verdict(failures == 0 and cases >= BAR)]]
    callers = table(["called by", "cases", "allowed and accepted", "failures"], rows)
    return ["# Bad input", facts(made), method(__doc__), table(["bar", "measured", ""], bar), callers]
