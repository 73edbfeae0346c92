"""Who gets what they prefer: by how split a pair is, on the side of the minority and of the majority, per user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.checks import whole
from recsys.errors import ConfigError
from recsys.evaluation.disagreement.bounds import hindsight_bound
from recsys.evaluation.disagreement.denoised import share_below
from recsys.evaluation.disagreement.judgements import Judgements, right
from recsys.evaluation.resampling import Resampling
from recsys.files import json_values
from recsys.types import Doubles, Mask

BINS: Final = (0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Edges of the bins of the split, the share of the larger side of a pair."""
CONTESTED: Final = 0.6
CLEAR_GAP: Final = 2.0
_EDGE = 1e-9


@final
@dataclass(frozen=True, eq=False)
class Disagreement:
    """What a model does for users who disagree, beside one rule for all.

    Attributes:
        bins: a row per bin of the split: `low`, `high`, `pairs`, `judgements`; `bound`, the least error of any pooled
            rule on these judgements; `pooled` and `model`, the shares of judgements that they get wrong; `margin`,
            bound - model, with `margin_low`, `margin_high`, the 95% interval over users; `clear`, accuracy of the model
            where the ratings are at least 2 apart; `minority`, `majority`, its accuracy on either side, and
            `minority_pooled`, `majority_pooled` those of the pooled rule; `regret`, majority - minority. NaN in a bin
            without judgements, which is never filled.
        per_user: a row per user: `user_id`, `judged`, `right`, `pooled`; `contested` and, of these,
            `contested_right`, `contested_pooled` in counts; `minority`, `minority_right`, `majority_right` in counts.
        overall: means over judgements and users, by name.
        protocol: how it was asked.
        unrated: events without a rating, which were not judged.
    """

    bins: pd.DataFrame
    per_user: pd.DataFrame
    overall: dict[str, float]
    protocol: str
    unrated: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the users as plain values."""
        rows = [{str(name): value for name, value in row.items()} for row in self.bins.to_dict("records")]
        plain = {"protocol": self.protocol, "unrated": self.unrated, "overall": self.overall, "bins": rows}
        return {str(name): value for name, value in json_values(plain).items()}


@final
@dataclass(frozen=True)
class Counting:
    """How judgements are counted.

    Attributes:
        bins: rising edges from .5 to 1.
        least: contested judgements from which on a user counts in the shares of users.
        seed: of the interval, and of the halves of the cross-fitted decile.

    Raises:
        ConfigError: the edges do not rise from .5 to 1.
    """

    bins: Sequence[float] = BINS
    least: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        edges = np.asarray(self.bins, np.float64)
        if len(edges) < 2 or edges[0] != 0.5 or edges[-1] != 1 or not (np.diff(edges) > 0).all():
            raise ConfigError(f"bins are {list(self.bins)}; give edges that rise from 0.5 to 1, such as {list(BINS)}")
        whole("least", self.least)


def measure(
    judged: Judgements,
    margins: Mapping[str, Doubles],
    split: Doubles,
    majority: Mask,
    user_ids: npt.NDArray[Any],
    *,
    protocol: str,
    exact: bool,
    counting: Counting = Counting(),
    unrated: int = 0,
) -> Disagreement:
    """Summarise what a model and a pooled rule do with judgements.

    Args:
        judged: the judgements.
        margins: of "model" and "pooled": "judgements", s(preferred) - s(other).
        split: "judgements", the share of the larger side of the pair; NaN where it is not known: in no bin.
        majority: "judgements", whether the user is on that side.
        user_ids: "users", external ids.
        protocol: its name.
        exact: whether split and sides are those of these judgements, so that the bound is one.
        counting: bins and least numbers.
        unrated: events that could not be judged.
    """
    good = {name: right(margin) for name, margin in margins.items()}
    place = np.clip(np.searchsorted(np.asarray(counting.bins) + _EDGE, split, side="left") - 1, 0, None)
    place = np.where(split <= counting.bins[0] + _EDGE, 0, place)
    rows = []
    for number, (low, high) in enumerate(zip(counting.bins[:-1], counting.bins[1:], strict=True)):
        inside = place == number
        rows.append({"low": low, "high": high} | _bin(judged, good, majority, inside, exact, counting.seed))
    contested = split < CONTESTED + _EDGE
    known = np.isfinite(split)
    per_user = _per_user(judged, good, contested, majority & known, known & ~majority, user_ids)
    overall = {"accuracy_model": _mean(good["model"]), "accuracy_pooled": _mean(good["pooled"][known])}
    for name, values in good.items():
        overall |= {
            f"contested_accuracy_{name}": _mean(values[contested]),
            f"consensus_accuracy_{name}": _mean(values[split > 0.8 + _EDGE]),
            f"clear_accuracy_{name}": _mean(values[judged.gap >= CLEAR_GAP]),
        }
        overall |= {f"{key}_{name}": value for key, value in _users(judged, values, contested, counting).items()}
    return Disagreement(pd.DataFrame(rows), per_user, overall, protocol, unrated)


def _bin(
    judged: Judgements, good: Mapping[str, Doubles], majority: Mask, inside: Mask, exact: bool, seed: int
) -> dict[str, float]:
    model, pooled, side = good["model"][inside], good["pooled"][inside], majority[inside]
    found: dict[str, float] = {
        "pairs": len(np.unique(judged.pair[inside])),
        "judgements": int(inside.sum()),
        "bound": hindsight_bound(judged.pair[inside], judged.first[inside]) if exact else np.nan,
        "pooled": 1 - _mean(pooled),
        "model": 1 - _mean(model),
        "margin": np.nan,
        "margin_low": np.nan,
        "margin_high": np.nan,
        "clear": _mean(model[judged.gap[inside] >= CLEAR_GAP]),
        "minority": _mean(model[~side]),
        "majority": _mean(model[side]),
        "minority_pooled": _mean(pooled[~side]),
        "majority_pooled": _mean(pooled[side]),
    }
    found["regret"] = found["majority"] - found["minority"]
    if exact and inside.any():
        # The majority rule of these judgements attains the bound; kept fixed, so that users can be drawn again.
        users, number = np.unique(judged.user[inside], return_inverse=True)
        gained = np.bincount(number, model - side, len(users))
        count = np.bincount(number, minlength=len(users)).astype(np.float64)
        score = Resampling(seed=seed).score(len(users), lambda times: ((times @ gained) / (times @ count))[:, None])
        found |= {"margin": score.value, "margin_low": score.low, "margin_high": score.high}
    return found


def _per_user(
    judged: Judgements,
    good: Mapping[str, Doubles],
    contested: Mask,
    majority: Mask,
    minority: Mask,
    user_ids: npt.NDArray[Any],
) -> pd.DataFrame:
    users, number = np.unique(judged.user, return_inverse=True)

    def total(values: npt.NDArray[Any]) -> Doubles:
        return np.bincount(number, values.astype(np.float64), len(users)).astype(np.float64)

    count = np.maximum(total(np.ones(len(judged))), 1)
    return pd.DataFrame(
        {
            "user_id": user_ids[users],
            "judged": count.astype(np.int64),
            "right": total(good["model"]) / count,
            "pooled": total(good["pooled"]) / count,
            "contested": total(contested).astype(np.int64),
            "contested_right": total(good["model"] * contested),
            "contested_pooled": total(good["pooled"] * contested),
            "minority": total(minority).astype(np.int64),
            "minority_right": total(good["model"] * minority),
            "majority_right": total(good["model"] * majority),
        }
    )


def _users(judged: Judgements, good: Doubles, contested: Mask, counting: Counting) -> dict[str, float]:
    """Return shares of users, over those with enough contested judgements."""
    user = judged.user[contested]
    users, number = np.unique(user, return_inverse=True)
    count = np.bincount(number, minlength=len(users)).astype(np.float64)
    hits = np.bincount(number, good[contested], len(users)).astype(np.float64)
    enough = count >= counting.least
    share = hits[enough] / count[enough]
    return {
        "users": float(enough.sum()),
        "below_half": _mean((share < 0.5).astype(np.float64)),
        "below_half_denoised": share_below(hits[enough], count[enough]),
        "spread": float(share.std()) if len(share) else np.nan,
        "worst_decile": _mean(np.sort(share)[: max(1, len(share) // 10)]),
        "worst_decile_crossfit": _crossfit_decile(judged, good, contested, counting),
    }


def _crossfit_decile(judged: Judgements, good: Doubles, contested: Mask, counting: Counting) -> float:
    """Return the mean share of the worst tenth of users, chosen on one half of a user's pairs, measured on the other.

    Items, not pairs, are halved: pairs of one user share items. A pair whose items are in different halves is left out.
    """
    rng = np.random.default_rng(counting.seed)
    half = rng.integers(2, size=int(judged.items.max(initial=0)) + 1)[judged.items]
    kept = contested & (half[:, 0] == half[:, 1])[judged.pair]
    users, number = np.unique(judged.user[kept], return_inverse=True)
    place = number * 2 + half[judged.pair[kept], 0]
    count = np.bincount(place, minlength=2 * len(users)).reshape(-1, 2)
    hits = np.bincount(place, good[kept], 2 * len(users)).reshape(-1, 2)
    enough = (count >= max(1, counting.least // 4)).all(1)
    share = hits[enough] / np.maximum(count[enough], 1)
    if not len(share):
        return float("nan")
    tenth = max(1, len(share) // 10)
    worst = [share[np.argsort(share[:, one], kind="stable")[:tenth], 1 - one].mean() for one in (0, 1)]
    return float(np.mean(worst))


def _mean(values: Doubles) -> float:
    return float(values.mean()) if len(values) else float("nan")
