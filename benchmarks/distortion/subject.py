"""A log under a split, one model on it, and what slates of the model cost and leave."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, final

import numpy as np
import pandas as pd

from benchmarks.tools.cells import CellContent
from recsys.data.catalogue import datasets
from recsys.data.interactions import Interactions
from recsys.data.splits.holdout import Holdout, Split
from recsys.data.splits.names import SplitName
from recsys.data.splits.standard import split
from recsys.data.vocabulary import UNKNOWN
from recsys.evaluation.distortion import distortion
from recsys.evaluation.resampling import resamples
from recsys.evaluation.significance import compare
from recsys.experiments.distortion.frontier import BUDGETS, Candidates, Figures, families, of_tastes, winners
from recsys.models import EASE, PersonaEASE, Popularity, Slated, WithPersonas
from recsys.models.base import Recommendations, Recommender
from recsys.models.parameters import to_call
from recsys.slates import Calibrated, Determinantal, Diverse, Exact, Greedy, Pool, Seats, Slate
from recsys.types import Doubles
from recsys.worlds.simulation import simulated_log

N: Final = 10
_DRAWS: Final = 1000
_ENOUGH: Final = 0.1
"""Share of the history of a persona that should have a seat."""

ModelName = Literal["ease", "persona_ease"]

CRITERIA: Final[Mapping[str, Callable[[Figures, Figures], float]]] = {
    "tastes": of_tastes,
    "tastes and popularity": lambda own, plain: own.left(plain),
}
"""What should be least, by name."""


@final
@dataclass(frozen=True)
class Plan:
    """A log, how it is split, and EASE's regularisation on it.

    Attributes:
        n: events of each user that are held out last; None for other splits.
        splits: with random ones, over how many the questions are pooled.
        questions: of each split, at most.
    """

    log: str
    split: SplitName
    regularization: float
    n: int | None = None
    min_item_events: int = 1
    splits: int = 1
    questions: int = 6000

    @property
    def name(self) -> str:
        return f"{self.log}-{self.split}"

    def load(self) -> Interactions:
        """Return the log."""
        return simulated_log(n_users=300, n_items=400) if self.log == "simulated" else datasets.load(self.log)

    def parts(self, log: Interactions, number: int) -> Split:
        """Return one of the splits."""
        options: dict[str, Any] = {} if self.n is None else {"n": self.n}
        return split(log, self.split, seed=number, min_item_events=self.min_item_events, **options)


def asked(holdout: Holdout, most: int) -> Holdout:
    """Return at most so many questions of users with a history and something relevant."""
    rows = np.flatnonzero((holdout.queries.history.lengths > 0) & (holdout.relevant.lengths > 0))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    return holdout.take(rows)


def fitted(name: ModelName, plan: Plan, train: Interactions) -> Recommender:
    """Return a model with personas: found in every history, or shared groups of items."""
    if name == "ease":
        return WithPersonas(EASE(plan.regularization), slate=Seats()).fit(train)
    routed = PersonaEASE(
        4,
        5.0,
        cohesion=1.5,
        locality=0.2,
        user_power=0.1,
        history_power=0.4,
        item_power=0.1,
        routing_sharpness=3.0,
    )
    return Slated(routed, Seats()).fit(train)


def measured(plan: Plan, name: ModelName, say: Callable[[str], object] = print) -> CellContent:
    """Choose slates on validation questions and measure them on test questions.

    Args:
        plan: log and split.
        name: of the model.
        say: called with lines of progress.
    """
    log = plan.load()
    valid: list[Candidates] = []
    test: list[Candidates] = []
    models = []
    axes = ("tastes", "popularity", *(("personas",) if name == "ease" else ()))
    for number in range(plan.splits):
        parts = plan.parts(log, number)
        model = fitted(name, plan, parts.train)
        say(f"{plan.name} {name}: {parts}")
        models.append((model, parts))
        for found, holdout in ((valid, parts.valid), (test, parts.test)):
            found.append(Candidates.of(model, asked(holdout, plan.questions), parts.train, axes, n=N))
    kinds = families(personas=True)
    plain = Figures.pooled([part.figures(Greedy()) for part in test])
    rows, best = [], []
    for criterion, least in CRITERIA.items():
        chosen = winners(valid, kinds, criterion=least, say=say)
        of_valid = Figures.pooled([part.figures(Greedy()) for part in valid])
        for one in chosen:
            own = Figures.pooled([part.figures(one.slate) for part in test])
            rows.append(
                {
                    "criterion": criterion,
                    "family": one.family,
                    "budget": one.budget,
                    "slate": to_call(one.slate),
                    "valid cost": one.valid.cost(of_valid),
                    "valid left": least(one.valid, of_valid),
                    **_brief(own, plain),
                }
            )
        for budget in BUDGETS:
            affordable = [one for one in chosen if one.budget == budget]
            first = min(affordable, key=lambda one: least(one.valid, of_valid))
            say(f"{plan.name} {name}: {criterion} at {budget:.1%}: {first.slate}")
            best.append(
                {"criterion": criterion, "family": first.family, "budget": budget, **_in_full(test, first.slate)}
            )
    fixed = {kind: _in_full(test, slate) for kind, slate in FIXED.items()}
    return CellContent(
        {
            "questions": len(plain.ndcg),
            "users": len(set(np.concatenate([part.holdout.user_ids for part in test]).tolist())),
            "fingerprint": log.fingerprint[:12],
            "plain": _brief(plain, plain) | {"excess": plain.excess, "systematic": plain.systematic},
            "winners": rows,
            "best": best,
            "fixed": fixed,
            "exact": _exact(test[0]),
            "others": _others(plan, models, test) if name == "ease" else {},
            "cost": cost(models[0][0], test[0]),
        }
    )


FIXED: Final[Mapping[str, Slate]] = {
    "best scores": Greedy(),
    "MMR .3": Diverse(0.3),
    "DPP 4": Determinantal(4.0),
}
"""Measured in full whatever they cost."""


def _brief(own: Figures, plain: Figures) -> dict[str, Any]:
    ratio = {
        f"systematic {axis}": own.systematic[axis] / plain.systematic[axis] if plain.systematic[axis] else math.nan
        for axis in own.systematic
    }
    return {
        "ndcg": float(own.ndcg.mean()),
        "cost": own.cost(plain),
        "excess tastes": own.excess["tastes"],
        "excess popularity": own.excess["popularity"],
        "popularity left": own.excess["popularity"] / plain.excess["popularity"],
        **ratio,
    }


def _in_full(test: Sequence[Candidates], slate: Slate) -> dict[str, Any]:
    """Return all measures of a slate with intervals over users, beside the best scores."""
    found = [part.distortion(slate) for part in test]
    before = [part.distortion(Greedy()) for part in test]
    per_user, others = (pd.concat([one.per_user for one in each]) for each in (found, before))
    metrics = [name for name in per_user if name != "user_id"]
    mean, mean_before = (table.groupby("user_id", as_index=False)[metrics].mean() for table in (per_user, others))
    row = compare(mean_before, mean, [f"ndcg@{N}"]).iloc[0]
    return {
        "slate": to_call(slate),
        "cost": -float(row["relative"]),
        "cost low": -float(row["high"] / row["mean_a"]),
        "cost high": -float(row["low"] / row["mean_a"]),
        "p": float(row["p"]),
        "means": {name: float(mean[name].mean()) for name in metrics},
        "excess tastes": _mean_interval(mean[f"tastes_distance_excess@{N}"].to_numpy(np.float64)),
        "ratios": _ratios(test, slate),
        "rated hits": float(np.mean([one.rated_hits for one in found])),
        "axes": [{name: summary.to_dict() for name, summary in one.axes.items()} for one in found][:1],
    }


def _ratios(test: Sequence[Candidates], slate: Slate) -> dict[str, list[float]]:
    """Return what is left of the distortion of the best scores, each with a 95% interval; users are drawn for both."""
    drawn: dict[str, list[Doubles]] = {"systematic tastes": [], "excess popularity": []}
    for part in test:
        own, plain = part.figures(slate), part.figures(Greedy())
        deltas = [part.axes(part.chosen(each))[0].delta for each in (slate, Greedy())]
        excesses = [figures.by_user["popularity"] for figures in (own, plain)]
        known = np.isfinite(np.hstack([*deltas, *(excess[:, None] for excess in excesses)])).all(1)
        blocks = [
            np.stack([_systematic(weights, delta[known]) for delta in deltas])
            for weights in resamples(int(known.sum()), _DRAWS, 0)
        ]
        drawn["systematic tastes"].append(np.concatenate(blocks, axis=1))
        blocks = [
            np.stack([weights @ excess[known] for excess in excesses])
            for weights in resamples(int(known.sum()), _DRAWS, 0)
        ]
        drawn["excess popularity"].append(np.concatenate(blocks, axis=1))
    own, plain = (Figures.pooled([part.figures(each) for part in test]) for each in (slate, Greedy()))
    points = {
        "systematic tastes": own.systematic["tastes"] / plain.systematic["tastes"],
        "excess popularity": own.excess["popularity"] / plain.excess["popularity"],
    }
    found = {}
    for name, values in drawn.items():
        numerator, denominator = np.mean(values, axis=0)
        found[name] = [points[name], *np.quantile(numerator / denominator, [0.025, 0.975]).tolist()]
    return found


def _systematic(weights: Doubles, delta: Doubles) -> Doubles:
    """Return S of resamples, "resamples users", less the bias that resampling adds to that of the sample."""
    count = len(delta)
    size = ((weights @ delta / count) ** 2).sum(1)
    spread = (weights @ (delta**2).sum(1) / count - size) * count / (count - 1)
    return np.asarray(size - 2 * spread / count)


def _mean_interval(values: Doubles) -> list[float]:
    values = values[np.isfinite(values)]
    means = np.concatenate([weights @ values / len(values) for weights in resamples(len(values), _DRAWS, 0)])
    return [float(values.mean()), *np.quantile(means, [0.025, 0.975]).tolist()]


def _exact(part: Candidates) -> dict[str, Any]:
    """Compare the sum of scores of exact lists with that of a plain greedy under the same bounds, for every user."""
    found = {}
    for axes in (("tastes",), ("popularity",), ("tastes", "popularity")):
        some = part.pool.take(slice(0, 1000 if len(axes) > 1 else None))
        slate = Exact(axes, 0.5)
        greedy, kept = slate.plain_greedy(some, N)
        exact = slate.choose(some, N)
        value = _sums(some, exact)
        better = value - _sums(some, greedy)
        found[" and ".join(axes)] = {
            "users": len(value),
            "greedy finds none": float((~kept).mean()),
            "below": int((better[kept] < -1e-6).sum()),
            "above": float((better[kept] > 1e-6).mean()),
        }
    return found


def _sums(pool: Pool, chosen: np.ndarray) -> Doubles:
    scores = np.take_along_axis(pool.scores, np.maximum(chosen, 0), 1).astype(np.float64)
    return np.asarray(np.where(chosen == UNKNOWN, 0.0, scores).sum(1))


def seated(plan: Plan, name: ModelName) -> CellContent:
    """Return persona seats beside seats of tastes, and whether every persona of a tenth of the history has a seat."""
    parts = plan.parts(plan.load(), 0)
    model = fitted(name, plan, parts.train)
    asked_of = asked(parts.test, min(plan.questions, 2000))
    test = [Candidates.of(model, asked_of, parts.train, ("tastes", "popularity"), n=N, size=200)]
    plain = Figures.pooled([part.figures(Greedy()) for part in test])
    found: dict[str, Any] = {}
    for kind, slate in (
        ("personas .1", Seats(0.1, 0.0, 100)),
        ("personas .2", Seats(0.2, 0.0, 100)),
        ("personas .1, calibrated", Seats(0.1, 0.08, 100)),
        ("personas .2, calibrated", Seats(0.2, 0.08, 100)),
        ("personas .2, calibrated, floor", Seats(0.2, 0.08, 200, floor=_ENOUGH)),
        ("tastes .1", Seats(0.1, 0.0, 100, "tastes")),
        ("tastes .2", Seats(0.2, 0.0, 100, "tastes")),
        ("tastes .1, calibrated", Seats(0.1, 0.08, 100, "tastes")),
        ("tastes .2, calibrated", Seats(0.2, 0.08, 100, "tastes")),
    ):
        own = Figures.pooled([part.figures(slate) for part in test])
        seated, full = [], []
        for part in test:
            seating, chosen = part.pool.owned, part.chosen(slate)
            owner = np.where(chosen < 0, UNKNOWN, np.take_along_axis(seating.owner, np.maximum(chosen, 0), 1))
            has = (owner[:, :, None] == np.arange(seating.shares.shape[1])).any(1)
            due = seating.shares >= _ENOUGH
            available = (seating.owner[:, :, None] == np.arange(seating.shares.shape[1])).any(1)
            seated.append((has | ~due).all(1))
            full.append((available | ~due).all(1))
        found[kind] = _brief(own, plain) | {
            "every persona seated": float(np.concatenate(seated).mean()),
            "every persona has a candidate": float(np.concatenate(full).mean()),
        }
    return CellContent(found)


def _others(
    plan: Plan, models: Sequence[tuple[Recommender, Split]], test: Sequence[Candidates]
) -> dict[str, dict[str, Any]]:
    """Return utility and distortion of other models' best scores: what is chosen, and what is regretted."""
    found: dict[str, dict[str, Any]] = {}
    for name, make in (
        ("popularity", Popularity),
        ("EASE", partial(EASE, plan.regularization)),
        ("EASE on liked events", partial(EASE, plan.regularization, feedback="liked")),
    ):
        means, axes, rated = [], [], []
        for (_, parts), part in zip(models, test, strict=True):
            top = make().fit(parts.train).recommend(part.holdout.queries, N).items
            one = distortion(top, part.holdout, parts.train, tastes=part.tastes)
            means.append(one.means)
            rated.append(one.rated_hits)
            axes.append({axis: summary.to_dict() for axis, summary in one.axes.items()})
        found[name] = {
            "means": {key: float(np.mean([each[key] for each in means])) for key in means[0]},
            "systematic": {axis: float(np.mean([each[axis]["systematic"] for each in axes])) for axis in axes[0]},
            "sameness": {axis: float(np.mean([each[axis]["sameness"] for each in axes])) for axis in axes[0]},
            "direction": axes[0]["popularity"]["direction"],
            "rated hits": float(np.mean(rated)),
        }
    return found


def cost(model: Recommender, part: Candidates) -> dict[str, float]:
    """Return processor seconds of ranking some users, and of what slates add, over the same users."""
    assert isinstance(model, WithPersonas | Slated)
    queries = part.holdout.take(np.arange(min(2048, len(part.holdout)))).queries
    slated = Slated.around(model.base, Greedy(), part.train)
    found = {"users": float(len(queries)), "items": float(model.n_items)}
    best: Recommendations | None = None
    for name, size in (("warm up", N), ("ranking", N), ("ranking, 100 best", 100)):
        began = time.process_time()
        best = model.base.recommend(queries, size)
        found[name] = time.process_time() - began
    assert best is not None
    began = time.process_time()
    seating = slated.owners(queries).seating(np.arange(len(queries)), best.items)
    found["labels"] = time.process_time() - began
    pool = Pool(best.items, best.scores, seating)
    for slate in _TIMED:
        began = time.process_time()
        slate.choose(pool, N)
        found[to_call(slate)] = time.process_time() - began
    return found


_TIMED: Final[tuple[Slate, ...]] = (
    Calibrated(0.3),
    Calibrated(0.3, 0.3),
    Seats(0.2, 0.0, 100, "tastes"),
    Seats(0.2, 0.08, 100, "tastes", popularity=0.03),
    Seats(0.2, 0.08, 100),
    Diverse(),
    Determinantal(),
    Exact(("tastes",)),
)
