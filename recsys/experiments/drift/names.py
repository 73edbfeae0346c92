"""Names of the arms of the drift benchmark. It imports no library, so that a command line lists them at once."""

from __future__ import annotations

from collections.abc import Mapping

ARMS: tuple[str, ...] = (
    *("none", "global", "window", "koren", "gradient", "population_adwin", "population_page_hinkley", "user_adwin"),
    *("user_page_hinkley", "population", "per_user"),
)
"""The arms that are a rule of forgetting."""

RETRAINED: Mapping[str, str] = {"retraining": "none", "retraining_global": "global"}
"""Arms that refit the model on a schedule, and the arm whose rule they read it with."""

HINDSIGHT = "hindsight"
"""The rule of "global" that is best on the reported questions themselves: what one rule can reach there, no rival."""

DRIFT_ARMS: tuple[str, ...] = (*ARMS, *RETRAINED, HINDSIGHT)
"""All arms: rules of forgetting, models that are refitted on a schedule, and a ceiling."""
