"""`recsys train | evaluate | compare`: runs and their metrics."""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.cli.arguments import (
    Commands,
    add_ask,
    add_bad_rows,
    add_columns,
    add_command,
    add_cutoffs,
    add_engine,
    add_items,
    add_json,
    add_run,
    add_seed,
    finite,
    of_run,
)
from recsys.cli.render import print_json, print_table, program, say
from recsys.data.splits.names import AMONG, SPLIT_NAMES
from recsys.errors import ConfigError
from recsys.training.session import ACCELERATORS, STRATEGIES

if TYPE_CHECKING:
    from recsys.evaluation.result import Evaluation
    from recsys.experiments.configuration import Experiment
    from recsys.experiments.run_log import DataSettings
    from recsys.training.session import Session

_AMONG = (
    "splits 'cold_items' and 'held_out_items': new items are asked for and ranked among new ones, or among all; or "
    "warm items are asked for, among all (default: new)"
)
_HEADLINE = (
    *("ndcg@10", "recall@10", "hr@10", "mrr@10", "liked_ndcg@10", "regret@10", "coverage@10", "tdd@10"),
    "minority_recall@10",
)


def add_train(commands: Commands) -> None:
    """Add `train` to the commands of a parser."""
    parser = add_command(
        commands,
        "train",
        train,
        "train, evaluate and save a model",
        "Every setting of the experiment can be\nreplaced by its name: --personas 3, --learning_rate 0.01, "
        "--objective.loss bpr, --validation.users 500.\n`recsys train --config NAME --settings` lists them.",
    )
    parser.add_argument(
        "--config", type=Path, required=True, help="name of a shipped experiment, such as ease_personas, or a YAML file"
    )
    parser.add_argument("--settings", action="store_true", help="list the settings of the experiment and stop")
    add_log(parser)
    parser.add_argument("--out", type=Path, help="the run's directory")
    add_seed(parser, "seed of the model")
    add_cutoffs(parser)
    parser.add_argument("--accelerator", choices=ACCELERATORS, default="auto", help="default: %(default)s")
    parser.add_argument(
        "--devices", type=int, default=1, metavar="N", help="GPUs, or processes on a CPU, that share every batch"
    )
    parser.add_argument("--strategy", choices=STRATEGIES, default="auto", help="of several devices; default: ddp")
    parser.add_argument("--nodes", type=int, default=1, metavar="N", help="machines, each started with this command")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--overwrite", action="store_true", help="replace a finished run in --out")
    parser.add_argument(
        "--former",
        type=Path,
        metavar="DIR",
        help="an earlier run, whose tastes continue: their numbers stay, and their names as far as they still hold",
    )
    add_engine(parser, "the parts of a partitioned log")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_json(parser, "print the run's metrics.json")


def add_log(parser: argparse.ArgumentParser) -> None:
    """Add the log that models are trained on, and how it is read and split."""
    parser.add_argument(
        "--data",
        help="a data set, a file with user, item and, best, rating and time, or an event store (sqlite:///..., "
        "postgresql://...)",
    )
    parser.add_argument("--split", choices=SPLIT_NAMES, default="global_time", help="default: %(default)s")
    add_ask(
        parser,
        "once for each user, at the first session, day or event after the cut, whose items alone are relevant; "
        "split 'global_time' (default: at the cut, and all that is later is relevant)",
    )
    add_seed(parser, "seed of splits that draw", "--split-seed")
    parser.add_argument("--among", choices=AMONG, help=_AMONG)
    parser.add_argument("--threshold", type=finite, help="split 'paper': only ratings of at least this are events")
    add_bad_rows(parser)
    add_columns(parser)
    add_items(parser)


def data_settings(options: argparse.Namespace) -> DataSettings:
    """Return the log that options name, and how it is read and split."""
    from recsys.experiments.run_log import DataSettings
    from recsys.types import HOUR

    return DataSettings(
        options.data,
        options.split,
        options.split_seed,
        options.threshold,
        dict(options.columns) or None,
        options.on_error,
        options.items,
        options.ask,
        None if options.ask is None else options.pause * HOUR,
        options.among,
        options.item_vectors,
    )


def log_arguments(options: argparse.Namespace) -> list[str]:
    """Return the arguments that `data_settings` would read the same log and split from."""
    given = ["--data", str(options.data), "--split", options.split, "--split-seed", str(options.split_seed)]
    given += ["--on-error", options.on_error]
    for name in ("threshold", "items", "ask"):
        value = getattr(options, name)
        given += [] if value is None else [f"--{name}", str(value)]
    given += [] if options.ask is None else ["--pause", str(options.pause)]
    return [*given, *(["--columns", *map("=".join, options.columns)] if options.columns else [])]


def add_evaluate(commands: Commands) -> None:
    """Add `evaluate` to the commands of a parser."""
    parser = add_command(commands, "evaluate", _evaluate, "evaluate a run's model on its test questions again")
    add_run(parser)
    add_cutoffs(parser)
    parser.add_argument("--metric", nargs="+", help="ranking metrics, also of your own: my_package.my_metric")
    parser.add_argument(
        "--later", action="store_true", help="the log has grown: ask only about what is later than all the run read"
    )
    parser.add_argument("--among", choices=AMONG, help=_AMONG)
    add_engine(parser, "the parts of a partitioned log")
    add_json(parser)


def train(options: argparse.Namespace) -> None:
    """Run `train`; arguments that its parser does not know (`rest`) are settings of the experiment."""
    from recsys.data.partitions.log import PartitionedLog
    from recsys.evaluation.result import Evaluation
    from recsys.experiments import runs
    from recsys.experiments.configuration import listed_settings, read_experiment
    from recsys.training.session import Session

    experiment = read_experiment(options.config, parse_settings(options.rest))
    if options.settings:
        listed = listed_settings(experiment).items()
        rows = [{"setting": f"--{key}", "value": _plain(one), "default": _plain(usual)} for key, (one, usual) in listed]
        print_table(rows, as_json=options.json)
        return
    for name in ("data", "out"):
        if getattr(options, name) is None:
            raise ConfigError(f"--{name} is missing; see `recsys train --help`")
    session = Session(
        resume=options.resume,
        progress=not options.quiet,
        accelerator=options.accelerator,
        devices=options.devices,
        strategy=options.strategy,
        nodes=options.nodes,
    )
    if PartitionedLog.is_at(options.data):
        metrics = _train_partitioned(options, experiment, session)
    elif options.engine != "local" or options.workers is not None:
        raise ConfigError(
            f"--engine and --workers train on the parts of a partitioned log, and {options.data} is none; make one: "
            f"{program()} data partition {shlex.join([options.data, '--out', 'DIR'])}"
        )
    else:
        metrics = runs.train_run(
            experiment,
            data_settings(options),
            options.out,
            seed=options.seed,
            cutoffs=options.k,
            session=session,
            overwrite=options.overwrite,
            former=options.former,
            say=(lambda _: None) if options.quiet or not session.is_first else say,
        )
    if not session.is_first:
        return
    if options.json:
        print_json(metrics)
        return
    valid, test = metrics["valid"], metrics["test"]
    print_table([{"metric": name, "valid": valid[name], "test": test[name]} for name in _HEADLINE], decimals=4)
    leak = "; this split leaks time (models learn from what others did later)" if metrics["leaks_time"] else ""
    when = "" if options.ask is None else f", asked at the first {options.ask} after the cut"
    print(f"{metrics['dataset']}, {metrics['split']}{when}{leak}; kept in {options.out}")
    print(who_is_asked(Evaluation.load(options.out / "test.parquet")))
    user = example_user(options.out)
    if user is not None:
        print(f"Recommend for a user: {program()} recommend {shlex.join(['--run', str(options.out), '--user', user])}")


def _train_partitioned(options: argparse.Namespace, experiment: Experiment, session: Session) -> dict[str, Any]:
    from recsys.scale.engines import engine_of
    from recsys.scale.training import train_partitioned

    tell = (lambda _: None) if options.quiet else say
    with engine_of(options.engine, options.workers, tell) as engine:
        return train_partitioned(
            experiment,
            data_settings(options),
            options.out,
            engine,
            seed=options.seed,
            cutoffs=options.k,
            session=session,
            overwrite=options.overwrite,
            former=options.former,
            say=tell,
        )


def who_is_asked(evaluation: Evaluation) -> str:
    """Return a line on how many users are asked, and for how many of them a model can know nothing.

    A user of whom all held-out items are in the history has a list and no ranking metrics.
    """
    users, without = evaluation.users, int((evaluation.per_user["n_history"] == 0).sum())
    cold = f"{evaluation.cold_users} are cold (not in training), {without} have no history at all"
    unserved = evaluation.unserved_users
    popular = f"; {unserved} cannot be served by this model and get what is popular" if unserved else ""
    new = users - evaluation.users_without_relevant
    means = f"; {new} of {users} have a new item, and means of ranking metrics are over these {new}"
    return f"{users} test users are asked: {cold}{popular}{means if new < users else ''}."


def example_user(run: Path) -> str | None:
    """Return the test user of largest taste entropy among those with a long history and a high NDCG, if any."""
    from recsys.evaluation.result import Evaluation

    table = Evaluation.load(run / "test.parquet").per_user
    served = table[table["n_history"] >= min(20, table["n_history"].max())]
    best = served[served["ndcg@10"] >= served["ndcg@10"].quantile(0.75)]
    return None if best.empty else str(best.sort_values("taste_entropy", ascending=False)["user_id"].iloc[0])


def parse_settings(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the (key, value) pairs of `--key value` and `--key=value`.

    Raises:
        ConfigError: a word is no option, or an option has no value.

    >>> parse_settings(["--personas", "3", "--objective.loss=bpr"])
    [('personas', '3'), ('objective.loss', 'bpr')]
    """
    pairs: list[tuple[str, str]] = []
    remaining = iter(words)
    for word in remaining:
        if not word.startswith("--") or len(word) < 3:
            raise ConfigError(f"unexpected argument {word!r}; settings are given as --NAME VALUE")
        key, equals, value = word[2:].partition("=")
        if not equals:
            following = next(remaining, None)
            if following is None:
                raise ConfigError(f"--{key} needs a value")
            value = following
        if any(key == other for other, _ in pairs):
            raise ConfigError(f"--{key} is given twice; give it once")
        pairs.append((key, value))
    return pairs


def _evaluate_partitioned(options: argparse.Namespace, source: str) -> Evaluation:
    from recsys.scale.engines import engine_of
    from recsys.scale.training import evaluate_partitioned

    if options.metric or options.later or options.among is not None:
        raise ConfigError("a run on a partitioned log is evaluated as it was; leave out --metric, --later and --among")
    with engine_of(options.engine, options.workers, say) as engine:
        return evaluate_partitioned(options.run, source, engine, options.k)


def _evaluate(options: argparse.Namespace) -> None:
    from recsys.data.partitions.log import PartitionedLog
    from recsys.experiments import runs

    metrics = {"metrics": options.metric} if options.metric else {}
    source = runs.run_data(options.run, options.data).source
    if PartitionedLog.is_at(source):
        evaluation = _evaluate_partitioned(options, source)
    elif options.engine != "local" or options.workers is not None:
        raise ConfigError("--engine and --workers evaluate runs on partitioned logs; leave them out")
    else:
        evaluation = runs.evaluate_run(
            options.run, cutoffs=options.k, later=options.later, among=options.among, **of_run(options), **metrics
        )
    values = {**evaluation.summary, **evaluation.counts}
    if options.json:
        print_json(values | ({"undefined": evaluation.undefined} if evaluation.undefined else {}))
    else:
        said = {name: "not defined" if math.isnan(value) else value for name, value in values.items()}
        print_table([{"metric": name, "value": value} for name, value in said.items()], decimals=4)
        for name, reason in reasons(said, evaluation.undefined).items():
            print(f"{name} is not defined: {reason}.")
        print(who_is_asked(evaluation))


def reasons(said: Mapping[str, object], undefined: Mapping[str, str]) -> dict[str, str]:
    """Return why each metric is not defined, by its name.

    Args:
        said: "not defined", or the value, by the name with cutoff.
        undefined: the reasons that hold for a whole log, by the name without.

    >>> reasons({"ndcg@10": 0.1, "mrr@10": "not defined", "regret@10": "not defined"}, {"regret": "no ratings"})
    {'regret': 'no ratings', 'mrr@10': 'no user who is asked has what it measures'}
    """
    others = [
        name for name, value in said.items() if value == "not defined" and name.partition("@")[0] not in undefined
    ]
    return {**undefined, **dict.fromkeys(others, "no user who is asked has what it measures")}


def _plain(value: object) -> object:
    """Return a setting as it is typed: sequences as YAML has them."""
    return list(value) if isinstance(value, tuple) else value
