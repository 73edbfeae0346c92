"""The report of the serving benchmark."""

from __future__ import annotations

from benchmarks.serving.model import AGAIN, ALL_NEIGHBOURS, ALS, COLD, LEARNED, NEIGHBOURS, READY
from benchmarks.serving.results import EventsResult, ServingResult, SoakResult, TrafficResult, Window
from benchmarks.serving.traffic import BAR, EVENT, FIRST, NEW, REPEATED
from benchmarks.tools.report import bar, bars_table, facts, number, table

_P99, _RATIO, _EVENTS, _GROWTH = 25.0, 3.0, 2_000, 0.05
_PEERS = (ALS, NEIGHBOURS, ALL_NEIGHBOURS)
_TIMES = (READY, AGAIN, LEARNED, COLD, *_PEERS)


def report(result: ServingResult) -> list[str]:
    """Return the paragraphs of the report."""
    config, traffic = next(iter(result.traffic.items()))
    parts = ["# Serving", facts(result.facts), "## Bars", bars_table(_bars(result))]
    parts += [
        f"The first seven are of `configs/{config}.yaml`; three of the first kind of traffic below, {traffic[0].mix}, "
        "three of the same traffic without cached lists. "
        "Users have their whole history in the log, and drawing them by activity makes histories long (the mean is "
        "not over users but over events). Answers per second do not count the events in between.",
        "## Explained top ten over HTTP",
    ]
    for name, mixes in result.traffic.items():
        for one in mixes:
            parts += [f"### {name}: {one.mix}", table(_HEADER, _windows(one))]
    parts += [
        f'"{FIRST}": the first answer for a user, or the first since the user\'s last event, so that no state is '
        "cached unless the service had time to prepare it (a closed loop leaves it none). "
        f'"{REPEATED}": the user\'s state is cached; the scores are computed again, as time has passed, or the '
        "last list is given again, where the time since the user's newest event is the same but for one part in 64, so "
        "that the list would be, too. Users of the log have been away for years, which makes this frequent for those "
        "who bring no event; without cached lists, a user's lists have 10 and 11 items in turns. "
        f'"{NEW}": without a history. Processor time is that of the service, per request of any kind. The open '
        "loop sends at half of the rate of the best closed window, and for the first two kinds of traffic at half of "
        f"{BAR} answers a second, too.",
        "## The model's own time",
        _model(result),
        "Milliseconds of an answer in one thread, without HTTP and store: means over users, drawn by activity, of the "
        "best of several rounds, each of which answers every user in turn. `implicit` returns a bare list: its answers "
        "have no reasons. ALS has 64 factors and already knows the user's vector; the item-item models fold the "
        "history in, as ours do.",
        "## Durable events",
    ]
    if result.events:
        parts += [table(_EVENTS_HEADER, [_events(events) for events in result.events])]
        parts += ["Batches of 50 on four connections; each is confirmed when it is on disk."]
    else:
        parts += ["Not measured."]
    parts += ["## Soak", _soak(result.soak) if result.soak else "Not measured."]
    return [*parts, "## Nothing lost", _kills(result)]


def _bars(result: ServingResult) -> list[list[str]]:
    config, traffic = next(iter(result.traffic.items()))
    rows, fast = [], f"under {_P99:.0f} ms"
    for one, suffix in zip(traffic, ("", ", without cached lists"), strict=False):
        rate = one.best_rate
        claim = f"explained answers per second, one worker{suffix}"
        rows.append(bar(claim, f"at least {BAR}", f"{rate:.0f}", rate >= BAR))
        for pace, p99 in ((f"{BAR // 2} a second", one.p99_at_bar), ("half of that rate", one.best_p99)):
            rows.append(bar(f"p99 at {pace}{suffix}", fast, f"{p99:.1f} ms", p99 < _P99))
    failed = sum(window.failed for one in traffic for window in one.windows)
    rows.append(bar("answers that failed", "0", str(failed), failed == 0))
    for peer in _PEERS:
        ratio = result.model[config][READY] / result.model[config][peer]
        claim = f"the model's time over that of {peer}"
        rows.append(bar(claim, f"at most {_RATIO:.0f}", f"{ratio:.1f}", ratio <= _RATIO))
    for events in result.events:
        best = max(events.rates)
        claim = f"durable events per second, {events.store}"
        rows.append(bar(claim, f"at least {_EVENTS:,}", f"{best:,.0f}", best >= _EVENTS))
        complete = events.reflected == events.checked and events.held == events.confirmed and not events.failed
        text = f"{events.reflected} of {events.checked}"
        rows.append(bar(f"the next answer reflects an event, {events.store}", "always", text, complete))
    growth = None if result.soak is None else result.soak.growth
    text = "-" if growth is None else f"{growth:+.1%}"
    rows.append(bar("soak: growth of memory", "under 5%", text, None if growth is None else growth < _GROWTH))
    if result.soak:
        rows.append(bar("soak: answers that failed", "0", str(result.soak.failed), result.soak.failed == 0))
    return rows


_KINDS = (FIRST, REPEATED, NEW, EVENT)
_HEADER = ["window", "answers/s", "p50 / p99 ms", *(f"{kind} ms" for kind in _KINDS), "failed", "processor ms", "load"]


def _windows(traffic: TrafficResult) -> list[list[str]]:
    rows = [_window(f"closed {n}", window) for n, window in enumerate(traffic.closed, start=1)]
    for windows in (traffic.open, traffic.at_bar):
        rows += [_window(f"open {n}, {w.target_rate:.0f} requests/s", w) for n, w in enumerate(windows, start=1)]
    return rows


def _window(name: str, window: Window) -> list[str]:
    failures = ", ".join(f"{count} with {status}" for status, count in window.failures.items()) or "0"
    times = [_times(window, kind) for kind in ("answers", *_KINDS)]
    return [name, f"{window.rate:.0f}", *times, failures, f"{window.processor:.2f}", f"{window.load:.1f}"]


def _times(window: Window, kind: str) -> str:
    times = window.milliseconds[kind]
    return f"{number(times['p50'], 1)} / {number(times['p99'], 1)}"


def _model(result: ServingResult) -> str:
    rows = []
    for config, times in result.model.items():
        ratios = [number(times[READY] / times[peer], 1) for peer in _PEERS]
        rows.append([config, *(number(times[name], 3) for name in _TIMES), *ratios])
    return table(["configuration", *(f"{name}, ms" for name in _TIMES), "over ALS", "over 20", "over all"], rows)


_EVENTS_HEADER = ["store", "events/s, each window", "load", "confirmed", "held", "failed", "next answer reflects it"]


def _events(events: EventsResult) -> list[str]:
    rates, loads = ", ".join(f"{rate:,.0f}" for rate in events.rates), ", ".join(f"{x:.1f}" for x in events.loads)
    counts = map(str, (events.confirmed, events.held, events.failed))
    return [events.store, rates, loads, *counts, f"{events.reflected} of {events.checked}"]


def _soak(soak: SoakResult) -> str:
    samples, last = _positions(len(soak.megabytes)), max(1, len(soak.megabytes) - 1)
    header, memory = (f"{position / last:.0%}" for position in samples), (f"{soak.megabytes[k]:.0f}" for k in samples)
    line = table(["", *header], [["resident memory, MB", *memory]])
    text = (
        f"{soak.seconds:.0f} seconds of the first kind of traffic at {soak.rate:.0f} requests/s: {soak.answers} "
        f"answers, {soak.failed} failed, p99 {soak.window.milliseconds['answers']['p99']:.1f} ms. Growth is that "
        "of the last tenth over the second; the first is warm-up."
    )
    return f"{text}\n\n{line}"


def _positions(count: int) -> list[int]:
    """Return eleven positions from the first to the last of a series, fewer of a short one.

    >>> _positions(21), _positions(2), _positions(0)
    ([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20], [0, 1], [])
    """
    return sorted({round(step * (count - 1) / 10) for step in range(11)}) if count else []


def _kills(result: ServingResult) -> str:
    if result.kills is None:
        return "Not part of this run: `python -m benchmarks.serving_kill`, whose result.json `--kills` includes here."
    columns = ["killed", "times", "confirmed", "held", "lost", "doubled"]
    return table(columns, [[str(trial[name]) for name in columns] for trial in result.kills["outcomes"]])
