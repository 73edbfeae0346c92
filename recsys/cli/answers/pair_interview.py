"""`recsys interview --pairs`: which of two texts is better, a few times, and the texts that suit the person best."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from recsys.cli.render import output, print_json, say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from recsys.elicitation.questions import Answer, AnswerKind
    from recsys.experiments.answers.pair_interview import PairInterview, PairProgress

_HELP: Final = "a or b, s the same, k can't say; or u undo, e enough"
_KINDS: Final[dict[str, AnswerKind]] = {"a": "prefer", "s": "same", "k": "dont_know"}
_QUESTIONS: Final = 10
_SHOWN: Final = 3
_LETTERS: Final = 240
"""Characters of a text in the list."""


def interview_about_pairs(options: argparse.Namespace) -> None:
    """Ask about pairs of a log of choices, or go on from a file of answers."""
    from recsys.data.pairs import read_pair_log
    from recsys.experiments.answers.pair_interview import PairInterview

    log = read_pair_log(options.pairs, options.vectors, options.items, seed=options.seed)
    asked = PairInterview.of(log, options.personas, options.seed)
    answers = _ask(asked, options) if options.answers is None else asked.read_answers(options.answers)
    found = asked.progress(answers, options.n)
    if options.json:
        print_json(asked.described(found))
    else:
        output().print(_shown(asked, found, options.n, question=options.answers is not None))
    if options.save is not None:
        count = asked.save_choices(options.save, answers)
        say(f"{count} choices written to {options.save}")


def _ask(asked: PairInterview, options: argparse.Namespace) -> list[Answer]:
    """Ask until the person has enough, or the questions run out; return the answers."""
    from rich.console import Console

    from recsys.elicitation.questions import Answer

    console = Console(highlight=False, stderr=True) if options.json else output()
    answers: list[Answer] = []
    while len(answers) < (options.questions or _QUESTIONS):
        found = asked.progress(answers, min(_SHOWN, options.n))
        if found.question is None:
            break
        console.print(_shown(asked, found, _SHOWN if answers else 0, question=True, number=len(answers) + 1))
        said = _said(undo=bool(answers))
        first, second = found.question.first, found.question.second
        if said == "e":
            break
        if said == "u":
            answers.pop()
        elif said == "b":
            answers.append(Answer(second, "prefer", other=first))
        else:
            answers.append(Answer(first, _KINDS[said], other=second))
    return answers


def _said(*, undo: bool) -> str:
    """Return the letter that is typed; the end of the input is enough."""
    while True:
        say(f"{_HELP}:" if sys.stdin.isatty() else "")
        line = sys.stdin.readline()
        if not line:
            return "e"
        text = line.strip().casefold()
        if text in ("a", "b", "s", "k", "e") or (text == "u" and undo):
            return text
        say("this is the first pair" if text == "u" else f"{line.strip()!r} is none of the letters a, b, s, k, u and e")


def _shown(
    asked: PairInterview, found: PairProgress, n: int, *, question: bool, number: int | None = None
) -> RenderableType:
    """Return the texts that suit the person best, and the next pair."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    if n and found.items:
        listed = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
        for place, item in enumerate(found.items[:n]):
            listed.add_row(Text(f"{place + 1}", style="dim"), Text(_shortened(asked.text(item))))
        told = f"{found.known:.0%} of how you differ from others is known. These suit you best:"
        parts.append(Panel(Group(Text(told), Text(""), listed), title="What suits you", title_align="left"))
    if question and found.question is not None:
        title = "Which is better?" if number is None else f"Pair {number}: which is better?"
        texts = [
            Panel(Text(asked.text(item)), title=letter, title_align="left", border_style="cyan")
            for letter, item in (("a", found.question.first), ("b", found.question.second))
        ]
        parts += [Text(title, style="bold"), *texts]
    return Group(*parts)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LETTERS else f"{line[: _LETTERS - 1]}…"
