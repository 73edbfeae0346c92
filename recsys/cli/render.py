"""What commands print: tables, JSON, recommendations, personas. `rich` is imported when something is drawn with it."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recsys.files import json_values

if TYPE_CHECKING:
    from rich.console import Console

BLOCKS, DIGITS = "▁▂▃▄▅▆▇█", "0123456789"
_UNBROKEN = 24
"""Text of at most so many characters stays on one line of a table."""

_FRAME = 6
"""Characters of a box beside its title."""
_INTERVAL = 10.0
"""Seconds between two lines of progress where it is no terminal that shows them."""

_LIKELY = 0.1
"""Half-lives on a clock that is less probable than this are left out."""

_WITHOUT = r": without (that,|them) it would not be here\."
"""What every sentence with "because" ends in, which is said once for a list by shelves."""

_OWNERS = {
    "own": "the user's own",
    "shared": "the same for everybody",
    "window": "the same for everybody",
    "measured": "as the weights of this history are",
}
"""Whose a half-life without uncertainty is, by its kind."""


def prepare_output() -> None:
    """Let standard output and error write any text: what their encoding lacks is written as an escape sequence."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(line: str) -> None:
    """Write a line of progress, or of an error, to standard error, if anybody reads it."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")


def as_typed(text: str) -> str:
    """Return a message with the declarations of columns as they are typed: `--columns user=NAME`.

    >>> as_typed("say which it is with columns user=NAME")
    'say which it is with --columns user=NAME'
    """
    return re.sub(r"(?<!-)\bcolumns (?=\w+=)", "--columns ", text)


def print_json(value: object, indent: int | None = 2) -> None:
    """Print a value as JSON, NaN and infinity as null."""
    print(json.dumps(json_values(value), indent=indent, ensure_ascii=not _writes("\U0010ffff")))


def print_table(rows: Sequence[Mapping[str, Any]], *, as_json: bool = False, decimals: int | None = None) -> None:
    """Print rows of the same columns as a table, or as JSON.

    Only text that is longer than a heading ever is breaks into lines. A table that has no room otherwise has no lines
    between its columns; one that has none even then is wider than the terminal, rather than unreadable.

    Args:
        rows: one value per column.
        as_json: print JSON.
        decimals: digits of numbers after the point; None: four digits that count.
    """
    if as_json:
        print_json(rows)
        return
    from rich.cells import cell_len
    from rich.markup import escape
    from rich.table import Table

    names = list(rows[0]) if rows else []
    cells = [[short(value, decimals) for value in row.values()] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(names, *cells, strict=True)]
    console = output()
    least = sum(width if width <= _UNBROKEN else _UNBROKEN // 2 for width in widths)
    bordered = least + 3 * len(names) + 1 <= console.width
    table = Table() if bordered else Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name, width in zip(names, widths, strict=True):
        justify: Literal["left", "right"] = "right" if isinstance(rows[0][name], float) else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=width <= _UNBROKEN)
    for row in cells:
        table.add_row(*map(escape, row))
    console.width = max(console.width, least + len(names))
    console.print(table)


@contextmanager
def progress_of(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Yield what shows progress on standard error, given how much is done, and of how much: a bar on a terminal.

    Elsewhere it is a line about every ten seconds.
    """
    if quiet:
        yield lambda done, total: None
        return
    if not sys.stderr.isatty():
        yield _lines_of_progress(what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines_of_progress(what: str) -> Callable[[int, int], None]:
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        if done < total and time.monotonic() - last >= _INTERVAL:
            last = time.monotonic()
            say(f"{what}: {done} of {total}")

    return show


def output() -> Console:
    """Return standard output as rich writes to it."""
    from rich.console import Console

    return Console(highlight=False)


def program() -> str:
    """Return how the reader calls this program: `recsys` where that is on the path, else the path of the script."""
    script, on_path = Path(sys.argv[0]), shutil.which("recsys")
    if script.name != "recsys" or not script.exists() or (on_path is not None and script.samefile(on_path)):
        return "recsys"
    return str(script)


def probability(p: float) -> str:
    """Return a p-value as tables show it.

    >>> probability(0.31482), probability(0.000099), probability(1.0), probability(float("nan"))
    ('.3148', '<.0001', '1.0000', 'not defined')
    """
    if math.isnan(p):
        return "not defined"
    return "<.0001" if p < 0.0001 else f"{p:.4f}".removeprefix("0")


def percent(share: float | None) -> str:
    """Return a share in per cent; "-" where it is not defined."""
    return "-" if share is None or math.isnan(share) else f"{share:.1%}"


def short(value: object, decimals: int | None = None) -> str:
    """Return a value as a table shows it, floats with so many digits after the point.

    >>> short(0.123456), short(0.38, 4), short({"min": 1.0, "max": 2.5}), short(None)
    ('0.1235', '0.3800', 'min 1, max 2.5', '-')
    """
    if value is None or value == {} or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {short(item)}" for key, item in value.items())
    return str(value)


def print_recommendations(recommendations: Sequence[Mapping[str, Any]], console: Console | None = None) -> None:
    """Print explained recommendations: title, score, the leading persona, the evidence and the sentence."""
    from rich.markup import escape

    console = console or output()
    for rank, entry in enumerate(recommendations, 1):
        console.print(f"[bold]{rank:2d}. {escape(str(entry['title']))}[/bold]  [dim]{entry['score']:.3f}[/dim]")
        if entry["personas"]:
            leading = entry["personas"][0]
            name = leading["name"] or f"persona {leading['persona']}"
            print_wrapped(f"{name} ({leading['weight']:.0%} of the attention)", console, "      persona   ")
        evidence = [f"{item['title']} ({item['contribution']:+.3f}{_recency(item)})" for item in entry["evidence"]]
        if evidence:
            print_wrapped(", ".join(evidence), console, "      evidence  ")
        if "features" in entry:
            known = ", ".join(f"{name} ({part:+.3f})" for name, part in entry["features"].items())
            print_wrapped(f"new, and liked for: {known}", console, "      ")
        print_wrapped(entry["reason"], console, "      ", "italic")
        if "split" in entry:
            print_wrapped(entry["split"]["sentence"], console, "      ", "dim")


def print_shelves(
    items: Sequence[Mapping[str, Any]], shelves: Sequence[Mapping[str, Any]], console: Console | None = None
) -> None:
    """Print a list by persona: its name, share and seats, and under it each item with its rank and its reason."""
    from rich.text import Text

    console = console or output()
    rank = {id(item): place for place, item in enumerate(items, 1)}
    for shelf in shelves:
        mine = [item for item in items if item.get("owner") == shelf["persona"]]
        if not mine:
            continue
        name = "For nearly everybody" if shelf["name"] is None else _capitalized(str(shelf["name"]))
        print_wrapped(name, console, style="bold")
        if about := _seats_sentence(shelf, len(items)):
            print_wrapped(about, console, style="dim")
        for item in mine:
            title = Text(f"{rank[id(item)]:3d}. ").append(shown_title(str(item["title"])), "bold")
            facts = [", ".join(item.get("genres", [])), *_certainty(item)]
            title.append("  ").append(" · ".join(filter(None, facts)), "dim")
            for number, line in enumerate(title.wrap(console, max(20, console.width - 5))):
                line.rstrip()
                console.print(line if number == 0 else Text("     ").append(line), soft_wrap=True)
            print_wrapped(_under_heading(str(item["reason"]), shelf.get("taste")), console, "     ", "italic")
            if "split" in item:
                print_wrapped(item["split"]["sentence"], console, "     ", "dim")
        console.print()
    if any(item.get("reason_kind") == "because" for item in items):
        print_wrapped("Without what follows “because” the title would not be in the list.", console, style="dim")
    absent = [shelf for shelf in shelves if not shelf["seats"] and shelf["persona"] is not None]
    if absent:
        told = [f"{_capitalized(str(one['name']))} ({_why_absent(one)})" for one in absent]
        print_wrapped(f"Not in this list: {'; '.join(told)}.", console, style="dim")


def shown_title(title: str) -> str:
    """Return a title as one says it, with its year.

    >>> shown_title("Matrix, The (1999)"), shown_title("i16")
    ('The Matrix (1999)', 'i16')
    """
    from recsys.data.titles import readable_title, year_of

    year = year_of(title)
    return readable_title(title) if year is None else f"{readable_title(title)} ({year})"


def _under_heading(sentence: str, taste: str | None) -> str:
    """Return a sentence as it reads under the name of the taste that it speaks of.

    >>> _under_heading("Because you rated Ran above your average (war): without that, it would not be here.", "war")
    'Because you rated Ran above your average.'
    >>> _under_heading("Because you rated Sunset Blvd.: without that, it would not be here.", None)
    'Because you rated Sunset Blvd.'
    >>> _under_heading("Ran and 2 more of your taste for titles like Up speak for it.", "titles like Up")
    'Ran and 2 more of this taste speak for it.'
    """
    said = re.sub(rf"\.?{_WITHOUT}$", ".", sentence)
    return said if taste is None else said.replace(f" ({taste})", "").replace(f"your taste for {taste}", "this taste")


def _seats_sentence(shelf: Mapping[str, Any], places: int) -> str:
    """Return the line under the name of a persona.

    >>> _seats_sentence({"persona": 7, "share": 0.31, "seats": 3, "weight": 1.0}, 10)
    '31% of the history, 3 of 10 places'
    >>> _seats_sentence({"persona": 7, "share": 0.31, "seats": 3, "weight": 2.0}, 10)
    '31% of the history, 3 of 10 places; boosted'
    >>> often = {"often": ["animation", "children"]}
    >>> _seats_sentence({"persona": 7, "share": 0.31, "seats": 3, "weight": 1.0, **often}, 10)
    'often animation, children; 31% of the history, 3 of 10 places'
    >>> _seats_sentence({"persona": 7, "share": 1.0, "seats": 10, "weight": 1.0, **often}, 10)
    'often animation, children'
    """
    if shelf["persona"] is not None and shelf["share"] == 1.0 and shelf["seats"] == places:
        return f"often {', '.join(shelf['often'])}" if shelf.get("often") else ""
    seats = f"{shelf['seats']} of {places} places"
    if shelf["persona"] is None:
        return seats
    often = f"often {', '.join(shelf['often'])}; " if shelf.get("often") else ""
    return f"{often}{shelf['share']:.0%} of the history, {seats}{'; boosted' if shelf['weight'] > 1 else ''}"


def _why_absent(shelf: Mapping[str, Any]) -> str:
    often = f"often {', '.join(shelf['often'])}; " if shelf.get("often") else ""
    return "muted" if shelf["muted"] else f"{often}{shelf['share']:.0%} of the history"


def _certainty(item: Mapping[str, Any]) -> list[str]:
    word = item.get("certainty_word")
    return [] if word is None else [f"{word} reason"]


def _capitalized(name: str) -> str:
    """Return a name as a heading has it.

    >>> _capitalized("like Heat and Se7en"), _capitalized("1940s"), _capitalized("Film-Noir")
    ('Like Heat and Se7en', '1940s', 'Film-Noir')
    """
    return f"{name[:1].upper()}{name[1:]}"


def print_wrapped(text: str, console: Console, lead: str = "", style: str = "") -> None:
    """Print a text in lines that the console has room for, below each other after what leads the first."""
    from rich.text import Text

    for number, line in enumerate(Text(text, style=style).wrap(console, max(20, console.width - len(lead)))):
        line.rstrip()
        console.print(Text(lead if number == 0 else " " * len(lead)).append(line), soft_wrap=True)


def print_personas(personas: Sequence[Mapping[str, Any]], console: Console | None = None) -> None:
    """Print a user's half-life where there is one, and each persona: name, share, top items, genres, activity.

    A persona that was found in the history has its number beside its name, the item that is most typical of it first,
    and what is recommended for it.
    """
    from rich.markup import escape
    from rich.panel import Panel

    console = console or output()
    if personas and "half_life" in personas[0]:
        print_wrapped(half_life_sentence(personas[0]["half_life"]), console)
    for entry in personas:
        found = "medoid" in entry
        lines = {
            "such as" if found else "from": ", ".join(shown_title(item["title"]) for item in entry["items"]),
            "often": ", ".join(entry.get("often", [])),
            "genres": ", ".join(f"{genre['genre']} {genre['share']:.0%}" for genre in entry["genres"]),
            "brings": ", ".join(shown_title(item["title"]) for item in entry["recommended"]) if found else "",
        }
        body = "\n".join(f"{word:7} {escape(text)}" for word, text in lines.items() if text)
        now, long_term = f"{entry['share_now']:.0%}", f"{entry['share_long_term']:.0%}"
        shares = f"{now} now and in the long term" if now == long_term else f"{now} now, {long_term} long-term"
        body += f"\nactive  {sparkline(entry['activity']['values'])}  {shares}"
        number = f" ({entry['persona']})" if found else ""
        share = f"{number}: {entry['share']:.0%} of the history"
        name = _capitalized(str(entry["name"]))
        if len(name) > (room := max(8, console.width - len(share) - _FRAME)):
            name = f"{name[: room - 3]}..."
        console.print(Panel(body, title=f"{escape(name)}{share}", title_align="left"))


def half_life_sentence(half_life: Mapping[str, Any]) -> str:
    """Describe a user's half-life, as `questions.personas` returns it.

    >>> own = {"median": 4.0, "low": 2.0, "high": None, "probability": 0.7}
    >>> half_life_sentence({"kind": "own", "events": own, "never": 0.3, "learned_from": 12})
    'Half-life: 4 events (2 to never; 70% likely this clock); 30% likely to forget nothing; learned from 12 events.'
    >>> half_life_sentence({"kind": "shared", "events": own, "never": 0.3, "learned_from": 0})[-39:]
    'shared: nothing of the user is learned.'
    >>> rare = {"median": None, "low": None, "high": None, "probability": 0.02}
    >>> half_life_sentence({"kind": "own", "events": rare, "never": 0.98, "learned_from": 12})
    'Half-life: never; 98% likely to forget nothing; learned from 12 events.'
    >>> clocks = {"events": own | {"median": None}, "days": own | {"median": None, "low": 64.0}}
    >>> half_life_sentence({"kind": "shared", **clocks, "never": 0.8, "learned_from": 0})[:54]
    'Half-life: never (if any, from 2 events or 64 days on)'
    >>> exact = {"median": 9.0, "low": 9.0, "high": 9.0, "probability": 1.0}
    >>> half_life_sentence({"kind": "own", "events": exact, "never": 0.1, "learned_from": None})
    "Half-life: 9 events, the user's own."
    >>> half_life_sentence({"kind": "window", "events": exact, "never": 0.0, "learned_from": None})
    'Window: 9 events, the same for everybody.'
    >>> changed = {"median": 9.0, "low": 5.0, "high": 20.0, "probability": 0.8}
    >>> half_life_sentence({"kind": "own", "events": own, "never": 0.3, "learned_from": 12, "lasted": changed})[-85:]
    'The taste changed (80% likely): of the present one are the newest 9 events (5 to 20).'
    """
    units = [unit for unit in ("events", "days", "periods", "positions") if unit in half_life]
    if half_life["learned_from"] is None:  # a rule without uncertainty
        (unit,) = units
        what = "Window" if half_life["kind"] == "window" else "Half-life"
        return f"{what}: {_duration(half_life[unit]['median'], unit)}, {_OWNERS[half_life['kind']]}."
    likely = [unit for unit in units if half_life[unit]["probability"] >= _LIKELY]
    lows = [_duration(half_life[unit]["low"], unit) for unit in likely if half_life[unit]["low"] is not None]
    if all(half_life[unit]["median"] is None for unit in likely):
        clocks = [f"never (if any, from {' or '.join(lows)} on)"] if lows else []
    else:
        clocks = [
            f"{_duration(half_life[unit]['median'], unit)} ({_duration(half_life[unit]['low'])} to "
            f"{_duration(half_life[unit]['high'])}; {half_life[unit]['probability']:.0%} likely this clock)"
            for unit in likely
        ]
    events = half_life["learned_from"]
    source = f"learned from {events} events" if events else "shared: nothing of the user is learned"
    sentence = (
        f"Half-life: {' or '.join(clocks) or 'never'}; {half_life['never']:.0%} likely to forget nothing; {source}."
    )
    lasted = half_life.get("lasted")
    if lasted is None or lasted["median"] is None:
        return sentence
    most = "all" if lasted["high"] is None else f"{lasted['high']:g}"
    return (
        f"{sentence} The taste changed ({lasted['probability']:.0%} likely): of the present one are the newest "
        f"{lasted['median']:g} events ({lasted['low']:g} to {most})."
    )


def sparkline(values: Sequence[float], width: int = 24, bars: str | None = None) -> str:
    """Draw values in [0, 1] as bars, evenly picked where there are more than `width`.

    Args:
        values: what to draw.
        width: characters at most.
        bars: the characters from low to high; None: blocks, or digits where the output cannot show blocks.

    >>> sparkline([0.0, 0.5, 1.0], bars=BLOCKS), sparkline([0.0, 0.5, 1.0], bars=DIGITS)
    ('▁▅█', '059')
    """
    bars = bars or (BLOCKS if _writes(BLOCKS) else DIGITS)
    count = min(len(values), width)
    picked = [values[round(place * (len(values) - 1) / max(1, count - 1))] for place in range(count)]
    return "".join(bars[min(int(value * len(bars)), len(bars) - 1)] for value in picked)


def _writes(text: str) -> bool:
    """Return whether standard output can show a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _duration(value: float | None, unit: str = "") -> str:
    return "never" if value is None else f"{value:g} {unit}".rstrip()


def _recency(item: Mapping[str, Any]) -> str:
    return "" if "recent" not in item else f", {'recent' if item['recent'] else 'long-term'}"
