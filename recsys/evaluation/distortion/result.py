"""Utility and distortion of lists, of each user first, side by side and never as one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, final, get_args

import numpy as np
import pandas as pd

from recsys.checks import choice, whole
from recsys.data.interactions import Interactions
from recsys.data.queries import membership
from recsys.data.splits.holdout import Holdout
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import CapabilityError, ConfigError
from recsys.evaluation.distortion.axes import Axis, persona_axis, popularity_tastes, taste_axis
from recsys.evaluation.distortion.chance import Chance
from recsys.evaluation.distortion.measures import AxisSummary, along
from recsys.evaluation.holdout import evaluate_lists
from recsys.evaluation.result import Evaluation
from recsys.evaluation.tastes import Tastes
from recsys.models.base import Recommender
from recsys.types import Items

AxisName = Literal["tastes", "popularity", "personas"]

AXES: Final[tuple[AxisName, ...]] = get_args(AxisName)

UTILITY: Final = ("ndcg", "liked_ndcg", "regret")
"""What users chose, what they liked of it, and how often they regret a hit."""

_CALIBRATION: Final = ("tdd_excess", "ckl", "minority_recall")


@final
@dataclass(frozen=True, eq=False)
class Distortion:
    """Utility and distortion of the lists of one model.

    Attributes:
        per_user: one row per question: `user_id`; utility ("ndcg@10", "liked_ndcg@10", "regret@10"); calibration
            ("tdd_excess@10", "ckl@10", "minority_recall@10"); and of each axis, such as popularity,
            "popularity_distance_excess@10", "popularity_squared_excess@10" and "popularity_pull@10". NaN where one is
            not defined.
        axes: what is common to all, along each axis.
        cutoff: length of the lists.
        rated_hits: share of the hits that the user rated: regret knows of these alone; NaN without hits.
        notes: why something is not defined.
    """

    per_user: pd.DataFrame
    axes: Mapping[str, AxisSummary]
    cutoff: int
    rated_hits: float
    notes: tuple[str, ...] = ()

    @property
    def means(self) -> dict[str, float]:
        """The mean of every column over the users for whom it is defined."""
        return {str(name): float(self.per_user[name].mean()) for name in self.per_user if name != "user_id"}

    def joined(self, evaluation: Evaluation) -> Evaluation:
        """Return an evaluation of the same questions with the columns that it lacks.

        Raises:
            ConfigError: the evaluation is of other users.
        """
        table = evaluation.per_user
        if table["user_id"].tolist() != self.per_user["user_id"].tolist():
            raise ConfigError("the evaluation is of other questions than the distortion; measure both on one holdout")
        new = [str(name) for name in self.per_user if name not in table]
        joined = pd.concat([table, self.per_user[new].set_axis(table.index)], axis=1)
        return replace(evaluation, per_user=joined, metrics=(*evaluation.metrics, *new))

    def to_dict(self) -> dict[str, Any]:
        """Return means and summaries as plain values."""
        return {
            "cutoff": self.cutoff,
            "users": len(self.per_user),
            "means": self.means,
            "rated_hits": self.rated_hits,
            "axes": {name: summary.to_dict() for name, summary in self.axes.items()},
            "notes": list(self.notes),
        }


def axes_of(
    names: Sequence[str],
    holdout: Holdout,
    train: Interactions,
    top: Items,
    *,
    model: Recommender | None = None,
    owners: Items | None = None,
    tastes: Tastes | None = None,
) -> list[Axis]:
    """Return axes by name.

    Args:
        names: of `AXES`.
        holdout: the users.
        train: the training log, whose tastes and popularity count.
        top: "queries n", the lists.
        model: with found personas, for the axis of personas.
        owners: "queries n", who owns each item, where that is known.
        tastes: of `train`, where they are made already.

    Raises:
        ConfigError: there is no such axis, or one is named twice.
        CapabilityError: personas are asked of a model without, or without a model.
    """
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"axes are {', '.join(names) or 'none'}; give one or several of {', '.join(AXES)}, each once")
    for name in names:
        choice("axes", name, AxisName)
    history = holdout.queries.history
    axes = []
    for name in names:
        if name == "tastes":
            axes.append(taste_axis(name, Tastes.of(train) if tastes is None else tastes, history, top))
        elif name == "popularity":
            axes.append(taste_axis(name, popularity_tastes(train), history, top))
        elif model is None:
            raise CapabilityError("the axis of personas needs a model with found personas: distortion(..., model=...)")
        else:
            axes.append(persona_axis(model, holdout.queries, top, owners))
    return axes


def distortion(
    top: Items,
    holdout: Holdout,
    train: Interactions,
    axes: Sequence[str] = ("tastes", "popularity"),
    *,
    model: Recommender | None = None,
    owners: Items | None = None,
    tastes: Tastes | None = None,
    seed: int = 0,
) -> Distortion:
    """Return utility and distortion of lists; see `recsys.evaluation.distortion.measures` for the formulas.

    Args:
        top: "queries n", item numbers, best first, `UNKNOWN` where there is none.
        holdout: the questions.
        train: the training log.
        axes: of `AXES`.
        model, owners, tastes: see `axes_of`.
        seed: of draws and resamples.

    Raises:
        ConfigError: there is no such axis, or the lists are of no length.
        CapabilityError: personas are asked of a model without.
    """
    partition = Tastes.of(train) if tastes is None else tastes
    found = axes_of(axes, holdout, train, top, model=model, owners=owners, tastes=partition)
    chances = [Chance(axis, seed) for axis in found]
    evaluation = evaluate_lists(top, holdout, train, metrics=UTILITY, cutoffs=top.shape[1], tastes=partition)
    return measure(found, chances, evaluation, top, holdout, seed=seed)


def measure(
    axes: Sequence[Axis],
    chances: Sequence[Chance],
    evaluation: Evaluation,
    top: Items,
    holdout: Holdout,
    *,
    seed: int = 0,
) -> Distortion:
    """Return the distortion of lists along axes that are made already, so that several slates share what is the same.

    Args:
        axes: of the lists.
        chances: of the same histories, one for each axis.
        evaluation: of the lists.
        top: "queries n".
        holdout: the questions.
        seed: of resamples.
    """
    k = top.shape[1]
    whole("cutoff", k)
    kept = [f"{name}@{k}" for name in (*UTILITY, *_CALIBRATION)]
    columns: dict[str, Any] = {"user_id": evaluation.per_user["user_id"]}
    columns |= {name: evaluation.per_user[name] for name in kept if name in evaluation.per_user}
    summaries = {}
    for axis, chance in zip(axes, chances, strict=True):
        values, summaries[axis.name] = along(axis, chance, seed=seed)
        for name in ("distance_excess", "squared_excess", "pull"):
            columns[f"{axis.name}_{name}@{k}"] = getattr(values, name)
    notes = [f"{name}: {why}" for name, why in evaluation.undefined.items()]
    notes += [
        f"{summary.without} users have no history or no list along {name}, and do not count there"
        for name, summary in summaries.items()
        if summary.without
    ]
    return Distortion(pd.DataFrame(columns), summaries, k, _rated_hits(top, holdout), tuple(notes))


def _rated_hits(top: Items, holdout: Holdout) -> float:
    """Return the share of the hits that came with a rating."""
    if holdout.values is None or holdout.scale is None:
        return float("nan")
    relevant = holdout.relevant
    rated = relevant.select(np.isfinite(holdout.values))
    hits = int(membership(top, relevant)[top != UNKNOWN].sum())
    return float(membership(top, rated)[top != UNKNOWN].sum() / hits) if hits else float("nan")
