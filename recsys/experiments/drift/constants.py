"""Constants of per-user decay that were chosen with sight of test questions, for the reports that test it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from recsys.decay.changepoints import Changepoints
from recsys.decay.temporal import TemporalDecay
from recsys.models.item_sample import ItemSample


@final
@dataclass(frozen=True)
class Constant:
    """A constant that was chosen with sight of test questions.

    Attributes:
        name: what it is.
        value: its value, read from the code.
        read_on: whose test questions were seen.
    """

    name: str
    value: float
    read_on: str


def constants_read_on_test_questions() -> tuple[Constant, ...]:
    """Return the constants; a gain on what one of them was read on is no independent evidence for it."""
    worlds = "the worlds of mixed drift, seeds 0 to 3"
    visits = "the simulated worlds of seeds 0, 7, 11 to 13"
    streams = "MovieTweetings, amazon-beauty, ml-latest-small"
    return (
        Constant("caution of changes of taste", _default(Changepoints, "caution"), worlds),
        Constant("decisiveness of changes of taste", _default(Changepoints, "decisiveness"), worlds),
        Constant("caution of half-lives", _default(TemporalDecay, "caution"), f"{visits}; {streams}"),
        Constant(
            "learning rate, around which the candidates lie",
            _default(TemporalDecay, "learning_rate"),
            f"{visits}; {streams}",
        ),
        Constant(
            "shrinkage, around which the candidates lie", _default(TemporalDecay, "shrinkage"), f"{visits}; {streams}"
        ),
        Constant(
            "sharpness of utilities, around which the candidates lie", _default(TemporalDecay, "sharpness"), streams
        ),
        Constant("items of the sample that ranks are estimated on", _default(ItemSample.of, "size"), streams),
    )


def _default(call: Callable[..., Any], argument: str) -> float:
    return float(inspect.signature(call).parameters[argument].default)
