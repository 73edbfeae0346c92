"""What less distortion costs: slates of one model, their settings chosen on validation, measured on test.

All slates choose from the same candidates with the same scores, so that they are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.splits.holdout import Holdout
from recsys.data.vocabulary import UNKNOWN
from recsys.errors import ConfigError
from recsys.evaluation.calibration import taste_distance
from recsys.evaluation.distortion import Axis, Chance, Distortion, axes_of, mean_of_known, measure
from recsys.evaluation.holdout import evaluate_lists
from recsys.evaluation.metrics import ranking_metrics
from recsys.evaluation.tastes import Tastes
from recsys.models import Slated, WithPersonas
from recsys.models.base import Recommender
from recsys.models.capabilities import RoutesItems
from recsys.models.parameters import to_call
from recsys.models.personas.content import systematic_distortion
from recsys.models.slated import LabelOwners
from recsys.slates import Calibrated, Determinantal, Diverse, Exact, Greedy, Owners, Pool, Seats, Slate
from recsys.types import Doubles, Ints

Families = Mapping[str, Sequence[Slate]]
"""Slates by what kind they are, each kind from mild to strong."""

BUDGETS: Final = (0.005, 0.01, 0.02, 0.05)
"""Relative losses of NDCG that may be paid."""

_CALIBRATION: Final = (0.02, 0.04, 0.08, 0.12, 0.2)
_POPULARITY: Final = (0.01, 0.02, 0.03, 0.05)
_QUOTAS: Final = (0.2, 0.35, 0.5, 0.7, 1.0)


def families(*, personas: bool, size: int = 100) -> dict[str, tuple[Slate, ...]]:
    """Return the kinds of slates that a frontier compares; those over personas only where there are some.

    Args:
        personas: whether personas own items.
        size: number of candidates of each.
    """
    found: dict[str, tuple[Slate, ...]] = {
        "calibrated (Steck)": tuple(Calibrated(weight, size=size) for weight in (0.05, 0.1, 0.2, 0.3, 0.43, 0.6, 1.0)),
        "calibrated, popularity too": tuple(
            Calibrated(weight, popularity, size)
            for weight in (0.05, 0.15, 0.3, 0.6)
            for popularity in (0.1, 0.2, 0.4, 0.7)
        ),
        "seats of tastes": tuple(
            Seats(weight, calibration, size, "tastes")
            for weight in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
            for calibration in (0.0, 0.04, 0.1)
        ),
        "seats of tastes, popularity too": tuple(
            Seats(weight, calibration, size, "tastes", popularity=popularity)
            for weight in (0.05, 0.1, 0.2, 0.3)
            for calibration in (0.0, 0.04, 0.1)
            for popularity in _POPULARITY
        ),
        "nearest mixture": tuple(Seats(0.0, calibration, size, "tastes") for calibration in _CALIBRATION),
        "diverse (MMR)": tuple(Diverse(weight, size) for weight in (0.05, 0.1, 0.2, 0.3, 0.5)),
        "determinantal (DPP)": tuple(Determinantal(theta, size) for theta in (20.0, 10.0, 6.0, 4.0, 2.0)),
        "exact, tastes": tuple(Exact(("tastes",), weight, size) for weight in _QUOTAS),
        "exact, popularity": tuple(Exact(("popularity",), weight, size) for weight in _QUOTAS),
    }
    if personas:
        found["seats of personas"] = tuple(
            Seats(weight, calibration, size)
            for weight in (0.05, 0.1, 0.2, 0.3)
            for calibration in (0.0, 0.04, 0.08, 0.12)
        )
        found["seats of personas, popularity too"] = tuple(
            Seats(weight, calibration, size, popularity=popularity)
            for weight in (0.05, 0.1, 0.2)
            for calibration in (0.04, 0.08, 0.12)
            for popularity in _POPULARITY
        )
        found["exact, personas"] = tuple(Exact(("personas",), weight, size) for weight in _QUOTAS)
    return found


@final
@dataclass(frozen=True, eq=False)
class Candidates:
    """The questions of a holdout with the best-scored items of each, from which every slate chooses.

    Attributes:
        model: fitted.
        holdout: questions of users with a history and something relevant.
        train: the training log.
        pool: the candidates.
        within: axes of the candidates, as if they were lists.
        chances: of the same histories.
        tastes: of the training log.
        n: length of the lists.
    """

    model: Recommender
    holdout: Holdout
    train: Interactions
    pool: Pool
    within: tuple[Axis, ...]
    chances: tuple[Chance, ...]
    tastes: Tastes
    n: int
    _measured: dict[str, Figures] = field(default_factory=dict, repr=False)
    _in_full: dict[str, Distortion] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        model: Recommender,
        holdout: Holdout,
        train: Interactions,
        axes: Sequence[str],
        *,
        n: int = 10,
        size: int = 100,
        tastes: Tastes | None = None,
    ) -> Candidates:
        """Score the candidates of the questions.

        Args:
            model: fitted; with found personas for an axis of personas.
            holdout: questions; those without a history, or without anything relevant, are left out.
            train: the training log.
            axes: of `recsys.evaluation.distortion.AXES`.
            n: length of the lists.
            size: candidates of each question.
            tastes: of the training log, where they are made already.

        Raises:
            ConfigError: there are fewer candidates than places, or no question is left.
        """
        if size < n:
            raise ConfigError(f"the pool has {size} candidates for lists of {n}; it must have at least as many")
        holdout = answerable(model, holdout)
        partition = Tastes.of(train) if tastes is None else tastes
        queries, owners = holdout.queries, owners_of(model, holdout, train)
        best = model.recommend(queries, min(size, model.n_items), slate=Greedy())
        seating = owners.seating(np.arange(len(queries)), best.items)
        pool = Pool(best.items, best.scores, seating)
        owned = None if isinstance(owners, LabelOwners) else seating.owner
        within = axes_of(axes, holdout, train, best.items, model=model, owners=owned, tastes=partition)
        return cls(model, holdout, train, pool, tuple(within), tuple(map(Chance, within)), partition, n)

    def chosen(self, slate: Slate) -> Ints:
        """Return the list of a slate, "queries n", as positions in the pool."""
        return slate.choose(self.pool.take(slice(None), max(self.n, slate.pool)), self.n)

    def axes(self, chosen: Ints) -> list[Axis]:
        """Return the axes of some lists."""
        place = np.maximum(chosen, 0)
        return [
            axis.listing(np.where(chosen < 0, UNKNOWN, np.take_along_axis(axis.listed, place, 1)).astype(np.int32))
            for axis in self.within
        ]

    def figures(self, slate: Slate) -> Figures:
        """Return utility and distortion of a slate in brief, computed once."""
        key = to_call(slate)
        if key not in self._measured:
            chosen = self.chosen(slate)
            ndcg = ranking_metrics(self.pool.listed(chosen), self.holdout.relevant, [self.n], ["ndcg"])
            (values,) = ndcg.values()
            by_user, systematic = {}, {}
            for axis, chance in zip(self.axes(chosen), self.chances, strict=True):
                by_user[axis.name] = taste_distance(axis.histories, axis.lists) - chance.distance(axis)
                systematic[axis.name] = systematic_distortion(axis.histories, axis.lists)
            self._measured[key] = Figures(slate, values, by_user, systematic)
        return self._measured[key]

    def distortion(self, slate: Slate, *, seed: int = 0) -> Distortion:
        """Return all measures of a slate, computed once."""
        key = f"{to_call(slate)} {seed}"
        if key in self._in_full:
            return self._in_full[key]
        chosen = self.chosen(slate)
        top = self.pool.listed(chosen).astype(np.int32)
        evaluation = evaluate_lists(
            top, self.holdout, self.train, metrics=("ndcg", "liked_ndcg", "regret"), cutoffs=self.n, tastes=self.tastes
        )
        self._in_full[key] = measure(self.axes(chosen), self.chances, evaluation, top, self.holdout, seed=seed)
        return self._in_full[key]


def answerable(model: Recommender, holdout: Holdout) -> Holdout:
    """Return the questions that the model can answer, of users with a history and something relevant.

    Raises:
        ConfigError: there is none.
    """
    asked = (holdout.queries.history.lengths > 0) & (holdout.relevant.lengths > 0)
    if model.needs_known_users:
        asked &= holdout.queries.users >= 0
    if not asked.any():
        raise ConfigError("no question has a history and something relevant, so that nothing can be measured")
    return holdout.take(np.flatnonzero(asked))


def owners_of(model: Recommender, holdout: Holdout, train: Interactions) -> Owners:
    """Return who owns the seats of lists: found personas, or labels of items."""
    if isinstance(model, WithPersonas):
        return model.owners(holdout.queries, model.found(holdout.queries))
    if isinstance(model, Slated):
        return model.owners(holdout.queries)
    slate = Seats() if isinstance(model, RoutesItems) else Greedy()
    return Slated.around(model, slate, train).owners(holdout.queries)


@final
@dataclass(frozen=True, eq=False)
class Figures:
    """Utility and distortion of one slate in brief.

    Attributes:
        slate: what made the lists.
        ndcg: "queries".
        by_user: "queries", distance of Jensen and Shannon beyond chance, by axis.
        systematic: S, by axis.
    """

    slate: Slate
    ndcg: Doubles
    by_user: Mapping[str, Doubles]
    systematic: Mapping[str, float]

    @cached_property
    def excess(self) -> Mapping[str, float]:
        """The mean of `by_user` over the users for whom it is defined, by axis; NaN without any."""
        return {axis: mean_of_known(values) for axis, values in self.by_user.items()}

    @classmethod
    def pooled(cls, parts: Sequence[Figures]) -> Figures:
        """Return the figures of one slate on several sets of questions: all questions, the mean of S."""
        by_user = {axis: np.concatenate([part.by_user[axis] for part in parts]) for axis in parts[0].by_user}
        systematic = {axis: float(np.mean([part.systematic[axis] for part in parts])) for axis in parts[0].systematic}
        return cls(parts[0].slate, np.concatenate([part.ndcg for part in parts]), by_user, systematic)

    def cost(self, plain: Figures, errors: float = 0.0) -> float:
        """Return the relative loss of NDCG against the best scores, below 0 a gain, and so many standard errors.

        NaN where the best scores find nothing.
        """
        lost = plain.ndcg - self.ndcg
        error = errors * lost.std() / max(1.0, np.sqrt(len(lost)))
        found = float(plain.ndcg.mean())
        return float((lost.mean() + error) / found) if found > 0 else float("nan")

    def left(self, plain: Figures, axes: Sequence[str] = ("tastes", "popularity")) -> float:
        """Return how much of the distortion of the best scores is left: the mean of ratios, none below 0.

        The ratios are those of each axis' excess, and of the systematic part of tastes, where the best scores have any.
        """
        pairs = [(self.excess[axis], plain.excess[axis]) for axis in axes if axis in self.excess]
        if "tastes" in axes and "tastes" in self.systematic:
            pairs.append((self.systematic["tastes"], plain.systematic["tastes"]))
        ratios = [max(own, 0.0) / of_plain for own, of_plain in pairs if of_plain > 0]
        return float(np.mean(ratios)) if ratios else 1.0


@final
@dataclass(frozen=True, eq=False)
class Winner:
    """The slate of one kind, or of all, that leaves least distortion for at most so much NDCG on validation.

    Attributes:
        family: its kind.
        budget: of the choice.
        slate: with its settings; the best scores where nothing is so cheap.
        valid: on the questions of the choice.
    """

    family: str
    budget: float
    slate: Slate
    valid: Figures


def of_tastes(own: Figures, plain: Figures) -> float:
    """Return how much of the distortion of tastes is left: the mean of the ratios of systematic part and excess."""
    return own.left(plain, ("tastes",))


def winners(
    candidates: Sequence[Candidates],
    kinds: Families,
    budgets: Sequence[float] = BUDGETS,
    *,
    criterion: Callable[[Figures, Figures], float] = lambda own, plain: own.left(plain),
    say: Callable[[str], object] = lambda _: None,
) -> list[Winner]:
    """Choose the settings of each kind of slate on validation questions.

    A setting is cheap enough if its loss of NDCG and one standard error of it are within the budget, or if it gains.

    Args:
        candidates: of the validation questions, of one split or of several.
        kinds: slates by their kind.
        budgets: relative losses of NDCG.
        criterion: from a slate's figures and those of the best scores to what should be least.
        say: called with a line for each kind.
    """

    def pooled(slate: Slate) -> Figures:
        return Figures.pooled([part.figures(slate) for part in candidates])

    plain = pooled(Greedy())
    found = []
    for family, slates in kinds.items():
        figures = [pooled(slate) for slate in slates]
        say(f"{family}: {len(figures)} settings")
        for budget in budgets:
            cheap = [one for one in figures if one.cost(plain, 1.0) <= budget]
            best = min([plain, *cheap], key=lambda one: criterion(one, plain))
            found.append(Winner(family, budget, best.slate, best))
    return found
