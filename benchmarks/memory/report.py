"""The report: accuracy by bytes, the bars, what edits do, and texts to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.memory.measures import POPULARITY, RECENT, SHUFFLED, TEXT, TITLES, WHOLE, Result
from benchmarks.tools.environment import environment
from benchmarks.tools.report import bar, bars_table, facts, interval, method, number, p_value, table
from recsys.evaluation.significance import signed_rank_p
from recsys.pictures import draw_curves
from recsys.types import Doubles

Results = Mapping[str, Sequence[Result]]
_SMALL = 24.5
_PICTURE = "accuracy_by_bytes.png"


def report(docstring: str | None, results: Results, out: Path) -> list[str]:
    """Return the paragraphs of the report, and draw its picture."""
    names = list(results)
    whole = {name: _mean(results[name], WHOLE) for name in names}
    rows = [
        row
        for row in results[names[0]][0]["rows"]
        if all(row in one["rows"] for name in names for one in results[name])
    ]
    draw_curves(
        out / _PICTURE,
        {
            name: {
                family: sorted(
                    (_bytes(results[name], row), 100 * _mean(results[name], row) / whole[name])
                    for row in results[name][0]["rows"]
                    if row.split("(")[0] == family and "," not in row
                )
                for family in ("Exemplars", "EpisodicRecent", "Parametric", "SemanticSummary", "Dual")
            }
            for name in names
        },
        "bytes of a user",
        "NDCG@10, % of the whole history",
    )
    return [
        "# Memory: accuracy by bytes",
        method(docstring),
        "## What lost",
        _lost(results),
        "## Bars",
        bars_table(_bars(results)),
        "## NDCG@10 by bytes",
        f"![Accuracy by bytes]({_PICTURE})",
        table(
            ["memory", "bytes", *names],
            [_line(results, row, names) for row in sorted(rows, key=lambda r: _bytes(results[names[0]], r))],
        ),
        "In brackets the share of the whole history. Bytes are those of the first task; with the items of the history, "
        "which must not be listed again, come on average "
        + ", ".join(
            f"{results[name][0]['rows'][WHOLE]['with_mask'] - results[name][0]['rows'][WHOLE]['bytes']:.0f} ({name})"
            for name in names
        )
        + " bytes more.",
        "## Against the whole history, user by user",
        table(
            ["task", "memory", "difference", "95% interval", "p", "users"],
            [
                _paired(name, results[name], row)
                for name in names
                for row in ("Exemplars(8)", TEXT, "Parametric(32)", "Dual(34)")
            ],
        ),
        "## Edits",
        _edits(results),
        "## Carried event by event",
        table(
            ["task", "from scratch", "carried", "share"],
            [
                [
                    name,
                    number(one["carried"]["batch"]),
                    number(one["carried"]["online"]),
                    _percent(one["carried"]["online"] / one["carried"]["batch"]),
                ]
                for name in names
                for one in results[name]
                if "carried" in one
            ],
        ),
        "## Texts",
        "\n".join(f"- {text or '(nothing)'}" for name in names[:1] for text in results[name][0]["text"]["first"]),
        table(
            ["task", "characters, mean", "longest", "read again as written"],
            [
                [name, f"{one['mean']:.0f}", str(one["longest"]), _percent(one["same"])]
                for name in names
                for one in [results[name][0]["text"]]
            ],
        ),
        "## Run",
        facts(
            {
                **environment(),
                "half-lives": "; ".join(
                    f"{name}: {', '.join(str(one['half_life']) for one in each)}" for name, each in results.items()
                ),
            }
        ),
    ]


def _values(each: Sequence[Result], row: str) -> Doubles:
    return np.concatenate([np.asarray(one["rows"][row]["ndcg"], np.float64) for one in each])


def _mean(each: Sequence[Result], row: str) -> float:
    return float(np.nanmean(_values(each, row)))


def _bytes(each: Sequence[Result], row: str) -> float:
    return float(np.mean([one["rows"][row]["bytes"] for one in each]))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _line(results: Results, row: str, names: Sequence[str]) -> list[str]:
    cells = [
        f"{number(_mean(results[name], row))} ({_percent(_mean(results[name], row) / _mean(results[name], WHOLE))})"
        for name in names
    ]
    return [row, f"{_bytes(results[names[0]], row):.0f}", *cells]


def _paired(name: str, each: Sequence[Result], row: str) -> list[str]:
    difference = _values(each, row) - _values(each, WHOLE)
    difference = difference[np.isfinite(difference)]
    error = 1.96 * float(difference.std(ddof=1)) / len(difference) ** 0.5
    mean = float(difference.mean())
    return [
        name,
        row,
        f"{mean:+.4f}",
        interval(mean - error, mean + error),
        p_value(signed_rank_p(difference)),
        str(len(difference)),
    ]


def _bars(results: Results) -> list[list[str]]:
    names = list(results)

    def shares(row: str) -> Doubles:
        return np.asarray([_mean(results[name], row) / _mean(results[name], WHOLE) for name in names])

    def listed(values: Doubles) -> str:
        return " / ".join(f"{100 * value:.1f}" for value in values)

    exemplars, text = shares("Exemplars(8)"), shares(TEXT)
    small = {
        row: shares(row).min()
        for row in results[names[0]][0]["rows"]
        if "," not in row
        and row not in (WHOLE, POPULARITY, "Exemplars(8)", "Exemplars(4)")
        and all(_bytes(results[name], row) <= _SMALL for name in names)
    }
    rivals = ", ".join(f"{row} {100 * worst:.0f}%" for row, worst in sorted(small.items(), key=lambda pair: -pair[1]))
    parts = {name: _dual_parts(results[name]) for name in names}
    dual = shares("Dual(34)") / np.asarray([parts[name][1] / _mean(results[name], WHOLE) for name in names])
    above = [
        name
        for name in names
        if _mean(results[name], "Dual(34)") > parts[name][1]
        and signed_rank_p(_finite(_values(results[name], "Dual(34)") - _values(results[name], parts[name][0]))) < 0.05
    ]
    rows = [
        bar(
            "Exemplars(8), 24 bytes, each task", "88% of the whole", listed(exemplars), bool((exemplars >= 0.88).all())
        ),
        bar(
            "the same, on three",
            "97%",
            listed(np.sort(exemplars)[::-1][:3]),
            bool(np.sort(exemplars)[::-1][2:3].min(initial=1) >= 0.97),
        ),
        bar("worst task of other memories of 24 bytes at most", "-", rivals, None),
        bar("text alone, each task", "88%", listed(text), bool((text >= 0.88).all())),
        bar(
            "the same, on three",
            "96%",
            listed(np.sort(text)[::-1][:3]),
            bool(np.sort(text)[::-1][2:3].min(initial=1) >= 0.96),
        ),
        bar(
            "texts, characters",
            "400",
            str(max(one["text"]["longest"] for name in names for one in results[name])),
            max(one["text"]["longest"] for name in names for one in results[name]) <= 400,
        ),
        bar(
            "parse(render(s)) = s",
            "100%",
            _percent(min(one["text"]["same"] for name in names for one in results[name])),
            min(one["text"]["same"] for name in names for one in results[name]) == 1,
        ),
        bar(
            "Dual(34) to the better of its parts at the same bytes",
            "99%, each task",
            listed(dual),
            bool((dual >= 0.99).all()),
        ),
        bar("the same, above it with p < .05", "one task", ", ".join(above) or "none", bool(above)),
    ]
    if "movietweetings, next 10" in results:
        each = results["movietweetings, next 10"]
        gain = _mean(each, "Parametric(32)") / _mean(each, WHOLE) - 1
        placebo = f"shuffled {number(_mean(each, SHUFFLED))}, popularity {number(_mean(each, POPULARITY))}"
        rows.append(bar(f"Parametric(32), movietweetings ({placebo})", "+7%", f"{100 * gain:+.1f}%", gain >= 0.07))
    return rows


def _finite(values: Doubles) -> Doubles:
    return values[np.isfinite(values)]


def _dual_parts(each: Sequence[Result]) -> tuple[str, float]:
    """Return the better of the two memories of 34 bytes that `Dual` is made of."""
    rows = ["Parametric(32)", RECENT]
    best = max(rows, key=lambda row: _mean(each, row))
    return best, _mean(each, best)


def _edits(results: Results) -> str:
    rows = []
    for name, each in results.items():
        found = each[0]["edits"]
        if not found["genres"]:
            continue
        before, less, more = np.mean(list(found["genres"].values()), axis=0)
        kept, undone = found["kept"], found["undone"]
        rows.append(
            [
                name,
                number(before, 3),
                number(less, 3),
                number(more, 3),
                f"{more / before:.1f}",
                _percent(float(kept)),
                _percent(undone),
            ]
        )
    return table(
        [
            "task",
            "share of the genre",
            "avoids G",
            "mostly G",
            "times",
            "others kept under avoids",
            "undone to the same list",
        ],
        rows,
    )


def _lost(results: Results) -> str:
    lines = []
    for name, each in results.items():
        rows = {
            row: _mean(each, row) / _mean(each, WHOLE)
            for row in (
                "Exemplars(8)",
                TEXT,
                TITLES,
                "Dual(34)",
                "Parametric(32)",
                "EpisodicRecent(8)",
                "EpisodicSimilar(4)",
                "SemanticSummary(32)",
            )
        }
        below = [
            f"{row} {100 * (1 - share):.0f}%"
            for row, share in sorted(rows.items(), key=lambda pair: pair[1])
            if share < 0.99
        ]
        if below:
            lines.append(f"- {name}: below the whole history are {', '.join(below)}.")
        best = max((row for row in each[0]["rows"] if "," not in row), key=lambda row: _mean(each, row))
        lines.append(f"- {name}: the best of all is {best}.")
    return "\n".join(lines)
