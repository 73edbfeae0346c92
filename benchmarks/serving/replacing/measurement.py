"""Nothing fails while everything is replaced: `python -m benchmarks.serving_replacing`.

Clients send mixed requests (lists of all kinds, candidates, pages, several users, items, rankings, events, impressions,
personas) to a service with two processes, while others put, change and delete items, and policy and bundle are replaced
and loaded anew, by turns. No answer may be a 5xx, and none may be other than what the request asked for. One item after
another is made unavailable and available again: no answer that was asked for while it was unavailable may list it,
whichever process gives it.
"""

from __future__ import annotations

import http.client
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

from benchmarks.serving.processes.served_process import OPEN, Client, ServedProcess
from benchmarks.tools.command import Say, parser, program, require
from benchmarks.tools.environment import environment
from benchmarks.tools.report import bar, bars_table, facts, method, report_folder, table, write_report, write_result
from benchmarks.tools.search import shipped_experiment, with_settings
from recsys.experiments.runs import DataSettings, train_run
from recsys.files import write_text

BAR = 3_000
"""Requests."""

CLIENTS = 4
_PATIENCE = 60.0

POLICIES = (
    "policy: 1\nname: few\nlayers:\n  - layer: organisation\n    rules: [{id: half, at_most: 80%, of: each genre}]\n",
    "policy: 1\nname: none\nlayers: []\n",
)


@final
@dataclass(frozen=True)
class Outcome:
    """Counts of a run of the benchmark.

    Attributes:
        requests: answered to clients.
        statuses: how many of each.
        by_route: how many of each kind of request.
        defects: answers of 5xx, and of a status that the request does not deserve, in words.
        stale: lists with an item that was unavailable while they were asked for.
        checked: lists that were asked for while an item was unavailable, from beginning to end.
        changes: of the catalogue.
        reloads: of bundle and policy.
        late: reloads that took longer than the 30 seconds of a request, which are answered 503 and go on.
        models: that answered.
        policies: that answered.
        seconds: it took.
    """

    requests: int
    statuses: dict[str, int]
    by_route: dict[str, int]
    defects: list[str]
    stale: int
    checked: int
    changes: int
    reloads: int
    late: int
    models: int
    policies: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.defects and not self.stale and self.checked > 0


@final
@dataclass
class _Shared:
    """What the threads share. `gone` is the item that is unavailable now, with a number for each time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    left: int = 0
    gone: tuple[int, str | None] = (0, None)
    statuses: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    policies: set[str] = field(default_factory=set)
    stale: int = 0
    checked: int = 0
    changes: int = 0
    reloads: int = 0
    late: int = 0

    def take(self) -> bool:
        """Return whether there is another request to send."""
        with self.lock:
            self.left -= 1
            return self.left >= 0

    @property
    def done(self) -> bool:
        return self.left <= 0

    def note(self, route: str, status: int, content: bytes, expected: Sequence[int]) -> Any:  # noqa: ANN401 - JSON
        """Count an answer, and return its JSON; None of one that is no success."""
        with self.lock:
            self.statuses[str(status)] += 1
            self.routes[route] += 1
            if status not in expected:
                self.defects.append(f"{route}: {status} {content[:300].decode(errors='replace')}")
        return json.loads(content) if status == 200 else None


def measure(requests: int, folder: Path, seed: int = 0) -> Outcome:
    """Replace everything under load until so many requests were answered.

    Raises:
        ConfigError: the service does not start.
    """
    started = time.perf_counter()
    runs = [_trained(folder / f"run-{number}", number) for number in range(2)]
    link, policy = folder / "served", folder / "policy.yaml"
    link.symlink_to(runs[0].name)
    write_text(policy, POLICIES[0])
    shared = _Shared(left=requests)
    options = (*OPEN, "--workers", "2", "--policy", str(policy))
    with ServedProcess(link, str(folder / "events.db"), options) as service:
        with Client(service.port, _PATIENCE) as client:
            items = [one["item_id"] for one in client.get("/v1/items?n=100")["items"]]
            users = [one["user_id"] for one in client.get("/v1/users?n=20")["users"]]
        threads = [
            threading.Thread(target=_ask, args=(service.port, shared, items, users, seed + number))
            for number in range(CLIENTS)
        ]
        threads.append(threading.Thread(target=_change, args=(service.port, shared, items)))
        threads.append(threading.Thread(target=_replace, args=(service.port, shared, link, policy, runs)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return Outcome(
        requests=sum(shared.routes.values()),
        statuses=dict(sorted(shared.statuses.items())),
        by_route=dict(sorted(shared.routes.items())),
        defects=shared.defects,
        stale=shared.stale,
        checked=shared.checked,
        changes=shared.changes,
        reloads=shared.reloads,
        late=shared.late,
        models=len(shared.models),
        policies=len(shared.policies),
        seconds=time.perf_counter() - started,
    )


def _trained(folder: Path, number: int) -> Path:
    changed = {"model.init_args.regularization": 200.0 + 300.0 * number}
    experiment = with_settings(shipped_experiment("ease_personas"), changed)
    train_run(experiment, DataSettings("simulated"), folder, cutoffs=[10])
    return folder


def _guarded(work: Callable[[Client], None], port: int, shared: _Shared, name: str) -> None:
    """Do something with a client; what is raised is a defect, and ends everything."""
    try:
        with Client(port, _PATIENCE) as client:
            work(client)
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        with shared.lock:
            shared.defects.append(f"{name}: {type(error).__name__} {error}")
            shared.left = 0


def _ask(port: int, shared: _Shared, items: Sequence[str], users: Sequence[str], seed: int) -> None:
    draw = random.Random(seed)

    def work(client: Client) -> None:
        number = 0
        while shared.take():
            number += 1
            route, verb, path, body, expected = _request(draw, items, users, f"{seed}-{number}")
            before = shared.gone
            status, content = client.send(verb, path, None if body is None else json.dumps(body))
            told = shared.note(route, status, content, expected)
            listed = told.get("items") if isinstance(told, dict) else None
            if listed is None or route in ("find", "impressions"):
                continue
            with shared.lock:
                shared.models.add(told["model"])
                if told.get("policy"):
                    shared.policies.add(told["policy"]["name"])
                if before[1] is not None and shared.gone == before:  # unavailable from beginning to end
                    shared.checked += 1
                    shared.stale += before[1] in {one["item_id"] for one in listed}

    _guarded(work, port, shared, "client")


def _request(
    draw: random.Random, items: Sequence[str], users: Sequence[str], name: str
) -> tuple[str, str, str, Any, Sequence[int]]:
    """Return a request: its kind, method, path, body, and the statuses that it deserves."""
    user, item = draw.choice(users), draw.choice(items)
    lists = f"/v1/users/{user}/recommendations"
    event = {"event_id": name, "user_id": user, "item_id": item, "kind": "view", "time": int(time.time()) - 5}
    shown = {"user_id": user, "recommendation_id": f"{draw.getrandbits(64):016x}-main-x"}
    said = {"history": [{"item_id": item}], "n": 20, "details": False}
    several = {"user_ids": draw.sample(users, 3), "n": 5}
    candidates = {"candidates": draw.sample(items, 30), "n": 30, "details": False}
    kinds: list[tuple[str, str, str, Any, Sequence[int]]] = [
        ("list", "GET", f"{lists}?n=50&details=ready", None, (200,)),
        ("list", "GET", f"{lists}?n=20", None, (200,)),
        ("fields", "GET", f"{lists}?n=50&details=false&fields=title&fields=metadata&cursor=*", None, (200,)),
        ("candidates", "POST", lists, candidates, (200,)),
        ("visit", "GET", f"{lists}?shelf=now", None, (200,)),
        ("history", "POST", "/v1/recommendations", said, (200,)),
        ("several users", "POST", "/v1/users/recommendations", several, (200,)),
        ("similar", "GET", f"/v1/items/{item}/similar?n=20", None, (200,)),
        ("ranking", "GET", f"/v1/{draw.choice(('popular', 'trending', 'latest'))}?n=20&fields=title", None, (200,)),
        ("find", "GET", "/v1/items?query=item&n=20", None, (200,)),
        ("find", "GET", "/v1/items?n=20&cursor=*", None, (200,)),
        ("look up", "GET", f"/v1/items/{item}", None, (200, 404)),  # it may be deleted just now
        ("events", "POST", "/v1/events", {"events": [event]}, (200,)),
        ("impressions", "POST", "/v1/impressions", {**shown, "items": [{"item_id": item, "position": 1}]}, (200,)),
        ("personas", "GET", f"/v1/users/{user}/personas", None, (200,)),
        ("data", "GET", f"/v1/users/{user}/data", None, (200,)),
        ("policy", "GET", "/v1/policy", None, (200,)),
    ]
    return draw.choice(kinds)


def _change(port: int, shared: _Shared, items: Sequence[str]) -> None:
    """Make one item after another unavailable, change it, delete it, and put the whole catalogue again."""

    def work(client: Client) -> None:
        turn = 0
        while not shared.done:
            item = items[turn % len(items)]
            turn += 1

            def send(verb: str, path: str, body: object, *expected: int) -> None:
                status, content = client.send(verb, path, None if body is None else json.dumps(body))
                with shared.lock:
                    shared.changes += 1
                    if status not in expected:
                        shared.defects.append(f"{verb} {path}: {status} {content[:300].decode(errors='replace')}")

            send("PATCH", f"/v1/items/{item}", {"available": False}, 200)
            shared.gone = (turn, item)
            time.sleep(0.6)
            shared.gone = (turn, None)
            send("PATCH", f"/v1/items/{item}", {"available": True, "metadata": {"turn": turn}}, 200)
            if turn % 4 == 0:
                send("DELETE", f"/v1/items/{item}", None, 204)
                shared.gone = (-turn, item)
                time.sleep(0.3)
                shared.gone = (-turn, None)
                send("PUT", f"/v1/items/{item}", {"metadata": {"turn": turn}}, 200)
            if turn % 10 == 0:
                named = [{"item_id": one, "metadata": {"turn": turn}} for one in items]
                new = [{"item_id": f"new-{turn}-{n}", "title": f"Item new {n} (2026)"} for n in range(20)]
                send("PUT", "/v1/items", {"items": [*named, *new]}, 200)

    _guarded(work, port, shared, "catalogue")


def _replace(port: int, shared: _Shared, link: Path, policy: Path, runs: Sequence[Path]) -> None:
    """Replace the bundle and the policy by turns, and let all processes load them."""

    def work(client: Client) -> None:
        turn = 0
        while not shared.done:
            turn += 1
            fresh = link.with_name(f"link-{turn}")
            fresh.symlink_to(runs[turn % 2].name)
            fresh.replace(link)
            write_text(policy, POLICIES[turn // 2 % 2])
            status, content = client.send("POST", "/v1/admin/reload")
            with shared.lock:
                shared.reloads += status == 200
                late = status == 503 and b'"timeout"' in content  # it goes on, and nobody waits for it
                shared.late += late
                if status not in (200, 409) and not late:  # 409: one is going on, by the signal of the other process
                    shared.defects.append(f"reload: {status} {content[:300].decode(errors='replace')}")
                if status == 409 and b"reload_running" not in content:
                    shared.defects.append(f"reload: {content[:300].decode(errors='replace')}")
            time.sleep(1.0)

    _guarded(work, port, shared, "replacing")


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code: 1 if anything failed."""
    command = parser("serving_replacing", __doc__, quick="few requests")
    command.add_argument("--requests", type=int, default=BAR, metavar="N", help=f"of clients (default {BAR})")
    options = command.parse_args(arguments)
    require("serving", "fastapi", "uvicorn", "sqlalchemy")
    out = report_folder("serving-replacing", options.out, options.quick)
    return 0 if run(300 if options.quick else options.requests, out, print).passed else 1


def run(requests: int, out: Path, say: Say) -> Outcome:
    """Measure, write `result.json` and the report, and return the outcome."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = measure(requests, Path(folder))
    made = environment()
    write_result(out, {**made, "outcome": asdict(outcome)})
    say(f"report: {write_report(out, report(outcome, made))}")
    return outcome


def report(outcome: Outcome, made: dict[str, str]) -> list[str]:
    """Return the paragraphs of the report."""
    replaced = {
        "changes of the catalogue": str(outcome.changes),
        "reloads of bundle and policy": str(outcome.reloads),
        "reloads that took longer than 30 seconds (503)": str(outcome.late),
        "models, policies that answered": f"{outcome.models}, {outcome.policies}",
        "seconds": f"{outcome.seconds:.0f}",
    }
    failed = sum(count for status, count in outcome.statuses.items() if status.startswith("5"))
    stale = f"{outcome.stale} of {outcome.checked}"
    bars = [
        bar("mixed requests", f"{BAR}", str(outcome.requests), outcome.requests >= BAR),
        bar("answers of 5xx", "0", str(failed), failed == 0),
        bar("answers that the request does not deserve", "0", str(len(outcome.defects)), not outcome.defects),
        bar("lists with an item that was unavailable", "0", stale, outcome.stale == 0 and outcome.checked > 0),
    ]
    counts = [table(["request", "answers"], [[name, str(count)] for name, count in outcome.by_route.items()])]
    counts.append(table(["status", "answers"], [[name, str(count)] for name, count in outcome.statuses.items()]))
    return [
        "# Nothing fails while everything is replaced",
        facts(made | replaced),
        method(__doc__),
        bars_table(bars),
        *counts,
        *outcome.defects[:20],
    ]
