"""The command line. It reads arguments, calls the library and prints; everything else is elsewhere."""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast, final, get_args

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

import recsys
from recsys.cli import benchmark as drift_command
from recsys.cli import demo
from recsys.cli.events import add_command as add_events
from recsys.cli.index import add_index
from recsys.cli.serve import add_serve
from recsys.cli.tokens import add_tokens
from recsys.data.catalogue import cards, datasets, fetching
from recsys.data.inspection import inspect
from recsys.data.pictures import draw_log
from recsys.data.readers.columns import Columns
from recsys.data.splits.names import SplitName
from recsys.errors import ConfigError, RecsysError
from recsys.experiments import questions, runs
from recsys.experiments.configuration import read_experiment, settings
from recsys.serving.run_answers import open_answers
from recsys.training.session import Session

_OUT = Console(highlight=False)
_ERR = Console(stderr=True, highlight=False)
_HEADLINE = (
    "ndcg@10", "recall@10", "hr@10", "mrr@10", "coverage@10", "tdd@10", "minority_recall@10",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for misuse or bad input, 130 when interrupted."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.call is not _train:
        parser.error(f"unknown arguments: {' '.join(rest)}; see `recsys {options.command} --help`")
    try:
        options.rest = rest
        call: Callable[[argparse.Namespace], None] = options.call
        call(options)
    except RecsysError as error:
        _ERR.print(f"recsys: {escape(' '.join(str(error).split()))}", soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        _ERR.print("recsys: interrupted; what was complete is kept, `--resume` goes on from there")
        return 130
    return 0


@final
class _Parser(argparse.ArgumentParser):
    """Prints misuse as one line."""

    def error(self, message: str) -> NoReturn:
        _ERR.print(f"{self.prog}: {escape(message)}", soft_wrap=True)
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="recsys", description=recsys.__doc__)
    parser.add_argument("--version", action="version", version=f"recsys {recsys.__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_data(commands)
    _add_train(commands)
    _add_evaluate(commands)
    add_index(commands)
    _add_recommend(commands)
    _add_personas(commands)
    _add_compare(commands)
    add_events(commands)
    add_serve(commands, open_answers)
    add_tokens(commands)
    _add_benchmark(commands)
    return parser


Commands = Any
"""argparse's collection of subcommands, which has no public type."""


def _command(
    commands: Commands, name: str, call: Callable[[argparse.Namespace], None], summary: str, text: str = ""
) -> argparse.ArgumentParser:
    parser = cast(
        "argparse.ArgumentParser",
        commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}. {text}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        ),
    )
    parser.set_defaults(call=call)
    return parser


def _add_demo(commands: Commands) -> None:
    parser = _command(commands, "demo", _demo, "train, compare and explain on MovieLens latest-small")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="where the runs go (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)


def _add_data(commands: Commands) -> None:
    data = _command(commands, "data", _data_list, "list, fetch and inspect logs")
    actions = data.add_subparsers(title="actions", dest="action", metavar="ACTION")
    listing = _command(actions, "list", _data_list, "list the known data sets and where they are")
    fetch = _command(actions, "fetch", _data_fetch, "download a data set and check it")
    fetch.add_argument("name", help="name of a data set")
    show = _command(actions, "inspect", _data_inspect, "counts, spans, duplicates and a picture of a log")
    show.add_argument("log", metavar="NAME_OR_FILE", help="name of a data set, or a file")
    show.add_argument("--picture", type=Path, default=None, help="write the histograms to this PNG")
    show.add_argument("--on-error", choices=("raise", "skip"), default="raise", help="what to do with bad rows")
    _add_columns(show)
    for parser in (data, listing, show):
        parser.add_argument("--json", action="store_true", help="print JSON")


def _add_train(commands: Commands) -> None:
    parser = _command(
        commands,
        "train",
        _train,
        "train, evaluate and keep a model",
        "Every setting of the experiment file can be\nreplaced by its name: --personas 3, --learning_rate 0.01, "
        "--objective.loss bpr, --validation.users 500.\n`recsys train --config FILE --settings` lists them.",
    )
    parser.add_argument("--config", type=Path, required=True, help="experiment file, such as configs/ampcf.yaml")
    parser.add_argument("--settings", action="store_true", help="list the settings of the experiment file and stop")
    parser.add_argument(
        "--data",
        help="a data set, a file with user, item and, best, rating and time, or an event store (sqlite:///..., postgresql://...)",
    )
    parser.add_argument("--out", type=Path, help="the run's directory")
    parser.add_argument("--split", choices=get_args(SplitName), default="global_time", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="seed of the model (default: 0)")
    parser.add_argument("--split-seed", type=int, default=0, help="seed of splits that draw (default: 0)")
    parser.add_argument("--threshold", type=float, help="split 'paper': only ratings of at least this are events")
    parser.add_argument("--k", type=int, nargs="+", default=[5, 10, 20], help="cutoffs (default: 5 10 20)")
    parser.add_argument("--accelerator", default="auto", help="auto, cpu or gpu (default: auto)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--overwrite", action="store_true", help="replace a finished run in --out")
    parser.add_argument("--on-error", choices=("raise", "skip"), default="raise", help="what to do with bad rows")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="print the run's metrics.json")
    _add_columns(parser)


def _add_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="ROLE=NAME",
        help="which column of the file is what, where the usual names do not say: user=buyer item=sku time=bought_at",
    )


def _add_evaluate(commands: Commands) -> None:
    parser = _command(commands, "evaluate", _evaluate, "evaluate a run's model on its test questions again")
    parser.add_argument("--run", type=Path, required=True, help="directory of a finished run")
    parser.add_argument("--data", help="read the same log from here")
    parser.add_argument("--k", type=int, nargs="+", default=[5, 10, 20], help="cutoffs (default: 5 10 20)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_recommend(commands: Commands) -> None:
    parser = _command(commands, "recommend", _recommend, "explained recommendations for one person")
    parser.add_argument("--run", type=Path, required=True, help="directory of a finished run")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", help="id of a user of the log")
    who.add_argument("--history", type=Path, help="file with somebody's items: ids one to a line, CSV or JSON")
    parser.add_argument("-n", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--exact", action="store_true", help="score every item, also where the run has an index")
    parser.add_argument("--at", help="as of this moment: an ISO date or time, or a number in the log's unit")
    parser.add_argument("--data", help="read the log from here")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_personas(commands: Commands) -> None:
    parser = _command(commands, "personas", _personas, "show a user's personas")
    parser.add_argument("--run", type=Path, required=True, help="directory of a finished run")
    parser.add_argument("--user", required=True, help="id of a user of the log")
    parser.add_argument("--at", help="as of this moment: an ISO date or time, or a number in the log's unit")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw how active each persona was over time")
    parser.add_argument("--data", help="read the log from here")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_compare(commands: Commands) -> None:
    parser = _command(
        commands, "compare", _compare, "compare two runs on their test users", "Differences are B minus A."
    )
    parser.add_argument("first", metavar="DIR_A", type=Path, help="directory of the baseline's run")
    parser.add_argument("second", metavar="DIR_B", type=Path, help="directory of the other run")
    parser.add_argument("--metric", nargs="+", default=["ndcg@10"], help="metrics (default: ndcg@10)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_benchmark(commands: Commands) -> None:
    benchmark = _command(commands, "benchmark", _benchmark_drift, "compare rules of forgetting on a log")
    actions = benchmark.add_subparsers(title="actions", dest="action", required=True, metavar="ACTION")
    drift = _command(
        actions,
        "drift",
        _benchmark_drift,
        "replay a log under each rule of forgetting",
        "A call that was interrupted\ngoes on when it is made again.",
    )
    drift_command.add_arguments(drift)
    drift.add_argument("--on-error", choices=("raise", "skip"), default="raise", help="what to do with bad rows")
    _add_columns(drift)


def _demo(options: argparse.Namespace) -> None:
    demo.run(options.out, options.seed, _OUT)


def _data_list(options: argparse.Namespace) -> None:
    rows = [
        {
            "name": name,
            "title": card.title,
            "at hand": "yes" if fetching.is_available(name) else "no",
            "licence": card.licence,
        }
        for name, card in cards.all_cards().items()
    ]
    _print(rows, options)


def _data_fetch(options: argparse.Namespace) -> None:
    cards.card(options.name)  # an unknown name is an error before there is anything to show progress of
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=_ERR, transient=True) as bar:
        task = bar.add_task(options.name, total=None)
        path = fetching.fetch(options.name, progress=lambda done, total: bar.update(task, completed=done, total=total))
    _OUT.print(str(path), soft_wrap=True)


def _data_inspect(options: argparse.Namespace) -> None:
    columns = Columns.from_mapping(_columns(options) or {}) if options.columns else None
    # Repeats are kept, so that they can be counted.
    log = datasets.load(options.log, columns=columns, on_error=options.on_error, duplicates="keep", re_ratings="keep")
    figures = inspect(log).to_dict()
    if options.json:
        _OUT.print_json(json.dumps(figures, default=str))
    else:
        _print([{"figure": name, "value": _short(value)} for name, value in figures.items()], options)
    if options.picture is not None:
        _ERR.print(f"picture: {escape(str(draw_log(log, options.picture)))}", soft_wrap=True)


def _train(options: argparse.Namespace) -> None:
    overrides = _overrides(options.rest)
    experiment = read_experiment(options.config, overrides)
    if options.settings:
        chosen = _flat(experiment.to_dict()["model"]["init_args"])
        defaults = settings(experiment.model_class)
        _print([{"setting": f"--{k}", "value": v, "default": defaults.get(k)} for k, v in chosen.items()], options)
        return
    for name in ("data", "out"):
        if getattr(options, name) is None:
            raise ConfigError(f"--{name} is missing; see `recsys train --help`")
    data = runs.Data(
        options.data,
        options.split,
        options.split_seed,
        options.threshold,
        _columns(options),
        options.on_error,
    )
    metrics = runs.train_run(
        experiment,
        data,
        options.out,
        seed=options.seed,
        cutoffs=options.k,
        session=Session(resume=options.resume, progress=not options.quiet, accelerator=options.accelerator),
        overwrite=options.overwrite,
        say=lambda line: None if options.quiet else _ERR.print(escape(line), soft_wrap=True),
    )
    if options.json:
        _OUT.print_json(json.dumps(metrics))
        return
    rows = [{"metric": name, "valid": metrics["valid"][name], "test": metrics["test"][name]} for name in _HEADLINE]
    _print(rows, options)
    leak = "; this split leaks time" if metrics["leaks_time"] else ""
    _OUT.print(escape(f"{metrics['dataset']}, {metrics['split']}{leak}; kept in {options.out}"), soft_wrap=True)


def _evaluate(options: argparse.Namespace) -> None:
    evaluation = runs.evaluate_run(options.run, options.data, options.k)
    if options.json:
        finite = {name: value if math.isfinite(value) else None for name, value in evaluation.summary.items()}
        _OUT.print_json(json.dumps(finite | evaluation.counts))
        return
    rows = [{"metric": name, "value": value} for name, value in evaluation.summary.items()]
    _print([*rows, *({"metric": name, "value": value} for name, value in evaluation.counts.items())], options)


def _recommend(options: argparse.Namespace) -> None:
    if options.n < 1:
        raise ConfigError(f"-n is {options.n}; ask for at least 1")
    found = questions.recommend(
        options.run,
        user=options.user,
        history=options.history,
        n=options.n,
        at=options.at,
        source=options.data,
        exact=options.exact,
    )
    if options.json:
        _OUT.print_json(json.dumps(found))
        return
    demo.print_recommendations(found, _OUT)


def _personas(options: argparse.Namespace) -> None:
    found = questions.personas(options.run, options.user, at=options.at, source=options.data)
    if options.json:
        _OUT.print_json(json.dumps(found))
    else:
        demo.print_personas(found, _OUT)
    if options.picture is not None:
        path = demo.draw_personas(found, options.user, options.picture)
        _ERR.print(f"picture: {escape(str(path))}", soft_wrap=True)


def _compare(options: argparse.Namespace) -> None:
    table = runs.compare_runs(options.first, options.second, options.metric)
    rows = cast("list[dict[str, Any]]", table.to_dict(orient="records"))
    if not options.json:
        rows = [
            {
                "metric": r["metric"],
                "users": r["n"],
                "A": r["mean_a"],
                "B": r["mean_b"],
                "B - A": r["diff"],
                "95% interval": f"{r['low']:+.4f} .. {r['high']:+.4f}",
                "p": r["p"],
                "p (Holm)": r["p_holm"],
            }
            for r in rows
        ]
    _print(rows, options)


def _benchmark_drift(options: argparse.Namespace) -> None:
    def say(line: str) -> None:
        if not options.quiet:
            _ERR.print(escape(line), soft_wrap=True)

    content = drift_command.run(options, _columns(options), say)
    if options.json:
        _OUT.print_json(json.dumps(content))
        return
    _print(drift_command.rows(content), options)
    for base, reason in content["refused"].items():
        _OUT.print(escape(f"{base} refuses {content['dataset']}: {reason}"), soft_wrap=True)
    _OUT.print(escape(f"kept in {options.out}; drift.md is the report"), soft_wrap=True)


def _print(rows: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> None:
    """Print rows as a table, or as JSON where that was asked for."""
    if options.json:
        plain = [{k: _json_value(v) for k, v in row.items()} for row in rows]
        _OUT.print_json(json.dumps(plain))
        return
    table = Table()
    for name in rows[0]:
        table.add_column(name, justify="right" if isinstance(rows[0][name], float) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_short(value)) for value in row.values()))
    _OUT.print(table)


def _json_value(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items())
    return "-" if value is None else str(value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _columns(options: argparse.Namespace) -> dict[str, str] | None:
    pairs = [pair.partition("=") for pair in options.columns]
    for role, equals, name in pairs:
        if not (role and equals and name):
            raise ConfigError(f"--columns {role}{equals}{name}: write ROLE=NAME, such as item=sku")
    return {role: name for role, _, name in pairs} or None


def _overrides(rest: Sequence[str]) -> list[tuple[str, str]]:
    """Return the (key, value) pairs of `--key value` and `--key=value`."""
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(rest):
        word = rest[position]
        if not word.startswith("--") or len(word) < 3:
            raise ConfigError(f"unexpected argument {word!r}; settings are given as --NAME VALUE")
        key, equals, value = word[2:].partition("=")
        if not equals:
            position += 1
            if position == len(rest):
                raise ConfigError(f"--{key} needs a value")
            value = rest[position]
        pairs.append((key, value))
        position += 1
    return pairs
