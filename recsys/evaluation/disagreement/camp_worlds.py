"""The question asked in worlds of camps, where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from recsys.evaluation.disagreement.measures import Counting
from recsys.evaluation.disagreement.protocols import disagreement
from recsys.models.base import Recommender
from recsys.worlds.camps import camps

WORLDS: Final = tuple((p, topics) for topics in (1, 3) for p in (0.51, 0.6, 0.8))
"""(share of the larger camp, topics)."""

_RATERS, _LEAST = 20, 5


def camp_worlds(
    model: Recommender, worlds: Sequence[tuple[float, int]] = WORLDS, seed: int = 0
) -> list[dict[str, Any]]:
    """Return, of each world, what a model and one rule for all get wrong beside the least that one rule can.

    Judged as by "masked" (see `disagreement`): new users, both ratings of a pair taken out of their histories. Of a
    pair within a topic the share p prefers one side, without noise, so a personal model can be right about everybody.

    Args:
        model: folds in; a copy with its settings is fitted in each world.
        worlds: shares of the larger camp and numbers of topics.
        seed: of the worlds and of the halves of users.

    Raises:
        CapabilityError: the model cannot fold in.

    Returns:
        Rows with `p`, `topics`, `judgements`, `bound`, `pooled`, `model` (shares that are wrong), and the shares of
        users below a half with one rule and with the model, `below_half_pooled` and `below_half_model`.
    """
    rows = []
    for p, topics in worlds:
        log = camps(p, topics, seed=seed).log
        found = disagreement(model, log, "masked", raters=_RATERS, counting=Counting(least=_LEAST), seed=seed)
        bins = found.bins[found.bins["judgements"] > 0]
        weights = bins["judgements"] / max(int(bins["judgements"].sum()), 1)
        rows.append(
            {
                "p": p,
                "topics": topics,
                "judgements": int(bins["judgements"].sum()),
                **{name: float((bins[name] * weights).sum()) for name in ("bound", "pooled", "model")},
                **{name: found.overall[name] for name in ("below_half_pooled", "below_half_model")},
            }
        )
    return rows
