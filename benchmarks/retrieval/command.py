"""Top ten of a million items through an index and exactly: recall, time, bytes. `python -m benchmarks.retrieval`.

All measurements run in one process on one thread, query by query; `python -m benchmarks.serving` measures the service
around it. The catalogue is simulated (`benchmarks.retrieval.large_catalogue`).
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.retrieval.large_catalogue import Plan, Shape
from benchmarks.tools.command import parser, program, require
from benchmarks.tools.report import report_folder


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code: 1 where a bar is missed."""
    command = parser("retrieval", __doc__, quick="20,000 items")
    default = Plan(Shape())
    command.add_argument("--items", type=int, default=default.shape.items)
    command.add_argument("--questions", type=int, default=default.queries, help="that tune, and as many that measure")
    command.add_argument("--without-others", action="store_true", help="leave the other kinds of index out")
    command.add_argument("--threads", type=int, default=default.threads, help="that build (default: %(default)s)")
    options = command.parse_args(arguments)
    rest = {"others": not options.without_others, "threads": options.threads}
    plan = Plan(Shape(items=options.items), options.questions, **rest)
    if options.quick:
        plan = Plan(Shape(items=20_000), 100, 20, **rest)

    require("index", "faiss")
    from benchmarks.retrieval.measurement import run  # noqa: PLC0415 (needs an optional library)

    report, passed = run(plan, report_folder("retrieval", options.out, options.quick))
    print(f"report: {report}")
    return 0 if passed else 1
