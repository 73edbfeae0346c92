"""The part `masked`: new users judge pairs that are taken out of their histories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from recsys.data.interactions import Interactions
from recsys.evaluation.disagreement import Disagreement
from recsys.evaluation.disagreement.protocols import halves, masked
from recsys.evaluation.disagreement.social_choice import (
    Electorate,
    Lottery,
    borda,
    egalitarian,
    maximal_lottery,
    nash_welfare,
)
from recsys.models import SignedLinear
from recsys.types import Doubles

_ALONE: Final = {"rank": 0, "damping": 0.0}
SETTINGS: Final[tuple[Mapping[str, Any], ...]] = (
    {"targets": "all", "regularization": 700.0, "presence": 0.0, **_ALONE},
    {"targets": "all", "regularization": 700.0, "presence": 8.0, **_ALONE},
    {"targets": "rated", "regularization": 400.0, "presence": 0.0, **_ALONE},
    {"targets": "rated", "regularization": 400.0, "presence": 8.0, **_ALONE},
    {"targets": "rated", "regularization": 600.0, "presence": 8.0, "rank": 0, "damping": 0.5},
    {"targets": "rated", "regularization": 600.0, "presence": 8.0, "rank": 16, "shared": 16.0, "damping": 0.5},
    {"targets": "rated", "regularization": 1000.0, "presence": 8.0, "rank": 16, "shared": 64.0, "damping": 0.5},
    {"targets": "rated", "regularization": 1000.0, "presence": 8.0, "rank": 32, "shared": 64.0, "damping": 0.5},
    {"targets": "rated", "regularization": 1000.0, "presence": 8.0, "rank": 16, "shared": 256.0, "damping": 0.5},
)
"""The trials; the first is EASE on signed residuals."""
LIST: Final = 10


@final
@dataclass(frozen=True)
class Masked:
    """The chosen setting, what the trials measured on validation users, and the results on the others."""

    setting: Mapping[str, Any]
    trials: list[tuple[Mapping[str, Any], float]]
    chosen: Disagreement
    plain: Disagreement


def run(log: Interactions, raters: int, seed: int = 0) -> Masked:
    """Choose a setting on users of the first half, then measure it, and the first trial, on the second.

    Two thirds of the first half fit, one third judges, with half of the raters per pair; the trial with the smallest
    unhappy share of contested pairs is chosen. Both results are of models fitted on the whole first half.
    """
    learned, judging = halves(log, seed)
    inside = np.unique(learned.user_num)
    fits = np.zeros(log.n_users, np.bool_)
    fits[np.random.default_rng(seed).permutation(inside)[: 2 * len(inside) // 3]] = True
    part, other = learned.select(fits[learned.user_num]), learned.select(~fits[learned.user_num])
    trials: list[tuple[Mapping[str, Any], float]] = []
    for setting in SETTINGS:
        found = masked(SignedLinear(**setting).fit(part), part, other, raters=max(1, raters // 2))
        trials.append((setting, 1 - found.overall["contested_accuracy_model"]))
        print(f"masked, {setting}: contested {trials[-1][1]:.4f} on validation users", flush=True)
    setting = min(trials, key=lambda trial: trial[1])[0]
    chosen, plain = (
        masked(SignedLinear(**each).fit(learned), learned, judging, raters=raters) for each in (setting, SETTINGS[0])
    )
    print(chosen.bins.round(4).to_string(), flush=True)
    return Masked(setting, trials, chosen, plain)


def aggregates(log: Interactions, items: int, least: int, seed: int = 0) -> dict[str, dict[str, float]]:
    """Return what one list for all is worth to whom, by the rule that chose it.

    Rules see one half of the users' utilities; they are measured on the other half. A user's best possible list is the
    personal bar that no model reaches.
    """
    electorate = Electorate.of(log, items, least)
    half = np.random.default_rng(seed).random(len(electorate.users)) < 0.5
    parts = [
        Electorate(electorate.items, electorate.users[side], electorate.utility[side], electorate.rated[side])
        for side in (half, ~half)
    ]
    seen, other = parts
    preferring = seen.preferring()
    lotteries = [
        borda(preferring, LIST),
        borda(preferring, 1),
        maximal_lottery(preferring, 1),
        nash_welfare(seen, LIST),
        egalitarian(seen, LIST),
        Lottery(np.full(len(electorate.items), 1 / len(electorate.items)), "every item alike"),
    ]
    names = [f"Borda, {LIST} items", "Borda, one item", "maximal lottery, one item"]
    names += [f"Nash, {LIST} items", f"egalitarian, {LIST} items", "every item alike"]
    own = other.utility.mean(1)
    found = {}
    for name, lottery in zip(names, lotteries, strict=True):
        utility = lottery.utilities(other)
        found[name] = _summary(utility, own) | {"items": float((lottery.weights > 1e-4).sum())}
    best = -np.sort(-other.utility, axis=1)[:, :LIST].mean(1)
    found[f"each user's own best {LIST}"] = _summary(best, own) | {"items": float(LIST)}
    return found


def _summary(utility: Doubles, own: Doubles) -> dict[str, float]:
    tenth = max(1, len(utility) // 10)
    return {
        "mean": float(utility.mean()),
        "worst_decile": float(np.sort(utility)[:tenth].mean()),
        "below_own_average": float((utility < own).mean()),
    }
