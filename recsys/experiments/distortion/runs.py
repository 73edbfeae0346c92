"""Utility and distortion of a run's lists, beside the best scores of its model, and what less distortion costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.splits.holdout import Holdout
from recsys.errors import CapabilityError, ConfigError
from recsys.evaluation.distortion import Distortion, axes_of, distortion
from recsys.experiments.configuration import read_filters
from recsys.experiments.distortion.frontier import Candidates, Figures, answerable, families, winners
from recsys.experiments.run_log import LogRecord, questions_again
from recsys.experiments.runs import CONFIG, load_model, read_metrics, run_data
from recsys.models import Popularity, Slated, WithPersonas
from recsys.models.base import Recommender
from recsys.models.capabilities import OwnSlate, RoutesItems
from recsys.models.parameters import to_call
from recsys.slates import Greedy, Slate

_LENGTH = 10


def run_distortion(
    run: Path,
    source: str | None = None,
    axes: Sequence[str] = ("tastes", "popularity"),
    *,
    frontier: bool = False,
    columns: Mapping[str, Any] | None = None,
    allow: Iterable[type | str] = (),
    say: Callable[[str], object] = lambda _: None,
) -> dict[str, Any]:
    """Return utility and distortion of a run's test lists as plain values.

    `lists` holds the measures of the run's own lists, of the best scores of its model, and of the most popular items.
    `lift` holds what the run's lists have over the most popular items, in what is chosen, liked and regretted, and what
    they have in distortion over the best scores, apart. `frontier`, if asked for, holds for each kind of slate and
    each loss of NDCG the settings that validation chose, with costs and distortions on test.

    Args:
        run: directory of a finished run.
        source: read the log from here instead of where the run read it.
        axes: of `recsys.evaluation.distortion.AXES`.
        frontier: whether slates are compared.
        columns: how to read the log, in addition to what the run recorded.
        allow: classes from elsewhere that the bundle may name.
        say: called with lines of progress.

    Raises:
        ConfigError: there is no such axis, or none by which the frontier is chosen.
        CapabilityError: personas are asked of a model without.
        DataError: the log is not the one that the run read.
    """
    if frontier and not {"tastes", "popularity"} & set(axes):
        raise ConfigError("the frontier is chosen by distortion of tastes and popularity; add one of these axes")
    model = load_model(run, allow)
    if "personas" in axes and not isinstance(model, WithPersonas):
        raise CapabilityError(
            f"{type(model).__name__} has no found personas, so that lists have no axis of personas; leave it out, or "
            "train configs/ease_personas.yaml"
        )
    data, record = run_data(run, source, columns), LogRecord.read(read_metrics(run))
    filters = read_filters(run / CONFIG)
    test, train = questions_again(run, data, record, filters)
    axes_of(axes, test.take(np.arange(0)), train, np.zeros((0, 1), np.int32), model=model)  # refused before anything
    test = answerable(model, test)
    own = model.recommend(test.queries, _LENGTH)
    plain = model.recommend(test.queries, _LENGTH, slate=Greedy())
    popular = Popularity().fit(train).recommend(test.queries, _LENGTH)
    say(f"measuring lists of {len(test)} users")
    lists = {
        name: distortion(items, test, train, axes, model=model, owners=owners)
        for name, items, owners in (
            ("this run", own.items, own.owners if isinstance(model, WithPersonas) else None),
            ("best scores", plain.items, None),
            ("most popular", popular.items, None),
        )
    }
    found: dict[str, Any] = {
        "slate": to_call(slate_of(model)),
        "lists": {name: one.to_dict() for name, one in lists.items()},
        "lift": _lift(lists),
    }
    if frontier:
        valid, _ = questions_again(run, data, record, filters, "valid")
        found["frontier"] = _frontier(model, valid, test, train, axes, say)
    return found


def slate_of(model: Recommender) -> Slate:
    """Return what makes a model's lists."""
    return model.chosen_slate if isinstance(model, OwnSlate) else Greedy()


def _lift(lists: Mapping[str, Distortion]) -> dict[str, Any]:
    """Return differences, of utility from the most popular items and of distortion from the best scores."""
    own, plain, popular = (lists[name].means for name in ("this run", "best scores", "most popular"))
    utility = {
        name: own[name] - popular[name] for name in own if name.split("@")[0] in ("ndcg", "liked_ndcg", "regret")
    }
    excess = {name: own[name] - plain[name] for name in own if "excess" in name}
    systematic = {
        axis: lists["this run"].axes[axis].systematic - lists["best scores"].axes[axis].systematic
        for axis in lists["this run"].axes
    }
    return {"utility": utility, "distortion": excess | {f"{axis}_systematic": s for axis, s in systematic.items()}}


def _frontier(
    model: Recommender,
    valid: Holdout,
    test: Holdout,
    train: Interactions,
    axes: Sequence[str],
    say: Callable[[str], object],
) -> list[dict[str, Any]]:
    base = model.base if isinstance(model, Slated) else model
    personas = isinstance(model, WithPersonas) or isinstance(base, RoutesItems)
    choosing, reported = (Candidates.of(base, holdout, train, axes) for holdout in (valid, test))
    plain_valid, plain = choosing.figures(Greedy()), reported.figures(Greedy())
    rows = [_point("best scores", 0.0, plain, plain, 0.0)]
    for one in winners([choosing], families(personas=personas), say=say):
        figures = reported.figures(one.slate)
        rows.append(_point(one.family, one.budget, figures, plain, one.valid.cost(plain_valid)))
    return rows


def _point(family: str, budget: float, figures: Figures, plain: Figures, chosen_at: float) -> dict[str, Any]:
    cost = figures.cost(plain)
    return {
        "family": family,
        "budget": budget,
        "slate": to_call(figures.slate),
        "validation_cost": chosen_at,
        "cost": cost,
        "left": figures.left(plain),
        "excess": dict(figures.excess),
        "systematic": dict(figures.systematic),
        # How much distortion one per cent of NDCG buys; None where it is bought for nothing.
        "exchange": {
            axis: (plain.excess[axis] - figures.excess[axis]) / (100 * cost) if cost > 1e-4 else None
            for axis in figures.excess
        },
    }


def curves(frontier: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Return the lines of the picture of a frontier: by measure and kind of slate, (change of NDCG in %, value).

    Args:
        frontier: of `run_distortion`, or rows with the same keys.
    """
    plain = next(row for row in frontier if row["family"] == "best scores")
    measures = [
        ("systematic, tastes", "systematic", "tastes"),
        *((f"excess, {axis}", "excess", axis) for axis in plain["excess"]),
    ]
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name, key, axis in measures:
        if axis not in plain[key]:
            continue
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in frontier:
            if row["family"] != "best scores":
                line = lines.setdefault(row["family"], [(0.0, plain[key][axis])])
                point = (-100 * row["cost"], row[key][axis])
                if point not in line:
                    line.append(point)
        found[name] = lines
    return found
