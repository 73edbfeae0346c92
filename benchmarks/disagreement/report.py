"""The numbers, pictures and tables of the report; what lost is found from the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.disagreement.masked import Masked
from benchmarks.disagreement.personas import Contest
from benchmarks.tools.environment import environment
from benchmarks.tools.report import bar, bars_table, facts, interval, method, number, signed, spread, table
from recsys.pictures import draw_bars, draw_forest

Found = dict[str, Any]
MARGIN = 0.005
_NEIGHBOURS = (
    "Kim et al., *Population-Proportional Preference Learning from Human Feedback* (arXiv 2506.05619, abstract "
    "read), try population-proportional alignment on a recommendation task; Siththaranjan, Laidlaw, Hadfield- "
    "Menell, *Distributional Preference Learning* (ICLR 2024, abstract read) show that pooled preference learning "
    "with hidden context counts as Borda does; Chakraborty et al., *MaxMin-RLHF* (ICML 2024, abstract read) that "
    "one reward cannot serve all; Bose et al., *LoRe* (arXiv 2504.14439) mix a basis of rewards. None was rerun "
    "here."
)
_PAIRS = (
    "Camps on four topics, 200 users, ten pairs each, a tenth of the choices made by a coin; all models are "
    "linear in the vector but for the attention of personas. With overlap 1 the camps of all topics quarrel about "
    "one direction of the vector, which a linear reward cannot say."
)
OF_CAMPS = ("vector, d = 2", "vector, d = 6", "K = 3, d = 2")


def of_masked(masked: Masked) -> Found:
    """Return the numbers of the part as plain values."""
    return {
        "setting": masked.setting,
        "trials": masked.trials,
        "chosen": masked.chosen.to_dict(),
        "plain": masked.plain.to_dict(),
    }


def of_contest(contest: Contest) -> Found:
    """Return the numbers of the part as plain values; those over users are means over seeds."""
    means = {}
    for kind, results in contest.results.items():
        names = results[0].overall
        means[kind] = {name: float(np.nanmean([each.overall[name] for each in results])) for name in names}
    rows = [{str(key): value for key, value in row.items()} for row in contest.difference.to_dict("records")]
    bins = {kind: results[0].to_dict()["bins"] for kind, results in contest.results.items()}
    return {
        "trials": contest.trials,
        "accuracy": contest.accuracy,
        "overall": means,
        "bins": bins,
        "difference": rows,
    }


def draw(out: Path, found: Found) -> None:
    """Draw the unhappy shares by split, the two sides, and the differences of personas to one vector."""
    bins = [row for row in found["masked"]["chosen"]["bins"] if row["judgements"]]
    names = [_split(row) for row in bins]
    shares = {
        "least for any pooled rule": [(row["bound"], 0.0) for row in bins],
        "mean rating": [(row["pooled"], 0.0) for row in bins],
        "personal": [(row["model"], (row["margin_high"] - row["margin_low"]) / 2) for row in bins],
    }
    draw_bars(out / "masked.png", names, shares, "share of judgements that are wrong")
    sides = {
        "minority, mean rating": [(row["minority_pooled"] or 0.0, 0.0) for row in bins],
        "minority, personal": [(row["minority"] or 0.0, 0.0) for row in bins],
        "majority, mean rating": [(row["majority_pooled"] or 0.0, 0.0) for row in bins],
        "majority, personal": [(row["majority"] or 0.0, 0.0) for row in bins],
    }
    draw_bars(out / "sides.png", names, sides, "share of judgements that are right")
    rows = [
        (f"{name}, {'mean of seeds' if row['runs'] == 'average' else 'seed ' + row['runs']}", *_ends(row))
        for name, contest in found["held_out"].items()
        for row in contest["difference"]
    ]
    draw_forest(out / "personas.png", rows, "accuracy of users: personas less the best single vector")


def _ends(row: Found) -> tuple[float, float, float]:
    return row["diff"], row["low"], row["high"]


def report(found: Found, description: str | None) -> list[str]:
    """Return the paragraphs of the report."""
    bars = _bars(found)
    missed = [f"- {row[0]}: {row[2]}, bar {row[1]}" for row in bars if "missed" in row[-1]]
    parts = ["# Disagreement", "## What lost", "\n".join(missed + _lost(found)) or "Nothing.", method(description)]
    logs = {
        f"log {name}": "fingerprint {}, {:,} events, {:,} users, {:,} items".format(*told)
        for name, told in found["logs"].items()
    }
    parts += [
        facts(environment() | logs | {"seeds": "halves of users 0; trainings 0, 1, 2"}),
        "## Bars",
        bars_table(bars),
    ]
    if found["absent"]:
        parts.append(f"Not run, because the log is not available: {', '.join(found['absent'])}.")
    parts += _masked(found) + _held_out(found) + _simulated(found) + _lists(found)
    return [*parts, "## Nearest neighbours", _NEIGHBOURS]


def _bars(found: Found) -> list[list[str]]:
    first, low = found["masked"]["chosen"]["bins"][0], found["masked"]["chosen"]["overall"]
    consensus = (
        low["consensus_accuracy_pooled"] - low["consensus_accuracy_model"]
        if low["consensus_accuracy_model"]
        else np.nan
    )
    rows = [
        _most("masked, split .50-.55: unhappy share", first["model"], 0.345),
        _least(
            "masked, split .50-.55: margin below the bound of every pooled rule, lower end", first["margin_low"], 0.12
        ),
        _most("masked, above .80: worse than the mean rating by", consensus, 0.002),
        _most("masked: users below a half on contested pairs", low["below_half_model"], 0.055),
        _least("masked: worst decile of users, cross-fit over items", low["worst_decile_crossfit_model"], 0.565),
    ]
    for name, contest in found["held_out"].items():
        average = contest["difference"][0]
        best = float(np.mean(contest["accuracy"]["persona"]))
        gain = best - float(np.mean(contest["accuracy"]["vector"]))
        ends = interval(average["low"], average["high"])
        if name == found["log"]:
            rows.append(_least(f"held out, {name}: accuracy of personas", best, 0.688))
            rows.append(
                _most(
                    f"held out, {name}: contested pairs, users below a half, de-noised",
                    contest["overall"]["persona"]["below_half_denoised_model"],
                    0.125,
                )
            )
        text = f"{signed(gain)}; of users {signed(average['diff'])}, {ends}"
        rows.append(
            bar(
                f"held out, {name}: personas less the best single vector",
                "+.005, interval above 0",
                text,
                gain >= MARGIN and average["low"] > 0,
            )
        )
    worlds = found["worlds"]
    exact = max(abs(row["majority"] - row["bound"]) for row in worlds)
    rows += [
        bar("camps: majority rule less the bound", "1e-12", f"{exact:.0e}", exact <= 1e-12),
        _most(
            "camps, every preference of every user: pooled Bradley-Terry above the bound by at most",
            max(row["pooled_of_all"] - row["bound_of_all"] for row in worlds),
            0.03,
        ),
        _most(
            "camps, one topic: error of the worst personal model",
            max(row[name] for row in worlds if row["topics"] == 1 for name in OF_CAMPS),
            0.01,
        ),
    ]
    models = found["rewards"][0]["models"]
    best_vector, best_persona = (_best(models, name) for name in ("one vector", "personas"))
    gains = np.subtract(models[best_persona]["test"], models[best_vector]["test"])
    return [
        *rows,
        _least(
            f"pairs with vectors: {best_persona} less {best_vector}, smallest of the seeds", float(gains.min()), 0.03
        ),
    ]


def _best(models: Found, prefix: str) -> str:
    """Return the model of a kind with the largest mean accuracy in the test: one vector and personas gain alike."""
    return max(
        (name for name in models if name.startswith(prefix)), key=lambda name: float(np.mean(models[name]["test"]))
    )


def _most(claim: str, value: float | None, most: float) -> list[str]:
    known = value is not None and not np.isnan(value)
    return bar(
        claim, f"at most {number(most, 3)}", number(value), (value is not None and value <= most) if known else None
    )


def _least(claim: str, value: float | None, least: float) -> list[str]:
    known = value is not None and not np.isnan(value)
    return bar(
        claim, f"at least {number(least, 3)}", number(value), (value is not None and value >= least) if known else None
    )


def _lost(found: Found) -> list[str]:
    """Return where personal models, or personas, are behind."""
    lost = []
    for row in found["masked"]["chosen"]["bins"]:
        if not row["judgements"]:
            continue
        name, model, bound = f"- masked, split {_split(row)}", number(row["model"]), number(row["bound"])
        if row["model"] > row["bound"]:
            lost.append(f"{name}: the personal model is wrong {model}, the bound of pooled rules is {bound}")
        if row["majority"] is not None and row["majority"] < row["majority_pooled"]:
            sides = [number(row[each]) for each in ("majority_pooled", "majority", "minority_pooled", "minority")]
            lost.append(
                "{}: the majority is right {} by the mean rating, {} personally; the minority {}, {}".format(
                    name, *sides
                )
            )
    for name, contest in found["held_out"].items():
        for row in contest["difference"]:
            if row["diff"] <= 0:
                lost.append(
                    f"- held out, {name}, {row['runs']}: personas less the best single vector {signed(row['diff'])}"
                )
    for world in found["rewards"]:
        models = world["models"]
        vector, persona = (float(np.mean(models[_best(models, name)]["test"])) for name in ("one vector", "personas"))
        if persona - vector < 0.03:
            told = f"personas {number(persona)}, one vector {number(vector)}"
            lost.append(f"- pairs with vectors, overlap {world['overlap']:g}: {told}")
    return lost


def _masked(found: Found) -> list[str]:
    masked = found["masked"]
    rows = [
        [
            *(
                _split(row),
                f"{row['pairs']:,}",
                f"{row['judgements']:,}",
                number(row["bound"], 3),
                number(row["pooled"], 3),
            ),
            *(
                number(row["model"], 3),
                interval(row["margin_low"], row["margin_high"], 3) if row["judgements"] else "-",
            ),
            *(number(row["clear"], 3), number(row["minority_pooled"], 3), number(row["minority"], 3)),
            *(number(row["majority_pooled"], 3), number(row["majority"], 3)),
        ]
        for row in masked["chosen"]["bins"]
    ]
    header = ["split", "pairs", "judgements", "bound", "mean rating", "personal", "margin", "right, gap >= 2"]
    header += ["minority: mean", "minority: personal", "majority: mean", "majority: personal"]
    plain = [[_split(row), number(row["model"], 3)] for row in masked["plain"]["bins"]]
    users = [
        [
            name,
            *(
                number(masked[part]["overall"][f"{name}_{who}"], 3)
                for part, who in (("chosen", "pooled"), ("plain", "model"), ("chosen", "model"))
            ),
        ]
        for name in ("users", "below_half", "below_half_denoised", "worst_decile", "worst_decile_crossfit", "spread")
    ]
    trials = [[_setting(setting), number(share)] for setting, share in masked["trials"]]
    return [
        f"## Masked, {found['log']}",
        f"Wrong answers by split; `{_setting(masked['setting'])}`, chosen on validation users.",
        table(header, rows),
        "![wrong answers by split](masked.png)",
        "![both sides](sides.png)",
        "The first trial, EASE on signed residuals, on the same judgements:",
        table(["split", "wrong"], plain),
        "Users with at least 40 contested judgements (split at most .60), shares of right answers:",
        table(["", "mean rating", "first trial", "personal"], users),
        "Trials, wrong answers on contested pairs of validation users:",
        table(["setting", "wrong"], trials),
    ]


def _held_out(found: Found) -> list[str]:
    parts = []
    for name, contest in found["held_out"].items():
        rows = [
            [
                kind,
                spread(contest["accuracy"][kind]),
                *(
                    number(contest["overall"][kind][key], 3)
                    for key in ("contested_accuracy_model", "consensus_accuracy_model", "clear_accuracy_model")
                ),
                *(
                    number(contest["overall"][kind][key], 3)
                    for key in ("below_half_model", "below_half_denoised_model", "worst_decile_crossfit_model")
                ),
                *(number(contest["bins"][kind][0][key], 3) for key in ("minority", "majority")),
            ]
            for kind in contest["accuracy"]
        ]
        header = [
            "kind",
            "accuracy",
            "contested",
            "above .80",
            "gap >= 2",
            "below half",
            "de-noised",
            "worst decile",
            "minority, .50-.55",
            "majority",
        ]
        differences = [
            [str(row["runs"]), signed(row["diff"]), interval(row["low"], row["high"]), number(row["p"])]
            for row in contest["difference"]
        ]
        trials = [
            [_setting(setting), number(value)] for found_ in contest["trials"].values() for setting, value in found_
        ]
        parts += [
            f"## Held out, {name}",
            table(header, rows),
            "Accuracy of users, personas less the best single vector:",
            table(["seed", "difference", "95%", "p"], differences),
            "Trials, accuracy on validation pairs, seed 0:",
            table(["setting", "accuracy"], trials),
        ]
    return [*parts, "![personas less one vector](personas.png)"]


def _simulated(found: Found) -> list[str]:
    worlds = [
        [
            f"p = {row['p']:g}, {row['topics']} topics",
            number(row["bound"]),
            number(row["majority"]),
            number(row["pooled"]),
            number(row["bound_of_all"]),
            number(row["pooled_of_all"]),
            *(number(row[name]) for name in OF_CAMPS),
            *(number(row[f"{name}, worst decile"], 3) for name in ("pooled", *OF_CAMPS)),
        ]
        for row in found["worlds"]
    ]
    header = [
        "world",
        "bound",
        "majority",
        "pooled",
        "bound of all",
        "pooled, of all",
        *OF_CAMPS,
        "worst decile: pooled",
        *OF_CAMPS,
    ]
    parts = [
        "## Worlds of camps",
        "Wrong answers on unseen pairs, each judged by some users, so that the bound, in hindsight, is below that of "
        "the camps; of all: by every user of every pair, where it is 1 - p. On the right the share of right answers of "
        "the worst tenth of users.",
        table(header, worlds),
    ]
    for world in found["rewards"]:
        rows = [[name, spread(each["test"], 3), spread(each["newcomers"], 3)] for name, each in world["models"].items()]
        parts += [
            f"## Pairs with item vectors, overlap {world['overlap']:g}",
            _PAIRS,
            table(["model", "same users", "new users, ten pairs"], rows),
        ]
    return parts


def _lists(found: Found) -> list[str]:
    rows = [
        [
            name,
            number(each["mean"], 3),
            number(each["worst_decile"], 3),
            number(each["below_own_average"], 3),
            f"{each['items']:.0f}",
        ]
        for name, each in found["lists"].items()
    ]
    return [
        f"## One list for all, {found['log']}",
        "Utility is the mid-rank of a rating among the user's own; a rule sees half of the users, the table the rest.",
        table(["rule", "mean", "worst decile", "users below their own average", "items"], rows),
    ]


def _split(row: Mapping[str, float]) -> str:
    return f"{number(row['low'], 2)}-{number(row['high'], 2)}"


def _setting(setting: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in setting.items()
    )
