"""Items that training did not know: who finds them, and what it costs the others. `python -m benchmarks.cold_items`.

Each log is cut twice: in time (`cold_items`: items whose first event is after the cut, asked at the user's first
event with one) and by random items (`held_out_items`, three draws, which is what most papers report, and leaks time).
Recall at 50 and at 10 is of a user's new items, ranked among the new items of the part and among all items. The ridge
is chosen on validation, by recall@50 among new items; the scale by recall@50 of new items among all, as long as warm
items lose at most half a per cent of validation NDCG@10. Popularity has no event of a new item: among new items it is
a random order (ids would tell what counts do not: they are lower for older films), in the list of all items it shows
none. Popularity by features is `WithColdItems(Popularity())`, its ridge chosen likewise. "So far" counts the events
on new items before the user's question, which is no cold start any more. Tags of MovieLens are left out: users wrote
them later. Warm items: the same questions, lists with and without new items in the way. Two thousand users of each
part at most, by lot. At most 2,000 users of each part are asked, drawn by lot. Intervals: 95%, bootstrap over users,
paired; draws of held_out_items are averaged, and their users put together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import scipy.sparse as sp

from benchmarks.tools.cells import CellContent, Cells, identity
from benchmarks.tools.command import parser, program
from benchmarks.tools.environment import environment
from benchmarks.tools.report import bar, bars_table, method, number, report_folder, table, write_report, write_result
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.queries import Ragged
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.splits.standard import split
from recsys.data.vocabulary import UNKNOWN
from recsys.evaluation.metrics import ranking_metrics
from recsys.evaluation.ranking import rank
from recsys.models import EASE, IALS, Popularity, Recommender, WithColdItems
from recsys.models.base import FittedOn
from recsys.models.cold_items.features import ridge_inverse
from recsys.types import Doubles, Floats, Ints

LOGS: Final = ("ml-latest-small", "amazon-beauty")
SEEDS: Final = (0, 1, 2)
RIDGES: Final = (3.0, 10.0, 30.0)
SCALES: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
MODELS: Final[Mapping[str, tuple[Recommender, ...]]] = {
    # EASE of amazon-beauty takes minutes of one core for 12,101 items; it was measured once, see benchmarks/LOG.md
    "amazon-beauty": (IALS(regularization=5.0),),
    "ml-latest-small": (EASE(500.0), IALS()),
    "simulated": (EASE(50.0),),
}
_CUTOFFS: Final = (10, 50)
_WARM_LOSS: Final = 0.005
_DRAWS: Final = 2000
_MOST: Final = 2000
_BLOCK: Final = 512

PerUser = dict[str, Doubles]


@program
def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark; return the path of the report."""
    command = parser("cold_items", __doc__, quick="one simulated log and one draw", threads=True)
    command.add_argument("--finished", action="store_true", help="measure nothing: report what is there")
    options = command.parse_args(arguments)
    out = report_folder("cold-items", options.out, options.quick)
    cells = Cells(out / "cells")
    logs = ("simulated",) if options.quick else LOGS
    seeds = SEEDS[:1] if options.quick else SEEDS
    found: dict[str, dict[str, list[float]]] = {}
    read = {name: _read(name) for name in logs}
    kinds = ("held_out_items",) if options.quick else ("held_out_items", "cold_items")
    jobs = [
        (name, kind, seed, model)
        for seed in seeds  # the first draw of everything comes first
        for kind in kinds
        for name in logs
        for model in MODELS[name]
        if kind == "held_out_items" or seed == seeds[0]
    ]
    for name, kind, seed, model in jobs:
        label = f"{name}/{kind}-{seed}-{type(model).__name__}"
        key = identity(label, repr(model), RIDGES, SCALES, read[name].fingerprint, _MOST)
        if options.finished:
            stored = cells.load(label, key)
            if stored is not None:
                found[label] = stored
            continue
        found[label], seconds = cells.make(label, key, partial(_cell, read[name], kind, seed, model))
        print(f"{label}: {'stored' if seconds is None else f'{seconds:.0f} s'}", flush=True)
    write_result(out, {label: {name: _mean(values) for name, values in each.items()} for label, each in found.items()})
    return write_report(out, _report(found))


def _read(name: str) -> Interactions:
    log = datasets.load(name)
    if name == "amazon-beauty":
        return log
    return replace(log, metadata=replace(log.metadata, tags=((),) * log.n_items))


def _cell(log: Interactions, kind: str, seed: int, base: Recommender) -> CellContent:
    return CellContent(measure(log, kind, seed, base))


def measure(log: Interactions, kind: str, seed: int, base: Recommender) -> dict[str, list[float]]:
    """Return per-user values of all opponents and views, and the facts (lists of one), by name."""
    new, everything = (_sampled(split(log, kind, seed=seed, among=among)) for among in ("new", "all"))  # type: ignore[arg-type]
    chosen, ridge = _best_ridge(base.unfitted(), new)
    popular, popular_ridge = _best_ridge(Popularity(), new)
    values: dict[str, list[float]] = {"ridge": [ridge], "popularity ridge": [popular_ridge]}
    candidates = new.test.candidates
    assert candidates is not None
    values["new items"] = [float(len(candidates.row(0)))]
    values["users"] = [float(len(new.test))]

    def add(name: str, each: PerUser) -> None:
        for metric, per_user in each.items():
            values[f"{name} {metric}"] = per_user.tolist()

    add("model, among new:", _recalls(chosen, new.test))
    add("popularity by features, among new:", _recalls(popular, new.test))
    add("random, among new:", _of_scores(new.test, np.random.default_rng(seed).random((len(new.test), log.n_items))))
    if kind == "cold_items":
        add("so far, among new:", _of_scores(new.test, _so_far(log, new)))
        scale, warm = _best_scale(chosen, _sampled(split(log, "cold_items", among="warm")), everything)
        values["scale"] = [scale]
        for each in (1.0, scale):
            scaled = _scaled(chosen, each)
            add(f"model at scale {each:g}, among all:", _recalls(scaled, everything.test))
            add(f"warm at scale {each:g}:", _warm(scaled, warm))
        add("warm without new items:", _warm(chosen, _without_new(chosen, warm)))
    else:
        add("model at scale 1, among all:", _recalls(chosen, everything.test))
    return values


def _sampled(parts: Split) -> Split:
    """Return a split with at most `_MOST` users of each part, drawn by lot: the same ones, whatever is ranked."""
    valid, test = (
        part.take(np.sort(np.random.default_rng(0).permutation(len(part))[:_MOST]))
        for part in (parts.valid, parts.test)
    )
    return replace(parts, valid=valid, test=test)


def _best_ridge(base: Recommender, parts: Split) -> tuple[WithColdItems, float]:
    """Return the model with the ridge that validation prefers."""
    fitted = WithColdItems(base).fit(parts.train)
    learned = fitted.arrays()
    known = sp.csr_matrix(tuple(learned[f"known.{part}"] for part in ("data", "indices", "indptr")))
    models = []
    for ridge in RIDGES:
        inverse = ridge_inverse(known, ridge).astype(np.float32)
        model = WithColdItems(base, ridge=ridge).restore(fitted.fitted_on, {**learned, "inverse": inverse})
        models.append((float(_recalls(model, parts.valid)["recall@50"].mean()), ridge, model))
    _, ridge, model = max(models, key=lambda one: one[0])
    return model, ridge


def _best_scale(model: WithColdItems, warm: Split, everything: Split) -> tuple[float, Holdout]:
    """Return the scale that finds most new items on validation while warm items lose little, and the warm questions."""
    asked = warm.valid
    without = float(_warm(model, _without_new(model, asked))["ndcg@10"].mean())
    best, most = 1.0, -1.0
    for scale in SCALES:
        scaled = _scaled(model, scale)
        if float(_warm(scaled, asked)["ndcg@10"].mean()) < (1 - _WARM_LOSS) * without:
            continue
        reached = float(_recalls(scaled, everything.valid)["recall@50"].mean())
        if reached > most:
            best, most = scale, reached
    return best, warm.test


def _scaled(model: WithColdItems, scale: float) -> WithColdItems:
    """Return the fitted model with another scale."""
    arguments = {"features": model.features, "ridge": model.ridge, "scale": scale}
    return WithColdItems(model.base.unfitted(), **arguments).restore(model.fitted_on, model.arrays())  # type: ignore[arg-type]


def _without_new(model: WithColdItems, questions: Holdout) -> Holdout:
    """Return the questions with all new items excluded: the lists of the model within."""
    new = np.flatnonzero(model.is_new).astype(np.int32)
    excluded = questions.queries.excluded
    rows = [np.union1d(excluded.row(row), new).astype(np.int32) for row in range(len(questions))]
    return replace(questions, queries=replace(questions.queries, exclude=Ragged.of(rows)))


def _recalls(model: Recommender, questions: Holdout) -> PerUser:
    return _metrics(questions, model, ("recall",), _CUTOFFS)


def _warm(model: Recommender, questions: Holdout) -> PerUser:
    return _metrics(questions, model, ("ndcg", "recall"), (10,))


def _metrics(questions: Holdout, model: Recommender, names: Sequence[str], cutoffs: Sequence[int]) -> PerUser:
    asked = questions.take(np.flatnonzero(questions.relevant.lengths > 0))
    top, _ = rank(model, asked, max(cutoffs), batch_size=_BLOCK)
    return ranking_metrics(top, asked.relevant, [*cutoffs], [*names])


def _of_scores(questions: Holdout, scores: Floats | Doubles) -> PerUser:
    """Return the metrics of given scores, "questions items", of the candidates."""
    top = np.full((len(questions), max(_CUTOFFS)), UNKNOWN, np.int32)
    assert questions.candidates is not None
    for row in range(len(questions)):
        free = np.setdiff1d(questions.candidates.row(row), questions.queries.excluded.row(row))
        best = free[np.argsort(-scores[row, free], kind="stable")][: max(_CUTOFFS)]
        top[row, : len(best)] = best
    return ranking_metrics(top, questions.relevant, [*_CUTOFFS], ["recall"])


def _so_far(log: Interactions, parts: Split) -> Doubles:
    """Return "questions items": events on each item before the question; ties in a random order."""
    fitted = FittedOn.of(parts.train)
    numbers = fitted.items.numbers(log.items.ids)[log.item_num]
    order = np.argsort(log.time, kind="stable")
    times, items = log.time[order], numbers[order]
    scores = np.random.default_rng(0).random((len(parts.test), parts.train.n_items))
    counts: Ints = np.zeros(parts.train.n_items, np.int64)
    done = 0
    for row in np.argsort(parts.test.queries.now, kind="stable").tolist():
        until = int(np.searchsorted(times, parts.test.queries.now[row]))
        counts += np.bincount(items[done:until][items[done:until] != UNKNOWN], minlength=len(counts))
        done = until
        scores[row] += counts
    return scores


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def interval(values: Doubles) -> tuple[float, float]:
    """Return the 95% bootstrap interval of a mean.

    >>> interval(np.ones(10))
    (1.0, 1.0)
    """
    rng = np.random.default_rng(0)
    means = [float(values[rng.integers(0, len(values), len(values))].mean()) for _ in range(_DRAWS)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _report(found: Mapping[str, Mapping[str, list[float]]]) -> list[str]:
    groups: dict[str, list[Mapping[str, list[float]]]] = {}
    for label, values in found.items():
        log, rest = label.split("/")
        kind, _, model = rest.split("-")
        groups.setdefault(f"{log}, {kind}, {model}", []).append(values)
    rows, bars, warm = [], [], []
    for label, parts in groups.items():
        joined = {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}
        rows += _rows(label, joined)
        bars += _bars(label, joined)
        if "scale" in joined:
            warm += _warm_rows(label, joined)
    return [
        "# Items that training did not know",
        method(__doc__),
        "\n".join(f"- {name}: {value}" for name, value in environment().items()),
        "## Bars",
        bars_table(bars),
        "## Recall of new items",
        table(
            ["log, split, model", "ranked by", "recall@10", "recall@50", "model less this, recall@50", "ratio"], rows
        ),
        "## What warm items lose",
        table(
            ["log, model", "scale", "new items found, recall@50 among all", "warm NDCG@10", "difference [95%]"], warm
        ),
    ]


def _rows(label: str, joined: Mapping[str, Doubles]) -> list[list[str]]:
    own = joined["model, among new: recall@50"]
    draws = f"{len(joined['ridge'])} draws, " if "held_out" in label else ""
    ridges = "/".join(f"{ridge:g}" for ridge in joined["ridge"])
    facts = f"{label} ({draws}{int(joined['new items'].mean())} new, {len(own)} questions, ridge {ridges})"
    rows = []
    for opponent in ("model", "popularity by features", "so far", "random"):
        name = f"{opponent}, among new: recall@50"
        if name not in joined:
            continue
        other = joined[name]
        low, high = interval(own - other)
        against = "-" if opponent == "model" else f"{own.mean() - other.mean():+.4f} [{low:+.4f}, {high:+.4f}]"
        ten = joined[f"{opponent}, among new: recall@10"]
        ratio = "-" if opponent == "model" else f"{own.mean() / other.mean():.1f}"
        rows.append([facts, opponent, number(float(ten.mean())), number(float(other.mean())), against, ratio])
    return rows


def _bars(label: str, joined: Mapping[str, Doubles]) -> list[list[str]]:
    own, chance = (joined[f"{name}, among new: recall@50"] for name in ("model", "random"))
    features = joined["popularity by features, among new: recall@50"]
    rows = [
        bar(f"{label}: among new items, times {name}", "3", f"{own.mean() / other.mean():.1f}", _times(own, other))
        for name, other in (("popularity (a random order)", chance), ("popularity by features", features))
    ]
    among_all = joined["model at scale 1, among all: recall@50"]
    rows.append(
        bar(
            f"{label}: among all items, recall@50 (popularity: 0)",
            "> 0",
            number(float(among_all.mean())),
            bool(among_all.mean() > 0),
        )
    )
    if "scale" in joined:
        scale = float(joined["scale"][0])
        lost = joined[f"warm at scale {scale:g}: ndcg@10"] - joined["warm without new items: ndcg@10"]
        part = float(lost.mean() / joined["warm without new items: ndcg@10"].mean())
        rows.append(bar(f"{label}: warm NDCG@10 at scale {scale:g}", "-1%", f"{part:+.2%}", part >= -0.01))
    return rows


def _times(own: Doubles, other: Doubles) -> bool:
    return bool(own.mean() >= 3 * other.mean())


def _warm_rows(label: str, joined: Mapping[str, Doubles]) -> list[list[str]]:
    without = joined["warm without new items: ndcg@10"]
    rows = [[label, "no new items", "-", number(float(without.mean())), "-"]]
    for scale in sorted({1.0, float(joined["scale"][0])}):
        values = joined[f"warm at scale {scale:g}: ndcg@10"]
        low, high = interval(values - without)
        reached = number(float(joined[f"model at scale {scale:g}, among all: recall@50"].mean()))
        difference = f"{(values - without).mean():+.5f} [{low:+.5f}, {high:+.5f}]"
        rows.append([label, f"{scale:g}", reached, number(float(values.mean())), difference])
    return rows
