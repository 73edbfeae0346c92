"""The report of `benchmarks.serving.command`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.serving.model import AGAIN, ALS, COLD, EVERYBODY, LEARNED, NEIGHBOURS, READY
from benchmarks.serving.traffic import BAR, EVENT, FIRST, NEW, REPEATED
from benchmarks.tools.report import facts, number, table, verdict

if TYPE_CHECKING:
    from benchmarks.serving.command import Asked, Measured, Soaked, Taken, Window

_P99, _RATIO, _EVENTS, _GROWTH = 25.0, 3.0, 2_000, 0.05


def report(measured: Measured) -> str:
    """Return the report."""
    config = next(iter(measured.asked))
    parts = ["# Serving", facts(measured.told), "## Bars", table(["claim", "bar", "measured", ""], _bars(measured))]
    parts += [
        f"The first seven are of `configs/{config}.yaml`; three of the first kind of traffic below, {_mix(measured)}, "
        "three of the same traffic without lists that are given again. "
        "Users have all of their past in the log, and drawing them by activity makes histories long (the mean is not "
        "that of the users but of the events). Answers per second do not count the events that come in between.",
        "## Explained top ten over HTTP",
    ]
    for name, asked in measured.asked.items():
        for one in asked:
            parts += [f"### {name}: {one.mix}", table(_HEADER, _windows(one))]
    parts += [
        f'"{FIRST}" was never asked for before, or not since the last event, so that nothing of the user is ready '
        "unless the service had a moment for it in between (a closed loop leaves it none). "
        f'"{REPEATED}": what belongs to the user is ready; the scores are computed anew, as time has passed, or the '
        "last list is given again, where the time since the user's newest event is the same but for one part in 64 and "
        "the list would be, too. That users of the log have been away for years makes it frequent for those who bring "
        "no event; where no list is given again, a user's lists have 10 and 11 items in turns. "
        f'"{NEW}": without a past. Processor time is that of the service, per request of any kind. The open '
        "loop asks at half of the rate of the best closed window, and of the first two kinds of traffic at half of "
        f"{BAR} answers a second, too.",
        "## The model's own time",
        _model(measured),
        "Milliseconds of an answer in one thread, without HTTP and store: means over users, drawn by activity, of the "
        "best of several rounds in which everybody is asked in turn. `implicit` returns a bare list: its answers have "
        "no reasons. ALS has 64 factors and knows the user's vector already; the item-item models fold the history "
        "in, as ours do.",
        "## Durable events",
    ]
    if measured.taken:
        parts += [table(_TAKEN, [_taken(taken) for taken in measured.taken])]
        parts += ["Batches of 50 on four connections; each is confirmed when it is on disk."]
    else:
        parts += ["Not measured."]
    parts += ["## Soak", _soak(measured.soaked) if measured.soaked else "Not measured.", "## Nothing lost"]
    parts += [_kills(measured)]
    return "\n\n".join(parts) + "\n"


def _mix(measured: Measured) -> str:
    return next(iter(measured.asked.values()))[0].mix


def _bars(measured: Measured) -> list[list[str]]:
    """Return rows: claim, bar, measured, verdict."""
    config, asked = next(iter(measured.asked.items()))
    model = measured.model[config]
    failed = sum(window.failed for one in asked for window in (*one.closed, *one.open, *one.at_bar))
    rows = []
    for one, given in zip(asked, ("", ", none of them given again"), strict=False):
        rate, fast = one.best_rate, f"under {_P99:.0f} ms"
        rows.append(
            [f"explained answers per second, one worker{given}", f"at least {BAR}", f"{rate:.0f}", verdict(rate >= BAR)]
        )
        for at, p99 in ((f"{BAR // 2} a second", one.p99_at_bar), ("half of that rate", one.best_p99)):
            rows.append([f"p99 at {at}{given}", fast, f"{p99:.1f} ms", verdict(p99 < _P99)])
    rows.append(["answers that failed", "0", str(failed), verdict(failed == 0)])
    for peer in (ALS, NEIGHBOURS, EVERYBODY):
        ratio = model[READY] / model[peer]
        rows.append(
            [f"the model's time over that of {peer}", f"at most {_RATIO:.0f}", f"{ratio:.1f}", verdict(ratio <= _RATIO)]
        )
    for taken in measured.taken:
        best = max(taken.rates)
        rows.append(
            [
                f"durable events per second, {taken.store}",
                f"at least {_EVENTS:,}",
                f"{best:,.0f}",
                verdict(best >= _EVENTS),
            ]
        )
        kept = taken.reflected == taken.checked and taken.held == taken.confirmed and not taken.failed
        rows.append(
            [
                f"the next answer reflects an event, {taken.store}",
                "always",
                f"{taken.reflected} of {taken.checked}",
                verdict(kept),
            ]
        )
    soaked = measured.soaked
    rows.append(
        ["soak: growth of memory", "under 5%", f"{soaked.growth:+.1%}", verdict(soaked.growth < _GROWTH)]
        if soaked
        else ["soak: growth of memory", "under 5%", "-", verdict(None)]
    )
    if soaked:
        rows.append(["soak: answers that failed", "0", str(soaked.failed), verdict(soaked.failed == 0)])
    return rows


_KINDS = (FIRST, REPEATED, NEW, EVENT)
_HEADER = ["window", "answers/s", "p50 / p99 ms", *(f"{kind} ms" for kind in _KINDS), "failed", "processor ms", "load"]


def _windows(asked: Asked) -> list[list[str]]:
    closed = [_window(f"closed {place}", window) for place, window in enumerate(asked.closed, start=1)]
    halved = [
        _window(f"open {place}, {window.asked_rate:.0f} requests/s", window)
        for windows in (asked.open, asked.at_bar)
        for place, window in enumerate(windows, start=1)
    ]
    return closed + halved


def _window(name: str, window: Window) -> list[str]:
    return [
        name,
        f"{window.rate:.0f}",
        *(_times(window, kind) for kind in ("answers", *_KINDS)),
        ", ".join(f"{count} with {status}" for status, count in window.failures.items()) or "0",
        f"{window.processor:.2f}",
        f"{window.load:.1f}",
    ]


def _times(window: Window, kind: str) -> str:
    times = window.milliseconds[kind]
    return f"{number(times['p50'], 1)} / {number(times['p99'], 1)}"


def _model(measured: Measured) -> str:
    names = (READY, AGAIN, LEARNED, COLD, ALS, NEIGHBOURS, EVERYBODY)
    rows = [
        [
            config,
            *(number(times[name], 3) for name in names),
            *(number(times[READY] / times[peer], 1) for peer in (ALS, NEIGHBOURS, EVERYBODY)),
        ]
        for config, times in measured.model.items()
    ]
    return table(["configuration", *(f"{name}, ms" for name in names), "over ALS", "over 20", "over all"], rows)


_TAKEN = ["store", "events/s, each window", "load", "confirmed", "held", "failed", "next answer reflects it"]


def _taken(taken: Taken) -> list[str]:
    return [
        taken.store,
        ", ".join(f"{rate:,.0f}" for rate in taken.rates),
        ", ".join(f"{load:.1f}" for load in taken.loads),
        str(taken.confirmed),
        str(taken.held),
        str(taken.failed),
        f"{taken.reflected} of {taken.checked}",
    ]


def _soak(soaked: Soaked) -> str:
    places: Sequence[int] = _places(len(soaked.megabytes))
    line = table(
        ["", *(f"{place / max(1, len(soaked.megabytes) - 1):.0%}" for place in places)],
        [["resident memory, MB", *(f"{soaked.megabytes[place]:.0f}" for place in places)]],
    )
    text = (
        f"{soaked.seconds:.0f} seconds of the first kind of traffic at {soaked.rate:.0f} requests/s: {soaked.answers} "
        f"answers, {soaked.failed} failed, p99 {soaked.window.milliseconds['answers']['p99']:.1f} ms. Growth is that "
        "of the last tenth over the second; the first is warm-up."
    )
    return f"{text}\n\n{line}"


def _places(count: int) -> list[int]:
    """Return eleven places from the first to the last of a series, fewer of a short one.

    >>> _places(21), _places(2), _places(0)
    ([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20], [0, 1], [])
    """
    return sorted({round(step * (count - 1) / 10) for step in range(11)}) if count else []


def _kills(measured: Measured) -> str:
    if measured.kills is None:
        return "Not part of this run: `python -m benchmarks.serving_kill`, whose result.json `--kills` includes here."
    rows = [
        [str(one[key]) for key in ("killed", "times", "confirmed", "held", "lost", "doubled")]
        for one in measured.kills["outcomes"]
    ]
    return table(["killed", "times", "confirmed", "held", "lost", "doubled"], rows)
