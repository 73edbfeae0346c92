"""Constants of the rules of forgetting, and on what each was chosen, for the reports that test them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from recsys.decay.changepoints import Changepoints
from recsys.decay.temporal import TemporalDecay
from recsys.decay.visits import HALF_WAY, LONG, VisitWeights
from recsys.models.item_sample import ItemSample


@final
@dataclass(frozen=True)
class Constant:
    """A constant of a rule.

    Attributes:
        name: what it is.
        value: its value, read from the code.
        chosen_on: whose questions were seen when it was chosen.
        reported: whether a report shows questions that were seen: a gain there is no independent evidence for it.
    """

    name: str
    value: str
    chosen_on: str
    reported: bool = False


DEVELOPMENT = (
    "the first 70% of the time of ml-latest-small, MovieTweetings and amazon-beauty (models of the first 40%, learning "
    "until 50%, scores until 70%) and the simulated logs of seed 7"
)
"""What no report shows: parts before its test stage, and other seeds."""


VISITS = (
    "questions between 50% and 70% of the time of ml-latest-small and MovieTweetings (500 users that no report draws), "
    "and the simulated logs of seed 7; the need for them was seen on the test questions of earlier reports"
)
"""What the constants of visits were chosen on."""

_STREAMS = "test questions of MovieTweetings, amazon-beauty and ml-latest-small"


def constants() -> tuple[Constant, ...]:
    """Return the constants that no log decides."""
    worlds, visits = "the worlds of mixed drift, seeds 0 to 3", "the simulated worlds of seeds 0, 7, 11 to 13"
    kept = f"{_STREAMS}; kept, as nothing was better on {DEVELOPMENT}"
    seen = {
        "half-lives in events": "events",
        "half-lives in days": "days",
        "learning rate, around which the candidates lie": "learning_rate",
        "shrinkage, around which the candidates lie": "shrinkage",
        "sharpness, around which the candidates lie": "sharpness",
    }
    return (
        *(Constant(name, _default(TemporalDecay, argument), kept, reported=True) for name, argument in seen.items()),
        Constant("caution of half-lives", _default(TemporalDecay, "caution"), f"{visits}; {_STREAMS}", reported=True),
        Constant(
            "floors",
            _default(TemporalDecay, "floors"),
            f"{DEVELOPMENT}; 0 among them on 600 users of MovieTweetings that no report shows",
        ),
        Constant("share of the visit that is going on", _default(VisitWeights, "share"), VISITS),
        Constant("events of a visit that have half of it", f"{HALF_WAY:g}", VISITS),
        Constant("or, if more, the root of", f"N / {LONG:g}", f"{VISITS}; seen on ten users' lists"),
        Constant("the most that the last visit has", _default(VisitWeights, "last"), VISITS),
        Constant(
            "or its part by number, in place of half of it",
            "n / N",
            f"{DEVELOPMENT}; the need for it was seen on the test questions of amazon-beauty",
            reported=True,
        ),
        Constant("days of absence that count for half", _default(VisitWeights, "absence_days"), VISITS),
        Constant("order of the candidates of `global`", "see `recsys.experiments.drift.candidates`", DEVELOPMENT),
        Constant("caution of changes of taste", _default(Changepoints, "caution"), worlds),
        Constant("decisiveness of changes of taste", _default(Changepoints, "decisiveness"), worlds),
        Constant(
            "items of the sample that ranks are estimated on", _default(ItemSample.of, "size"), _STREAMS, reported=True
        ),
    )


def _default(call: Callable[..., Any], argument: str) -> str:
    return _words(inspect.signature(call).parameters[argument].default)


def _words(value: float | tuple[float, ...]) -> str:
    return ", ".join(f"{part:g}" for part in value) if isinstance(value, tuple) else f"{value:g}"
