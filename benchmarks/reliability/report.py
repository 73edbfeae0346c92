"""The report of the benchmark of reliability: bars, tables with intervals, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from scipy.stats import t

from benchmarks.reliability.logs import TOGETHER
from benchmarks.tools.environment import environment
from benchmarks.tools.report import Placebo, bar, bars_table, facts, method, number, percent, table
from recsys.pictures import new_figure, save_figure

_AUC: Final = {0.1: 0.79, 0.3: 0.84, 1.0: 0.905}
_CLOSED: Final = {0.1: 0.25, 0.3: 0.40, 1.0: 0.65}
_SITTING: Final = "ml-latest-small"
_PUBLISHED: Final = 500.0
"""The regularisation at which the bar was set."""

Numbers = Mapping[str, float]
Seeds = Sequence[Numbers]


def report(
    out: Path,
    docstring: str | None,
    worlds: Mapping[float, Seeds],
    refused: Seeds,
    asked: Seeds,
    sittings: Mapping[str, Numbers],
    again: Numbers | None,
    hidden: Mapping[float, Numbers],
) -> list[str]:
    """Return the paragraphs of the report, and draw its pictures."""
    bars = _of_worlds(worlds) + _of_refusals(refused) + _of_logs(sittings, again, hidden)
    parts = ["# Reliability of answers", "## What lost", "\n".join(f"- {line}" for line in _losses(bars, hidden))]
    parts += ["## Bars", bars_table(bars), method(docstring), facts(environment())]
    parts += ["## Worlds", f"![Worlds]({_drawn_worlds(out, worlds)})"]
    parts += ["Area under the curve by class; means of the seeds, with 95% intervals:"]
    parts += [_by_repeats(worlds, _AREAS), "What it is worth:", _by_repeats(worlds, _WORTH)]
    parts += ["Weights of preferences near the item's mean, of those a star or more away, and of other answers:"]
    parts += [_by_repeats(worlds, _STRATA), "## Asking again"]
    parts += [f"One answer in ten is asked for again where nothing was repeated: {_of_bits(asked)}"]
    rows = [[label, _mean(asked, f"auc_{name}")] for name, label in _ASKED.items()]
    parts += [table(["asked again", "AUC of genuine afterwards"], rows)]
    if sittings:
        parts += ["## The sitting", f"![The sitting]({_drawn_sittings(out, sittings)})", _sitting_table(sittings)]
    if again is not None:
        text = f"{again['pairs']:.0f} pairs of epinions, {percent(again['equal'])} of them equal; from the first alone:"
        own = {"pairs", "equal", "placebo", "low", "high"}
        rows = [[name, number(value, 3)] for name, value in again.items() if name not in own]
        parts += ["## Second ratings", text, table(["clue", "AUC"], rows)]
    if hidden:
        parts += ["## Events without ratings", f"![Events without ratings]({_drawn_hidden(out, hidden)})"]
        parts += [_HIDDEN, _hidden_table(hidden)]
    return parts


_AREAS: Final = {
    "auc": "genuine",
    "auc_distance": "by distance",
    "auc_ceiling": "ceiling",
    "auc_non_attitude": "non-attitude",
    "auc_constructed": "constructed",
    "calibration_error": "calibration error",
}
_WORTH: Final = {
    "gain_uniform": "gain, alike",
    "gain_mixture": "weighed",
    "gain_only_genuine": "only genuine",
    "gain_far_uniform": "far people, alike",
    "gain_far_mixture": "weighed",
    "rmse_uniform": "RMSE, alike",
    "rmse_mixture": "weighed",
    "share_correlation": "shares, r",
    "covered": "90% covers",
}
_STRATA: Final = {"weight_near": "near", "weight_away": "away", "weight_others": "others"}
_ASKED: Final = {
    "nobody": "nothing",
    "random": "at random",
    "least_genuine": "what is least likely a preference",
    "least_certain": "what is nearest to even",
    "most_told": "what tells most",
}
_HIDDEN: Final = (
    "NDCG@10 of what is truly liked, on users not fitted on, by the regularisation of EASE. The gain is that of more "
    "regularisation: where it is chosen well, weighing by agreement loses."
)


def _interval(found: Seeds, key: str) -> tuple[float, float]:
    """Return mean and half-width of the 95% interval over seeds, by Student's t."""
    values = np.array([one[key] for one in found])
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return float(values.mean()) if len(values) else float("nan"), 0.0
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def _mean(found: Seeds, key: str) -> str:
    mean, half = _interval(found, key)
    return f"{number(mean, 3)} [{number(mean - half, 3)}, {number(mean + half, 3)}]"


def _by_repeats(worlds: Mapping[float, Seeds], columns: Mapping[str, str]) -> str:
    rows = [[f"{repeats:g}", *(_mean(found, key) for key in columns)] for repeats, found in worlds.items()]
    return table(["repeated", *columns.values()], rows)


def _of_bits(asked: Seeds) -> str:
    """Return what was expected of asking again, and found."""
    expected, found = _interval(asked, "bits_expected")[0], _interval(asked, "bits_found")[0]
    return (
        f"by what tells most, the entropy of the class is expected to fall by {number(expected, 3)} bits an answer; it "
        f"falls by {number(found, 3)}."
    )


def _of_worlds(worlds: Mapping[float, Seeds]) -> list[list[str]]:
    rows = []
    for repeats, found in worlds.items():
        name = f"{repeats:g} repeated"
        if repeats in _AUC:
            least = _AUC[repeats]
            auc, ceiling = _interval(found, "auc")[0], _interval(found, "auc_distance")[0]
            placebo = Placebo(f"distance {number(ceiling, 3)}", ceiling >= least)
            rows.append(bar(f"{name}: AUC of genuine", f">= {least:g}", _mean(found, "auc"), auc >= least, placebo))
            closed, least = _interval(found, "closed")[0], _CLOSED[repeats]
            rows.append(bar(f"{name}: of the gain closed", f">= {least:.0%}", _mean(found, "closed"), closed >= least))
        if repeats >= 0.3:
            error = _interval(found, "calibration_error")[0]
            rows.append(bar(f"{name}: calibration error", "<= .04", _mean(found, "calibration_error"), error <= 0.04))
        if repeats == 0.3:
            r = _interval(found, "share_correlation")[0]
            rows.append(bar(f"{name}: users' shares, r", ">= .70", _mean(found, "share_correlation"), r >= 0.7))
        worse = max(one["rmse_mixture"] - one["rmse_uniform"] for one in found)
        rows.append(bar(f"{name}: RMSE against alike, worst seed", "<= 0", f"{worse:+.3f}", worse <= 0))
        lost = min(one["gain_far_mixture"] - one["gain_far_uniform"] for one in found)
        rows.append(bar(f"{name}: gain of far people, worst seed", ">= 0", f"{lost:+.3f}", lost >= 0))
    return rows


def _of_refusals(refused: Seeds) -> list[list[str]]:
    loss, mass = _interval(refused, "calm_loss")[0], _interval(refused, "calm_mass")[0]
    rows = [
        bar("world without noise: gain lost", "<= .002", f"{loss:+.4f}", loss <= 0.002),
        bar("world without noise: mass of the others", "<= .05", _mean(refused, "calm_mass"), mass <= 0.05),
    ]
    for key, name in (("permuted", "permuted conditions"), ("one_condition", "one condition")):
        null = sum(not one[key] for one in refused)
        claim = f"constructed is null: {name}"
        rows.append(bar(claim, f"{len(refused)} of {len(refused)}", str(null), null == len(refused)))
    return rows


def _of_logs(
    sittings: Mapping[str, Numbers], again: Numbers | None, hidden: Mapping[float, Numbers]
) -> list[list[str]]:
    rows = []
    if sittings:
        small = sittings[_SITTING]
        placebo = Placebo(f"shuffled {percent(small['shuffled'], 2)}", small["shuffled"] >= 0.02)
        text = f"{percent(small['gain'], 2)} [{percent(small['low'], 2)}, {percent(small['high'], 2)}]"
        rows.append(bar(f"{_SITTING}: RMSE falls by the sitting", ">= 2%", text, small["gain"] >= 0.02, placebo))
        shuffled = max(abs(found["shuffled"]) for found in sittings.values())
        rows.append(bar("shuffled order, all logs", "0 by .1%", percent(shuffled, 2), shuffled <= 0.001))
        worst = min(found["gain"] for found in sittings.values())
        rows.append(bar("the log that gains least by the sitting", ">= -.1%", percent(worst, 2), worst >= -0.001))
    if again is not None:
        text = f"{number(again[TOGETHER], 3)} [{number(again['low'], 3)}, {number(again['high'], 3)}]"
        placebo = Placebo(f"answers exchanged {number(again['placebo'], 3)}", again["placebo"] >= 0.66)
        rows.append(bar("epinions: an equal second rating, AUC", ">= .66", text, again[TOGETHER] >= 0.66, placebo))
    if hidden:
        best = max(hidden, key=lambda by: hidden[by]["alike"])
        for by, claim in ((_PUBLISHED, "as the bar was set"), (best, "best without weights")):
            found = hidden[by]
            placebo = Placebo(f"exchanged {found['placebo_difference']:+.4f}", found["placebo_difference"] >= 0.006)
            name = f"ml-1m-ordered, ratings hidden, EASE {by:g} ({claim}): NDCG@10 by agreement"
            met = found["agreement_difference"] >= 0.006
            rows.append(bar(name, ">= +.006", _difference(found, "agreement"), met, placebo))
    return rows


def _difference(found: Numbers, name: str) -> str:
    low, high = found[f"{name}_low"], found[f"{name}_high"]
    return f"{found[f'{name}_difference']:+.4f} [{low:+.4f}, {high:+.4f}]"


def _losses(bars: Sequence[Sequence[str]], hidden: Mapping[float, Numbers]) -> list[str]:
    lines = [f"{row[0]}: {row[2]}, where the bar is {row[1]}." for row in bars if "missed" in row[-1]]
    if hidden:
        best = max(hidden, key=lambda by: hidden[by]["alike"])
        lines.append(
            f"Weighing events without ratings by agreement gains at EASE {min(hidden):g} "
            f"({_difference(hidden[min(hidden)], 'agreement')}) and loses at {best:g}, which is best without weights "
            f"({_difference(hidden[best], 'agreement')}): it regularises, and tells no false positive."
        )
    return lines or ["Nothing of what has a bar."]


def _sitting_table(sittings: Mapping[str, Numbers]) -> str:
    rows = [
        [
            name,
            number(found["rmse_without"]),
            number(found["rmse_with"]),
            f"{percent(found['gain'], 2)} [{percent(found['low'], 2)}, {percent(found['high'], 2)}]",
            percent(found["shuffled"], 2),
            number(found["coefficient"], 3),
            *(number(found[f"lag_{lag}"], 3) for lag in (1, 10, 100)),
        ]
        for name, found in sittings.items()
    ]
    head = ["log", "RMSE", "with the sitting", "gain", "shuffled", "coefficient", "lag 1", "lag 10", "lag 100"]
    return table(head, rows)


def _hidden_table(hidden: Mapping[float, Numbers]) -> str:
    rows = [
        [f"{by:g}", number(found["alike"]), *(_difference(found, name) for name in ("agreement", "placebo", "known"))]
        for by, found in hidden.items()
    ]
    return table(["EASE", "alike", "by agreement", "the same weights exchanged", "ratings known, bad ones at .3"], rows)


def _drawn_worlds(out: Path, worlds: Mapping[float, Seeds]) -> str:
    figure = new_figure(11, 3.8)
    axes = figure.subplots(1, 3)
    across = np.arange(len(worlds))
    panels = {
        "AUC of genuine": {"auc_ceiling": "ceiling", "auc": "mixture", "auc_distance": "distance from the mean"},
        "gain to the truth, ten items": {
            "gain_only_genuine": "only genuine",
            "gain_mixture": "weighed",
            "gain_uniform": "alike",
        },
        "RMSE to the truth": {"rmse_uniform": "alike", "rmse_mixture": "weighed", "rmse_only_genuine": "only genuine"},
    }
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for key, label in lines.items():
            mean, half = np.array([_interval(found, key) for found in worlds.values()]).T
            axis.errorbar(across, mean, half, marker="o", markersize=4, capsize=3, label=label)
        axis.set_title(title, fontsize=10)
        axis.set_xticks(across, [f"{repeats:g}" for repeats in worlds])
        axis.set_xlabel("share of pairs answered again")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return save_figure(figure, out / "worlds.png").name


def _drawn_sittings(out: Path, sittings: Mapping[str, Numbers]) -> str:
    figure = new_figure(9, 3.4)
    left, right = figure.subplots(1, 2)
    for name, found in sittings.items():
        left.plot([1, 10, 100], [found[f"lag_{lag}"] for lag in (1, 10, 100)], marker="o", markersize=4, label=name)
    left.axhline(0, color="black", linewidth=0.8)
    left.set_xscale("log")
    left.set_xlabel("answers apart")
    left.set_ylabel("correlation of residuals")
    left.legend(fontsize=8)
    rows = np.arange(len(sittings))
    gain, low, high = (100 * np.array([found[key] for found in sittings.values()]) for key in ("gain", "low", "high"))
    shuffled = 100 * np.array([found["shuffled"] for found in sittings.values()])
    right.errorbar(gain, rows, xerr=[gain - low, high - gain], fmt="o", markersize=5, capsize=3, label="as it was")
    right.plot(shuffled, rows, "x", color="grey", label="shuffled")
    right.axvline(0, color="black", linewidth=0.8)
    right.set_yticks(rows, list(sittings))
    right.set_ylim(len(sittings) - 0.5, -0.5)
    right.set_xlabel("fall of RMSE by the sitting, %")
    right.legend(fontsize=8)
    return save_figure(figure, out / "sitting.png").name


def _drawn_hidden(out: Path, hidden: Mapping[float, Numbers]) -> str:
    figure = new_figure(5.2, 3.6)
    axis = figure.subplots()
    lines = {"known": "bad ratings known", "agreement": "by agreement", "alike": "alike", "placebo": "exchanged"}
    for name, label in lines.items():
        axis.plot(list(hidden), [found[name] for found in hidden.values()], marker="o", markersize=4, label=label)
    axis.set_xscale("log")
    axis.set_xticks(list(hidden), [f"{by:g}" for by in hidden])
    axis.minorticks_off()
    axis.set_xlabel("regularisation of EASE")
    axis.set_ylabel("NDCG@10 of what is liked")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return save_figure(figure, out / "hidden.png").name
