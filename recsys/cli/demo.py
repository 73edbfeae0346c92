"""The demonstration: personas against one vector and the usual baselines, then reasons, on a real log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from recsys.data.catalogue import fetching
from recsys.data.catalogue.locations import shipped
from recsys.errors import DataError
from recsys.evaluation.result import Evaluation
from recsys.experiments import questions, runs
from recsys.experiments.configuration import read_experiment
from recsys.pictures import draw_activity
from recsys.training.session import Session

DATASET = "ml-latest-small"
FALLBACK = "simulated"
_MODELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Popularity", "popularity", ()),
    ("ItemKNN", "itemknn", ()),
    ("EASE", "ease", ()),
    ("iALS", "ials", ()),
    ("AMP-CF, one persona", "ampcf", (("personas", "1"),)),
    ("AMP-CF", "ampcf", ()),
)
_BARS = "▁▂▃▄▅▆▇█"
_LIKELY = 0.1
"""A half-life on a clock that is less likely than this is not worth printing."""
_COLUMNS = ("ndcg@10", "recall@10", "hr@10", "coverage@10", "tdd@10", "minority_recall@10")


def run(out: Path, seed: int, console: Console) -> None:
    """Train and compare on MovieLens latest-small (or, with neither file nor network, the simulated log); explain."""
    source = choose_log(console)
    data = runs.Data(source)
    results: dict[str, dict[str, Any]] = {}
    for title, config, overrides in _MODELS:
        console.print(f"[bold]{title}[/bold]")
        experiment = read_experiment(shipped("configs") / f"{config}.yaml", overrides)
        results[title] = runs.train_run(
            experiment,
            data,
            out / folder_of(title),
            seed=seed,
            session=Session(progress=console.is_terminal),
            overwrite=True,
            say=lambda line: console.print(f"  {escape(line)}", style="dim", soft_wrap=True),
        )
    _print_comparison(results, console)
    one, several = (out / folder_of(title) for title in ("AMP-CF, one persona", "AMP-CF"))
    row = runs.compare_runs(one, several, ["ndcg@10"]).iloc[0]
    console.print(
        f"AMP-CF minus its one-persona twin, NDCG@10 over {row['n']} test users: {row['diff']:+.4f} "
        f"(95% interval {row['low']:+.4f} to {row['high']:+.4f}, p = {row['p']:.2g})\n",
        soft_wrap=True,
    )
    user = _show_case(several)
    console.print(f"[bold]Personas of user {escape(user)}[/bold]")
    print_personas(questions.personas(several, user), console)
    console.print(f"\n[bold]Recommendations for user {escape(user)}, and why[/bold]")
    print_recommendations(questions.recommend(several, user=user, n=5), console)
    console.print(
        f"\nAsk for another user: recsys recommend --run {several} --user ID\n"
        f"Train on your own log: recsys train --config configs/ampcf.yaml --data FILE.csv --out runs/mine\n"
        f"See it in a browser: make serve (or recsys serve --run {several} --no-auth), then http://127.0.0.1:8000",
        soft_wrap=True,
    )


def choose_log(console: Console) -> str:
    """Return the name of the log to show: MovieLens latest-small if it is at hand or can be had, else the simulated."""
    if fetching.is_available(DATASET):
        return DATASET
    try:
        console.print(f"fetching {DATASET} ...")
        fetching.fetch(DATASET)
    except DataError as error:
        console.print(f"{escape(str(error))}\nUsing the simulated log instead.", soft_wrap=True)
        return FALLBACK
    return DATASET


def print_recommendations(found: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print explained recommendations: title, score, the leading persona, the evidence and the sentence."""
    for rank, entry in enumerate(found, 1):
        console.print(f"[bold]{rank:2d}. {escape(str(entry['title']))}[/bold]  [dim]{entry['score']:.3f}[/dim]")
        if entry["personas"]:
            leading = entry["personas"][0]
            name = leading["name"] or f"persona {leading['persona']}"
            console.print(f"      persona   {escape(name)} ({leading['weight']:.0%} of the attention)", soft_wrap=True)
        shown = [f"{item['title']} ({item['contribution']:+.3f}{_age_group(item)})" for item in entry["evidence"]]
        if shown:
            console.print(f"      evidence  {escape(', '.join(shown))}", soft_wrap=True)
        console.print(f"      [italic]{escape(entry['text'])}[/italic]", soft_wrap=True)


def print_personas(found: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print what is believed of a user's half-life, and the personas: name, share, top items, genres, activity."""
    if found and "half_life" in found[0]:
        console.print(escape(half_life_sentence(found[0]["half_life"])), soft_wrap=True)
    for entry in found:
        items = ", ".join(item["title"] for item in entry["items"])
        genres = ", ".join(genre["genre"] for genre in entry["genres"])
        body = f"from    {escape(items)}" + (f"\ngenres  {escape(genres)}" if genres else "")
        shares = f"{entry['share_now']:.0%} now, {entry['share_long_term']:.0%} long-term"
        body += f"\nactive  {sparkline(entry['activity']['values'])}  {shares}"
        title = f"{escape(str(entry['name']))}: {entry['share']:.0%} of the history"
        console.print(Panel(body, title=title, title_align="left"))


def draw_personas(found: Sequence[Mapping[str, Any]], user: str, path: Path) -> Path:
    """Write a picture of how active each persona of a user was over time, and return its path."""
    values = {str(entry["name"]): entry["activity"]["values"] for entry in found}
    first = found[0]["activity"]
    dates = first["clock"] == "seconds"
    return draw_activity(path, first["times"], values, dates=dates, title=f"personas of user {user}")


def half_life_sentence(half_life: Mapping[str, Any]) -> str:
    """Say what is believed of a user's half-life, as `questions.personas` returns it.

    >>> own = {"median": 4.0, "low": 2.0, "high": None, "probability": 0.7}
    >>> half_life_sentence({"kind": "own", "events": own, "never": 0.3, "learned_from": 12})
    'Half-life: 4 events (2 to never; 70% likely this clock); 30% likely to forget nothing; learned from 12 events.'
    >>> half_life_sentence({"kind": "own", "events": own, "never": 0.3, "learned_from": 0})
    'Half-life: 4 events (2 to never; 70% likely this clock); 30% likely to forget nothing; as of people in general.'
    >>> changed = {"median": 9.0, "low": 5.0, "high": 20.0, "probability": 0.8}
    >>> half_life_sentence({"kind": "own", "events": own, "never": 0.3, "learned_from": 12, "lasted": changed})[-85:]
    'The taste changed (80% likely): of the present one are the newest 9 events (5 to 20).'
    """
    units = [unit for unit in ("events", "days", "periods", "positions") if unit in half_life]
    if half_life["kind"] == "shared":
        (unit,) = units
        return f"Half-life: {half_life[unit]['median']:g} {unit}, the same for everybody."
    likeliest = max(half_life[unit]["probability"] for unit in units)
    told = [
        f"{_long(half_life[unit]['median'], unit)} ({_long(half_life[unit]['low'])} to "
        f"{_long(half_life[unit]['high'])}; {half_life[unit]['probability']:.0%} likely this clock)"
        for unit in units
        if half_life[unit]["probability"] >= min(_LIKELY, likeliest)
    ]
    events = half_life["learned_from"]
    source = f"learned from {events} events" if events else "as of people in general"
    sentence = f"Half-life: {' or '.join(told)}; {half_life['never']:.0%} likely to forget nothing; {source}."
    lasted = half_life.get("lasted")
    if lasted is None or lasted["median"] is None:
        return sentence
    most = "all" if lasted["high"] is None else f"{lasted['high']:g}"
    return (
        f"{sentence} The taste changed ({lasted['probability']:.0%} likely): of the present one are the newest "
        f"{lasted['median']:g} events ({lasted['low']:g} to {most})."
    )


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Draw values in [0, 1] as bars, evenly picked where there are more than `width`.

    >>> sparkline([0.0, 0.5, 1.0])
    '▁▅█'
    """
    count = min(len(values), width)
    picked = [values[round(place * (len(values) - 1) / max(1, count - 1))] for place in range(count)]
    return "".join(_BARS[min(int(value * len(_BARS)), len(_BARS) - 1)] for value in picked)


def _long(value: float | None, unit: str = "") -> str:
    return "never" if value is None else f"{value:g} {unit}".rstrip()


def _age_group(item: Mapping[str, Any]) -> str:
    return "" if "recent" not in item else f", {'recent' if item['recent'] else 'long-term'}"


def _print_comparison(results: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    first = next(iter(results.values()))
    table = Table(title=f"{first['dataset']}, split {first['split']}, {first['counts']['test']['users']} test users")
    table.add_column("model")
    for name in (*_COLUMNS, "seconds"):
        table.add_column(name, justify="right")
    for title, metrics in results.items():
        values = [metrics["test"][name] for name in _COLUMNS]
        cells = ["-" if value is None else f"{value:.4f}" for value in values]
        table.add_row(title, *cells, f"{metrics['train']['seconds']:.1f}")
    console.print(table)
    console.print("[dim]tdd@10: distance between the tastes of history and list; smaller is better[/dim]")


def _show_case(run_directory: Path) -> str:
    """Return a test user with a varied history: the one of largest taste entropy among those best served."""
    table = Evaluation.load(run_directory / "test.parquet").per_user
    served = table[table["n_history"] >= min(20, table["n_history"].max())]
    best = served[served["ndcg@10"] >= served["ndcg@10"].quantile(0.75)]
    return str(best.sort_values("taste_entropy", ascending=False)["user_id"].iloc[0])


def folder_of(title: str) -> str:
    """Return the folder of a model of the comparison, below that of the demo."""
    return title.lower().replace("-", "").replace(",", "").replace(" ", "_")
