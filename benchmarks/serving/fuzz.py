"""Bad input: Schemathesis asks a live service, from its OpenAPI schema. `python -m benchmarks.serving_fuzz`.

Every operation is asked with what the schema allows and with what it does not: values at and beyond their bounds, wrong
types, missing and unknown fields, other methods, other content types, and sequences of calls. A service with tokens is
asked by somebody who has one and by somebody who has none, and one without tokens by somebody of this machine. No
answer may be a 5xx; what the schema allows must be taken, and what it does not be refused; answers must be as the
schema says; every error has a documented code and tells a cure.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from benchmarks.serving.served_process import ServedProcess, small_run
from benchmarks.tools.environment import environment
from benchmarks.tools.report import REPORT_NAME, facts, report_folder, table, verdict, write_text
from recsys.errors import ConfigError, RecsysError
from recsys.events.addresses import open_store
from recsys.events.store import SCOPES
from recsys.serving.access import new_token

BAR = 5_000
"""Cases."""

_ROOT = Path(__file__).resolve().parents[2]
# What is erased can be asked for: it is then as of somebody new. That is the meaning of the route, and not a defect.
_LEFT_OUT = "use_after_free"
_RATE = ("--rate", "1000000")


@final
@dataclass(frozen=True)
class Outcome:
    """What a series of cases found.

    Attributes:
        asked_by: who asked.
        cases: requests that were generated and sent.
        accepted: how many of the requests that the schema allows were answered with a success.
        failures: what was found.
        said: what the tool said, where something was found.
    """

    asked_by: str
    cases: int
    accepted: int
    failures: int
    said: str


def fuzz_with_tokens(
    run: Path, folder: Path, examples: int, *, seed: int = 0, phases: str = "coverage,fuzzing,stateful"
) -> list[Outcome]:
    """Ask a service with tokens, as somebody who has one, and fewer cases as somebody who has none.

    Args:
        run: directory of a finished run.
        folder: for the store and reports.
        examples: most cases of an operation and a phase; values at bounds are asked besides.
        seed: of the cases.
        phases: of Schemathesis.

    Raises:
        ConfigError: Schemathesis is not installed, or could not ask.
    """
    store = str(folder / "tokens.db")
    secret, token = new_token("fuzz", SCOPES, None, None)
    with open_store(store) as opened:
        opened.put_token(token)
    with ServedProcess(run, store, _RATE) as service:
        return [
            _ask(service.url, folder, "a token of all scopes", examples, seed, phases, secret),
            _ask(service.url, folder, "nobody known", max(1, examples // 4), seed, "fuzzing", None),
        ]


def fuzz_without_tokens(
    run: Path, folder: Path, examples: int, *, seed: int = 0, phases: str = "coverage,fuzzing,stateful"
) -> Outcome:
    """Ask a service without tokens; see `fuzz_with_tokens`."""
    with ServedProcess(run, str(folder / "open.db"), ("--no-auth", *_RATE)) as service:
        return _ask(service.url, folder, "this machine, without tokens", examples, seed, phases, None)


def _ask(url: str, folder: Path, who: str, examples: int, seed: int, phases: str, secret: str | None) -> Outcome:
    told = folder / "schemathesis.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--no-color", "--no-shrink"]
    command += ["--continue-on-failure", "--seed", str(seed), "--max-examples", str(examples), "--phases", phases]
    command += ["--checks", "all", "--exclude-checks", _LEFT_OUT, "--generation-database", "none"]
    command += ["--report", "json", "--report-json-path", str(told)]
    command += [] if secret is None else ["--header", f"Authorization: Bearer {secret}"]
    surroundings = {**os.environ, "SCHEMATHESIS_HOOKS": "benchmarks.serving.fuzz_checks", "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)
    if not told.is_file():
        raise ConfigError(f"Schemathesis did not run; pip install 'recsys[test]'. It says: {done.stderr[-500:]}")
    found = json.loads(told.read_text(encoding="utf-8"))
    told.unlink()
    if not found["complete"]:
        raise ConfigError(f"Schemathesis could not ask: {found['errors']} {done.stdout[-1000:]}")
    rates = [rate for phases in found["valid_rates"].values() for rate in phases.values()]
    failures = len(found["failures"]) + len(found["errors"])
    return Outcome(
        who,
        found["test_cases"]["generated"],
        sum(rate["accepted"] for rate in rates),
        failures,
        done.stdout if failures else "",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code: 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_fuzz", description=__doc__)
    parser.add_argument(
        "--examples",
        type=int,
        default=400,
        metavar="N",
        help="cases of an operation and a phase, at most (default 400)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default 0)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default: dated)")
    parser.add_argument("--quick", action="store_true", help="few cases: tries the benchmark itself")
    options = parser.parse_args(arguments)
    examples = 3 if options.quick else options.examples
    try:
        out = report_folder("serving-fuzz", options.out, options.quick)
        outcomes = run(examples, options.seed, out, print)
    except RecsysError as error:
        print(f"error: {error}")
        return 2
    return 1 if any(outcome.failures for outcome in outcomes) else 0


def run(examples: int, seed: int, out: Path, say: Callable[[str], object]) -> list[Outcome]:
    """Ask a small run, write `result.json` and the report, and return what was found."""
    with tempfile.TemporaryDirectory() as folder:
        trained = small_run(Path(folder) / "run")
        outcomes = fuzz_with_tokens(trained, Path(folder), examples, seed=seed)
        outcomes.append(fuzz_without_tokens(trained, Path(folder), max(1, examples // 4), seed=seed))
    for outcome in outcomes:
        say(f"{outcome.asked_by}: {outcome.cases} cases, {outcome.failures} failures")
        if outcome.said:
            say(outcome.said)
    surroundings = environment() | {"seed": str(seed)}
    content: dict[str, Any] = surroundings | {"outcomes": [asdict(outcome) for outcome in outcomes]}
    write_text(out / "result.json", json.dumps(content, indent=1) + "\n")
    say(f"report: {write_text(out / REPORT_NAME, report(outcomes, surroundings))}")
    return outcomes


def report(outcomes: Sequence[Outcome], surroundings: dict[str, str]) -> str:
    """Return the report."""
    rows = [[o.asked_by, f"{o.cases:,}", f"{o.accepted:,}", str(o.failures)] for o in outcomes]
    cases, failures = sum(o.cases for o in outcomes), sum(o.failures for o in outcomes)
    bar = [[f"no finding in {BAR:,} cases", f"{failures} in {cases:,}", verdict(failures == 0 and cases >= BAR)]]
    text = " ".join((__doc__ or "").split("\n\n", 1)[1].split())
    found = table(["asked by", "cases", "allowed and taken", "failures"], rows)
    return "\n\n".join(["# Bad input", facts(surroundings), text, table(["bar", "found", ""], bar), found]) + "\n"
