"""The comparison of served answers with another commit."""

from __future__ import annotations

import pytest

from benchmarks.serving.against import Contender, Measured, checkout, report
from benchmarks.serving.results import Window
from benchmarks.serving.traffic import ANSWERS, EVENT
from recsys.errors import ConfigError


def _window(rate: float, p99: float) -> Window:
    times = {kind: {"p50": p99 / 2, "p99": p99} for kind in ("answers", *ANSWERS, EVENT)}
    return Window(rate, times, dict.fromkeys((*ANSWERS, EVENT), 1), {}, None, 1.0, 1.0)


def test_the_ratio_is_that_within_pairs_of_windows() -> None:
    first = Measured(Contender("before", "a"), [_window(rate, 5) for rate in (100, 900, 200)], [_window(150, 10)])
    second = Measured(Contender("now", "b"), [_window(rate, 5) for rate in (90, 810, 400)], [_window(150, 30)])
    text = "\n".join(report([first, second], {}))
    assert "| now: answers per second over before | at least 1 | 0.90 | **missed** |" in text
    assert "| now: p99 at 150 a second | under 25 ms | 30.0 ms | **missed** |" in text


def test_a_commit_that_there_is_not_is_named() -> None:
    with pytest.raises(ConfigError, match="commit no-such-commit cannot be checked out"), checkout("no-such-commit"):
        raise AssertionError
