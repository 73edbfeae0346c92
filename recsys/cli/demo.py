"""`recsys demo`: personas against one vector and the usual baselines on a real log, then explained recommendations."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recsys.cli.arguments import Commands, add_command, add_seed
from recsys.cli.render import output, print_personas, print_shelves, print_wrapped, program
from recsys.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

DATASET = "ml-latest-small"
FALLBACK = "simulated"
SPLIT: Final = "last_one"
"""Most users of MovieLens rate on one day: after a cut in time for all only 27 of 74 test users have a history, and the
others, who get what is popular from every model, hide the differences. Here all 610 are asked, each with a history. It
leaks the future of others, as the table says."""
LEAK: Final = (
    "The split leaks time: models also learn from what other users did after the event that a user is asked about, so "
    "numbers are higher than those of a service."
)
LEGEND: Final = (
    "liked_ndcg: only answers that the user liked count; regret: share of hits rated below the user's own mean; tdd: "
    "distance between the tastes of history and list. Of regret and tdd smaller is better."
)
SEATED: Final = "EASE with personas"
ATTENDING: Final = "AMP-CF"
_FIRST: Final = "EASE"
"""For it validation chooses how ratings count; the others read them in the same way."""

_MODELS: tuple[tuple[str, str], ...] = (
    (_FIRST, "ease"),
    ("Popularity", "popularity"),
    ("ItemKNN", "itemknn"),
    ("iALS", "ials"),
    ("PersonaEASE", "persona_ease"),
    (SEATED, "ease_personas"),
    (ATTENDING, "ampcf"),
)
_CHOOSING: Final = ("validation.users", "150")
"""Enough to choose how mixed lists are and how sharp attention is, in a demonstration."""
_LISTED = 10
_METRICS = ("ndcg@10", "liked_ndcg@10", "regret@10", "coverage@10", "tdd@10", "minority_recall@10")


def add(commands: Commands) -> None:
    """Add `demo` to the commands of a parser."""
    parser = add_command(commands, "demo", _demo, "train, compare and explain on MovieLens latest-small")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="where the runs go (default: %(default)s)")
    add_seed(parser, "seed of the models")


def _demo(options: argparse.Namespace) -> None:
    run(options.out, options.seed, output())


def run(out: Path, seed: int, console: Console) -> None:
    """Train and compare on MovieLens latest-small (or, with neither file nor network, the simulated log); explain."""
    from rich.markup import escape

    from recsys.experiments import examples, questions, runs
    from recsys.experiments.configuration import read_experiment
    from recsys.training.session import Session

    data = runs.DataSettings(choose_log(console), SPLIT)
    results: dict[str, dict[str, Any]] = {}
    for title, config in _MODELS:
        console.print(f"[bold]{title}[/bold]")
        experiment = read_experiment(Path(config), [_CHOOSING] if title in (SEATED, ATTENDING) else [])
        reading = results[_FIRST]["feedback"]["feedback"] if results else None
        if experiment.feedback == "auto" and reading in experiment.readings:
            experiment = experiment.reading(reading)
        results[title] = runs.train_run(
            experiment,
            data,
            out / folder_of(title),
            seed=seed,
            session=Session(progress=console.is_terminal),
            overwrite=True,
            say=(lambda _: None) if results else lambda line: console.print(f"  {escape(line)}", style="dim"),
        )
    print_comparison(results, console)
    seated, attending = (out / folder_of(title) for title in (SEATED, ATTENDING))
    row = runs.compare_runs(seated, attending, ["ndcg@10"]).iloc[0].to_dict()
    print_wrapped(verdict(results, row), console)
    shown = attending if row["established"] > 0 else seated
    user = examples.user_of_many_tastes(shown)
    if user is None:
        print_wrapped("In this log nobody has two tastes to tell apart, so no personas are shown.", console)
        return
    print_wrapped(f"The tastes of user {user}, whose list they share more evenly than others", console, "", "bold")
    print_personas(questions.personas(shown, user), console)
    console.print(f"\n[bold]What user {escape(user)} is recommended, by taste, and why[/bold]\n")
    listed = questions.recommend(shown, user=user, n=_LISTED)
    print_shelves(listed.items, listed.shelves, console)
    console.print(f"\n{escape(next_steps(shown, user, listed.shelves[0]))}", soft_wrap=True)


def next_steps(run: Path, user: str, shelf: Mapping[str, Any]) -> str:
    """Return the commands to try after the demonstration, as they work from the working directory.

    Args:
        run: directory of the run to ask.
        user: whom it is asked about.
        shelf: a persona of the user, who could do without it.
    """
    recsys = program()
    asked = shlex.join(["--run", str(run), "--user", user, "--mute", str(shelf["persona"])])
    return (
        f"The same list without the taste of its first place:\n  {recsys} recommend {asked}\n"
        f"Train on your own log:\n  {recsys} train --config ease_personas --data FILE.csv --out runs/mine\n"
        f"See it in a browser, at http://127.0.0.1:8000:\n  {recsys} serve --run {run} --no-auth"
    )


def choose_log(console: Console) -> str:
    """Return the name of the log: MovieLens latest-small if it is at hand or can be had, else the simulated one."""
    from recsys.data.catalogue import fetching

    if fetching.is_available(DATASET):
        return DATASET
    try:
        console.print(f"fetching {DATASET} ...")
        fetching.fetch(DATASET)
    except DataError as error:
        print_wrapped(f"{error}\nUsing the simulated log instead.", console)
        return FALLBACK
    return DATASET


def print_comparison(results: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """Print the test metrics of models by title, as a table of at most 80 columns."""
    from rich import box
    from rich.table import Table

    first = next(iter(results.values()))
    counts = first["counts"]["test"]
    asked = f"{counts['users']} test users are asked, {counts['cold_users']} of them cold"
    title = f"{first['dataset']}, split {first['split']}: {asked}"
    table = Table(title=title, box=box.SIMPLE, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("model", no_wrap=True)
    for name in (*_METRICS, "fit, s"):
        heading = name.replace("_", "\n").replace("@", "\n@")
        table.add_column(heading, justify="right", vertical="bottom", no_wrap=True)
    for title, metrics in results.items():
        values = [metrics["test"][name] for name in _METRICS]
        cells = ["-" if value is None else f"{value:.4f}" for value in values]
        table.add_row(title, *cells, f"{metrics['train']['seconds']:.1f}")
    console.print(table)
    if first["leaks_time"]:
        print_wrapped(LEAK, console, style="dim")
    print_wrapped(LEGEND, console, style="dim")


def verdict(results: Mapping[str, Mapping[str, Any]], row: Mapping[Any, Any]) -> str:
    """Return which model won, and whether attention in the score was better than seats alone."""
    scores = {title: metrics["test"]["ndcg@10"] for title, metrics in results.items()}
    best = max(scores.values())
    winners = " and ".join(title for title, score in scores.items() if f"{score:.4f}" == f"{best:.4f}")
    means = {1: "is better than", -1: "is worse than", 0: "cannot be told apart from"}[row["established"]]
    spoken = ATTENDING if row["established"] > 0 else SEATED
    return (
        f"Highest NDCG@10: {winners} ({best:.4f}). {ATTENDING}, where attention over a user's personas decides the "
        f"score, {means} {SEATED}, where personas only share the places: for the {row['n']} test users whom both serve "
        f"its NDCG@10 differs by {row['diff']:+.4f} (95% interval {row['low']:+.4f} to {row['high']:+.4f}). What "
        f"follows is of {spoken}.\n"
    )


def folder_of(title: str) -> str:
    """Return the folder of a model of the comparison, below that of the demo."""
    return title.lower().replace("-", "").replace(",", "").replace(" ", "_")
