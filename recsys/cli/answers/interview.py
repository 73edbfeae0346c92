"""`recsys interview`: a few questions to somebody new, four titles a screen, and a list that moves."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recsys.cli.answers.pair_interview import interview_about_pairs
from recsys.cli.arguments import (
    Commands,
    add_choices,
    add_command,
    add_json,
    add_length,
    add_run,
    add_seed,
    of_choices,
    of_run,
    whole,
)
from recsys.cli.render import output, print_json, say
from recsys.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from recsys.elicitation.interview import Progress
    from recsys.elicitation.questions import Answer, AnswerKind
    from recsys.experiments.answers.run_interview import RunInterview

_KEYS: Final[dict[str, AnswerKind]] = {"l": "like", "d": "dislike", "k": "dont_know"}
_HELP = "a letter for each title, in their order: l liked, d not for me, k don't know it; or s skip, b back, e enough"
_MOST = 20
_BAR = 40
"""Characters of the bar of what is known."""


def add(commands: Commands) -> None:
    """Add `interview` to the commands of a parser."""
    parser = add_command(
        commands,
        "interview",
        _interview,
        "ask somebody new a few questions, and list what the answers say",
        "At each screen type a letter for each title: l liked, d not for me, k don't know it; or s to skip the "
        "screen, b to go back, e when that is enough. Of a pair of texts: a, b, s for the same, k for can't say.",
    )
    add_run(parser, required=False)
    add_choices(parser)
    parser.add_argument(
        "--questions", type=whole(1, 200), metavar="N", help="the most questions (default: 40; of pairs 10)"
    )
    parser.add_argument("--screen", type=whole(1, _MOST), metavar="N", help="titles of a screen (default: 4)")
    parser.add_argument(
        "--answers",
        type=Path,
        metavar="FILE",
        help="ask nothing here: CSV with the columns item,answer, of pairs item,other,answer; print the next "
        "questions and the list after these",
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help="write what is known as a history for `recsys recommend --history`, of pairs as choices",
    )
    add_length(parser, "length of the list")
    add_seed(parser, "of the reward that is trained on --pairs")
    add_json(parser)


def _interview(options: argparse.Namespace) -> None:
    from recsys.experiments.answers.run_interview import RunInterview

    if options.json and options.answers is None and sys.stdin.isatty():
        raise ConfigError(
            "--json answers a program; give the answers so far with --answers FILE, an empty one at first"
        )
    if options.save is not None and not options.save.parent.is_dir():  # told before anybody has answered
        raise ConfigError(f"--save: {options.save.parent} is no directory; make it, or save elsewhere")
    if of_choices(options):
        if options.screen is not None:
            raise ConfigError("--screen is of titles; of --pairs one is asked at a time, leave it out")
        interview_about_pairs(options)
        return
    options.screen, options.questions = options.screen or 4, options.questions or 40
    asked = RunInterview.of(options.run, **of_run(options))
    if options.answers is not None:
        answers = asked.read_answers(options.answers)
        found = asked.progress(answers, options.screen, options.n)
        if options.json:
            print_json(asked.described(found, answers))
        else:
            output().print(_screen(asked, found, answers, None, 1 if found.questions else 0))
    else:
        answers = _ask(asked, options)
        if options.json:
            print_json(asked.described(asked.progress(answers, options.screen, options.n), answers))
    if options.save is not None:
        count = asked.save_history(options.save, answers)
        say(f"{count} titles written to {options.save}; go on with")
        say(f"recsys recommend --run {options.run} --history {options.save}")


def _ask(asked: RunInterview, options: argparse.Namespace) -> list[Answer]:
    """Ask until the person has enough, or the questions run out; return the answers."""
    from recsys.elicitation.questions import Answer

    console = _console(options)
    screens: list[tuple[list[Answer], list[int]]] = []  # what was said of each screen, and what was skipped
    shown: Progress | None = None
    while True:
        answers = [answer for said, _ in screens for answer in said]
        skipped = [item for _, items in screens for item in items]
        left = options.questions - len(answers) - len(skipped)
        found = asked.progress(answers, min(options.screen, max(left, 1)), options.n, skipped)
        done = left <= 0 or not found.questions
        console.print(_screen(asked, found, answers, shown, 0 if done else len(screens) + 1))
        if done:
            return answers
        shown = found
        said = _said(len(found.questions), back=bool(screens))
        if said == "e":
            return answers
        if said == "b":
            screens.pop()
        elif said == "s":
            screens.append(([], list(found.questions)))
        else:
            kinds = zip(found.questions, said, strict=True)
            screens.append(([Answer(item, _KEYS[letter]) for item, letter in kinds], []))


def _said(titles: int, *, back: bool) -> str:
    """Return what is typed: a letter for each title, or one for the screen; the end of the input is enough."""
    while True:
        say(f"{_HELP}:" if sys.stdin.isatty() else "")
        line = sys.stdin.readline()
        if not line:
            return "e"
        text = "".join(line.split()).casefold()
        if text in ("s", "e") or (text == "b" and back):
            return text
        if len(text) == titles and set(text) <= set(_KEYS):
            return text
        if text == "b":
            say("this is the first screen")
        else:
            say(f"{line.strip()!r} is not {titles} of the letters l, d, k, nor s, b or e; such as {'lkdk'[:titles]}")


def _console(options: argparse.Namespace) -> Console:
    """Return where the person reads: standard error where standard output is for a program."""
    from rich.console import Console

    return Console(highlight=False, stderr=True) if options.json else output()


def _screen(
    asked: RunInterview, found: Progress, answers: list[Answer], before: Progress | None, number: int
) -> RenderableType:
    """Return a screen: the titles that are asked about, and beside them the list and what is known."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    listed = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    earlier = {} if before is None else {item: place for place, item in enumerate(before.items)}
    for place, item in enumerate(found.items):
        moved = "" if before is None else _moved(earlier.get(item), place)
        listed.add_row(Text(f"{place + 1}", style="dim"), _title(asked, item), Text(moved, style="green"))
    done = round(_BAR * found.known)
    bar = Text("━" * done, style="green").append("━" * (_BAR - done), style="dim")
    known = Group(bar, Text(_told(asked, found, answers)), Text(""), listed)
    if not number:
        return Panel(known, title="Your list", title_align="left")
    questions = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    for place, item in enumerate(found.questions):
        questions.add_row(Text(f"{place + 1}", style="bold cyan"), _title(asked, item, genres=True))
    return Group(
        Panel(known, title="Your list so far", title_align="left"),
        Panel(
            questions, title=f"Screen {number}: which of these do you know?", title_align="left", border_style="cyan"
        ),
    )


def _title(asked: RunInterview, item: int, *, genres: bool = False) -> Text:
    from rich.text import Text

    from recsys.data.titles import readable_title

    described = asked.item(item)
    text = Text(readable_title(described["title"]))
    year = "" if described["year"] is None else f" {described['year']}"
    kinds = f"  {', '.join(described['genres'][:3])}" if genres else ""
    return text.append(f"{year}{kinds}", style="dim")


def _moved(earlier: int | None, place: int) -> str:
    if earlier is None:
        return "new"
    return f"↑ {earlier - place}" if earlier > place else f"↓ {place - earlier}" if earlier < place else ""


def _told(asked: RunInterview, found: Progress, answers: list[Answer]) -> str:
    """Return in a sentence what is known."""
    if not answers:
        return "Nothing is known of you yet: this is what most people like."
    leaned = asked.leanings(found, answers)
    up = [each.genre.lower() for each in leaned if each.lift > 1]
    down = [each.genre.lower() for each in leaned if each.lift < 1]
    leans = [f"towards {', '.join(up)}"] if up else []
    leans += [f"away from {', '.join(down)}"] if down else []
    told = f"{found.known:.0%} of what these questions could tell is known."
    return f"{told} You lean {'; '.join(leans)}." if leans else told
